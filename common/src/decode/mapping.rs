//! [`Mapping`]: under which names the fields of a tick stand in a message.

mod condition;
mod defaults;
mod path;
mod preset;

pub use condition::{Condition, Conditions};
pub use path::{MapEntries, Path};
pub use preset::Preset;

use std::fmt;

pub use defaults::usual_field;

pub(super) use defaults::default_field;

/// A field of a tick that a message may hold. `Price` stands for open and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// What was traded.
    Symbol,
    /// When.
    Timestamp,
    /// The price of a trade: its open and close.
    Price,
    /// The first price of a bar.
    Open,
    /// The highest.
    High,
    /// The lowest.
    Low,
    /// The last.
    Close,
    /// How much was traded.
    Volume,
    /// The best bid at the time of a trade.
    Bid,
    /// The best ask.
    Ask,
    /// The conditions of the sale.
    Conditions,
    /// The feed's own number of the message. It has no usual name: most numbers have holes by
    /// nature.
    Sequence,
    /// Whether the message takes a trade back or corrects one; it becomes one of the conditions. It
    /// has no usual name.
    Correction,
    /// Of a time whose date stands in another member, which is the timestamp then. It has no usual
    /// name.
    TimeOfDay,
}

impl Field {
    /// Each of them.
    pub const ALL: [Self; 14] = [
        Self::Symbol,
        Self::Timestamp,
        Self::Price,
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::Bid,
        Self::Ask,
        Self::Conditions,
        Self::Sequence,
        Self::Correction,
        Self::TimeOfDay,
    ];

    /// Its name in messages and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Timestamp => "timestamp",
            Self::Price => "price",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Conditions => "conditions",
            Self::Sequence => "sequence",
            Self::Correction => "correction",
            Self::TimeOfDay => "time_of_day",
        }
    }
}

impl Field {
    /// Whether it is looked for under a name only where that was said.
    pub(super) const fn is_mapped_alone(self) -> bool {
        matches!(self, Self::Sequence | Self::Correction | Self::TimeOfDay)
    }

    /// Whether who says where this field stands says that `other` stands nowhere else, or is not
    /// there: the prices of a bar and the one of a trade exclude each other.
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
    /// may both be said to stand where nothing is.
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

/// Where each field stands. A field that was mapped stands there and nowhere else; any other under
/// its own name or, where that is absent, under one of those that many producers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// In the order of [`Field::ALL`]; of several paths the first that leads somewhere counts.
    paths: [Vec<Path>; Field::ALL.len()],
    root: Node,
}

/// A step of paths that have their names up to here in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    name: Box<str>,
    /// The fields whose paths end here, and which of their paths these are.
    pub ends: Vec<(Field, u8)>,
    pub below: Node,
}

impl Default for Mapping {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Mapping {
    /// A mapping of some fields, each to the paths that stand behind it in `entries`.
    #[must_use]
    pub fn new(entries: &[(Field, Path)]) -> Self {
        let paths = Field::ALL.map(|field| {
            entries
                .iter()
                .filter(|(mapped, _)| *mapped == field)
                .map(|(_, path)| path.clone())
                .collect::<Vec<_>>()
        });
        let mut root = Node::default();
        for (field, paths) in Field::ALL.into_iter().zip(&paths) {
            for (rank, path) in (0..=u8::MAX).zip(paths) {
                root.add(path.names(), (field, rank));
            }
        }
        Self { paths, root }
    }

    /// The paths of a field that was mapped; none for any other.
    #[must_use]
    pub fn paths(&self, field: Field) -> &[Path] {
        &self.paths[field as usize]
    }

    /// Whether the field is looked for under the usual names.
    pub(super) fn has_defaults(&self, field: Field) -> bool {
        let mut mapped = Field::ALL.into_iter().filter(|mapped| !self.paths(*mapped).is_empty());
        !field.is_mapped_alone() && !mapped.any(|mapped| mapped.excludes(field))
    }

    /// Whether a path has this name in it.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.paths.iter().flatten().flat_map(Path::names).any(|step| **step == *name)
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }
}

impl Node {
    fn add(&mut self, names: &[Box<str>], end: (Field, u8)) {
        let Some((name, rest)) = names.split_first() else {
            return;
        };
        let at = self.members.iter().position(|member| member.name == *name).unwrap_or_else(|| {
            self.members.push(Member {
                name: name.clone(),
                ends: Vec::new(),
                below: Self::default(),
            });
            self.members.len() - 1
        });
        match rest {
            [] => self.members[at].ends.push(end),
            rest => self.members[at].below.add(rest, end),
        }
    }

    /// What is looked for in a member.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.name == *name)
    }

    /// Every end of a path in it and below.
    pub(super) fn each_end(&self, take: &mut impl FnMut((Field, u8))) {
        for member in &self.members {
            member.ends.iter().for_each(|end| take(*end));
            member.below.each_end(take);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
