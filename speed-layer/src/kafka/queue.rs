//! [`MessageQueue`]: many messages in one call.
//!
//! rdkafka hands out one message a call, which costs more than everything that is done with a tick:
//! half of the process's time (docs/benchmarks.md). librdkafka can fill an array at once, but only
//! from a queue of one's own. So the partitions' messages are forwarded to such a queue, while the
//! consumer's own poll goes on serving rebalances, errors and statistics. [`MessageQueues`] has one
//! for each writer: what a writer cannot take now stays in its queue, and the others are read.
#![allow(unsafe_code, reason = "librdkafka's batch call has no safe wrapper in rdkafka")]

use super::consumer::Consumer;
use crate::batch::Message;
use common::Timestamp;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as c;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Messages asked for in one call.
const MESSAGES_PER_CALL: usize = 512;

/// Tells the group's coordinator the offsets. The consumer's poll brings its answer to
/// [`commit_callback`](rdkafka::consumer::ConsumerContext::commit_callback), which the asynchronous
/// commit of rdkafka (0.39) never calls: librdkafka answers to a queue that is named with the
/// question, or to nobody.
///
/// # Errors
/// If the client is in no group.
pub fn commit(consumer: &Consumer, offsets: &TopicPartitionList) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives as long as the consumer, the list is copied, and the queue is a
    // reference of ours, given back here.
    let code = unsafe {
        let queue = c::rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownGroup));
        }
        let code =
            c::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, std::ptr::null_mut());
        c::rd_kafka_queue_destroy(queue);
        code
    };
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::ConsumerCommit(code)),
    }
}

/// An item of the queue.
#[derive(Debug)]
pub enum Polled<'a> {
    Message(Message<'a>),
    /// A client's error for a partition; `offset` is below zero where it names none.
    Failed {
        topic: &'a str,
        partition: i32,
        offset: i64,
        code: RDKafkaErrorCode,
        why: String,
    },
}

/// A queue for each writer.
pub struct MessageQueues {
    queues: Vec<MessageQueue>,
    bell: Bell,
}

impl MessageQueues {
    /// `count` queues of the consumer's; they must be dropped before the consumer is. `None` where
    /// memory is out.
    pub fn new(consumer: &Consumer, count: usize) -> Option<Self> {
        let queues: Option<Vec<_>> = (0..count).map(|_| MessageQueue::new(consumer)).collect();
        let (queues, bell) = (queues?, Bell::default());
        if count > 1 {
            queues.iter().for_each(|queue| queue.ring(&bell));
        }
        Some(Self { queues, bell })
    }

    /// Forwards the partition's messages to a queue. To be called before the partition is assigned,
    /// so that no message goes another way; librdkafka ends the forwarding when the partition is
    /// given up.
    pub fn forward(&self, index: usize, consumer: &Consumer, topic: &str, partition: i32) {
        if let Some(queue) = self.queues.get(index) {
            queue.forward(consumer, topic, partition);
        }
    }

    /// Hands `take` the messages that are there already, of each queue at most as many as there is
    /// room for; where there are none, waits up to `wait` until it is worth another look. A single
    /// queue's messages are taken as soon as they come.
    pub fn drain(&mut self, wait: Duration, rooms: &[usize], mut take: impl FnMut(Polled<'_>)) {
        if let ([queue], [room]) = (&mut *self.queues, rooms) {
            queue.drain(wait, *room, take);
            return;
        }
        let mut taken = 0;
        for (queue, room) in self.queues.iter_mut().zip(rooms).filter(|(_, room)| **room > 0) {
            taken += queue.drain(Duration::ZERO, *room, &mut take);
        }
        if taken == 0 {
            self.bell.wait(wait);
        }
    }
}

impl Drop for MessageQueues {
    fn drop(&mut self) {
        // The bell must hang as long as any queue may ring it.
        self.queues.clear();
    }
}

/// A bell that queues ring when messages come into an empty one. librdkafka can wait for one queue
/// only.
struct Bell {
    /// Shared with librdkafka, which holds its address.
    rope: Arc<SyncSender<()>>,
    rung: Receiver<()>,
}

impl Default for Bell {
    fn default() -> Self {
        // That it was rung is enough to know.
        let (rope, rung) = sync_channel(1);
        Self { rope: Arc::new(rope), rung }
    }
}

impl Bell {
    /// Until it is rung, or has been since the last wait.
    fn wait(&self, patience: Duration) {
        // Whether it was rung or not, the queues are looked at next.
        let _ = self.rung.recv_timeout(patience);
    }

