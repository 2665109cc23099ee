//! Objects that a server of Spark Connect has read, against the same read by our own scan.

use crate::support::{Tick, World, gzip, key, lines, some_ticks};
use clap::Parser;
use common::decode::ProvenanceNames;
use hourly::archive::{CONFLUENT, FileNameTemplate, Format, Object, ObjectStore, StoreOptions};
use hourly::reader::Reader;
use hourly::scan::Scan;
use hourly::spark::{Spark, SparkOptions};
use service::cli::MessageArgs;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testing::TestSail;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    messages: MessageArgs,
}

/// A directory as an archive, and a server that reads it: Sail, or what `STACK_SPARK_URL` names.
struct Archive {
    folder: tempfile::TempDir,
    url: String,
    _sail: Option<TestSail>,
    flags: Vec<&'static str>,
}

impl Archive {
    async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let given = std::env::var("STACK_SPARK_URL").ok();
        let sail = if given.is_none() { Some(TestSail::start([]).await) } else { None };
        let url = given.or_else(|| sail.as_ref().map(TestSail::url)).unwrap();
        Self { folder, url, _sail: sail, flags: Vec::new() }
    }

    fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The objects in the order of their keys, each with what both say of it; `None` where Spark
    /// leaves it to our own scan.
    async fn both(&self) -> Vec<(Object, Option<Scan>, Scan)> {
        let store =
            ObjectStore::open(&StoreOptions::Local(self.folder.path().to_owned())).await.unwrap();
        let reader = self.reader(store.clone());
        let objects = store.list("").await.unwrap();
        let mut found = self.spark(store).await.scan(&objects, &reader).await.unwrap();
        let mut both = Vec::new();
        for object in objects {
            let own = reader.read(&object, None).await.unwrap();
            let at = found.iter().position(|(other, _)| *other == object);
            both.push((object, at.map(|at| found.swap_remove(at).1), own));
        }
        both
    }

    fn reader(&self, store: ObjectStore) -> Reader {
        let flags = Flags::try_parse_from(["test"].iter().chain(&self.flags)).unwrap();
        let format = Format {
            file_name: FileNameTemplate::parse(CONFLUENT).unwrap(),
            rules: Arc::new(flags.messages.rules(ProvenanceNames::default())),
            csv: None,
        };
        Reader::new(store, format, CancellationToken::new())
    }

    async fn spark(&self, store: ObjectStore) -> Spark {
        let options = SparkOptions {
            url: self.url.parse().unwrap(),
            archive: format!("file://{}/", self.folder.path().display()),
            patience: PATIENCE,
        };
        Spark::connect(options, store, CancellationToken::new()).await.unwrap()
    }

    /// Asserts that Spark says the same of each object, and of so many of them anything.
    async fn assert_same(&self, read_by_spark: usize) {
        let both = self.both().await;
        for (object, spark, own) in &both {
            if let Some(spark) = spark {
                assert_eq!(print(spark), print(own), "{}", object.key);
            }
        }
        assert_eq!(both.iter().filter(|(_, spark, _)| spark.is_some()).count(), read_by_spark);
    }
}

/// All that a scan says. A fingerprint is of bytes, of which the same set of offsets may have
/// several.
fn print(scan: &Scan) -> Vec<String> {
    let mut all = vec![format!("{} lines, {} rejected", scan.lines, scan.rejected)];
    all.extend(scan.rejects.iter().map(|reject| format!("{reject:?}")));
    for (hour, bars) in &scan.hours {
        let places: Vec<_> = bars
            .offsets
            .iter()
            .map(|(topic, at, of)| (topic, at, of.iter().collect::<Vec<_>>()))
            .collect();
        let counts = (bars.ticks, bars.duplicates, bars.offsets.len(), bars.repeated.len());
        all.push(format!("{hour} {counts:?} {places:?}"));
        let mut of_hour: Vec<String> =
            bars.bars.iter().map(|(symbol, bar)| format!("{} {bar:?}", symbol.as_str())).collect();
        of_hour.sort_unstable();
        all.extend(of_hour);
    }
    all
}

