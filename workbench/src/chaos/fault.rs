//! What can go wrong, and for how long.

use clap::ValueEnum;
use serde::Serialize;
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// kill -9 of a speed layer; it is started again
    InstanceKill,
    /// SIGSTOP of a speed layer, SIGCONT later: often after the group has given its partitions away
    InstanceFreeze,
    /// A speed layer that cannot write is frozen until another has its partitions; then it wakes up
    /// and could write again
    Zombie,
    /// A speed layer is added, or ended by SIGTERM where it was added before
    InstanceScale,
    /// Immediate stop of PostgreSQL, which then recovers from its log
    PostgresRestart,
    /// The server ends every session of the pipeline
    BackendTerminate,
    /// A table of the speed layer is locked as a whole
    Lock,
    /// Somebody else takes every connection that PostgreSQL allows
    Connections,
    /// The connection of one program to PostgreSQL breaks and is refused
    PostgresCut,
    /// Not a byte passes between one program and PostgreSQL, and nobody says so
    PostgresHalfOpen,
    /// Every byte between one program and PostgreSQL comes late
    PostgresSlow,
    /// kill -9 of the Kafka broker
    KafkaRestart,
    /// Connections of every other speed layer to Kafka break and are refused
    KafkaCut,
    /// Not a byte passes between every other speed layer and Kafka
    KafkaHalfOpen,
    /// Every byte between every other speed layer and Kafka comes late
    KafkaSlow,
    /// kill -9 of the S3 store
    StoreRestart,
    /// Connections to the S3 store break and are refused
    StoreCut,
    /// Not a byte passes to and from the S3 store
    StoreHalfOpen,
    /// Every byte to and from the S3 store comes late
    StoreSlow,
    /// kill -9 of the archiver, which then writes some lines twice
    ArchiverKill,
    /// kill -9 of a batch layer at work
    BatchKill,
    /// Two batch layers are started at once
    BatchTwice,
    /// Three batch layers share a window, and one of them is killed with -9
    BatchShare,
    /// Beside the main topic: kill -9 of runs of `compact --delete-covered`, while they write, read
    /// back or delete
    CompactKill,
    /// A producer's clock is wrong, by up to four hours behind or fifty minutes ahead
    ClockSkew,
    /// Beside the main topic: a partition has no leader while a speed layer is restarted
    Leaderless,
    /// Beside it: a topic is deleted and made anew, while it is read or while nobody runs
    TopicAnew,
    /// Beside it: SIGSTOP of a speed layer whose COPY is open; another one has to free what it
    /// holds
    FrozenCopy,
    /// Beside it: rejected messages that are larger than the dead letter topic takes
    LargeLetter,
    /// SIGTERM of a speed layer that cannot reach its brokers; it must end in time
    HangingClose,
}

impl Fault {
    /// Whether it happens to the topics of `side_topics.rs`.
    pub fn is_beside(self) -> bool {
        self.turn().is_some() && self != Self::HangingClose
    }

    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How long it takes as a rule, in seconds, where it has its own turn: one after the other of
    /// these, beside the others. Each of them is only over once what it tries has come out.
    pub fn turn(self) -> Option<f64> {
        match self {
            Self::FrozenCopy => Some(20.0),
            Self::Leaderless => Some(16.0),
            Self::TopicAnew | Self::HangingClose => Some(8.0),
            Self::LargeLetter => Some(4.0),
            _ => None,
        }
    }

    /// The shortest and the longest time that it lasts, in seconds.
    pub fn seconds(self) -> Range<f64> {
        match self {
            // The group's session times out after six seconds, or after ten by the newer protocol.
            Self::InstanceFreeze => 1.0..14.0,
            Self::Zombie => 7.0..14.0,
            Self::InstanceKill | Self::ArchiverKill => 0.1..4.0,
            Self::PostgresRestart | Self::KafkaRestart | Self::StoreRestart => 0.2..4.0,
            Self::Lock | Self::Connections => 1.0..6.0,
            Self::PostgresCut | Self::KafkaCut | Self::StoreCut => 0.2..6.0,
            Self::PostgresHalfOpen | Self::KafkaHalfOpen | Self::StoreHalfOpen => 1.0..9.0,
            Self::PostgresSlow | Self::KafkaSlow | Self::StoreSlow | Self::ClockSkew => 2.0..8.0,
            // How long the victim may work before.
            Self::BatchKill => 0.02..0.5,
            Self::Leaderless | Self::HangingClose | Self::BatchShare => 0.2..3.0,
            Self::InstanceScale | Self::BackendTerminate | Self::BatchTwice | Self::CompactKill => {
                0.0..0.001
            }
            Self::TopicAnew | Self::FrozenCopy | Self::LargeLetter => 0.0..0.001,
        }
    }
}
