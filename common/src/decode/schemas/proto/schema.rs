//! A Protobuf schema as types, ready to be read by.

use super::google::WellKnown;
use super::wire::{ProtoError, Reader, Slot, Wire, text_of};
use rustc_hash::FxHashMap;

pub type TypeId = usize;

/// A schema, ready to be read by.
#[derive(Debug)]
pub struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) enums: Vec<FxHashMap<i32, Box<[u8]>>>,
    /// The messages of the file, which values name by their place.
    pub(super) tops: Vec<Top>,
}

#[derive(Debug)]
pub struct Top {
    pub id: TypeId,
    pub nested: Vec<Top>,
}

/// A message's type.
#[derive(Debug)]
pub enum Type {
    Message(Vec<Field>),
    /// One of `google.protobuf`'s wrappers: its only field is what it means.
    Wrapper(Kind),
    /// `confluent.type.Decimal`
    Decimal,
    Google(WellKnown),
}

#[derive(Debug)]
pub struct Field {
    pub number: u32,
    /// `"name":`
    pub literal: Box<[u8]>,
    /// Whether a rule looks for it; it is passed over otherwise.
    pub is_wanted: bool,
    pub kind: Kind,
    pub shape: Shape,
    /// The `oneof` that contains it with others: the last of these that was written counts.
    pub oneof: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A field that is its kind's zero where it is absent.
    Plain,
    /// A field that may be absent.
    Optional,
    Repeated,
    /// A field whose kind is that of entries.
    Map,
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Double,
    Float,
    /// A number of 32 bits may be written with more. The lower 32 count then, as in Protobuf's own
    /// readers.
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
    Enum(usize),
    Message(TypeId),
}

impl Field {
    /// Whether this may be of the field.
    pub fn takes(&self, slot: Slot) -> bool {
        let is_packed = self.shape == Shape::Repeated && matches!(slot, Slot::Bytes { .. });
        is_packed || slot.wire() == self.kind.wire()
    }

    /// A field that is passed over must be of its type all the same.
    ///
    /// # Errors
    /// If the field is of another type.
    pub fn check(&self, slot: Slot, body: &[u8]) -> Result<(), ProtoError> {
        match (self.kind.wire(), slot) {
            (Some(wire), Slot::Bytes { start, end }) => {
                let mut packed = Reader(&body[start..end]);
                while !packed.0.is_empty() {
                    packed.number(wire)?;
                }
            }
            (None, _) if matches!(self.kind, Kind::Text) => drop(text_of(slot, body)?),
            _ => {}
        }
        Ok(())
    }
}

impl Kind {
    /// `None`: its length tells how many bytes follow.
    pub fn wire(self) -> Option<Wire> {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Some(Wire::Fixed64),
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Some(Wire::Fixed32),
            Self::Int32 | Self::Uint32 | Self::Sint32 | Self::Bool | Self::Enum(_) => {
                Some(Wire::Varint)
            }
            Self::Int64 | Self::Uint64 | Self::Sint64 => Some(Wire::Varint),
            Self::Text | Self::Bytes | Self::Message(_) => None,
        }
    }
}
