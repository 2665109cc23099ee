//! Who else is in the consumer group, and what of it each has.
//!
//! By Kafka's older question for a group and not by librdkafka's admin interface: one of its questions to a coordinator
//! that has run out of time ends the process as soon as the coordinator is found (librdkafka 2.12.1).
//!
//! Every broker is asked, and only the group's coordinator has members to tell. So where another one is down, its part is
//! missing and the answer is whole all the same; rdkafka's own wrapper takes that for a failure.
#![allow(
    unsafe_code,
    reason = "rdkafka's wrapper of rd_kafka_list_groups gives no partial answer, and does not free it"
)]

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
    /// The topics of which it has partitions, each once; empty while the group is rebalancing.
    pub topics: Vec<String>,
}

/// Asks every broker for the group's members.
///
/// # Errors
/// No broker tells them within `patience`: the coordinator is away, or refuses to.
pub fn members<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    patience: Duration,
) -> Result<Vec<Member>, RDKafkaErrorCode> {
    let name = CString::new(group).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    let millis = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
    let mut list = std::ptr::null();
    // SAFETY: the client is valid, the name outlives the call, and the list is only read where there is one.
    let code = unsafe { c::rd_kafka_list_groups(consumer.client().native_ptr(), name.as_ptr(), &raw mut list, millis) };
    let code = RDKafkaErrorCode::from(code);
    let Some(list) = GroupList::of(list) else { return Err(code) };
    match code {
        RDKafkaErrorCode::NoError => Ok(list.members()),
        RDKafkaErrorCode::Partial if list.tells_members() => Ok(list.members()),
        _ => Err(code),
    }
}

/// An answer of librdkafka's, which is given back to it.
struct GroupList(NonNull<c::rd_kafka_group_list>);

impl GroupList {
    fn of(list: *const c::rd_kafka_group_list) -> Option<Self> {
        NonNull::new(list.cast_mut()).map(Self)
    }

    fn groups(&self) -> &[c::rd_kafka_group_info] {
        // SAFETY: librdkafka made the list, and it lives until it is dropped.
        unsafe {
            let list = self.0.as_ref();
            slice(list.groups, list.group_cnt)
        }
    }

    /// Whether a coordinator is among those that have answered.
    fn tells_members(&self) -> bool {
        self.groups()
            .iter()
            .any(|group| RDKafkaErrorCode::from(group.err) == RDKafkaErrorCode::NoError && group.member_cnt > 0)
    }

    fn members(&self) -> Vec<Member> {
        // SAFETY: as above; a member's texts and bytes live as long as the list.
        let members = self.groups().iter().flat_map(|group| unsafe { slice(group.members, group.member_cnt) });
        members
            .map(|member| unsafe {
                Member {
                    client_id: text(member.client_id),
                    host: text(member.client_host),
                    topics: topics(bytes(member.member_assignment, member.member_assignment_size)).unwrap_or_default(),
                }
            })
            .collect()
    }
}

impl Drop for GroupList {
    fn drop(&mut self) {
        // SAFETY: it came from rd_kafka_list_groups, and is freed once.
        unsafe { c::rd_kafka_group_list_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `first` must be null or the first of `count` values that live as long as `'a`.
unsafe fn slice<'a, T>(first: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: by the caller.
        Ok(count @ 1..) if !first.is_null() => unsafe { std::slice::from_raw_parts(first, count) },
        _ => &[],
    }
}

/// # Safety
/// As [`slice()`].
unsafe fn bytes<'a>(first: *const c_void, count: c_int) -> &'a [u8] {
    // SAFETY: by the caller.
    unsafe { slice(first.cast(), count) }
}

/// # Safety
/// `words` must be null or a C string.
unsafe fn text(words: *const c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
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
