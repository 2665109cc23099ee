//! A CSV file's bars, sent as ticks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use common::Timestamp;
use common::decode::{Decoder, RecordContext, Rules};
use csv::{Reader, StringRecord};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::pace::Pacer;
use crate::simulate::RecordTime;
use testing::kafka::{KafkaArgs, Outgoing, Sender};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Args, Clone)]
pub struct ReplayArgs {
    /// CSV with a header of symbol, timestamp (RFC 3339 with an offset), open, close, volume and,
    /// if wanted, high and low.
    pub file: PathBuf,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Sends in the pace of the timestamps times this factor. Default: as fast as the brokers take
    /// it.
    #[arg(long, value_parser = speed, value_name = "FACTOR")]
    pub speed: Option<f64>,
    /// The Kafka record's timestamp, which decides the archive's folder.
    #[arg(long, value_enum, default_value_t = RecordTime::Market)]
    pub record_time: RecordTime,
}

#[derive(Debug, Default, Serialize)]
pub struct Replayed {
    pub messages: u64,
    pub per_partition: Vec<u64>,
    pub seconds: f64,
}

/// One line of the file as a message.
#[derive(Debug, PartialEq, Eq)]
struct Tick {
    symbol: String,
    value: Vec<u8>,
    /// Microseconds of the epoch.
    time: i64,
}

/// Checks the whole file, so that nothing is sent from one that has a bad line; then sends it.
///
/// Errors: the file, with the line that is wrong; brokers or topic that are not there.
pub async fn run(args: &ReplayArgs, shutdown: &CancellationToken) -> anyhow::Result<Replayed> {
    for tick in Ticks::open(&args.file)? {
        tick?;
    }
    let waiting = args.kafka.await_topic(PATIENCE);
    let partitions = shutdown
        .run_until_cancelled(waiting)
        .await
        .context("stopped while waiting for Kafka")??;
    let (args, shutdown) = (args.clone(), shutdown.clone());
    let sending = tokio::task::spawn_blocking(move || send_all(&args, &shutdown));
    let mut totals = sending.await.context("the sending thread")??;
    totals.per_partition.resize(partitions.len(), 0);
    Ok(totals)
}

fn send_all(args: &ReplayArgs, shutdown: &CancellationToken) -> anyhow::Result<Replayed> {
    let started = Instant::now();
    let sender = Sender::new(args.kafka.client_config(), &args.kafka.topic)?;
    let mut totals = Replayed::default();
    let mut pacer = None;
    for tick in Ticks::open(&args.file)? {
        let tick = tick?;
        if let Some(speed) = args.speed {
            let pacer = pacer.get_or_insert_with(|| Pacer::new(tick.time, speed));
            pacer.wait(tick.time, shutdown, || sender.poll());
        }
        if shutdown.is_cancelled() {
            break;
        }
        sender.send(Outgoing {
            key: Some(tick.symbol.as_bytes()),
            value: Some(&tick.value),
            timestamp: (args.record_time == RecordTime::Market).then_some(tick.time / 1000),
            ..Outgoing::default()
        })?;
        totals.messages += 1;
        if totals.messages.is_multiple_of(1024) {
            sender.poll();
        }
    }
    totals.per_partition = sender.finish(PATIENCE)?;
    totals.seconds = started.elapsed().as_secs_f64();
    Ok(totals)
}

/// The ticks of a file, each checked with the pipeline's own decoder.
struct Ticks {
    path: String,
    columns: Columns,
    records: csv::StringRecordsIntoIter<File>,
    decoder: Decoder,
}

struct Columns {
    symbol: usize,
    timestamp: usize,
    /// open, high, low, close, volume as far as the file has them: name and index.
    numbers: Vec<(&'static str, usize)>,
}

impl Ticks {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let mut reader = Reader::from_path(path).with_context(|| format!("open {name}"))?;
        let header = reader.headers().with_context(|| format!("{name}, line 1"))?;
        let columns = Columns::find(header).with_context(|| format!("{name}, line 1"))?;
        let decoder = Decoder::new(Rules::default(), Timestamp::now());
        Ok(Self { path: name, columns, records: reader.into_records(), decoder })
    }
}

