//! Symbols in ranges, so that an hour of many is looked at some at a time, and those of them that
//! are named.

use std::fmt;

/// Symbols from one on, and before another, if any.
pub type SymbolRange<'a> = (&'a str, Option<&'a str>);

pub const ALL_SYMBOLS: SymbolRange<'static> = ("", None);

/// Cuts what is sorted by symbol into parts, each with the range that holds it; together the ranges
/// are all of `range`.
pub fn parts<'a, T>(
    sorted: &'a [T],
    range: SymbolRange<'a>,
    most: usize,
    symbol: impl Fn(&'a T) -> &'a str,
) -> impl Iterator<Item = (&'a [T], SymbolRange<'a>)> {
    let number = sorted.len().div_ceil(most).max(1);
    (0..number).map(move |part| {
        let first = part * most;
        let end = (first + most).min(sorted.len());
        let from = if part == 0 { range.0 } else { symbol(&sorted[first]) };
        let to = if part + 1 == number { range.1 } else { Some(symbol(&sorted[end])) };
        (&sorted[first..end], (from, to))
    })
}

/// Whether a symbol is in a range.
#[must_use]
pub fn is_within((from, to): SymbolRange<'_>, symbol: &str) -> bool {
    symbol >= from && to.is_none_or(|to| symbol < to)
}

/// Symbols that a sentence names: the first few, and how many there are. There may be very
/// many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedSymbols {
    first: Vec<String>,
    count: usize,
}

impl NamedSymbols {
    const MOST: usize = 5;

    pub fn add(&mut self, symbol: &str) {
        self.count += 1;
        if self.first.len() < Self::MOST {
            self.first.push(symbol.to_owned());
        }
    }

    pub fn add_all(&mut self, others: &Self) {
        others.first.iter().for_each(|symbol| self.add(symbol));
        self.count += others.count - others.first.len();
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// A sentence for the report: of which symbols rows of a table are not as they should be.
    #[must_use]
    pub fn describe_rows(&self, table: &str, what: &str) -> String {
        format!("rows of {table} are wrong, missing or too many: {self}; {what}")
    }
}

impl Extend<String> for NamedSymbols {
    fn extend<I: IntoIterator<Item = String>>(&mut self, symbols: I) {
        symbols.into_iter().for_each(|symbol| self.add(&symbol));
    }
}

/// `AAPL, MSFT and 12 more`
impl fmt::Display for NamedSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_symbols_leave_no_range_out() {
        let cut = |symbols: &'static [&'static str], most| {
            parts(symbols, ALL_SYMBOLS, most, |symbol| symbol).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[], 2), [(&[][..], ("", None))]);
        assert_eq!(cut(&["A", "B"], 2), [(&["A", "B"][..], ("", None))]);
        let three = cut(&["A", "B", "C"], 2);
        assert_eq!(three, [(&["A", "B"][..], ("", Some("C"))), (&["C"][..], ("C", None))]);
        let inner =
            parts(&["B", "C"], ("B", Some("D")), 1, |symbol| symbol).map(|(_, range)| range);
        assert_eq!(inner.collect::<Vec<_>>(), [("B", Some("C")), ("C", Some("D"))]);
    }

    #[test]
    fn of_many_symbols_a_few_are_named_and_kept() {
        let mut named = NamedSymbols::default();
        named.extend((0..5).map(|number| format!("S{number}")));
        assert_eq!(named.to_string(), "S0, S1, S2, S3, S4");
        named.extend((5..1000).map(|number| format!("S{number}")));
        assert_eq!(named.to_string(), "S0, S1, S2, S3, S4 and 995 more");
        assert_eq!(named.first.len(), 5);
    }
}
