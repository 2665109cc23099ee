//! Who else is in the consumer group, and what of it each has.
#![allow(unsafe_code, reason = "rd_kafka_DescribeConsumerGroups has no safe wrapper in rdkafka")]

use super::admin::{ask, text};
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use std::ffi::CString;
use std::time::Duration;

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
    /// The topics of which it has partitions, each once; empty while the group is rebalancing.
    pub topics: Vec<String>,
}

/// Asks the group's coordinator for the members.
///
/// # Errors
/// It does not answer, or refuses to; in its words.
pub fn members<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    patience: Duration,
) -> Result<Vec<Member>, String> {
    let name = CString::new(group).map_err(|_| "the group's name has a NUL".to_owned())?;
    let client = consumer.client().native_ptr();
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let mut names = [name.as_ptr()];
    // SAFETY: the client outlives the question, the names outlive its sending, and what is read lives as long as the event.
    unsafe {
        let send = |options: *mut c::rd_kafka_AdminOptions_t, queue| {
            c::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), names.len(), options, queue);
        };
        let event = ask(client, operation, patience, send)?;
        let result = c::rd_kafka_event_DescribeConsumerGroups_result(event.get());
        if result.is_null() {
            return Err(text(c::rd_kafka_event_error_string(event.get())));
        }
        let mut count = 0;
        let groups = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        let group = *groups;
        let error = c::rd_kafka_ConsumerGroupDescription_error(group);
        if !error.is_null() {
            return Err(text(c::rd_kafka_error_string(error)));
        }
        let count = c::rd_kafka_ConsumerGroupDescription_member_count(group);
        Ok((0..count).map(|index| member(c::rd_kafka_ConsumerGroupDescription_member(group, index))).collect())
    }
}

/// # Safety
/// The member must be valid.
unsafe fn member(member: *const c::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: what the member holds lives as long as the member; a list has as many elements as it says.
    unsafe {
        let assignment = c::rd_kafka_MemberDescription_assignment(member);
        let list = match assignment.is_null() {
            true => std::ptr::null(),
            false => c::rd_kafka_MemberAssignment_partitions(assignment),
        };
        let mut topics: Vec<String> = match list.is_null() {
            true => Vec::new(),
            false => {
                let count = usize::try_from((*list).cnt).unwrap_or_default();
                (0..count).map(|index| text((*(*list).elems.add(index)).topic)).collect()
            }
        };
        topics.sort_unstable();
        topics.dedup();
        Member {
            client_id: text(c::rd_kafka_MemberDescription_client_id(member)),
            host: text(c::rd_kafka_MemberDescription_host(member)),
            topics,
        }
    }
}
