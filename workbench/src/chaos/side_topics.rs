//! What would endanger the proof of everything else happens beside the main topic: two topics with
//! a database and two speed layers of their own, on the same services, which other faults go on to
//! hit. What was sent is known message by message, so the proof is one of sets.

use super::delivery_counts::{DeliveryCounts, count_differences};
use super::fault::Fault;
use super::findings::{Findings, LIMIT};
use super::instance_settings::InstanceSettings;
use super::instances::{Instance, Setup};
use super::link::link;
use super::plan::Planned;
use crate::prove::ProveArgs;
use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Quiet};
use testing::{
    SecondBroker, TcpProxy, TestDatabase, TestMessage, TestTopic, broker_count, eventually,
    leaders, stack,
};
use tokio::sync::Mutex;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(20);
/// So late that a COPY is seen while it is open.
const LATE: Duration = Duration::from_millis(250);
/// The least that a statement of a frozen instance may take before another ends its session, and so
/// the flag's minimum.
const WRITER_TIMEOUT: &str = "5s";
/// What the topic of dead letters takes.
const LETTER_BYTES: &str = "100000";

/// The topic whose second partition only the second broker has.
const STEADY: usize = 0;
/// The one that is made anew.
const ANEW: usize = 1;

/// A topic, how often it was made anew before, a partition of it, and an offset.
type MessageId = (String, i64, i32, i64);
/// A tick with its volume, which no other one has; None is a rejected message.
type SentTick = Option<i64>;

const FOUND: &str = include_str!("../../sql/chaos/found.sql");

const COUNT: &str =
    "select (select count(*) from realtime_stock) + (select count(*) from rejected_ticks)";

const BARS: &str =
    "select coalesce(sum(ticks), 0)::bigint, coalesce(sum(volume), 0)::bigint from minute_bars";

const OFFSETS: &str = "select coalesce(sum(next_offset), 0)::bigint from kafka_offsets";

const SESSIONS: &str = include_str!("../../sql/chaos/sessions.sql");

const OPEN_COPY: &str = include_str!("../../sql/chaos/open_copy.sql");

pub struct SideTopics {
    // Dropped in this order: topics need their brokers, instances their database.
    instances: [Instance; 2],
    /// The first instance's way to PostgreSQL.
    link: TcpProxy,
    topics: [TestTopic; 2],
    letters: TestTopic,
    broker: Option<SecondBroker>,
    database: TestDatabase,
    sent: BTreeMap<MessageId, SentTick>,
    /// How often each topic was made anew, and the offsets of its partitions to come.
    editions: [i64; 2],
    next: [Vec<i64>; 2],
}

impl SideTopics {
    /// Before anything fails. The second broker is there only where one of the faults needs it.
    pub async fn set_up(
        args: &ProveArgs,
        faults: &[Fault],
        settings: &InstanceSettings,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let brokers = &args.kafka.brokers;
        let letters = TestTopic::with_settings(1, &[("max.message.bytes", LETTER_BYTES)]).await;
        let broker = if faults.contains(&Fault::Leaderless) {
            Some(second_broker(&args.kafka).await?)
        } else {
            None
        };
        let second = [if broker.is_some() { 2 } else { 1 }];
        let topics = [
            TestTopic::placed(brokers, &[&[1], &second]).await,
            TestTopic::placed(brokers, &[&[1]]).await,
        ];
        let database = TestDatabase::create().await;
        let (link, linked) = link(database.url()).await?;
        let setup = |number: usize, database_url: &str| {
            let timeout =
                ["--writer-timeout", WRITER_TIMEOUT, "--on-gap", "skip", "--dead-letter-topic"];
            Instance::speed_layer(Setup {
                name: format!("speed-layer-beside-{number}"),
                database_url: database_url.to_owned(),
                kafka_brokers: brokers.clone(),
                topic: topics.each_ref().map(TestTopic::name).join(","),
                group_id: "beside".to_owned(),
                properties: Some(settings.protocol_beside.properties()),
                flags: timeout.into_iter().chain([letters.name()]).map(str::to_owned).collect(),
                logs: logs.to_owned(),
            })
        };
        let mut instances = [setup(0, &linked), setup(1, database.url())];
        instances.iter_mut().try_for_each(Instance::start)?;
        let next = [vec![0, 0], vec![0]];
        let (sent, editions) = (BTreeMap::new(), [0, 0]);
        Ok(Self { instances, link, topics, letters, broker, database, sent, editions, next })
    }

