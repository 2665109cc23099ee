//! How the speed layers of a run are set up, so that not every run tries the same: decided by the seed.

use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::instances::MOST;

/// The stream of random numbers of it: one with which the runs of CI try each manner.
const STREAM: u64 = 4;

/// Who shares out the partitions of a group. Its members must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Classic,
    Consumer,
}

impl Protocol {
    /// What sets it. Where the members say after which time they are taken for dead, it is the shortest that brokers allow,
    /// so that a frozen instance often is; else the stack's brokers do.
    pub fn properties(self) -> &'static str {
        match self {
            Self::Classic => "group.protocol=classic;session.timeout.ms=6000",
            Self::Consumer => "group.protocol=consumer",
        }
    }
}

/// How the speed layers of a run are set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manner {
    pub protocol: Protocol,
    /// Of the group beside the main topic.
    pub protocol_beside: Protocol,
    /// `--writers` of each instance.
    pub writers: [u8; MOST],
}

impl Manner {
    pub fn of(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let mut protocol = || if rng.random() { Protocol::Consumer } else { Protocol::Classic };
        let (protocol, protocol_beside) = (protocol(), protocol());
        Self { protocol, protocol_beside, writers: std::array::from_fn(|_| rng.random_range(1..=2)) }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, protocol_beside, writers } = self;
        write!(f, "groups {protocol:?} and {protocol_beside:?} beside, writers {writers:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_manner() {
        assert!((0..100).all(|seed| Manner::of(seed) == Manner::of(seed)));
    }

    /// Of `.ci/run`, which begins a group beside the main topic by two of them.
    #[test]
    fn the_runs_of_ci_try_both_protocols_here_and_beside_and_one_writer_and_two() {
        let manners = [8, 12].map(Manner::of);
        let protocols: BTreeSet<_> = manners.iter().map(|manner| manner.protocol).collect();
        let beside: BTreeSet<_> = manners.iter().map(|manner| manner.protocol_beside).collect();
        assert_eq!((protocols.len(), beside.len()), (2, 2), "{manners:?}");
        for manner in &manners {
            let writers: BTreeSet<u8> = manner.writers.into_iter().collect();
            assert_eq!(writers.len(), 2, "{manners:?}");
        }
    }
}
