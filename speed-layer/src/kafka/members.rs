//! Who else is in the consumer group, and what of it each has.
//!
//! By Kafka's older question for a group and not by librdkafka's admin interface: one of its questions to a coordinator
//! that has run out of time ends the process as soon as the coordinator is found (librdkafka 2.12.1).

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use std::time::Duration;

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
    /// The topics of which it has partitions, each once; empty while the group is rebalancing.
    pub topics: Vec<String>,
}

/// Asks every broker for the group's members; only its coordinator has some.
///
/// # Errors
/// A broker does not answer within `patience`, or refuses to.
pub fn members<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    patience: Duration,
) -> KafkaResult<Vec<Member>> {
    let found = consumer.fetch_group_list(Some(group), patience)?;
    let members = found.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
    Ok(members
        .map(|member| Member {
            client_id: member.client_id().to_owned(),
            host: member.client_host().to_owned(),
            topics: member.assignment().and_then(topics).unwrap_or_default(),
        })
        .collect())
}

/// The topics of an assignment as consumers write it (ConsumerProtocolAssignment of Kafka's protocol): a version, then
/// for each topic its name and its partitions. `None` where it is none, as that of a group that is no consumer's.
fn topics(assignment: &[u8]) -> Option<Vec<String>> {
    let mut rest = assignment;
    let _version = take(&mut rest, 2)?;
    let count = length(&mut rest)?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let name = take(&mut rest, 2)?;
        let name = take(&mut rest, usize::from(u16::from_be_bytes(name.try_into().ok()?)))?;
        topics.push(String::from_utf8_lossy(name).into_owned());
        let partitions = length(&mut rest)?;
        take(&mut rest, partitions.checked_mul(size_of::<i32>())?)?;
    }
    topics.sort_unstable();
    topics.dedup();
    Some(topics)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?;
    usize::try_from(i32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 3, two topics: "b" with partitions 0 and 1, "a" with partition 7; then no user data.
    const ASSIGNMENT: &[u8] =
        b"\0\x03\0\0\0\x02\0\x01b\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07\xff\xff\xff\xff";

    #[test]
    fn an_assignment_names_its_topics_once_and_in_order() {
        assert_eq!(topics(ASSIGNMENT), Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn an_assignment_that_is_cut_or_false_names_none() {
        for end in 0..ASSIGNMENT.len() - 4 {
            assert_eq!(topics(&ASSIGNMENT[..end]), None, "{end} bytes");
        }
        assert_eq!(topics(b"\0\0\xff\xff\xff\xff"), None);
        assert_eq!(topics(b"\0\0\0\0\0\x01\0\x01a\x7f\xff\xff\xff"), None);
    }
}
