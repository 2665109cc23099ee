//! Members of the consumer group that do not write into our database: another deployment, or another program, by the
//! same `--group-id`. The group gives each of them a part of the partitions, which none of the others ever sees.

use super::{Intake, Interrupt, Step};
use crate::kafka::{self, Member};
use anyhow::anyhow;
use common::Failure;
use std::time::{Duration, Instant};

/// How long the coordinator may take to name the members.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long one may be there that died without a word: longer than its session (`session.timeout.ms`).
const OUTLIVED: Duration = Duration::from_secs(20);
/// How often it is asked again meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Of the members, one that is not ours and has partitions of a topic that we read.
fn stranger<'a>(members: &'a [Member], ours: &str, is_read: impl Fn(&str) -> bool) -> Option<(&'a Member, &'a str)> {
    let others = members.iter().filter(|member| member.client_id != ours);
    others.filter_map(|member| member.topics.iter().find(|topic| is_read(topic)).map(|topic| (member, &**topic))).next()
}

impl Intake {
    /// Before the group is joined: afterwards it would be in the middle of a rebalance, and say nothing.
    pub(super) fn make_sure_of_the_group(&mut self) -> Step {
        let begun = Instant::now();
        while let Ok(members) = kafka::members(&self.consumer, &self.shared.config.group_id, ANSWER_WITHIN) {
            self.take_members(&members);
            let is_rebalancing = !members.is_empty() && members.iter().all(|member| member.topics.is_empty());
            if is_rebalancing && begun.elapsed() < ANSWER_WITHIN && !self.shared.stop.is_cancelled() {
                std::thread::sleep(ASK_EVERY);
                continue;
            }
            let Some(why) = self.stranger.clone().filter(|_| !self.shared.health.group.has_held()) else {
                return Ok(());
            };
            if begun.elapsed() >= OUTLIVED {
                return Err(Interrupt::Failed(Failure::Configuration(anyhow!(why))));
            }
            if self.shared.stop.is_cancelled() {
                return Ok(());
            }
            std::thread::sleep(ASK_EVERY);
        }
        // Nobody says who is in it; that is found out later.
        Ok(())
    }

    /// Who is in the group. One who has no business there is said once, and keeps this instance from being ready.
    pub(super) fn take_members(&mut self, members: &[Member]) {
        let config = &self.shared.config;
        if config.kafka.iter().any(|(key, _)| key == "client.id") {
            // Nobody can be told from anybody.
            return;
        }
        let has_pattern = config.topics.iter().any(|topic| topic.starts_with('^'));
        let is_read = |topic: &str| {
            config.named_topics().any(|named| named == topic) || has_pattern && self.assignment.has_topic(topic)
        };
        let found = stranger(members, &self.client_id, is_read).map(|(member, topic)| {
            format!(
                "group \"{}\" (--group-id) has a member that does not write into this database: client \"{}\" at {} has \
                 partitions of topic \"{topic}\", whose messages are missing here; give each database a group of its own",
                config.group_id, member.client_id, member.host
            )
        });
        if let Some(why) = found.as_ref().filter(|_| self.stranger.is_none()) {
            tracing::error!("{why}");
        }
        self.stranger = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(client_id: &str, topics: &[&str]) -> Member {
        Member {
            client_id: client_id.into(),
            host: "/10.0.0.1".into(),
            topics: topics.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_stranger_is_who_has_partitions_of_our_topics_by_another_name() {
        let is_read = |topic: &str| topic == "t";
        let ours = [member("a", &["t"]), member("b", &["other"]), member("c", &[])];
        assert_eq!(stranger(&ours, "a", is_read), None);
        let all = [member("a", &["t"]), member("b", &["other", "t"])];
        assert_eq!(stranger(&all, "a", is_read), Some((&all[1], "t")));
    }
}