    /// Lets the fault happen, and waits until what it tries has come out; where that takes too
    /// long, it is a finding.
    /// `kafka`: whoever holds it is the only one that breaks the broker.
    pub async fn inject(
        &mut self,
        planned: &Planned,
        kafka: &Mutex<()>,
        findings: &Findings,
    ) -> anyhow::Result<String> {
        match planned.fault {
            Fault::Leaderless => self.lose_leader(planned, findings).await,
            Fault::TopicAnew => self.make_anew(planned, kafka, findings).await,
            Fault::FrozenCopy => self.freeze_in_copy(findings).await,
            _ => self.send_large(findings).await,
        }
    }

    pub fn look_after(&mut self, findings: &Findings) -> anyhow::Result<()> {
        self.instances.iter_mut().try_for_each(|instance| instance.look_after(findings))
    }

    pub fn look_for_strangers(&self, findings: &Findings) {
        self.instances.iter().for_each(|instance| instance.look_for_strangers(findings));
    }

    /// How often one of its speed layers was refused.
    pub fn fences(&self) -> usize {
        self.instances.iter().map(Instance::fences).sum()
    }

    /// The other partitions are read on, by whichever instance has them after the restart.
    async fn lose_leader(
        &mut self,
        planned: &Planned,
        findings: &Findings,
    ) -> anyhow::Result<String> {
        let Some(broker) = &mut self.broker else {
            return Ok("there is no second broker".to_owned());
        };
        broker.kill();
        self.wait_leaders(&[Some(1), None]).await;
        let (number, is_killed) = (planned.target % 2, planned.severity < 0.5);
        let instance = &mut self.instances[number];
        if is_killed {
            instance.kill().await?;
        } else {
            instance.stop(findings).await?;
        }
        instance.start()?;
        self.send_ticks(STEADY, 0, 50).await;
        self.wait_written("while another partition has no leader", findings).await;
        sleep(planned.lasts).await;
        if let Some(broker) = &mut self.broker {
            broker.start();
        }
        self.wait_leaders(&[Some(1), Some(2)]).await;
        self.send_ticks(STEADY, 1, 50).await;
        let took = self.wait_written("after its leader was back", findings).await;
        let how = if is_killed { "killed" } else { "ended" };
        Ok(format!(
            "instance {number} {how} and started meanwhile; read {took:.1?} after the leader was back"
        ))
    }

