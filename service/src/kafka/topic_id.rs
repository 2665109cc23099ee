//! The identity of a topic beyond its name. librdkafka tells a topic's id by its admin interface
//! alone, which the rdkafka crate does not wrap.
#![allow(unsafe_code, reason = "rd_kafka_DescribeTopics has no safe wrapper in rdkafka")]

use super::admin::{Owned, Questions, text};
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;
use std::ffi::{CString, c_char};
use std::time::Duration;

/// A topic as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Base64, as Kafka's own tools show it; empty where the brokers do not tell it.
    pub topic_id: String,
    pub partitions: i32,
}

/// Why there is no description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoDescription {
    /// The brokers do not know the topic.
    Missing,
    /// The brokers do not tell this user about the topic; in their words.
    Forbidden(String),
    /// The brokers did not answer, or could not; in their words.
    Unknown(String),
}

/// Asks the brokers about a topic, and waits for the answer at most for `patience`.
///
/// # Errors
/// If the topic is not there, or no broker answers.
pub fn describe<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    patience: Duration,
) -> Result<Description, NoDescription> {
    let unknown = |why: &str| NoDescription::Unknown(why.to_owned());
    let name = CString::new(topic).map_err(|_| unknown("the topic's name has a NUL"))?;
    let client = consumer.client().native_ptr();
    // SAFETY: every object is freed once, by `Owned`, after its last use; the client outlives them.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Owned::new(
            c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            c::rd_kafka_TopicCollection_destroy,
        );
        let topics = topics.ok_or_else(|| unknown("librdkafka has no memory"))?;
        let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let questions = Questions::new(client, operation, patience)
            .ok_or_else(|| unknown("librdkafka has no memory"))?;
        c::rd_kafka_DescribeTopics(client, topics.get(), questions.options(), questions.queue());
        let event = questions.answer().ok_or_else(|| unknown("no answer in time"))?;
        read(event.get())
    }
}

/// # Safety
/// The event must be valid.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<Description, NoDescription> {
    let nothing = || NoDescription::Unknown("librdkafka gave no result".to_owned());
    // SAFETY: what the event holds lives as long as the event.
    unsafe {
        check_error(c::rd_kafka_event_error(event), c::rd_kafka_event_error_string(event))?;
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(nothing());
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(nothing());
        }
        let topic = *topics;
        let error = c::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            check_error(c::rd_kafka_error_code(error), c::rd_kafka_error_string(error))?;
        }
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        Ok(Description {
            topic_id: if id.is_null() { String::new() } else { shown(id) },
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        })
    }
}

/// # Safety
/// The id must be valid.
unsafe fn shown(id: *const c::rd_kafka_Uuid_t) -> String {
    // SAFETY: the text belongs to the id.
    unsafe {
        // Brokers of before Kafka 2.8 know no ids.
        if c::rd_kafka_Uuid_most_significant_bits(id) == 0
            && c::rd_kafka_Uuid_least_significant_bits(id) == 0
        {
            return String::new();
        }
        text(c::rd_kafka_Uuid_base64str(id))
    }
}

/// # Safety
/// `words` must be null or a C string.
unsafe fn check_error(
    code: c::rd_kafka_resp_err_t,
    words: *const c_char,
) -> Result<(), NoDescription> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        RDKafkaErrorCode::UnknownTopicOrPartition => Err(NoDescription::Missing),
        // SAFETY: by the caller.
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            Err(NoDescription::Forbidden(unsafe { text(words) }))
        }
        // SAFETY: by the caller.
        _ => Err(NoDescription::Unknown(unsafe { text(words) })),
    }
}