    /// # Safety
    /// `rope` is the address of a bell's rope that still hangs.
    unsafe extern "C" fn pull(_: *mut c::rd_kafka_t, rope: *mut c_void) {
        // SAFETY: so says the caller.
        let rope = unsafe { &*rope.cast::<SyncSender<()>>() };
        let _ = rope.try_send(());
    }
}

/// The messages of all partitions that were forwarded to it.
struct MessageQueue {
    queue: NonNull<c::rd_kafka_queue_t>,
    /// Filled and emptied within one call.
    messages: Vec<*mut c::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread, and `messages` is empty between calls.
unsafe impl Send for MessageQueue {}

impl MessageQueue {
    fn new(consumer: &Consumer) -> Option<Self> {
        // SAFETY: the client lives as long as the consumer.
        let queue = unsafe { c::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Some(Self { queue: NonNull::new(queue)?, messages: Vec::with_capacity(MESSAGES_PER_CALL) })
    }

    /// Rings the bell from now on when it was empty and is no more.
    fn ring(&self, bell: &Bell) {
        let rope = Arc::as_ptr(&bell.rope).cast_mut().cast();
        // SAFETY: the queue is valid. It is told to ring no more before the bell is dropped.
        unsafe {
            c::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), Some(Bell::pull), rope);
        }
    }

    fn forward(&self, consumer: &Consumer, topic: &str, partition: i32) {
        let Ok(topic) = CString::new(topic) else {
            return;
        };
        // SAFETY: both queues are valid; the partition's is a reference of ours, given back here.
        unsafe {
            let source = c::rd_kafka_queue_get_partition(
                consumer.client().native_ptr(),
                topic.as_ptr(),
                partition,
            );
            if !source.is_null() {
                c::rd_kafka_queue_forward(source, self.queue.as_ptr());
                c::rd_kafka_queue_destroy(source);
            }
        }
    }