#[tokio::test]
async fn a_server_that_reads_another_archive_under_the_same_names_is_refused() {
    let (archive, other) = (Archive::create().await, tempfile::tempdir().unwrap());
    let name = key(10, 0, 0);
    let ticks = some_ticks(10, 0, 0, 50);
    archive.put(&name, lines(&ticks));
    let mut cheaper = ticks.clone();
    cheaper[40].close -= 1;
    for content in [lines(&ticks[..30]), lines(&cheaper)] {
        let path = other.path().join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        let store = ObjectStore::open(&StoreOptions::Local(archive.folder.path().to_owned()))
            .await
            .unwrap();
        let options = SparkOptions {
            url: archive.url.parse().unwrap(),
            archive: format!("file://{}/", other.path().display()),
            patience: PATIENCE,
        };
        let mut spark =
            Spark::connect(options, store.clone(), CancellationToken::new()).await.unwrap();
        let objects = store.list("").await.unwrap();
        let refused = spark.scan(&objects, &archive.reader(store)).await.unwrap_err();
        assert!(matches!(refused, service::Failure::Configuration(_)), "{refused}");
        assert!(refused.to_string().contains("--spark-archive"), "{refused}");
    }
}

fn without_places(text: &str) -> String {
    let stripped = |line: &str| {
        let (head, tail) = line.split_once("\"kafka_offset\":").unwrap();
        format!(
            "{head}{}",
            tail.split_once("\"close\"").map(|(_, rest)| format!("\"close\"{rest}")).unwrap()
        )
    };
    text.lines().map(|line| stripped(line) + "\n").collect()
}

#[tokio::test]
async fn spark_says_of_plain_and_packed_objects_what_our_own_scan_says() {
    let archive = Archive::create().await;
    let text = |partition, offset| lines(&some_ticks(13, partition, offset, 3000));
    archive.put(&key(13, 0, 100), text(0, 100));
    archive.put(&format!("{}.gz", key(13, 1, 7)), gzip(&text(1, 7)));
    // Several members, as who appends to an object makes them.
    archive
        .put(&format!("{}.gz", key(14, 1, 7)), [gzip(&text(1, 7)), gzip(&text(1, 5000))].concat());
    archive.assert_same(3).await;
}

#[tokio::test]
async fn lines_that_are_no_plain_ticks_go_through_our_own_decoder() {
    let archive = Archive::create().await;
    let ticks = some_ticks(13, 0, 0, 400);
    let mut all: Vec<String> = lines(&ticks).lines().map(ToOwned::to_owned).collect();
    for (at, odd) in [
        (3, "{\"symbol\":\"A".to_owned()),
        (5, String::new()),
        (9, all[9].replace("\"close\":", "\"close\":-")),
        (11, all[11].replace("\"volume\":", "\"volume\":1e1,\"x\":")),
        (20, all[20].clone() + &all[21]),
        (21, "  ".to_owned()),
        (30, all[30].replace("2025-06-02T13", "2025-06-02T14")),
        (31, all[31].replace("2025-06-02", "2025-02-30")),
        (40, all[40].replace("2025-06-02", "1815-06-02")),
        (41, "\u{1}a\rb\u{fffd}".to_owned()),
        (50, all[50].replace("AAPL", "aäpl").replace("MSFT", "\\u0041")),
    ] {
        all[at] = odd;
    }
    archive.put(&format!("{}.gz", key(13, 0, 0)), gzip(&(all.join("\n") + "\n")));
    let text = all.join("\n") + "\n";
    // A month that has no such day is a time that our own decoder must judge.
    let odd_day: String = text.replace("2025-02-30", "2025-06-02");
    archive.put(&format!("{}.gz", key(13, 1, 0)), gzip(&odd_day));
    let believed = odd_day.replace("1815-06-02", "2025-06-02");
    archive.put(&format!("{}.gz", key(13, 2, 0)), gzip(&believed));
    archive.assert_same(1).await;
}

#[tokio::test]
async fn a_record_that_comes_twice_is_left_to_our_own_scan() {
    let archive = Archive::create().await;
    let text = lines(&some_ticks(13, 0, 0, 100));
    let twice: String =
        text.lines().chain(text.lines().take(1)).map(|line| line.to_owned() + "\n").collect();
    archive.put(&format!("{}.gz", key(13, 0, 0)), gzip(&text));
    archive.put(&format!("{}.gz", key(13, 0, 200)), gzip(&twice));
    archive.assert_same(1).await;
}

