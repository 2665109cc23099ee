//! Who is in a consumer group, and what of it each has, whether its members share out the
//! partitions (the classic protocol) or its coordinator does (`group.protocol=consumer`).
//!
//! Each broker is asked by its number, and only the group's coordinator has members to tell.
//! librdkafka would look for the coordinator by itself; but a question of it that has run out of
//! time ends the process as soon as the coordinator is found (librdkafka 2.12.1).
#![allow(unsafe_code, reason = "rd_kafka_DescribeConsumerGroups has no safe wrapper in rdkafka")]

use super::admin::{Questions, text};
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::ffi::CString;
use std::time::Duration;

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
    /// The partitions that it has or is about to get, by topic; empty while the group is
    /// rebalancing.
    pub partitions: Vec<(String, i32)>,
}

impl Member {
    /// Each topic of which it has partitions, once.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let topics: std::collections::BTreeSet<&str> =
            self.partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.into_iter()
    }
}

/// Why nobody has told the members; in librdkafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// The coordinator is away, or not found.
    #[error("{0}")]
    Unanswered(String),
    /// Asking again will not help.
    #[error("{0}")]
    Refused(String),
}

/// Asks every broker for the group's members, by way of what it knows of `topic`.
///
/// # Errors
/// If no broker answers within `patience`.
pub fn members<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    topic: &str,
    patience: Duration,
) -> Result<Vec<Member>, MembersError> {
    let unanswered = |why: &str| MembersError::Unanswered(why.to_owned());
    let name = CString::new(group)
        .map_err(|_| MembersError::Refused("the group's name has a NUL".to_owned()))?;
    let metadata = consumer.fetch_metadata(Some(topic), patience);
    let metadata = metadata.map_err(|error| MembersError::Unanswered(error.to_string()))?;
    let client = consumer.client().native_ptr();
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    // SAFETY: the client is valid as long as the consumer.
    let questions = unsafe { Questions::new(client, operation, patience) };
    let questions = questions.ok_or_else(|| unanswered("librdkafka has no memory"))?;
    for broker in metadata.brokers() {
        questions.to_broker(broker.id());
        let mut names = [name.as_ptr()];
        // SAFETY: all of it is valid, and librdkafka copies the names and the options.
        unsafe {
            c::rd_kafka_DescribeConsumerGroups(
                client,
                names.as_mut_ptr(),
                1,
                questions.options(),
                questions.queue(),
            );
        }
    }
    let mut why = unanswered("no broker is known");
    for _ in metadata.brokers() {
        let Some(event) = questions.answer() else { break };
        // SAFETY: the event is valid.
        match unsafe { read(event.get()) } {
            Ok(members) => return Ok(members),
            Err(error) if matches!(why, MembersError::Unanswered(_)) => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

/// # Safety
/// The event must be valid.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<Vec<Member>, MembersError> {
    let nothing = || MembersError::Unanswered("librdkafka gave no result".to_owned());
    // SAFETY: what the event holds lives as long as the event.
    unsafe {
        let code = Code::from(c::rd_kafka_event_error(event));
        if code != Code::NoError {
            return Err(members_error(code, text(c::rd_kafka_event_error_string(event))));
        }
        let result = c::rd_kafka_event_DescribeConsumerGroups_result(event);
        if result.is_null() {
            return Err(nothing());
        }
        let mut count = 0;
        let groups = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Err(nothing());
        }
        let group = *groups;
        let error = c::rd_kafka_ConsumerGroupDescription_error(group);
        let code =
            if error.is_null() { Code::NoError } else { Code::from(c::rd_kafka_error_code(error)) };
        match code {
            Code::NoError => {}
            // So says only its coordinator.
            Code::GroupIdNotFound => return Ok(Vec::new()),
            code => return Err(members_error(code, text(c::rd_kafka_error_string(error)))),
        }
        let members = 0..c::rd_kafka_ConsumerGroupDescription_member_count(group);
        Ok(members
            .map(|index| member(c::rd_kafka_ConsumerGroupDescription_member(group, index)))
            .collect())
    }
}

fn members_error(code: Code, why: String) -> MembersError {
    match code {
        Code::GroupAuthorizationFailed
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidArgument => MembersError::Refused(why),
        _ => MembersError::Unanswered(why),
    }
}

/// # Safety
/// The member must be valid.
unsafe fn member(member: *const c::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: its texts and lists live as long as the member.
    unsafe {
        let mut partitions = assigned(c::rd_kafka_MemberDescription_assignment(member));
        // A classic group has none.
        partitions.extend(assigned(c::rd_kafka_MemberDescription_target_assignment(member)));
        partitions.sort_unstable();
        partitions.dedup();
        Member {
            client_id: text(c::rd_kafka_MemberDescription_client_id(member)),
            host: text(c::rd_kafka_MemberDescription_host(member)),
            partitions,
        }
    }
}

/// # Safety
/// The assignment must be null or valid.
unsafe fn assigned(assignment: *const c::rd_kafka_MemberAssignment_t) -> Vec<(String, i32)> {
    if assignment.is_null() {
        return Vec::new();
    }
    // SAFETY: the list has as many elements as it says, and lives as long as the assignment.
    unsafe {
        let list = c::rd_kafka_MemberAssignment_partitions(assignment);
        let count =
            if list.is_null() { 0 } else { usize::try_from((*list).cnt).unwrap_or_default() };
        (0..count)
            .map(|index| &*(*list).elems.add(index))
            .map(|at| (text(at.topic), at.partition))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Quiet;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;

    fn consumer(brokers: &str) -> BaseConsumer<Quiet> {
        ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "g")
            .create_with_context(Quiet)
            .unwrap()
    }

    /// The mock knows neither question.
    #[test]
    fn brokers_that_do_not_take_the_question_are_told_apart_from_those_that_do_not_answer() {
        let cluster = MockCluster::new(2).unwrap();
        let asked =
            members(&consumer(&cluster.bootstrap_servers()), "g", "t", Duration::from_secs(20));
        assert!(matches!(asked, Err(MembersError::Refused(_))), "{asked:?}");
        let asked = members(&consumer("127.0.0.1:1"), "g", "t", Duration::from_millis(200));
        assert!(matches!(asked, Err(MembersError::Unanswered(_))), "{asked:?}");
    }
}
