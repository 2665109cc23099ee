//! `cargo xtask bench spark`: an archive read by this process, and by servers of Spark Connect. The
//! last line is JSON.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::stream::{self, StreamExt, TryStreamExt};
use hourly::archive::{CONFLUENT, FileNameTemplate, Format, Object, ObjectStore, StoreOptions};
use hourly::reader::{IN_FLIGHT, Reader};
use hourly::scan::Scan;
use hourly::spark::{OBJECTS_PER_STATEMENT, Spark, SparkOptions};
use hourly::state;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Parser)]
struct Args {
    /// Ticks of the archive: three hours, 100 symbols, 4 partitions.
    #[arg(long, default_value_t = 2_000_000)]
    ticks: u64,
    /// Its objects, each packed by gzip.
    #[arg(long, default_value_t = 48)]
    objects: u64,
    /// A server of Spark's.
    #[arg(long)]
    spark: Option<String>,
    /// A server of Sail's.
    #[arg(long)]
    sail: Option<String>,
    /// The processes of the two, for the CPU that they use.
    #[arg(long, value_name = "PROCESS")]
    spark_process: Option<u32>,
    #[arg(long, value_name = "PROCESS")]
    sail_process: Option<u32>,
    /// A server of a cluster's, of which a worker is killed while it reads.
    #[arg(long, requires = "worker")]
    cluster: Option<String>,
    /// The process of that worker.
    #[arg(long)]
    worker: Option<u32>,
}

/// What tells what an object holds from anything else.
type Fingerprints = BTreeMap<String, Vec<String>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    for number in 0..args.objects {
        write_object(folder.path(), number, args.ticks / args.objects)?;
    }
    let store = ObjectStore::open(&StoreOptions::Local(folder.path().to_owned())).await?;
    let format = Format {
        file_name: FileNameTemplate::parse(CONFLUENT).map_err(anyhow::Error::msg)?,
        rules: Arc::default(),
        csv: None,
    };
    let reader = Reader::new(store.clone(), format, CancellationToken::new());
    let objects = store.list("").await.context("listing the archive")?;
    let (began, cpu) = (Instant::now(), cpu_seconds("self"));
    let own = read_here(&reader, &objects).await?;
    let (local_s, local_cpu) = (began.elapsed().as_secs_f64(), cpu_seconds("self") - cpu);
    let rows: usize = own.values().map(Vec::len).sum();
    println!("local: {local_s:.2} s, {local_cpu:.2} s of CPU, {rows} hours of objects");
    let mut result = json!({
        "bench": "spark", "ticks": args.ticks, "mismatches": 0, "local_s": round(local_s),
    });
    let mut mismatches = 0;
    let servers = [
        ("spark", &args.spark, args.spark_process),
        ("sail", &args.sail, args.sail_process),
        ("cluster", &args.cluster, None),
    ];
    let archive = Archive { folder: folder.path(), store, reader, objects, own };
    for (name, url, process) in servers {
        let Some(url) = url else {
            continue;
        };
        let worker = args.worker.filter(|_| name == "cluster");
        let (seconds, differing) = archive.compare_with((name, url), process, worker).await?;
        mismatches += differing;
        result[format!("{name}_s")] = round(seconds).into();
    }
    result["mismatches"] = mismatches.into();
    println!("{result}");
    ensure!(mismatches == 0, "{mismatches} objects differ");
    Ok(())
}

/// What the servers read, and what this process has read of it.
struct Archive<'a> {
    folder: &'a Path,
    store: ObjectStore,
    reader: Reader,
    objects: Vec<Object>,
    own: Fingerprints,
}

