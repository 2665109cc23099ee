//! How the speed layers of a run are set up, so that not every run tries the same: decided by the
//! seed.

use serde::Serialize;
use std::fmt;

/// Speed layers that run all the time, and the most that run at once.
pub const ALWAYS: usize = 2;
pub const MOST: usize = 4;

/// Who shares out the partitions of a group. Its members must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Classic,
    Consumer,
}

impl Protocol {
    /// What sets it. Where the members say after which time they are taken for dead, it is the
    /// shortest that brokers allow, so that a frozen instance often is; else the stack's brokers
    /// do.
    pub fn properties(self) -> &'static str {
        match self {
            Self::Classic => "group.protocol=classic;session.timeout.ms=6000",
            Self::Consumer => "group.protocol=consumer",
        }
    }
}

/// How the speed layers of a run are set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceSettings {
    pub protocol: Protocol,
    /// Of the group beside the main topic.
    pub protocol_beside: Protocol,
    /// `--writers` of each instance.
    pub writers: [u8; MOST],
}

impl InstanceSettings {
    /// By bits of the seed in which the two runs of CI differ; half of the instances have two
    /// writers.
    pub fn of(seed: u64) -> Self {
        let bit = |place: u32| (seed >> place) & 1;
        let protocol = |bit| if bit == 1 { Protocol::Consumer } else { Protocol::Classic };
        let writers = |number: usize| if (bit(2) == 1) == number.is_multiple_of(2) { 2 } else { 1 };
        Self {
            protocol: protocol(bit(2)),
            protocol_beside: protocol(bit(2) ^ bit(3)),
            writers: std::array::from_fn(writers),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        })
    }
}

impl fmt::Display for InstanceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, protocol_beside, writers } = self;
        let writers = writers.map(|number| number.to_string()).join(", ");
        write!(
            f,
            "group protocol {protocol} (beside the main topic {protocol_beside}); writers by instance: {writers}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_manner() {
        assert!((0..100).all(|seed| InstanceSettings::of(seed) == InstanceSettings::of(seed)));
    }

    /// Of `.ci/run`, which begins a group beside the main topic by two of them.
    #[test]
    fn the_runs_of_ci_try_both_protocols_here_and_beside_and_one_writer_and_two() {
        let manners = [8, 12].map(InstanceSettings::of);
        let protocols: BTreeSet<_> = manners.iter().map(|settings| settings.protocol).collect();
        let beside: BTreeSet<_> = manners.iter().map(|settings| settings.protocol_beside).collect();
        assert_eq!((protocols.len(), beside.len()), (2, 2), "{manners:?}");
        for settings in &manners {
            let writers: BTreeSet<u8> = settings.writers.into_iter().collect();
            assert_eq!(writers.len(), 2, "{manners:?}");
        }
    }
}
