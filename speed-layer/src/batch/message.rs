//! [`Message`]: what a batch takes in.

use common::Timestamp;
use common::decode::RecordContext;

/// A message as Kafka hands it out.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// When the producer sent it or the broker took it; `None` where the topic keeps no time.
    pub timestamp: Option<Timestamp>,
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    #[inline]
    pub(super) fn context(&self) -> RecordContext<'a> {
        RecordContext { key: self.key, topic: Some(self.topic), time: self.timestamp }
    }
}
