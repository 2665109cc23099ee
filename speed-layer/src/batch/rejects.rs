//! Messages that are no tick.

use super::message::Message;
use crate::source::SourcePartition;
use common::{Reject, Timestamp};
use sha2::{Digest, Sha256};

/// Bytes of a rejected value that are kept; of a longer one the length and hash tell the rest.
const KEPT_BYTES: usize = 16 * 1024;

/// A row of `rejected_ticks`.
#[derive(Debug, Clone)]
pub struct RejectedMessage {
    pub at: SourcePartition,
    pub offset: i64,
    /// Which of the message's elements it is; 0 where it is the message.
    pub index: u16,
    pub reject: Reject,
    /// The first [`KEPT_BYTES`]; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Length of the whole value.
    pub value_bytes: Option<i64>,
    /// SHA-256 of the whole value, where not all of it is kept.
    pub value_sha256: Option<Vec<u8>>,
    pub kafka_timestamp: Option<Timestamp>,
}

impl RejectedMessage {
    pub fn new(at: SourcePartition, message: &Message<'_>, index: u16, reject: Reject) -> Self {
        let value = message.value;
        Self {
            at,
            offset: message.offset,
            index,
            reject,
            value: value.map(|value| value[..value.len().min(KEPT_BYTES)].to_vec()),
            value_bytes: value.map(|value| value.len() as i64),
            value_sha256: value
                .filter(|value| value.len() > KEPT_BYTES)
                .map(|value| Sha256::digest(value).to_vec()),
            kafka_timestamp: message.timestamp,
        }
    }
}
