//! Bars as arguments of a statement: an array for each column, in one order for all statements.

use super::numeric::Numeric;
use super::timestamptz::Timestamptz;
use common::wide_sum::Exact;
use common::{Bar, OrderKey, Timestamp};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgHasArrayType, Postgres};
use sqlx::{Arguments, Encode, Type};

/// A bar with its symbol and its start.
pub type Row<'a> = (&'a str, Timestamp, &'a Bar);

/// A column, and PostgreSQL's type of it.
type Column = (&'static str, &'static str);

/// The columns that identify a bar: `$1` and `$2`.
const KEY: [Column; 2] = [("symbol", "text"), ("start", "timestamptz")];
/// The other columns: from `$3` on.
const VALUES: [Column; 8] = [
    ("open", "numeric"),
    ("high", "numeric"),
    ("low", "numeric"),
    ("close", "numeric"),
    ("volume", "numeric"),
    ("ticks", "bigint"),
    ("sum_close", "numeric"),
    ("notional", "numeric"),
];
/// The ticks that gave open and close: from `$11` on.
const ENDS: [Column; 8] = [
    ("first_timestamp", "timestamptz"),
    ("first_partition", "integer"),
    ("first_offset", "bigint"),
    ("first_index", "smallint"),
    ("last_timestamp", "timestamptz"),
    ("last_partition", "integer"),
    ("last_offset", "bigint"),
    ("last_index", "smallint"),
];

/// Which columns a statement takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// The columns of bars.
    Values,
    /// The ticks that gave open and close.
    All,
}

impl Columns {
    /// The columns after symbol and start, each as `<alias>.<column>`.
    #[must_use]
    pub fn of(self, alias: &str) -> String {
        let names = self.all().skip(KEY.len()).map(|(name, _)| format!("{alias}.{name}"));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The columns that say which ticks gave open and close, each as `<alias>.<column>`.
    #[must_use]
    pub fn ends(alias: &str) -> String {
        ENDS.map(|(name, _)| format!("{alias}.{name}")).join(", ")
    }

    /// The columns after symbol and start.
    #[must_use]
    pub fn names(self) -> String {
        self.all().skip(KEY.len()).map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    /// `unnest($1::text[], ..) as bars (symbol, ..)`: the rows that [`Columns::arguments`] bring.
    #[must_use]
    pub fn rows(self) -> String {
        let types = self.all().zip(1..).map(|((_, of), number)| format!("${number}::{of}[]"));
        let names = self.all().map(|(name, _)| name);
        let (types, names) =
            (types.collect::<Vec<_>>().join(", "), names.collect::<Vec<_>>().join(", "));
        format!("unnest({types}) as bars ({names})")
    }

    /// `$<number>` of the arguments that a statement has after those of its bars.
    #[must_use]
    pub fn more<const N: usize>(self) -> [String; N] {
        let first = self.all().count() + 1;
        std::array::from_fn(|number| format!("${}", first + number))
    }

    /// A statement's first arguments.
    ///
    /// # Errors
    /// If they are too many for one statement.
    pub fn arguments(self, bars: &[Row<'_>]) -> Result<PgArguments, sqlx::Error> {
        self.encode(bars).map_err(sqlx::Error::Encode)
    }

    fn encode(self, bars: &[Row<'_>]) -> Result<PgArguments, BoxDynError> {
        let mut arguments = Arrays { bars, arguments: PgArguments::default() };
        arguments.add(|(symbol, ..)| *symbol)?;
        arguments.add(|(_, start, _)| Timestamptz(*start))?;
        arguments.add(|(.., bar)| Numeric::from(bar.open))?;
        arguments.add(|(.., bar)| Numeric::from(bar.high))?;
        arguments.add(|(.., bar)| Numeric::from(bar.low))?;
        arguments.add(|(.., bar)| Numeric::from(bar.close))?;
        arguments.add(|(.., bar)| bar.traded.volume().map(Numeric::from))?;
        arguments.add(|(.., bar)| bar.ticks.cast_signed())?;
        arguments.add(|(.., bar)| Numeric::from(Exact::of_attos(bar.sum_close.into(), 0)))?;
        arguments.add(|(.., bar)| bar.traded.notional().map(Numeric::from))?;
        if self == Self::All {
            arguments.add_end(|bar| bar.first)?;
            arguments.add_end(|bar| bar.last)?;
        }
        Ok(arguments.arguments)
    }

    fn all(self) -> impl Iterator<Item = Column> {
        let ends = ENDS.into_iter().filter(move |_| self == Self::All);
        KEY.into_iter().chain(VALUES).chain(ends)
    }
}

struct Arrays<'a> {
    bars: &'a [Row<'a>],
    arguments: PgArguments,
}

impl<'a> Arrays<'a> {
    fn add<T>(&mut self, of: impl Fn(&Row<'a>) -> T) -> Result<(), BoxDynError>
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        self.arguments.add(self.bars.iter().map(of).collect::<Vec<T>>())
    }

    fn add_end(&mut self, of: fn(&Bar) -> OrderKey) -> Result<(), BoxDynError> {
        self.add(|(.., bar)| Timestamptz(of(bar).timestamp))?;
        self.add(|(.., bar)| of(bar).place.partition)?;
        self.add(|(.., bar)| of(bar).place.offset)?;
        self.add(|(.., bar)| of(bar).place.index.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_a_type_and_a_name_for_each_argument() {
        for columns in [Columns::Values, Columns::All] {
            let number = columns.arguments(&[]).unwrap().len();
            let (rows, [next]) = (columns.rows(), columns.more());
            assert_eq!(next, format!("${}", number + 1));
            assert!(rows.contains(&format!("${number}::")) && !rows.contains(&next), "{rows}");
            assert_eq!(columns.names().split(", ").count() + KEY.len(), number);
        }
        let rows = Columns::Values.rows();
        assert!(
            rows.starts_with("unnest($1::text[], $2::timestamptz[], $3::numeric[], "),
            "{rows}"
        );
        assert!(rows.ends_with(
            "as bars (symbol, start, open, high, low, close, volume, ticks, sum_close, notional)"
        ));
        assert!(Columns::Values.of("t").starts_with("t.open, t.high, "));
    }
}
