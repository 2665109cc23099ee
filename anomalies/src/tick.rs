//! The input of detectors ([`Tick`]) and their output ([`Finding`]).

use crate::pack::pack;
use serde::{Deserialize, Serialize};

/// A second in nanoseconds, the unit of all times. That of all prices is 10^-9.
pub const SECOND: i64 = 1_000_000_000;
pub const MINUTE: i64 = 60 * SECOND;

/// The identity of a tick in its partition.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct TickId {
    pub offset: i64,
    pub index: u16,
}

pack!(TickId { offset, index });

/// The best bid and ask at the time of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The best bid, in units of 10^-9.
    pub bid: i64,
    /// The best ask, in units of 10^-9.
    pub ask: i64,
}

impl Quote {
    /// Crossed or empty quotes say nothing about a price.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.bid > 0 && self.ask >= self.bid
    }
}

/// How far `price` lies outside of what is between `low` and `high`; below zero: so far within.
#[inline]
#[must_use]
pub const fn outside(price: i64, low: i64, high: i64) -> i64 {
    let (above, below) = (price.saturating_sub(high), low.saturating_sub(price));
    if above > below { above } else { below }
}

/// A producer's change to a trade that it has told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revision {
    /// The trade is void.
    Cancel,
    /// The trade is told of again, as it really was.
    Correction,
}

/// One trade of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    pub place: TickId,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// The price, in units of 10^-9.
    pub price: i64,
    /// Shares, coins or contracts; 0 where it is not known.
    pub volume: f64,
    pub quote: Option<Quote>,
    /// Whether one of its sale conditions is among those that bars should leave out.
    pub is_excluded: bool,
    /// Whether it takes a trade back, or corrects one.
    pub revision: Option<Revision>,
    /// The feed's own number of the message.
    pub sequence: Option<u64>,
}

impl Tick {
    /// A tick that has a price and nothing else.
    #[must_use]
    pub fn of(place: TickId, at: i64, price: i64) -> Self {
        Self {
            place,
            at,
            price,
            volume: 0.0,
            quote: None,
            is_excluded: false,
            revision: None,
            sequence: None,
        }
    }

    /// Whether it is void: no price of the market's.
    #[must_use]
    #[inline]
    pub fn is_cancel(&self) -> bool {
        self.revision == Some(Revision::Cancel)
    }
}

/// Defines the kinds with their names, in two parts, so that neither `CAUSAL` nor `name` can lack
/// one.
macro_rules! kinds {
    (
        $(#[$attribute:meta])*
        causal { $($(#[$causal_documentation:meta])* $causal:ident => $causal_name:literal,)+ }
        hindsight { $($(#[$documentation:meta])* $hindsight:ident => $name:literal,)+ }
    ) => {
        $(#[$attribute])*
        pub enum Kind {
            $($(#[$causal_documentation])* $causal,)+
            $($(#[$documentation])* $hindsight,)+
        }

        impl Kind {
            /// Findings as ticks come.
            pub const CAUSAL: [Self; [$($causal_name),+].len()] = [$(Self::$causal),+];

            /// The kind's name in tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$causal => $causal_name,)+
                    $(Self::$hindsight => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// The kind of a finding.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    causal {
        /// A price outside the quotes by more than a spread.
        OutsideQuotes => "outside_quotes",
        /// A price off the others whose sale condition is excluded.
        ExcludedCondition => "excluded_condition",
        /// A price off those before it, to which the next ones returned.
        Spike => "spike",
        /// A price outside the bands around the mean of the last minutes.
        OutsideBands => "outside_bands",
        /// More volume in a minute than this time of day has.
        VolumeBurst => "volume_burst",
        /// A wider range in a minute than this time of day has.
        RangeBurst => "range_burst",
        /// No tick for longer than usual, in trading hours.
        Silence => "silence",
        /// No symbol of a partition has ticks.
        MarketSilence => "market_silence",
        /// The feed's number is no higher than the last one.
        SequenceStep => "sequence_step",
        /// Numbers of the feed are missing.
        SequenceHole => "sequence_hole",
        /// The producer takes the trade back.
        Cancel => "cancel",
        /// The producer corrects a trade.
        Correction => "correction",
    }
    hindsight {
        /// A price off its neighbours on both sides, judged with hindsight.
        OffNeighbours => "off_neighbours",
    }
}

impl Kind {
    /// Whether it says that a price is wrong.
    #[must_use]
    pub const fn is_of_price(self) -> bool {
        matches!(
            self,
            Self::OutsideQuotes
                | Self::ExcludedCondition
                | Self::Spike
                | Self::OutsideBands
                | Self::OffNeighbours
        )
    }

    /// Whether bars without bad prints leave its tick out.
    #[must_use]
    pub const fn is_left_out(self) -> bool {
        self.is_of_price() || matches!(self, Self::Cancel)
    }
}

/// One thing that a detector found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Finding {
    /// Name and version of the detector.
    pub detector: Detector,
    pub kind: Kind,
    /// The tick that it is about.
    pub place: TickId,
    pub at: i64,
    /// How far beyond its limit: 1 at the limit, 2 twice as far.
    pub score: f64,
    /// The observed value: a price or a time in units of 10^-9; of a burst a volume, or a range as
    /// a share of the price; a feed's number.
    pub observed: f64,
    /// The price, time or number that was to be expected, in the unit of what was seen; of a burst
    /// its limit.
    pub expected: f64,
}

/// A detector's name, and the version that changes with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Detector {
    pub name: &'static str,
    pub version: u32,
}