#[tokio::test]
async fn ticks_without_offsets_are_in_the_order_of_their_lines() {
    let archive = Archive::create().await;
    let ticks: Vec<Tick> = some_ticks(13, 0, 0, 2000);
    // All at the same moment: their order decides which is the first and which the last.
    let at_once: Vec<Tick> =
        ticks.iter().map(|tick| Tick { at: ticks[0].at, ..tick.clone() }).collect();
    archive.put(&format!("{}.gz", key(13, 0, 0)), gzip(&without_places(&lines(&at_once))));
    archive.put(&format!("{}.gz", key(13, 0, 2000)), gzip(&without_places(&lines(&ticks))));
    archive.assert_same(2).await;
}

#[tokio::test]
async fn a_sinks_envelope_is_opened() {
    let archive = Archive::create().await;
    let wrap = |tick: &Tick| {
        let value = without_places(&lines(std::slice::from_ref(tick)));
        format!(
            "{{\"key\":\"{}\",\"offset\":{},\"timestamp\":\"{}\",\"value\":{}}}\n",
            tick.symbol,
            tick.offset,
            tick.at,
            value.trim_end()
        )
    };
    for partition in [0, 3] {
        let text: String = some_ticks(13, partition, 50, 900).iter().map(wrap).collect();
        archive.put(&format!("{}.gz", key(13, partition, 50)), gzip(&text));
    }
    archive.assert_same(2).await;
}

#[tokio::test]
async fn a_mapping_holds_on_spark_as_here() {
    let mut archive = Archive::create().await;
    archive.flags =
        vec!["--map", "symbol=s,price=q.p,volume=none,timestamp=t", "--timestamp-unit", "ms"];
    let line = |tick: &Tick| {
        let price = format!("{}.{:04}", tick.open / 10_000, tick.open % 10_000);
        let millis = tick.at.micros() / 1000;
        let Tick { symbol, partition, offset, .. } = tick;
        format!(
            "{{\"s\":\"{symbol}\",\"q\":{{\"p\":\"{price}\",\"note\":\"x y\"}},\"t\":{millis},\
             \"kafka_partition\":{partition},\"kafka_offset\":{offset}}}\n"
        )
    };
    let text: String = some_ticks(13, 0, 0, 800).iter().map(line).collect();
    archive.put(&format!("{}.gz", key(13, 0, 0)), gzip(&text));
    archive.assert_same(1).await;
}

#[tokio::test]
async fn an_object_that_spark_cannot_read_takes_no_other_with_it() {
    let archive = Archive::create().await;
    for partition in 0..5 {
        let packed = gzip(&lines(&some_ticks(13, partition, 0, 500)));
        archive.put(&format!("{}.gz", key(13, partition, 0)), packed);
    }
    let whole = archive.folder.path().join(format!("{}.gz", key(13, 2, 0)));
    let packed = fs::read(&whole).unwrap();
    fs::write(&whole, &packed[..packed.len() / 2]).unwrap();
    let store =
        ObjectStore::open(&StoreOptions::Local(archive.folder.path().to_owned())).await.unwrap();
    let format = Format {
        file_name: FileNameTemplate::parse(CONFLUENT).unwrap(),
        rules: Arc::default(),
        csv: None,
    };
    let reader = Reader::new(store.clone(), format, CancellationToken::new());
    let objects = store.list("").await.unwrap();
    let found = archive.spark(store).await.scan(&objects, &reader).await.unwrap();
    let keys: Vec<&str> = found.iter().map(|(object, _)| &*object.key).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(!keys.contains(&&*format!("{}.gz", key(13, 2, 0))), "{keys:?}");
}