    /// Waits up to `wait` for a message, and hands `take` that one and those that are there
    /// already, at most `limit`. Gives their number.
    fn drain(&mut self, wait: Duration, limit: usize, mut take: impl FnMut(Polled<'_>)) -> usize {
        // The call waits until the array is full, so the wait is for one message only.
        self.fill(wait, 1);
        if !self.messages.is_empty() && limit > 1 {
            self.fill(Duration::ZERO, (limit - 1).min(MESSAGES_PER_CALL - 1));
        }
        let (count, mut run) = (self.messages.len(), None);
        for message in self.messages.drain(..) {
            // SAFETY: librdkafka gave us this message; it is read before it is given back, and only
            // once.
            unsafe {
                let topic = Run::topic(&mut run, message);
                take(read(&*message, topic));
                if run.as_ref().is_none_or(|run| run.first != message) {
                    c::rd_kafka_message_destroy(message);
                }
            }
        }
        count
    }

    fn fill(&mut self, wait: Duration, count: usize) {
        let filled = self.messages.len();
        let room = count.min(self.messages.capacity() - filled);
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array has room for `room` pointers after the `filled` ones, and as many are
        // valid as the call says.
        unsafe {
            let end = self.messages.as_mut_ptr().add(filled);
            let got = c::rd_kafka_consume_batch_queue(self.queue.as_ptr(), millis, end, room);
            self.messages.set_len(filled + usize::try_from(got).unwrap_or(0));
        }
    }
}

/// Neighbours of one topic, whose name is read once. The first one is kept until another topic
/// comes, since no other can lie where its topic does.
struct Run<'a> {
    first: *mut c::rd_kafka_message_t,
    topic: &'a str,
}

impl<'a> Run<'a> {
    /// The topic of a message, which begins a run where it is of another one than the last.
    ///
    /// # Safety
    /// The message must stay valid for `'a`, unless the caller gives it back: those that begin a
    /// run are given back here.
    #[inline]
    unsafe fn topic(run: &mut Option<Self>, message: *mut c::rd_kafka_message_t) -> &'a str {
        // SAFETY: both messages are valid.
        match run {
            Some(run) if unsafe { (*run.first).rkt == (*message).rkt } => run.topic,
            _ => {
                let topic = unsafe { topic_of(&*message) };
                *run = Some(Self { first: message, topic });
                topic
            }
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and nobody else gives it back.
        unsafe { c::rd_kafka_message_destroy(self.first) };
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and no message of it is held. librdkafka holds its lock while
        // it rings, so that no ringing is under way once it is told to stop.
        unsafe {
            c::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            c::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// # Safety
/// The message must stay valid for `'a`.
unsafe fn read<'a>(message: &'a c::rd_kafka_message_t, topic: &'a str) -> Polled<'a> {
    let (partition, offset) = (message.partition, message.offset);
    if message.err != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        let code = RDKafkaErrorCode::from(message.err);
        // SAFETY: the message is valid, and the words are its own or static.
        let why = unsafe { CStr::from_ptr(c::rd_kafka_message_errstr(message)) }
            .to_string_lossy()
            .into_owned();
        return Polled::Failed { topic, partition, offset, code, why };
    }
    let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is valid, and its key and payload have as many bytes as they say.
    let (millis, key, value) = unsafe {
        let bytes = |start: *mut c_void, len| {
            (!start.is_null()).then(|| std::slice::from_raw_parts(start.cast::<u8>(), len))
        };
        let millis = c::rd_kafka_message_timestamp(message, &mut kind);
        (millis, bytes(message.key, message.key_len), bytes(message.payload, message.len))
    };
    let timestamp = (millis >= 0).then(|| Timestamp::from_micros(millis.saturating_mul(1000)));
    Polled::Message(Message { topic, partition, offset, timestamp, key, value })
}

/// # Safety
/// The message must stay valid for `'a`.
#[inline]
unsafe fn topic_of(message: &c::rd_kafka_message_t) -> &str {
    if message.rkt.is_null() {
        return "";
    }
    // SAFETY: librdkafka gives the name as a C string that lives as long as the topic. Kafka's
    // names are ASCII.
    unsafe { CStr::from_ptr(c::rd_kafka_topic_name(message.rkt)) }.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::consumer::consumer;
    use super::*;
    use crate::config::Config;
    use crate::source::TopicPartition;
    use clap::Parser as _;
    use rdkafka::Offset;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use std::time::Instant;

    /// The coordinator's answer for offset 7 of partition 0.
    fn acknowledged(consumer: &Consumer) -> Vec<(TopicPartition, i64)> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("ticks", 0, Offset::Offset(7)).unwrap();
        commit(consumer, &offsets).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            assert!(consumer.poll(Duration::from_millis(20)).is_none_or(|polled| polled.is_err()));
            let reports = consumer.context().take_reports();
            if reports.has_answered {
                return reports.acknowledged;
            }
        }
        panic!("no answer");
    }

    #[test]
    fn an_offset_counts_as_told_once_the_coordinator_has_taken_it() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let brokers = cluster.bootstrap_servers();
        let config = Config::try_parse_from(flags.into_iter().chain([brokers.as_str()])).unwrap();
        let consumer = consumer(&config, "test").unwrap();
        let at = TopicPartition { topic: "ticks".into(), partition: 0 };
        assert_eq!(acknowledged(&consumer), [(at.clone(), 7)]);
        // As often as librdkafka tries by itself.
        let loading = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[loading; 3]);
        assert_eq!(acknowledged(&consumer), []);
        assert_eq!(acknowledged(&consumer), [(at, 7)]);
    }
}
