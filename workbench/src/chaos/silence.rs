//! Whether partitions are read, seen from outside: by what the group, the topic and the database
//! say, and not by what an instance says of itself. One that is alive and reads nothing of what its
//! group gives it looks well to everybody else.

use super::environment::{Environment, KAFKA_LINKED};
use super::instances::{self, number_of};
use crate::prove::{ProveArgs, next_offsets};
use anyhow::Context;
use rdkafka::consumer::BaseConsumer;
use service::kafka::group::members;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Quiet, watermarks};
use tokio_util::sync::CancellationToken;

/// How long a partition may have news and not come on, while nothing is broken on purpose that it
/// needs.
const LIMIT: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(1);
/// The most that one look stands for, however long it took.
const LONGEST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

/// One partition at one moment.
#[derive(Clone, Default)]
struct Look {
    /// The next offset that is not written, and the topic's end.
    next: i64,
    end: i64,
    /// The instance that the group gives it to, by the name that it has there; once known, by ours.
    owner: Option<String>,
}

/// What was seen of the partitions so far.
#[derive(Default)]
struct Silence {
    standing: BTreeMap<i32, (i64, Duration)>,
}

impl Silence {
    /// Gives what is to be said of the partition. `counts`: how much longer it may be blamed for
    /// not coming on.
    fn look(&mut self, partition: i32, look: &Look, counts: Duration) -> Option<String> {
        let (next, quiet) = self.standing.entry(partition).or_insert((look.next, Duration::ZERO));
        if look.end <= look.next || *next != look.next {
            (*next, *quiet) = (look.next, Duration::ZERO);
            return None;
        }
        let before = *quiet;
        *quiet += counts;
        if before >= LIMIT || *quiet < LIMIT {
            return None;
        }
        let who = look
            .owner
            .as_ref()
            .map_or("no instance has".to_owned(), |owner| format!("{owner} has"));
        let Look { next, end, .. } = look;
        Some(format!(
            "{who} partition {partition} and reads nothing of it: at {next} of {end} for {LIMIT:?}"
        ))
    }
}

/// Looks until `stop`.
pub async fn watch(environment: Arc<Environment>, args: ProveArgs, stop: CancellationToken) {
    let mut watch = Watch { args, inquirer: None, database: None, numbers: BTreeMap::new() };
    let (mut silence, mut looked) = (Silence::default(), Instant::now());
    while !stop.is_cancelled() {
        let _ = tokio::time::timeout(EVERY, stop.cancelled()).await;
        let lasted = looked.elapsed().min(LONGEST);
        looked = Instant::now();
        // Where the watch finds nobody to ask, there is nothing to read either.
        let Ok(looks) = watch.look().await else { continue };
        for (partition, mut look) in looks {
            let number =
                look.owner.as_ref().and_then(|client| watch.number_of(client, &environment.logs));
            look.owner = number.map(instances::name).or(look.owner);
            let counts = if is_whole(&environment, number) { lasted } else { Duration::ZERO };
            if let Some(finding) = silence.look(partition, &look, counts) {
                environment.findings.add_silent(finding);
            }
        }
    }
}

/// Whether no fault has anything in its hands that the instance needs. Without one, all are meant.
fn is_whole(environment: &Environment, owner: Option<usize>) -> bool {
    let is_meant = |number: usize| owner.is_none_or(|owner| owner == number);
    let is_free = |number: usize| {
        let is_linked = KAFKA_LINKED.contains(&number);
        environment.instances[number].try_lock().is_ok()
            && environment.postgres_links[number].try_lock().is_ok()
            && (!is_linked || environment.kafka_link.try_lock().is_ok())
    };
    let services = environment.postgres.try_lock().is_ok() && environment.kafka.try_lock().is_ok();
    services && (0..environment.instances.len()).filter(|number| is_meant(*number)).all(is_free)
}

struct Watch {
    args: ProveArgs,
    inquirer: Option<Arc<BaseConsumer<Quiet>>>,
    database: Option<PgConnection>,
    /// The instances by their names in the group.
    numbers: BTreeMap<String, usize>,
}

impl Watch {
    fn number_of(&mut self, client: &str, logs: &Path) -> Option<usize> {
        if !self.numbers.contains_key(client) {
            self.numbers.insert(client.to_owned(), number_of(client, logs)?);
        }
        self.numbers.get(client).copied()
    }

    async fn look(&mut self) -> anyhow::Result<BTreeMap<i32, Look>> {
        let looked = tokio::time::timeout(2 * PATIENCE, self.try_look()).await;
        let looked = looked.context("no answer").and_then(|looked| looked);
        if looked.is_err() {
            self.database = None;
        }
        looked
    }

    async fn try_look(&mut self) -> anyhow::Result<BTreeMap<i32, Look>> {
        let inquirer = match &self.inquirer {
            Some(inquirer) => Arc::clone(inquirer),
            None => Arc::clone(self.inquirer.insert(Arc::new(self.args.kafka.inquirer()?))),
        };
        let (kafka, group) = (self.args.kafka.clone(), self.args.group_id.clone());
        let asked = tokio::task::spawn_blocking(move || ask(&inquirer, &kafka, &group));
        let mut looks = asked.await.context("ask Kafka")??;
        let database = match &mut self.database {
            Some(database) => database,
            none => none.insert(self.args.database.parse("workbench")?.connect().await?),
        };
        let next = next_offsets(database, &self.args.group_id, &self.args.kafka.topic).await?;
        for (partition, look) in &mut looks {
            look.next = next.get(partition).copied().unwrap_or_default();
        }
        Ok(looks)
    }
}

fn ask(
    inquirer: &BaseConsumer<Quiet>,
    kafka: &KafkaArgs,
    group: &str,
) -> anyhow::Result<BTreeMap<i32, Look>> {
    let ends = watermarks(inquirer, &kafka.topic)?;
    let looks =
        (0..).zip(ends).map(|(partition, (_, end))| (partition, Look { end, ..Look::default() }));
    let mut looks: BTreeMap<i32, Look> = looks.collect();
    for member in members(inquirer, group, &kafka.topic, PATIENCE)? {
        for (_, partition) in member.partitions.iter().filter(|(topic, _)| *topic == kafka.topic) {
            if let Some(look) = looks.get_mut(partition) {
                look.owner = Some(member.client_id.clone());
            }
        }
    }
    Ok(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn look(next: i64, end: i64) -> Look {
        Look { next, end, owner: Some("speed-layer-1".to_owned()) }
    }

    #[test]
    fn a_partition_that_has_news_and_does_not_come_on_is_named_once_with_its_instance() {
        let mut silence = Silence::default();
        let found: Vec<String> =
            (0..200).filter_map(|_| silence.look(3, &look(10, 20), SECOND)).collect();
        let expected =
            "speed-layer-1 has partition 3 and reads nothing of it: at 10 of 20 for 120s";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn one_that_comes_on_however_slowly_or_has_no_news_or_is_in_a_faults_hands_is_not() {
        let mut silence = Silence::default();
        let mut look = |next, end, counts| silence.look(0, &look(next, end), counts);
        assert!((0..500).all(|second| look(second / 50, 20, SECOND).is_none()));
        assert!((0..500).all(|_| look(20, 20, SECOND).is_none()));
        assert!((0..500).all(|_| look(20, 30, Duration::ZERO).is_none()));
        assert!((0..130).any(|_| look(20, 30, SECOND).is_some()));
    }
}
