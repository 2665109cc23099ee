//! Comparing sets of offsets of one partition.

/// Offsets that a place should have and those that it has. Both ascend; what is there twice counts
/// as a duplicate.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub distinct: u64,
    pub duplicates: u64,
    pub missing: Vec<i64>,
    /// There, though not expected.
    pub surplus: Vec<i64>,
}

pub fn compare(expected: &[i64], found: &[i64]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut expected = expected.iter().copied().peekable();
    let mut last = None;
    for &offset in found {
        if last == Some(offset) {
            comparison.duplicates += 1;
            continue;
        }
        last = Some(offset);
        comparison.distinct += 1;
        while let Some(missing) = expected.next_if(|wanted| *wanted < offset) {
            comparison.missing.push(missing);
        }
        if expected.next_if_eq(&offset).is_none() {
            comparison.surplus.push(offset);
        }
    }
    comparison.missing.extend(expected);
    comparison
}

/// `5, 7-9 and 12 more ranges`: at most five ranges of ascending offsets.
pub fn ranges(offsets: &[i64]) -> String {
    const SHOWN: usize = 5;
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for &offset in offsets {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == offset => *end = offset,
            _ => ranges.push((offset, offset)),
        }
    }
    let texts = ranges.iter().take(SHOWN).map(|(start, end)| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    });
    let text = texts.collect::<Vec<_>>().join(", ");
    match ranges.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more ranges"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn duplicates_missing_and_surplus_offsets_are_told_apart() {
        let comparison = compare(&[1, 2, 3, 5], &[0, 2, 2, 5, 5, 5, 9]);
        assert_eq!(
            comparison,
            Comparison { distinct: 4, duplicates: 3, missing: vec![1, 3], surplus: vec![0, 9] }
        );
    }

    #[test]
    fn ranges_are_short_however_many_there_are() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[5, 7, 8, 9]), "5, 7-9");
        assert_eq!(ranges(&[0, 2, 4, 6, 8, 10, 12]), "0, 2, 4, 6, 8 and 2 more ranges");
    }

    proptest! {
        #[test]
        fn it_agrees_with_sets(
            expected in prop::collection::btree_set(0_i64..60, 0..40),
            mut found in prop::collection::vec(0_i64..60, 0..80),
        ) {
            found.sort_unstable();
            let set: BTreeSet<i64> = found.iter().copied().collect();
            let comparison = compare(&expected.iter().copied().collect::<Vec<_>>(), &found);
            prop_assert_eq!(comparison.distinct, set.len() as u64);
            prop_assert_eq!(comparison.duplicates, (found.len() - set.len()) as u64);
            prop_assert_eq!(comparison.missing, expected.difference(&set).copied().collect::<Vec<_>>());
            prop_assert_eq!(comparison.surplus, set.difference(&expected).copied().collect::<Vec<_>>());
        }
    }
}
