//! [`Log`] of a program that was built without Kafka: there is none.

use super::answer::{KafkaAccess, Span};
use crate::hour::Hour;
use crate::scan::Runs;
use crate::verify::args::KafkaArgs;
use common::decode::RecordContext;
use service::Failure;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::{ControlFlow, Range};

/// Nothing: no value of it can be made.
pub struct Log {
    never: Infallible,
    pub topic_id: String,
}

impl Log {
    /// # Errors
    /// None: brokers that were given are refused before ([`KafkaArgs::check`]).
    pub fn connect(_: &KafkaArgs, _: &str) -> Result<KafkaAccess<Self>, Failure> {
        Ok(KafkaAccess::NotConfigured)
    }

    /// # Errors
    /// None.
    pub fn spans(&self, _: &Range<Hour>) -> anyhow::Result<BTreeMap<i32, Span>> {
        match self.never {}
    }

    /// # Errors
    /// None.
    pub fn held(&self, _: &Range<Hour>) -> anyhow::Result<Vec<Range<Hour>>> {
        match self.never {}
    }

    /// # Errors
    /// None.
    pub fn read(
        &self,
        _: i32,
        _: (&Runs, u64),
        _: impl FnMut(u64, Option<&[u8]>, &RecordContext<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<Option<u64>> {
        match self.never {}
    }
}
