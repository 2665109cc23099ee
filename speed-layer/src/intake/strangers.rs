//! Members of the consumer group that do not write into our database: another deployment, or
//! another program, by the same `--group-id`. The group gives each of them a part of the
//! partitions, which none of the others ever sees.

use super::{Intake, Interrupt, Step};
use crate::config::Config;
use crate::presence::SILENT;
use anyhow::anyhow;
use service::Failure;
use service::kafka::group::{Member, MembersError, members};
use std::time::{Duration, Instant};

/// How long the coordinator may take to name the members.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long a member counts as alive that died without a word, where it is not known better: this
/// program's own session, and that which brokers give in groups of the newer protocol.
const SESSION: Duration = Duration::from_secs(10);
const NEWER_SESSION: Duration = Duration::from_secs(45);
/// How much longer one may be there.
const OUTLIVED: Duration = Duration::from_secs(10);
/// How often it is asked again meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The database's part of a client id: instances of one database differ after it.
fn family(client_id: &str) -> &str {
    client_id.rsplit_once('-').map_or(client_id, |(family, _)| family)
}

impl Intake {
    /// Before the group is joined: afterwards it would be in the middle of a rebalance, and say
    /// nothing.
    pub(super) fn check_group(&mut self) -> Step {
        let (begun, outlived) = (Instant::now(), session(&self.shared.config) + OUTLIVED);
        while let Some(members) = self.ask_for_members() {
            self.take_members(&members);
            let is_rebalancing =
                !members.is_empty() && members.iter().all(|member| member.partitions.is_empty());
            let is_early = is_rebalancing && begun.elapsed() < ANSWER_WITHIN;
            let is_first = !self.shared.health.group.has_held();
            if is_first
                && let Some(why) = self.stranger.as_ref().filter(|_| begun.elapsed() >= outlived)
            {
                return Err(Interrupt::Failed(Failure::Configuration(anyhow!(why.clone()))));
            }
            let is_to_wait =
                is_early || is_first && (self.stranger.is_some() || self.is_in_doubt());
            if !is_to_wait || self.shared.stop.is_cancelled() {
                break;
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// `None` where nobody says who is in the group: that is found out later, or never.
    fn ask_for_members(&mut self) -> Option<Vec<Member>> {
        let config = &self.shared.config;
        match members(&self.consumer, &config.group_id, config.any_topic(), ANSWER_WITHIN) {
            Ok(members) => Some(members),
            Err(MembersError::Unanswered(_)) => None,
            Err(MembersError::Refused(why)) => {
                self.members_are_unknown(&why);
                None
            }
        }
    }

    /// Said once: somebody else in the group would take messages in silence.
    pub(super) fn members_are_unknown(&mut self, why: &str) {
        if std::mem::replace(&mut self.are_members_refused, true)
            || self.shared.config.names_its_client()
        {
            return;
        }
        let group = &self.shared.config.group_id;
        tracing::warn!(
            group,
            error = why,
            "Kafka does not tell who is in group \"{group}\" (--group-id): {why}; a member that \
             writes into another database would take messages unseen; grant DESCRIBE on the group \
             and its topics"
        );
    }

    /// A member may yet be found to write somewhere else.
    fn is_in_doubt(&self) -> bool {
        !self.unmarked.is_empty()
            && self.shared.presence.look().is_some_and(|look| look.is_recent())
    }

    /// Who is in the group. One who has no business there is logged once, and keeps this instance
    /// from being ready.
    pub(super) fn take_members(&mut self, members: &[Member]) {
        let config = &self.shared.config;
        if config.names_its_client() {
            return;
        }
        self.are_members_refused = false;
        let has_pattern = config.topics.iter().any(|topic| topic.starts_with('^'));
        let is_read = |topic: &str| {
            config.named_topics().any(|named| named == topic)
                || has_pattern && self.assignment.has_topic(topic)
        };
        let topic_of =
            |member: &&Member| member.topics().find(|topic| is_read(topic)).map(str::to_owned);
        let readers = members.iter().filter(|member| topic_of(member).is_some());
        let (relatives, others): (Vec<&Member>, Vec<&Member>) =
            readers.partition(|member| family(&member.client_id) == family(&self.client_id));
        let unmarked = self
            .shared
            .presence
            .look()
            .and_then(|look| self.unmarked.take(&relatives, &look, Instant::now()));
        let found = match (others.first(), unmarked) {
            (Some(other), _) => Some((*other, "does not write into this database".to_owned())),
            (None, Some(relative)) => Some((relative, describe_missing_mark())),
            (None, None) => None,
        };
        let found = found.map(|(member, what)| {
            let topic = topic_of(&member).unwrap_or_default();
            format!(
                "group \"{}\" (--group-id) has a member that {what}: client \"{}\" at {} has \
                 partitions of topic \"{topic}\", whose messages are missing here; give each \
                 database a group of its own",
                config.group_id, member.client_id, member.host
            )
        });
        if let Some(why) = found.as_ref().filter(|_| self.stranger.is_none()) {
            tracing::error!(group = config.group_id, error = why, "{why}");
        } else if found.is_none() && self.stranger.is_some() {
            let group = &config.group_id;
            tracing::info!(group, "group \"{group}\" has members of this database alone again");
        }
        self.stranger = found;
    }
}

/// How long the group takes a dead member for alive.
fn session(config: &Config) -> Duration {
    if config.has_newer_groups() {
        return NEWER_SESSION;
    }
    let set = config.kafka_property("session.timeout.ms").and_then(|millis| millis.parse().ok());
    set.map_or(SESSION, Duration::from_millis)
}

fn describe_missing_mark() -> String {
    let silent = SILENT.as_secs();
    format!(
        "has left no mark in this database for {silent} s (speed_instances), as if it wrote into a \
         copy of it, or had ended and Kafka not noticed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_of_a_database_are_of_one_family() {
        assert_eq!(family("speed-layer-0a-1"), family("speed-layer-0a-2"));
        assert_ne!(family("speed-layer-0a-1"), family("speed-layer-0b-1"));
        assert_eq!(family("thief"), "thief");
    }
}
