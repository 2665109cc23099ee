//! An Avro schema as nodes, ready to be read by.

use crate::decode::json;
use crate::decode::schemas::times::TimeKind;

/// Records, arrays and maps inside one another: as many as there may be objects and arrays of JSON.
pub const MAX_DEPTH: usize = json::MAX_DEPTH;

/// The index of a node among all of a schema.
pub type NodeId = usize;

/// A schema, ready to be read by.
#[derive(Debug)]
pub struct Schema {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

#[derive(Debug)]
pub enum Node {
    Null,
    Boolean,
    /// An int, which is written as a long and has 32 bits.
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// Bytes, of any length or of a fixed one.
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// A UUID in 16 bytes.
    Uuid,
    Time(TimeKind),
    /// The names of an enum, in quotes.
    Enum(Vec<Box<[u8]>>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<Member>),
}

#[derive(Debug)]
pub struct Member {
    /// The text before its value: `,"name":`
    pub literal: Box<[u8]>,
    /// Whether a rule looks for it; it is passed over otherwise.
    pub is_wanted: bool,
    pub node: NodeId,
}
