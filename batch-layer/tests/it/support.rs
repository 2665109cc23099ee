//! A database, a bucket and the binary, and ticks that go both into objects and into
//! `realtime_stock`.

use common::Timestamp;
use hourly::hour::Hour;
use hourly::index::IndexSnapshot;
use hourly::scan::{HourBars, Offsets};
use hourly::summary::{NeighbourHours, Summary};
use service::pg::Timestamptz;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testing::{TestBucket, TestDatabase};
use tokio::io::AsyncReadExt;

/// No test's run should take longer than this, however busy the machine.
pub const LONG: Duration = Duration::from_secs(120);

/// The tests' day, for a run and for `compact`.
pub const DAY: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];
pub const COMPACT: [&str; 5] = ["compact", "--from", "2025-06-02T00", "--to", "2025-06-03T00"];

/// A test's database, bucket and binary.
pub struct World {
    pub database: TestDatabase,
    pub bucket: TestBucket,
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A tick that a test makes up.
#[derive(Debug, Clone)]
pub struct Tick {
    pub symbol: String,
    pub at: Timestamp,
    /// In units of 1/10,000.
    pub open: i64,
    pub close: i64,
    pub volume: i64,
    pub partition: i32,
    pub offset: i64,
}

impl World {
    pub async fn create() -> Self {
        let world = Self::create_without_tables().await;
        service::pg::MIGRATOR.run(world.database.pool()).await.unwrap();
        world
    }

    /// With an object of `count` ticks in each of some hours and partitions, as the speed layer has
    /// them, too.
    pub async fn with_hours(hours: Range<i64>, partitions: i32, count: i64) -> Self {
        let world = Self::create().await;
        for hour in hours {
            for partition in 0..partitions {
                let ticks = some_ticks(hour, partition, hour * 1000, count);
                world.put(&key(hour, partition, hour * 1000), &ticks).await;
                world.insert_realtime(&ticks).await;
            }
        }
        world
    }

    pub async fn create_without_tables() -> Self {
        Self { database: TestDatabase::create().await, bucket: TestBucket::create().await }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_batch-layer"));
        command.env_clear().envs(self.bucket.env()).env("DATABASE_URL", self.database.url());
        // Not so soon that a busy machine's heartbeat misses it.
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("TAKEOVER_AFTER", "15s").args(args);
        command
    }

    pub async fn run(&self, args: &[&str]) -> Outcome {
        finish(self.command(args)).await
    }

    /// A run that must do everything it was asked for.
    pub async fn run_ok(&self, args: &[&str]) -> Outcome {
        let outcome = self.run(args).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    }

    /// What cron starts: a run, and `compact` behind it.
    pub async fn run_both(&self) {
        self.run_ok(&DAY).await;
        self.run_ok(&COMPACT).await;
    }

    pub async fn put(&self, key: &str, ticks: &[Tick]) {
        self.bucket.put(key, lines(ticks)).await.unwrap();
    }

    /// Deletes an object as a lifecycle rule does: it is old by then.
    pub async fn expire(&self, key: &str) {
        sqlx::query(
            "update archive_objects set last_modified = now() - interval '100 days' where key = $1",
        )
        .bind(key)
        .execute(self.database.pool())
        .await
        .unwrap();
        self.bucket.delete(key).await.unwrap();
    }

    /// Uploads what lies under `tests/fixtures/<name>`; gives the keys.
    pub async fn put_fixture(&self, name: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let mut keys = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    self.bucket.put(&key, std::fs::read(&path).unwrap()).await.unwrap();
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// As if retention had dropped the tests' day.
    pub async fn drop_day(&self) {
        self.execute(
            "truncate realtime_stock;
             insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
        )
        .await;
    }

    pub async fn insert_realtime(&self, ticks: &[Tick]) {
        sqlx::query("create table if not exists realtime_all partition of realtime_stock default")
            .execute(self.database.pool())
            .await
            .unwrap();
        for chunk in ticks.chunks(5000) {
            let prices = |of: fn(&Tick) -> i64| {
                chunk.iter().map(|tick| decimal(of(tick))).collect::<Vec<_>>()
            };
            sqlx::query(
                "insert into realtime_stock
                     (symbol, timestamp, open, close, volume, kafka_partition, source, kafka_offset)
                 select s, t, o::numeric, c::numeric, v, p, 1, f
                 from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::bigint[])
                      as ticks (s, t, o, c, v, p, f)",
            )
            .bind(chunk.iter().map(|tick| tick.symbol.as_str()).collect::<Vec<_>>())
            .bind(chunk.iter().map(|tick| Timestamptz(tick.at)).collect::<Vec<_>>())
            .bind(prices(|tick| tick.open))
            .bind(prices(|tick| tick.close))
            .bind(chunk.iter().map(|tick| tick.volume).collect::<Vec<_>>())
            .bind(chunk.iter().map(|tick| tick.partition).collect::<Vec<_>>())
            .bind(chunk.iter().map(|tick| tick.offset).collect::<Vec<_>>())
            .execute(self.database.pool())
            .await
            .unwrap();
        }
    }

