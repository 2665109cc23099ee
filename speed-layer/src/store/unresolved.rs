//! [`UnresolvedStarts`]: partitions whose start offset PostgreSQL does not give, in the parts in
//! which they are to be queried.

use crate::source::SourcePartition;
use std::collections::VecDeque;
use std::time::Instant;

/// Partitions that are queried together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub partitions: Vec<SourcePartition>,
    /// Why the query failed, in PostgreSQL's words.
    pub why: String,
    /// Since when its only partition is known to fail alone. `None`: it has several, or that is not
    /// known.
    pub alone_since: Option<Instant>,
}

/// A query that failed is repeated in halves, the oldest part first: partitions that nothing is
/// wrong with begin before it is found out which of the others cannot.
#[derive(Debug, Default)]
pub struct UnresolvedStarts {
    parts: VecDeque<Part>,
}

impl UnresolvedStarts {
    /// The part that has waited longest, with those of its partitions that are asked for now.
    pub fn next(&mut self, is_asked: impl Fn(SourcePartition) -> bool) -> Option<Part> {
        let place =
            self.parts.iter().position(|part| part.partitions.iter().any(|at| is_asked(*at)))?;
        let mut part = self.parts.remove(place)?;
        // Its other partitions are queried as new ones once they are asked for.
        part.partitions.retain(|at| is_asked(*at));
        Some(part)
    }

    /// The query of these together failed.
    pub fn split(&mut self, partitions: &[SourcePartition], why: &str) {
        let why = match partitions.len() {
            1 => why.to_owned(),
            several => format!("asked of {several} partitions at once: {why}"),
        };
        let (first, second) = partitions.split_at(partitions.len().div_ceil(2));
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let (partitions, why) = (half.to_vec(), why.clone());
            self.parts.push_back(Part { partitions, why, alone_since: None });
        }
    }

    /// Parts that were queried, and wait for their next turn.
    pub fn put_back(&mut self, parts: Vec<Part>) {
        self.parts.extend(parts);
    }

    /// Why the start of a partition is not known. `None`: it is not among these.
    pub fn why(&self, at: SourcePartition) -> Option<&str> {
        self.parts.iter().find(|part| part.partitions.contains(&at)).map(|part| &*part.why)
    }

    /// Whether each partition that is left failed alone.
    pub fn are_alone(&self) -> bool {
        self.parts.iter().all(|part| part.alone_since.is_some())
    }

    /// Forgets partitions that belong to another instance from now on.
    pub fn remove(&mut self, gone: &[SourcePartition]) {
        for part in &mut self.parts {
            part.partitions.retain(|at| !gone.contains(at));
        }
        self.parts.retain(|part| !part.partitions.is_empty());
    }

    pub fn clear(&mut self) {
        self.parts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(partition: i32) -> SourcePartition {
        SourcePartition { source: 1, partition }
    }

    /// Asks part by part, `tries` times in all; gives who was taken, and those that were found
    /// alone.
    fn search(culprits: &[i32], count: i32, tries: usize) -> (BTreeSet<i32>, BTreeSet<i32>) {
        let mut unresolved = UnresolvedStarts::default();
        unresolved.split(&(0..count).map(at).collect::<Vec<_>>(), "it takes too long");
        let (mut taken, mut alone) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..tries {
            let Some(mut part) = unresolved.next(|_| true) else { break };
            let is_taken = part.partitions.iter().all(|at| !culprits.contains(&at.partition));
            match &part.partitions[..] {
                all if is_taken => taken.extend(all.iter().map(|at| at.partition)),
                [one] => {
                    alone.insert(one.partition);
                    part.alone_since.get_or_insert_with(Instant::now);
                    unresolved.put_back(vec![part]);
                }
                several => unresolved.split(several, "it takes too long"),
            }
        }
        (taken, alone)
    }

    #[test]
    fn most_of_many_begin_before_the_one_that_cannot_is_found() {
        let (taken, _) = search(&[0], 64, 4);
        assert_eq!(taken, (16..64).collect());
        let (taken, alone) = search(&[0], 64, 12);
        assert_eq!((taken, alone), ((1..64).collect(), [0].into()));
    }

    #[test]
    fn however_many_are_not_taken_all_others_begin_and_each_of_them_is_known() {
        for count in [1, 2, 3, 17, 40] {
            for every in 1..7 {
                let culprits: Vec<i32> = (0..count).filter(|n| n % every == 0).collect();
                let (taken, alone) = search(&culprits, count, 4 * count as usize);
                assert_eq!(alone, culprits.iter().copied().collect());
                assert_eq!(taken, (0..count).filter(|n| n % every != 0).collect());
            }
        }
    }

    #[test]
    fn each_that_is_not_taken_alone_has_its_turn_before_one_has_its_next() {
        let mut unresolved = UnresolvedStarts::default();
        let alone = |n| Part {
            partitions: vec![at(n)],
            why: String::new(),
            alone_since: Some(Instant::now()),
        };
        unresolved.put_back((0..10).map(alone).collect());
        assert!(unresolved.are_alone());
        let mut asked = Vec::new();
        // Four are tried at a time.
        for _ in 0..5 {
            let tried: Vec<Part> = (0..4).filter_map(|_| unresolved.next(|_| true)).collect();
            asked.extend(tried.iter().map(|part| part.partitions[0].partition));
            unresolved.put_back(tried);
        }
        assert_eq!(asked, (0..10).chain(0..10).collect::<Vec<_>>());
    }

    #[test]
    fn who_is_not_asked_for_leaves_the_part_and_who_is_given_up_is_forgotten() {
        let mut unresolved = UnresolvedStarts::default();
        unresolved.split(&[at(0), at(1), at(2), at(3)], "a lock");
        assert!(!unresolved.are_alone());
        let part = unresolved.next(|at| at.partition == 1).unwrap();
        assert_eq!(part.partitions, [at(1)]);
        assert_eq!((unresolved.why(at(0)), unresolved.why(at(1))), (None, None));
        assert_eq!(unresolved.why(at(2)), Some("asked of 4 partitions at once: a lock"));
        unresolved.remove(&[at(2), at(3)]);
        assert!(unresolved.next(|_| true).is_none());
    }
}
