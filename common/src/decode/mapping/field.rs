//! [`Field`]: what a tick consists of.

use crate::named::named_enum;
use std::fmt;

named_enum! {
    /// A field of a tick that a message may hold. `Price` means open and close.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Field {
        /// The traded volume.
        Symbol => "symbol",
        /// The time.
        Timestamp => "timestamp",
        /// The price of a trade: its open and close.
        Price => "price",
        /// The first price of a bar.
        Open => "open",
        /// The highest.
        High => "high",
        /// The lowest.
        Low => "low",
        /// The last.
        Close => "close",
        /// How much was traded.
        Volume => "volume",
        /// The best bid at the time of a trade.
        Bid => "bid",
        /// The best ask.
        Ask => "ask",
        /// The conditions of the sale.
        Conditions => "conditions",
        /// The feed's own number of the message. It has no usual name: most numbers have holes by
        /// nature.
        Sequence => "sequence",
        /// Whether the message takes a trade back or corrects one; it becomes one of the
        /// conditions. It has no usual name.
        Correction => "correction",
        /// The time of day, if the date is another member, which is the timestamp then. It has no
        /// usual name.
        TimeOfDay => "time_of_day",
    }
}

impl Field {
    /// Whether it is looked for under a name only where that was said.
    pub(super) const fn is_mapped_alone(self) -> bool {
        matches!(self, Self::Sequence | Self::Correction | Self::TimeOfDay)
    }

    /// Whether a mapping of this field implies that `other` is nowhere else, or is absent: the
    /// prices of a bar and the one of a trade exclude each other.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        let is_bar = |field| matches!(field, Self::Open | Self::High | Self::Low | Self::Close);
        match (self, other) {
            (Self::Price, other) if is_bar(other) => true,
            (Self::Open | Self::Close, Self::Price) => true,
            _ => self == other,
        }
    }

    /// Whether one member may be meant for both: a message may have one price for several, and its
    /// price under the name that a quote or a condition has in others. Fields that may be absent
    /// may both be mapped to nothing.
    #[must_use]
    pub fn may_share(self, other: Self) -> bool {
        let is_price = |field| {
            matches!(field, Self::Price | Self::Open | Self::High | Self::Low | Self::Close)
        };
        let is_beside = |field| matches!(field, Self::Bid | Self::Ask | Self::Conditions);
        let is_required = |field| {
            matches!(field, Self::Symbol | Self::Timestamp | Self::TimeOfDay)
                || matches!(field, Self::Price | Self::Open | Self::Close)
        };
        let is_price_beside = |one, other| is_price(one) && (is_price(other) || is_beside(other));
        self == other
            || (!is_required(self) && !is_required(other))
            || is_price_beside(self, other)
            || is_price_beside(other, self)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