    async fn wait_leaders(&self, expected: &[Option<i32>]) {
        let topic = &self.topics[STEADY];
        eventually(&format!("{expected:?} to lead the partitions"), LIMIT, || async {
            match leaders(topic.brokers(), topic.name()).await {
                Ok(leaders) if leaders == expected => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    async fn make_anew(
        &mut self,
        planned: &Planned,
        kafka: &Mutex<()>,
        findings: &Findings,
    ) -> anyhow::Result<String> {
        let is_read = planned.severity < 0.5;
        // What a deleted topic takes along is nobody's loss but Kafka's, so all of it is written
        // before.
        self.send_ticks(ANEW, 0, 40).await;
        self.wait_written("before the topic is made anew", findings).await;
        if !is_read {
            self.stop(findings).await?;
        }
        {
            let _held = kafka.lock().await;
            self.topics[ANEW].make_anew(1).await;
        }
        self.editions[ANEW] += 1;
        let old = std::mem::take(&mut self.next[ANEW][0]);
        // Where nobody looks, beyond the old end: the stored offset is then one that Kafka has.
        let first = if is_read { old / 2 } else { old + 10 };
        self.send_ticks(ANEW, 0, first).await;
        self.instances.iter_mut().try_for_each(Instance::start)?;
        let took = self.wait_written("of the topic made anew", findings).await;
        // Not as many again: a topic that is twice as long each time fills the machine within half
        // an hour.
        self.send_ticks(ANEW, 0, old + 20 - first).await;
        self.wait_written("of the topic made anew, beyond its old end", findings).await;
        Ok(format!(
            "{}; read after {took:.1?}",
            if is_read { "while it was read" } else { "while nobody ran" }
        ))
    }

    /// Of an instance that is frozen while the server waits for its rows: the offsets that it has
    /// locked are free again within the group's session timeout and 15 s more than
    /// --writer-timeout.
    async fn freeze_in_copy(&mut self, findings: &Findings) -> anyhow::Result<String> {
        let Some(pid) = self.catch_in_copy().await else {
            // Other faults keep it from writing.
            return Ok("not done: no COPY was caught".to_owned());
        };
        let begun = Instant::now();
        self.send_to_all(20).await;
        self.wait_written("although an instance is frozen in the middle of a COPY", findings).await;
        let took = begun.elapsed();
        self.instances[0].signal(Signal::CONT);
        self.send_to_all(20).await;
        self.wait_written("after the frozen instance woke up", findings).await;
        Ok(format!("instance 0, session {pid}; another one wrote on after {took:.1?}"))
    }

    /// Freezes the first instance where its COPY is open, and gives the session.
    async fn catch_in_copy(&mut self) -> Option<i32> {
        let deadline = Instant::now() + 2 * LIMIT;
        while Instant::now() < deadline {
            self.link.delay(LATE);
            self.send_to_all(5).await;
            let Some(pid) = self.see_copy(Duration::from_secs(3)).await else { continue };
            self.instances[0].signal(Signal::STOP);
            self.link.delay(Duration::ZERO);
            // What was on its way has arrived by then: either the rows, or nothing.
            sleep(4 * LATE).await;
            if self.see_copy(PAUSE).await == Some(pid) {
                return Some(pid);
            }
            self.instances[0].signal(Signal::CONT);
        }
        self.link.delay(Duration::ZERO);
        None
    }

    async fn see_copy(&self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        loop {
            let pid: Option<i32> = self.ask(OPEN_COPY).await.unwrap_or_default();
            if pid.is_some() || Instant::now() >= deadline {
                return pid;
            }
            sleep(PAUSE).await;
        }
    }

    async fn send_large(&mut self, findings: &Findings) -> anyhow::Result<String> {
        let sizes = [999_950, 500_000, 99_950];
        for bytes in sizes {
            for broken in ["x".to_owned(), "x".repeat(bytes), "y".to_owned()] {
                self.send(STEADY, 0, vec![(broken, None)]).await;
            }
            self.send_ticks(STEADY, 0, 1).await;
        }
        let took = self
            .wait_written("beside rejected messages that are too large to be passed on", findings)
            .await;
        Ok(format!("{sizes:?} bytes; written after {took:.1?}"))
    }

    async fn send_to_all(&mut self, count: i64) {
        for (topic, partition) in [(STEADY, 0), (STEADY, 1), (ANEW, 0)] {
            self.send_ticks(topic, partition, count).await;
        }
    }

    async fn send_ticks(&mut self, topic: usize, partition: i32, count: i64) {
        let first = i64::try_from(self.sent.len()).unwrap_or(i64::MAX);
        let ticks = (first..first + count).map(|number| (tick(number), Some(number)));
        self.send(topic, partition, ticks.collect()).await;
    }

    async fn send(&mut self, topic: usize, partition: i32, messages: Vec<(String, SentTick)>) {
        let records = messages.iter().map(|(value, _)| TestMessage::new(partition, value.as_str()));
        self.topics[topic].produce(records.collect::<Vec<_>>()).await;
        let name = self.topics[topic].name().to_owned();
        let next = self.next[topic].get_mut(usize::try_from(partition).unwrap_or_default());
        let Some(next) = next else { return };
        for (_, content) in messages {
            self.sent.insert((name.clone(), self.editions[topic], partition, *next), content);
            *next += 1;
        }
    }

    /// Until everything that was sent is in a table; gives how long that took.
    async fn wait_written(&self, when: &str, findings: &Findings) -> Duration {
        findings.await_count(self.database.pool(), COUNT, self.sent.len(), when).await
    }

    /// PostgreSQL may be away: that is one of the faults.
    async fn ask<T>(&self, query: &'static str) -> sqlx::Result<Option<T>>
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        sqlx::query_scalar(query).fetch_optional(self.database.pool()).await
    }

    async fn stop(&mut self, findings: &Findings) -> anyhow::Result<()> {
        for instance in &mut self.instances {
            instance.stop(findings).await?;
        }
        Ok(())
    }

    /// Ends the speed layers, and compares what is in the tables with what was sent.
    pub async fn prove(&mut self, findings: &Findings) -> anyhow::Result<DeliveryCounts> {
        self.wait_written("at the end", findings).await;
        self.stop(findings).await?;
        let pool = self.database.pool();
        let rows: Vec<(String, i64, i32, i64, Option<i64>)> = sqlx::query_as(FOUND)
            .fetch_all(pool)
            .await
            .context("read the tables beside the main ones")?;
        let found = rows.into_iter().map(|(topic, edition, partition, offset, volume)| {
            ((topic, edition, partition, offset), volume)
        });
        let mut counts = count_differences(&self.sent, found);
        let mut expect = |what: &str, is_right: bool| {
            if !is_right {
                counts.wrong += 1;
                findings.add(format!("beside the main topic: {what}"));
            }
        };
        let bars: (i64, i64) =
            sqlx::query_as(BARS).fetch_one(pool).await.context("read the bars")?;
        let ticks = || self.sent.values().flatten();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        expect(
            "the bars are not those of the ticks",
            bars == (count(ticks().count()), ticks().sum()),
        );
        let offsets: i64 = self.ask(OFFSETS).await?.unwrap_or_default();
        expect("the stored offsets are not the topics' ends", offsets == count(self.sent.len()));
        expect("sessions were left behind", self.ask::<i64>(SESSIONS).await? == Some(0));
        let letters: i64 = self.letters.high_watermarks().await.iter().sum();
        let rejected = self.sent.values().filter(|content| content.is_none()).count();
        expect("rejected messages are no dead letters", letters >= count(rejected));
        Ok(counts)
    }
}

/// A broker that joins that of the stack, once both are known.
async fn second_broker(kafka: &KafkaArgs) -> anyhow::Result<SecondBroker> {
    let inquirer = kafka.inquirer()?;
    let asked = tokio::task::spawn_blocking(move || cluster_id(&inquirer));
    let cluster_id =
        asked.await.context("ask for the cluster")?.context("the brokers tell no cluster's id")?;
    let controller = stack("STACK_KAFKA_CONTROLLER");
    let port = controller
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .context("a controller has a port")?;
    let broker = SecondBroker::join(&cluster_id, port, &["PROXIED"]).await;
    eventually("the second broker to be there", LIMIT, || async {
        match broker_count(&kafka.brokers).await {
            Ok(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    Ok(broker)
}

fn cluster_id(inquirer: &BaseConsumer<Quiet>) -> Option<String> {
    inquirer.client().fetch_cluster_id(Duration::from_secs(30))
}

fn tick(number: i64) -> String {
    let (minute, millis) = (number / 100 % 60, number % 1000);
    format!(
        r#"{{"symbol":"BESIDE","timestamp":"2025-06-06T14:{minute:02}:00.{millis:03}Z","open":201.5,"close":200.25,"volume":{number}}}"#
    )
}
