//! Rejected messages that do not reach their topic hold up what they came with: that is logged, and
//! ends by itself.

use crate::health::Fact;
use prometheus_client::metrics::counter::Counter;
use std::time::{Duration, Instant};

/// Shorter is ordinary.
const DELIVERY_DELAY_TO_LOG: Duration = Duration::from_secs(3);
/// How often a wait counts as one more try.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Says once that letters wait, and once that they have arrived.
pub struct LettersWatch {
    topic: String,
    retries: Counter,
    since: Option<Instant>,
    counted: Option<Instant>,
    is_missing: bool,
}

impl LettersWatch {
    pub fn new(topic: Option<&str>, retries: Counter) -> Self {
        Self {
            topic: topic.unwrap_or_default().to_owned(),
            retries,
            since: None,
            counted: None,
            is_missing: false,
        }
    }

    /// Whether it was logged that letters wait, and not yet that they have arrived.
    pub fn is_waiting(&self) -> bool {
        self.counted.is_some()
    }

    /// Takes in whether the brokers know the topic: the first letter may come weeks after the
    /// start, and would hold up all.
    pub fn note_topic(&mut self, is_there: bool, health: &Fact) {
        let was_missing = std::mem::replace(&mut self.is_missing, !is_there);
        let topic = &self.topic;
        if is_there && was_missing {
            tracing::info!(topic, "topic \"{topic}\" (--dead-letter-topic) is there now");
            health.set(true);
        } else if !is_there && !was_missing {
            let text = format!("topic \"{topic}\" (--dead-letter-topic) does not exist; create it");
            tracing::warn!(
                topic,
                error = text,
                "{text}: the first rejected message will wait for it, and all later ones"
            );
            health.fails(text);
        }
    }

    /// Takes in whether all letters are delivered, and why not, where that is known.
    pub fn note(&mut self, are_delivered: bool, why: Option<&str>, health: &Fact) {
        if are_delivered {
            if self.counted.take().is_some() {
                let (topic, seconds) =
                    (&self.topic, self.since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
                tracing::info!(
                    topic,
                    seconds,
                    "topic \"{topic}\" (--dead-letter-topic) works again after {seconds:.1} s"
                );
            }
            self.since = None;
            if !self.is_missing {
                health.set(true);
            }
            return;
        }
        let waits = self.since.get_or_insert_with(Instant::now).elapsed();
        if waits < DELIVERY_DELAY_TO_LOG
            || self.counted.is_some_and(|counted| counted.elapsed() < COUNT_EVERY)
        {
            return;
        }
        let why = why.unwrap_or("it has not acknowledged them yet");
        let text = format!(
            "topic \"{}\" (--dead-letter-topic) does not take rejected messages: {why}",
            self.topic
        );
        if self.counted.is_none() {
            tracing::warn!(
                topic = self.topic,
                error = why,
                "{text}; nothing is written until it does, or the flag is taken away"
            );
        }
        health.fails(text);
        self.retries.inc();
        self.counted = Some(Instant::now());
    }
}