    /// Fills `minute_bars` and `hour_bars` from `realtime_stock`.
    pub async fn fill_minute_bars(&self) {
        self.execute(&format!("truncate minute_bars, hour_bars; {}", Self::filling_bars())).await;
    }

    /// Statements that fill `minute_bars` and `hour_bars`, where these are empty.
    pub fn filling_bars() -> String {
        let order = |way: &str| {
            ["timestamp", "kafka_partition", "kafka_offset", "kafka_index"]
                .map(|name| format!("{name} {way}"))
                .join(", ")
        };
        let (first, last) = (order("asc"), order("desc"));
        let end = |name: &str, order: &str| format!("(array_agg({name} order by {order}))[1]");
        let ends = |order: &str| {
            ["timestamp", "kafka_partition", "kafka_offset"].map(|name| end(name, order)).join(", ")
        };
        let indexes = [&first, &last].map(|order| end("kafka_index", order)).join(", ");
        let fill = |(table, unit): (&str, &str)| {
            format!(
                "insert into {table}
                 select symbol, date_trunc('{unit}', timestamp, 'UTC'),
                        {}, max(greatest(open, close)), min(least(open, close)), {},
                        case when count(volume) = count(*) then sum(volume) end, count(*), sum(close),
                        case when count(volume) = count(*) then sum(close * volume) end, {}, {}, {indexes}
                 from realtime_stock group by 1, 2",
                end("open", &first),
                end("close", &last),
                ends(&first),
                ends(&last),
            )
        };
        [("minute_bars", "minute"), ("hour_bars", "hour")].map(fill).join("; ")
    }

    /// The topic as the speed layer would have entered it.
    pub async fn source(&self, topic: &str) -> i16 {
        sqlx::query_scalar(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             values ('speed-layer', '', $1, '', 1)
             on conflict on constraint kafka_sources_identity_key do update set topic = excluded.topic
             returning source",
        )
        .bind(topic)
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }

    /// What the speed layer would have noted as its next offset.
    pub async fn set_next_offset(&self, topic: &str, partition: i32, next: i64) {
        let source = self.source(topic).await;
        sqlx::query(
            "insert into kafka_offsets (source, partition, next_offset) values ($1, $2, $3)
             on conflict on constraint kafka_offsets_pkey do update set next_offset = excluded.next_offset",
        )
        .bind(source)
        .bind(partition)
        .bind(next)
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    /// Runs a statement that a test breaks or changes something with.
    pub async fn execute(&self, statement: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    /// Every row of `hourly_stock_summary` as text, without the time of computing.
    pub async fn summary(&self) -> Vec<String> {
        self.rows(
            "select concat_ws(' ', symbol, hour at time zone 'UTC', avg_close, avg_volume, trim_scale(open),
                              trim_scale(high), trim_scale(low), trim_scale(close), coalesce(trim_scale(volume)::text, '-'),
                              coalesce(vwap::text, '-'),
                              ticks)
             from hourly_stock_summary order by hour, symbol",
        )
        .await
    }

    /// The same by a plain aggregate over `realtime_stock`.
    pub async fn expected(&self) -> Vec<String> {
        self.rows(
            "select concat_ws(' ', symbol, date_trunc('hour', timestamp, 'UTC') at time zone 'UTC',
                              trim_scale(sum(close)) / count(*),
                              case when count(volume) = count(*) then trim_scale(sum(volume)) / count(*) end,
                              trim_scale((array_agg(open order by timestamp, kafka_partition, kafka_offset))[1]),
                              trim_scale(max(greatest(open, close))), trim_scale(min(least(open, close))),
                              trim_scale((array_agg(close order by timestamp desc, kafka_partition desc,
                                                    kafka_offset desc))[1]),
                              case when count(volume) = count(*) then trim_scale(sum(volume))::text else '-' end,
                              case when count(volume) = count(*) and sum(volume) > 0
                                       then (trim_scale(sum(close * volume)) / trim_scale(sum(volume)))::text else '-' end,
                              count(*))
             from realtime_stock
             group by symbol, date_trunc('hour', timestamp, 'UTC')
             order by date_trunc('hour', timestamp, 'UTC'), symbol",
        )
        .await
    }

    /// Everything that tells whether a row was touched, of the summaries and of what is known of
    /// the archive.
    pub async fn footprint(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in [
            "hourly_stock_summary",
            "batch_hours",
            "archive_objects",
            "archive_object_hours",
            "rejected_lines",
            "stale_hours",
            "hour_sums",
            "broken_objects",
            "blocked_hours",
            "technical_indicators",
            "indicator_states",
        ] {
            all.extend(
                self.rows(&format!(
                    "select concat('{table} ', t.xmin, ' ', t) from {table} t order by 1"
                ))
                .await,
            );
        }
        all
    }

