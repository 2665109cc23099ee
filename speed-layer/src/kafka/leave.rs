//! Leaving the group, and giving a client back, without waiting for ever: librdkafka knows no limit
//! for either, and has been seen to hang in both while brokers were away or a topic had been made
//! again.

use super::consumer::{Consumer, answer_open};
use super::queue::MessageQueues;
use rdkafka::consumer::Consumer as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long the group's coordinator may take to let this member go; later it finds out by itself.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to end its threads; after that it ends in the background.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// Leaves the group, and gives the client back.
pub fn leave(consumer: Consumer, messages: MessageQueues) {
    consumer.context().close();
    // A question that is open: the client would wait for its answer without end.
    answer_open(&consumer);
    let deadline = Instant::now() + LEAVE_TIMEOUT;
    match consumer.close_queue() {
        Ok(()) => {
            while !consumer.closed() && Instant::now() < deadline {
                // Serves the last rebalance.
                let _ = consumer.poll(Duration::from_millis(50));
            }
            if !consumer.closed() {
                tracing::warn!(
                    "Kafka did not answer in time; the group will remove this instance after \
                     session.timeout.ms"
                );
            }
        }
        Err(error) => tracing::debug!("leaving the group: {error}"),
    }
    drop_with_timeout(move || {
        // The queues are the client's, so they go first.
        drop(messages);
        drop(consumer);
    });
}

/// Runs what may never end on a thread of its own, and waits for it only for a while.
pub fn drop_with_timeout(end: impl FnOnce() + Send + 'static) {
    let (ended, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().name("drop-client".into()).spawn(move || {
        end();
        let _ = ended.send(());
    });
    if thread.is_ok() && wait.recv_timeout(DROP_TIMEOUT).is_err() {
        tracing::debug!("a Kafka client did not stop in time; it is abandoned");
    }
}