#[tokio::test]
async fn recordings_of_connect_are_the_same() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["r-robust", "c-gzip", "f4-late"] {
        let archive = Archive::create().await;
        copy(&fixtures.join(name), archive.folder.path());
        let both = archive.both().await;
        assert!(!both.is_empty());
        for (object, spark, own) in both {
            if let Some(spark) = spark {
                assert_eq!(print(&spark), print(&own), "{}", object.key);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_run_by_spark_leaves_the_same_tables_as_one_by_itself() {
    let (by_itself, by_spark) = (World::create().await, World::create().await);
    let sail = TestSail::start(by_spark.bucket.env()).await;
    for world in [&by_itself, &by_spark] {
        for (hour, partition) in [(13, 0), (13, 1), (14, 0), (14, 1)] {
            let text = lines(&some_ticks(hour, partition, hour * 1000, 700));
            // One that is no tick, in the middle.
            let at = text.match_indices('\n').nth(300).unwrap().0;
            let text =
                format!("{}{}", &text[..at], text[at..].replacen("\"open\"", "\"opened\"", 1));
            let key = format!("{}.gz", key(hour, partition, hour * 1000));
            world.bucket.put(&key, gzip(&text)).await.unwrap();
        }
    }
    let hours = ["--from", "2025-06-02T12", "--to", "2025-06-02T16"];
    by_itself.run_ok(&hours).await;
    let url = sail.url();
    let bucket = format!("s3://{}/", by_spark.bucket.env()[0].1);
    let mut args = vec!["--engine", "spark", "--spark-url", &url, "--spark-archive", &bucket];
    args.extend(hours);
    let outcome = by_spark.run_ok(&args).await;
    assert!(outcome.stderr.contains("read 4 objects; 0 were read here"), "{}", outcome.stderr);
    let tables = |world: &World| {
        let query = "select concat(hour, key, content_hash, ticks) from archive_object_hours
                     union all select concat(symbol, hour, avg_close, avg_volume, open, close, vwap, ticks) from hourly_stock_summary
                     union all select concat(key, line, reason, detail, value) from rejected_lines order by 1";
        let query = query.to_owned();
        let pool = world.database.pool().clone();
        async move {
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query))
                .fetch_all(&pool)
                .await
                .unwrap()
        }
    };
    assert_eq!(tables(&by_spark).await, tables(&by_itself).await);
    let arguments = by_spark.rows("select arguments from batch_runs").await;
    assert!(arguments[0].contains(" --engine spark"), "{arguments:?}");
    let engine = async |world: &World| world.rows("select distinct engine from batch_hours").await;
    let (own, clusters) = (engine(&by_itself).await, engine(&by_spark).await);
    assert_eq!(own, [concat!("local ", env!("CARGO_PKG_VERSION"))]);
    assert!(
        clusters.len() == 1
            && clusters[0].starts_with("spark ")
            && clusters[0].len() > "spark ".len(),
        "{clusters:?}"
    );
}

#[tokio::test]
async fn an_archive_that_spark_does_not_find_is_said_and_read_here() {
    let (world, sail) = (World::create().await, TestSail::start([]).await);
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 20)).await;
    let url = sail.url();
    for archive in ["s3://no-such-bucket/", "file:///no/such/folder/"] {
        let args =
            ["--engine", "spark", "--spark-url", &url, "--spark-archive", archive, "--recompute"];
        let outcome = world
            .run_ok(&[&args[..], &["--from", "2025-06-02T12", "--to", "2025-06-02T16"]].concat())
            .await;
        let said = format!("has read no object, and could not read {archive}");
        assert!(
            outcome.stderr.contains(&said) && outcome.stderr.contains("--spark-archive"),
            "{}",
            outcome.stderr
        );
        assert_eq!(world.number("select ticks from batch_hours").await, 20);
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_an_outage_and_a_flag_it_cannot_follow_a_wrong_setting() {
    let world = World::create().await;
    let sail = TestSail::start([]).await;
    let url = format!("{}/;user_id=me;x-secret=s3cret", sail.url());
    sail.kill();
    let args = ["--engine", "spark", "--spark-url", &url, "--hour", "2025-06-02T13"];
    let outcome = world.run(&args).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("--spark-url") && !outcome.stderr.contains("s3cret"),
        "{}",
        outcome.stderr
    );
    for (flags, named) in [
        (vec!["--csv-fields", "value"], "--csv-fields"),
        (vec!["--symbol-from", "topic"], "--symbol-from"),
        (vec!["--preset", "kraken"], "what --preset says of --each"),
        (vec!["--each", "data", "--dry-run"], "by --each"),
        (vec!["--spark-url", "http://s3cret"], "--spark-url"),
    ] {
        let mut args = vec!["--engine", "spark", "--hour", "2025-06-02T13"];
        if named != "--spark-url" {
            args.extend(["--spark-url", &*url]);
        }
        args.extend(flags);
        let outcome = world.run(&args).await;
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(named) && !outcome.stderr.contains("s3cret"),
            "{}",
            outcome.stderr
        );
    }
}

