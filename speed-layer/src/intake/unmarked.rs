//! [`Unmarked`]: members of the group of which the database has no mark.

use crate::presence::AwakeInstances;
use service::kafka::group::Member;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a member may be without a mark: several looks, since a database that was away, or a
/// standby that took over, gets the marks of its instances one by one.
const UNMARKED: Duration = Duration::from_secs(30);

/// Members that call themselves as instances of our database do, and were never found in it, each
/// since when.
#[derive(Debug, Default)]
pub struct Unmarked(HashMap<String, Instant>);

impl Unmarked {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what `look` says of `members`, who are there `now`; gives one of whom it is certain
    /// that it writes somewhere else.
    pub fn take<'a>(
        &mut self,
        members: &[&'a Member],
        look: &AwakeInstances,
        now: Instant,
    ) -> Option<&'a Member> {
        let lacking: Vec<&Member> = members
            .iter()
            .filter(|member| !look.awake.contains(&member.client_id))
            .copied()
            .collect();
        self.0.retain(|id, _| lacking.iter().any(|member| member.client_id == *id));
        lacking.into_iter().find(|member| {
            let since = *self.0.entry(member.client_id.clone()).or_insert(now);
            look.at.saturating_duration_since(since) >= UNMARKED
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn member(client_id: &str) -> Member {
        Member {
            client_id: client_id.into(),
            host: "/10.0.0.1".into(),
            partitions: vec![("t".into(), 0)],
        }
    }

    fn look(at: Instant, awake: &[&str]) -> AwakeInstances {
        AwakeInstances { at, awake: Arc::new(awake.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn who_has_no_mark_in_looks_of_half_a_minute_writes_somewhere_else_and_who_leaves_one_is_forgiven()
     {
        let (here, there) = (member("s-a-1"), member("s-a-2"));
        let members = [&here, &there];
        let mut unmarked = Unmarked::default();
        let now = Instant::now();
        assert_eq!(unmarked.take(&members, &look(now, &["s-a-1"]), now), None);
        assert!(!unmarked.is_empty());
        let later = now + UNMARKED;
        assert_eq!(unmarked.take(&members, &look(later, &["s-a-1"]), later), Some(&there));
        assert_eq!(unmarked.take(&members, &look(later, &["s-a-1", "s-a-2"]), later), None);
        assert!(unmarked.is_empty());
        assert_eq!(
            unmarked.take(&members, &look(later, &["s-a-1"]), later),
            None,
            "its time begins again"
        );
    }
}
