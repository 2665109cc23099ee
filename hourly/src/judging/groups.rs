//! Which symbols of an hour are judged, and which of them at once: their ticks are all in memory
//! then.

use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Ticks that are in memory at once: 120 MB.
const TICKS_AT_ONCE: u64 = 1_000_000;
/// Symbols that are judged at once, at most, because of their margins.
const SYMBOLS_AT_ONCE: usize = 10_000;
/// How often the objects of an hour are read that is too large to be judged whole.
const READS: usize = 4;

/// Symbols that are judged at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `None`: all.
    pub symbols: Option<Arc<FxHashSet<Box<str>>>>,
    pub ticks: u64,
}

/// How an hour is judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Groups {
    pub groups: Vec<Group>,
    /// Symbols of which something was found, and which are too many to be judged.
    pub left: usize,
}

/// All symbols at once, where they fit. Of a larger hour those alone of which something was
/// `found`.
pub fn split_symbols(mut symbols: Vec<(Box<str>, u64)>, found: &FxHashSet<&str>) -> Groups {
    let ticks = symbols.iter().map(|(_, ticks)| ticks).sum();
    if ticks <= TICKS_AT_ONCE && symbols.len() <= SYMBOLS_AT_ONCE {
        return Groups { groups: vec![Group { symbols: None, ticks }], left: 0 };
    }
    symbols.retain(|(symbol, _)| found.contains(&**symbol));
    // Small ones first, so that as many as possible are judged.
    symbols.sort_unstable_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    let mut groups: Vec<(FxHashSet<Box<str>>, u64)> = Vec::new();
    let mut left = 0;
    for (symbol, ticks) in symbols {
        let last = groups
            .last_mut()
            .filter(|(group, sum)| sum + ticks <= TICKS_AT_ONCE && group.len() < SYMBOLS_AT_ONCE);
        if let Some((group, sum)) = last {
            group.insert(symbol);
            *sum += ticks;
        } else if ticks <= TICKS_AT_ONCE && groups.len() < READS {
            groups.push(([symbol].into_iter().collect(), ticks));
        } else {
            left += 1;
        }
    }
    let group = |(symbols, ticks)| Group { symbols: Some(Arc::new(symbols)), ticks };
    Groups { groups: groups.into_iter().map(group).collect(), left }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize, ticks: u64) -> Vec<(Box<str>, u64)> {
        (0..count).map(|number| (format!("S{number}").into(), ticks)).collect()
    }

    #[test]
    fn an_hour_that_fits_is_judged_whole() {
        let groups = split_symbols(named(500, 2_000), &FxHashSet::default());
        assert_eq!(
            groups,
            Groups { groups: vec![Group { symbols: None, ticks: TICKS_AT_ONCE }], left: 0 }
        );
    }

    #[test]
    fn of_a_larger_hour_the_symbols_are_judged_in_which_something_was_found() {
        assert_eq!(split_symbols(named(500, 40_000), &FxHashSet::default()), Groups::default());
        let found =
            split_symbols(named(500, 40_000), &FxHashSet::from_iter(["S7", "S8", "S499", "gone"]));
        assert_eq!(found.groups.len(), 1);
        assert_eq!((found.groups[0].ticks, found.left), (120_000, 0));
        assert!(found.groups[0].symbols.as_ref().is_some_and(|symbols| symbols.contains("S499")));
    }

    #[test]
    fn what_does_not_fit_into_four_reads_is_left_and_so_is_a_symbol_that_fits_into_none() {
        let mut symbols = named(500, 40_000);
        symbols.push(("WIDE".into(), TICKS_AT_ONCE + 1));
        let names: Vec<Box<str>> = symbols.iter().map(|(symbol, _)| symbol.clone()).collect();
        let found = split_symbols(symbols, &names.iter().map(|name| &**name).collect());
        assert!(found.groups.iter().all(|group| group.ticks <= TICKS_AT_ONCE));
        assert_eq!((found.groups.len(), found.left), (READS, 501 - READS * 25));
    }
}