/// Numbers without end that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn tick(&mut self, offset: u64) -> String {
        let symbol = self.pick(&[
            "A",
            "BRK-B",
            "^GSPC",
            "a.b",
            "A-SYMBOL-OF-MORE-THAN-8-BYTES",
            "ÄÖ",
            " A",
            "",
            "A\\u0042",
        ]);
        let hour = self.pick(&["2025-06-06T10", "2025-06-06T11", "2025-06-06 10", "2025-06-05T23"]);
        let fraction = self.pick(&["", ".1", ".123456", ".123456789", ".000"]);
        let zone = self.pick(&["Z", "Z", "Z", "+00:00", "-04:00", "+05:30", ""]);
        let price = self.pick(&[
            "1",
            "1.5",
            "201.123456789",
            "0.000000001",
            "999999999.999999999",
            "0",
            "-1",
            "1e2",
            "null",
        ]);
        let close = self.pick(&[
            "1",
            "2.25",
            "201.123456789",
            "150.72000122070312",
            "9223372036",
            "\"7\"",
            "2",
        ]);
        let volume = self.pick(&[
            "0",
            "100",
            "999999999999",
            "0.5",
            "12.000000001",
            "1e3",
            "null",
            "9223372036854775807",
        ]);
        let (minute, second) = (self.below(60), self.below(61));
        format!(
            "{{\"symbol\":\"{symbol}\",\"timestamp\":\"{hour}:{minute:02}:{second:02}{fraction}{zone}\",\"open\":{price},\
             \"close\":{close},\"volume\":{volume},\"kafka_partition\":0,\"kafka_offset\":{offset}}}"
        )
    }

    /// An object of plain ticks with some that are odder.
    fn object(&mut self, odd: u64) -> String {
        let mut text = String::new();
        let plain = |offset: u64, dice: &mut Self| {
            let (minute, second, cents) = (dice.below(60), dice.below(60), 1 + dice.below(99_999));
            format!(
                "{{\"symbol\":\"S{}\",\"timestamp\":\"2025-06-06T{}:{minute:02}:{second:02}.5Z\",\"open\":{cents},\
                 \"close\":{}.{cents},\"volume\":{cents},\"kafka_partition\":0,\"kafka_offset\":{offset}}}",
                dice.below(4),
                10 + dice.below(2),
                dice.below(300)
            )
        };
        let count = 50 + self.below(200);
        for offset in 0..count {
            let is_odd = offset > 0 && offset < count - 1 && odd > 0 && self.below(100) < odd;
            let line = match is_odd {
                true if self.below(4) == 0 => {
                    self.pick(&["", "  ", "{}", "[]", "{\"symbol\":", "\u{1}", "null"]).to_owned()
                }
                true => {
                    let offset = offset + self.below(2);
                    self.tick(offset)
                }
                false => plain(offset, self),
            };
            text += &(line
                + self.pick(&["\n", "\n", "\n", "\r\n"]).trim_start_matches(if is_odd {
                    ""
                } else {
                    "\r"
                }));
        }
        text
    }
}

#[tokio::test]
async fn any_archive_is_the_same() {
    let archive = Archive::create().await;
    let mut dice = Dice(7);
    for number in 0..40_i64 {
        let odd = [0, 1, 5, 30][usize::try_from(number % 4).unwrap()];
        let text = dice.object(odd);
        let key = key(10, 0, number * 1000);
        match number % 3 {
            0 => archive.put(&key, text),
            1 => archive.put(&format!("{key}.zst"), zstd::encode_all(text.as_bytes(), 1).unwrap()),
            _ => archive.put(&format!("{key}.gz"), gzip(&text)),
        }
    }
    let both = archive.both().await;
    let mut read = 0;
    for (object, spark, own) in &both {
        if let Some(spark) = spark {
            read += 1;
            assert_eq!(print(spark), print(own), "{}", object.key);
        }
    }
    assert!(read >= 8, "{read} of {} objects", both.len());
}