impl Iterator for Ticks {
    type Item = anyhow::Result<Tick>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.records.next()? {
            Ok(record) => record,
            // The reader's error names the line.
            Err(error) => return Some(Err(anyhow::Error::new(error).context(self.path.clone()))),
        };
        let line = record.position().map_or(0, csv::Position::line);
        let tick = self.columns.tick(&record, &mut self.decoder);
        Some(tick.with_context(|| format!("{}, line {line}", self.path)))
    }
}

impl Columns {
    fn find(header: &StringRecord) -> anyhow::Result<Self> {
        let find =
            |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        let need =
            |name: &str| find(name).with_context(|| format!("the header has no column {name}"));
        let mut numbers = Vec::new();
        for name in ["open", "high", "low", "close", "volume"] {
            match find(name) {
                Some(index) => numbers.push((name, index)),
                None if matches!(name, "high" | "low") => {}
                None => bail!("the header has no column {name}"),
            }
        }
        Ok(Self { symbol: need("symbol")?, timestamp: need("timestamp")?, numbers })
    }

    fn tick(&self, record: &StringRecord, decoder: &mut Decoder) -> anyhow::Result<Tick> {
        let field = |index: usize| record.get(index).unwrap_or_default().trim();
        let symbol = serde_json::to_string(field(self.symbol))?;
        let timestamp = serde_json::to_string(field(self.timestamp))?;
        let mut value = format!("{{\"symbol\":{symbol},\"timestamp\":{timestamp}");
        for (name, index) in &self.numbers {
            // As it stands in the file: a price keeps its digits.
            value.push_str(&format!(",\"{name}\":{}", field(*index)));
        }
        value.push('}');
        // The decoder takes what follows an object, as Connect does; a cell that ends it is a
        // mistake all the same.
        let _: serde::de::IgnoredAny = serde_json::from_str(&value)?;
        let decoded = decoder
            .decode(value.as_bytes(), &RecordContext::NOTHING)
            .map_err(|reject| anyhow::anyhow!("{reject}"))?
            .tick;
        let (symbol, time) = (decoded.symbol().as_str().to_owned(), decoded.timestamp().micros());
        Ok(Tick { symbol, value: value.into_bytes(), time })
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "expected a factor such as 60".to_owned())?;
    if speed.is_finite() && speed > 0.0 {
        Ok(speed)
    } else {
        Err("expected a factor above zero".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(content: &str) -> anyhow::Result<Vec<Tick>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(content.as_bytes())?;
        Ticks::open(file.path())?.collect()
    }

    #[test]
    fn columns_are_found_by_their_names_and_prices_keep_their_digits() {
        let ticks = read(
            "volume,close,open,timestamp,symbol\n7,1.50,1601.475,2019-02-11T09:30:00.000-05:00,BRK-B\n",
        );
        let value = br#"{"symbol":"BRK-B","timestamp":"2019-02-11T09:30:00.000-05:00","open":1601.475,"close":1.50,"volume":7}"#;
        let tick =
            Tick { symbol: "BRK-B".into(), value: value.to_vec(), time: 1_549_895_400_000_000 };
        assert_eq!(ticks.unwrap(), [tick]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let header = "symbol,timestamp,open,high,low,close,volume\n";
        let good = "A,2019-02-11T09:30:00Z,1,2,1,2,5\n";
        for bad in [
            "A,2019-02-11T09:30:00,1,2,1,2,5\n",
            "A,2019-02-11T09:30:00Z,1,2,1,,5\n",
            "A,2019-02-11T09:30:00Z,1,2,1,2\n",
            "A,2019-02-11T09:30:00Z,1,2,1,2,5}{\n",
        ] {
            let error = format!("{:#}", read(&format!("{header}{good}{bad}{good}")).unwrap_err());
            assert!(error.contains("line 3") || error.contains("line: 3"), "{bad}: {error}");
        }
        let error = format!("{:#}", read("symbol,timestamp,open,volume\n").unwrap_err());
        assert!(error.contains("line 1") && error.contains("no column close"), "{error}");
    }

    #[test]
    fn real_minute_bars_all_pass() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/minute_bars.csv");
        if !path.exists() {
            return;
        }
        let ticks: Vec<_> = Ticks::open(&path).unwrap().collect::<anyhow::Result<_>>().unwrap();
        assert!(ticks.len() > 1000, "{}", ticks.len());
    }
}