impl Archive<'_> {
    /// Has a server read all objects twice, and once more while its `worker` is killed. Returns the
    /// seconds of the last reading, and how many objects differ.
    async fn compare_with(
        &self,
        (name, url): (&str, &str),
        process: Option<u32>,
        worker: Option<u32>,
    ) -> Result<(f64, usize)> {
        let options = SparkOptions {
            url: url.parse().map_err(anyhow::Error::msg)?,
            archive: format!("file://{}/", self.folder.display()),
            patience: PATIENCE,
        };
        let stop = CancellationToken::new();
        let mut spark = Spark::connect(options, self.store.clone(), stop).await?;
        // The first statement of a JVM takes three times as long as any other.
        let first = read_there(&mut spark, &self.reader, &self.objects).await?;
        let cpu = || process.map(|process| cpu_seconds(&process.to_string()));
        let (began, cpu_before) = (Instant::now(), cpu());
        let second = read_there(&mut spark, &self.reader, &self.objects).await?;
        let mut seconds = began.elapsed().as_secs_f64();
        let used = cpu()
            .zip(cpu_before)
            .map_or(String::new(), |(now, before)| format!(", {:.2} s of CPU", now - before));
        let rows: usize = second.values().map(Vec::len).sum();
        let mut mismatches = self.count_differing(&first) + self.count_differing(&second);
        if let Some(worker) = worker {
            let began = Instant::now();
            let reading = async {
                let read = read_there(&mut spark, &self.reader, &self.objects).await;
                (read, began.elapsed())
            };
            let ((third, ended), killed) =
                tokio::join!(reading, kill(worker, began, seconds / 2.0));
            ensure!(killed? < ended, "the worker was killed when all was read");
            mismatches += self.count_differing(&third?);
            seconds = ended.as_secs_f64();
            println!("a worker was killed half-way");
        }
        let (version, read, left) = (&spark.version, spark.read, spark.left);
        println!(
            "{name} {version}: {seconds:.2} s{used}, {rows} hours of objects; {read} objects read, \
             {left} left to local"
        );
        spark.close().await;
        Ok((seconds, mismatches))
    }

    fn count_differing(&self, there: &Fingerprints) -> usize {
        self.own.iter().filter(|(key, prints)| there.get(*key) != Some(prints)).count()
    }
}

/// Kills a worker and its executors after so many seconds; gives when.
async fn kill(worker: u32, began: Instant, after: f64) -> Result<Duration> {
    tokio::time::sleep(Duration::from_secs_f64(after)).await;
    let children = std::fs::read_to_string(format!("/proc/{worker}/task/{worker}/children"))?;
    let mut kill = std::process::Command::new("kill");
    let status =
        kill.arg("-9").arg(worker.to_string()).args(children.split_whitespace()).status()?;
    ensure!(status.success(), "cannot kill process {worker}");
    Ok(began.elapsed())
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

async fn read_here(reader: &Reader, objects: &[Object]) -> Result<Fingerprints> {
    let scans = stream::iter(objects.to_vec()).map(|object| {
        let reader = reader.clone();
        async move {
            let scan = reader.read_beside_others(&object).await;
            scan.map(|scan| (object, scan)).map_err(|error| anyhow::anyhow!("{error:?}"))
        }
    });
    let scans: Vec<(Object, Scan)> = scans.buffered(IN_FLIGHT).try_collect().await?;
    scans.iter().map(prints).collect()
}

async fn read_there(
    spark: &mut Spark,
    reader: &Reader,
    objects: &[Object],
) -> Result<Fingerprints> {
    let mut all = Fingerprints::new();
    for some in objects.chunks(OBJECTS_PER_STATEMENT) {
        let scans = spark.scan(some, reader).await?;
        all.extend(scans.iter().map(prints).collect::<Result<Fingerprints>>()?);
    }
    Ok(all)
}

fn prints((object, scan): &(Object, Scan)) -> Result<(String, Vec<String>)> {
    let mut all = vec![format!("{} {} {:?}", scan.lines, scan.rejected, scan.rejects)];
    for (hour, bars) in &scan.hours {
        all.push(format!(
            "{hour} {} {}",
            state::content_hash(bars)?,
            state::offsets_hash(&state::encode_offsets(&bars.offsets)?)
        ));
    }
    Ok((object.key.to_string(), all))
}

fn write_object(root: &Path, number: u64, ticks: u64) -> Result<()> {
    let (partition, first) = (number % 4, number / 4 * ticks);
    let mut text = String::new();
    for offset in first..first + ticks {
        let mix = (offset * 4 + partition).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let (hour, minute, second) = (10 + number / 4 % 3, mix % 60, mix / 60 % 60);
        let (open, close) = (10_000 + mix % 90_001, 10_000 + mix / 7 % 90_001);
        let _ = writeln!(
            text,
            "{{\"symbol\":\"S{}\",\"timestamp\":\"2025-06-06T{hour}:{minute:02}:{second:02}.{:03}Z\",\"open\":{}.{:02},\
             \"close\":{}.{:02},\"volume\":{},\"kafka_partition\":{partition},\"kafka_offset\":{offset}}}",
            mix % 100,
            mix % 1000,
            open / 100,
            open % 100,
            close / 100,
            close % 100,
            mix % 1000,
        );
        if offset - first == ticks / 2 && number.is_multiple_of(4) {
            text.push_str("{\"symbol\":\"broken\n");
        }
    }
    let hour = 10 + number / 4 % 3;
    let folder = root.join(format!("raw/stock_prices/2025-06-06-{hour}"));
    std::fs::create_dir_all(&folder)?;
    let file = std::fs::File::create(
        folder.join(format!("stock_prices+{partition}+{first:010}.json.gz")),
    )?;
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(text.as_bytes())?;
    packed.finish().map(drop).context("writing an object")
}

/// What a process has used so far.
fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