    /// The hours in `batch_hours`, each with the number of the run that computed it.
    pub async fn computed_by(&self) -> Vec<String> {
        self.rows(
            "select concat(to_char(hour at time zone 'UTC', 'DD\"T\"HH24'), ' by ', run_id)
             from batch_hours order by hour",
        )
        .await
    }

    pub async fn rows(&self, query: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
            .fetch_all(self.database.pool())
            .await
            .unwrap()
    }

    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }
}

/// An hour as a run of all its objects writes it, number 1.
pub fn some_summary(hour: Hour, sum: HourBars, snapshot: &IndexSnapshot) -> Summary<'_> {
    Summary {
        hour,
        sum,
        changed: None,
        only_changed_rows: false,
        rebuild_indicators: false,
        lake_keys: None,
        from_all_objects: true,
        accept_missing: false,
        merged_keys: None,
        neighbours: NeighbourHours::BOTH,
        gone_objects: 0,
        withdrawn: Offsets::default(),
        taken_out: 0,
        keep_old_values_of: Vec::new(),
        conflicts: 0,
        snapshot,
        decode_rules: "lines",
        location: "s3://bucket/",
        run_id: 1,
    }
}

/// Runs the binary to its end.
pub async fn finish(command: Command) -> Outcome {
    let started = Instant::now();
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("batch-layer starts");
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let end = async {
        tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr), child.wait()).2
    };
    let status = tokio::time::timeout(LONG, end).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        status.is_ok(),
        "not ended within {LONG:?}; what it said:\n{}{}",
        text(&stdout),
        text(&stderr)
    );
    Outcome {
        code: status.unwrap().expect("batch-layer can be waited for").code().unwrap_or(-1),
        stdout: text(&stdout),
        stderr: text(&stderr),
        took: started.elapsed(),
    }
}

/// `2025-06-02T<hour>:<minute>:00Z`
pub fn at(hour: i64, minute: i64) -> Timestamp {
    let day = Hour::parse("2025-06-02T00").unwrap();
    day.plus(hour).start().plus_micros(minute * Timestamp::MINUTE)
}

/// The key of an object in the folder of an hour of 2025-06-02.
pub fn key(hour: i64, partition: i32, offset: i64) -> String {
    format!("raw/stock_prices/2025-06-02-{hour:02}/stock_prices+{partition}+{offset:010}.json")
}

/// The key of an object in the folder of any hour.
pub fn key_of(hour: Hour, partition: i32, offset: i64) -> String {
    let folder = hour.to_string().replace('T', "-");
    format!("raw/stock_prices/{}/stock_prices+{partition}+{offset:010}.json", &folder[..13])
}

/// `count` ticks of an hour, in one partition from `offset` on; no two alike, many within one
/// millisecond.
pub fn some_ticks(hour: i64, partition: i32, offset: i64, count: i64) -> Vec<Tick> {
    let tick = |number: i64| {
        let mix = (offset + number).wrapping_mul(7_919) + i64::from(partition) * 104_729;
        let open = 1_000_000 + mix.rem_euclid(99_991) * 7;
        Tick {
            symbol: ["AAPL", "MSFT", "BRK-B", "^GSPC", "BTC-USD"][mix.rem_euclid(5) as usize]
                .into(),
            at: at(hour, 0).plus_micros(number * Timestamp::HOUR / count / 1000 * 1000),
            open,
            close: open + mix.rem_euclid(201) - 100,
            volume: mix.rem_euclid(1000),
            partition,
            offset: offset + number,
        }
    };
    (0..count).map(tick).collect()
}

/// The same of whatever hour.
pub fn ticks_of(hour: Hour, partition: i32, offset: i64, count: i64) -> Vec<Tick> {
    let mut ticks = some_ticks(0, partition, offset, count);
    let moved = hour.start().micros() - ticks[0].at.micros();
    ticks.iter_mut().for_each(|tick| tick.at = tick.at.plus_micros(moved));
    ticks
}

/// As the sink writes them with provenance.
pub fn lines(ticks: &[Tick]) -> String {
    let mut text = String::new();
    for tick in ticks {
        let Tick { symbol, at, volume, partition, offset, .. } = tick;
        let (open, close) = (decimal(tick.open), decimal(tick.close));
        let _ = writeln!(
            text,
            r#"{{"volume":{volume},"symbol":"{symbol}","kafka_offset":{offset},"kafka_partition":{partition},"close":{close},"open":{open},"timestamp":"{at}"}}"#
        );
    }
    text
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn decimal(units: i64) -> String {
    format!("{}.{:04}", units / 10_000, units % 10_000)
}
