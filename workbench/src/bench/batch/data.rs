//! The archives that `bench batch` reads: seeded, written once and kept in the target folder.

use crate::archive::convert::{Converted, Position, convert};
use crate::archive::gzip;
use crate::simulate::Shape;
use crate::simulate::feed::{Feed, Pace, Plan};
use anyhow::{Context, ensure};
use clap::Args;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// 2025-06-06T14:00:00Z, in microseconds: the hour that all ticks belong to.
const HOUR: i64 = 1_749_218_400_000_000;
/// The end of the hour, as `batch-layer --hour` takes its start.
pub const HOUR_NAME: &str = "2025-06-06T14";
/// Where the sink files the hour.
pub const FOLDER: &str = "raw/stock_prices/2025-06-06-14";
const SYMBOLS: usize = 500;
const PARTITIONS: i32 = 4;
/// Every twentieth line has `high` and `low`, as no other has: a second shape that may come at any
/// time.
const OTHER_SHAPE: u64 = 20;

/// Ticks of an object that comes late.
pub const LATE_TICKS: u64 = 1000;
/// Behind all others of the hour.
const LATE_START: u64 = 1_000_000_000;
/// 2025-06-01T00:00:00Z, in seconds.
const MONTH: u64 = 1_748_736_000;
const MONTH_HOURS: u64 = 720;
/// Ticks of each object of a month.
const MONTH_TICKS: u64 = 100;

pub const TICKS: u64 = 20_000_000;
pub const ENVELOPED_TICKS: u64 = 2_000_000;
pub const SMALL_OBJECTS: u64 = 20_000;
/// Of all archives but that of small ones.
const OBJECTS: u64 = 16;
const LINES_OF_SMALL: u64 = 28;

/// What the archives hold.
#[derive(Args, Debug, Clone, Copy)]
pub struct Size {
    /// Ticks of the hour.
    #[arg(long, default_value_t = TICKS)]
    pub ticks: u64,
    /// Ticks of the archive of enveloped values.
    #[arg(long, default_value_t = ENVELOPED_TICKS)]
    pub enveloped_ticks: u64,
    /// Objects of the archive of small ones, 28 lines each.
    #[arg(long, default_value_t = SMALL_OBJECTS)]
    pub small_objects: u64,
}

/// The folders of the archives. Each is the root of a bucket.
#[derive(Debug, Clone)]
pub struct Archives {
    pub plain: PathBuf,
    pub gzip: PathBuf,
    pub zstd: PathBuf,
    pub envelope: PathBuf,
    pub small: PathBuf,
}

impl Archives {
    /// Writes what is not there yet under `root`.
    ///
    /// # Errors
    /// A full disk, or no right to write.
    pub fn make(root: &Path, size: Size) -> anyhow::Result<Self> {
        let archives = Self::packed(root, size)?;
        let plain = archives.plain.join(FOLDER);
        once(&archives.zstd, |folder| {
            pack(&plain, folder, "zst", |plain| zstd::encode_all(plain, 3))
        })?;
        once(&archives.envelope, |folder| {
            write(folder, Shape::Envelope, size.enveloped_ticks, OBJECTS)
        })?;
        let small_ticks = size.small_objects * LINES_OF_SMALL;
        once(&archives.small, |folder| {
            write(folder, Shape::Bare, small_ticks, size.small_objects)
        })?;
        Ok(archives)
    }

    /// Writes the plain and the gzip one alone.
    ///
    /// # Errors
    /// As [`Archives::make`].
    pub fn packed(root: &Path, size: Size) -> anyhow::Result<Self> {
        let root =
            root.join(format!("{}-{}-{}", size.ticks, size.enveloped_ticks, size.small_objects));
        let of = |name: &str| root.join(name);
        let archives = Self {
            plain: of("plain"),
            gzip: of("gzip"),
            zstd: of("zstd"),
            envelope: of("envelope"),
            small: of("small"),
        };
        once(&archives.plain, |folder| write(folder, Shape::Bare, size.ticks, OBJECTS))?;
        let plain = archives.plain.join(FOLDER);
        once(&archives.gzip, |folder| pack(&plain, folder, "gz", gzip))?;
        Ok(archives)
    }
}

/// Fills an archive under another name first, so that one that was broken off is not taken for
/// whole.
fn once(archive: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if archive.is_dir() {
        return Ok(());
    }
    eprintln!("writing {}", archive.display());
    let partial = archive.with_extension("partial");
    if partial.is_dir() {
        fs::remove_dir_all(&partial)?;
    }
    let folder = partial.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fill(&folder)?;
    fs::rename(&partial, archive)?;
    Ok(())
}

/// The ticks of the hour in `objects` objects. Half of them have the sink's order of fields and
/// half the producer's: with some connectors the order differs from object to object.
fn write(folder: &Path, shape: Shape, ticks: u64, objects: u64) -> anyhow::Result<()> {
    let mut usual = feed(shape, false, 1, ticks - ticks / OTHER_SHAPE)?;
    let mut other = feed(shape, true, 2, ticks / OTHER_SHAPE)?;
    let per_object = ticks.div_ceil(objects);
    let mut tick = 0;
    for object in 0..objects {
        let partition = (object % u64::from(PARTITIONS.unsigned_abs())) as i32;
        let start = object / u64::from(PARTITIONS.unsigned_abs()) * per_object;
        let path = folder.join(format!("stock_prices+{partition}+{start:010}.json"));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for line in 0..per_object.min(ticks - tick) {
            tick += 1;
            let from = if tick % OTHER_SHAPE == 0 { &mut other } else { &mut usual };
            let message = from.next_message().context("the market closed early")?;
            let value = message.value.context("a tick without a value")?;
            let position = Position { partition, offset: (start + line).cast_signed() };
            let sinks_order = object % 2 == 0 && matches!(shape, Shape::Bare);
            put_line(value, position, sinks_order, &mut out)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// The key of a late object of the hour.
pub fn late_name(number: u64) -> String {
    format!("{FOLDER}/stock_prices+0+{:010}.json", LATE_START + number * LATE_TICKS)
}

/// Its content.
///
/// # Errors
/// A market that closes early.
pub fn late(number: u64) -> anyhow::Result<String> {
    let mut feed = feed(Shape::Bare, false, 3 + number, LATE_TICKS)?;
    let mut out = Vec::new();
    for line in 0..LATE_TICKS {
        let message = feed.next_message().context("the market closed early")?;
        let value = message.value.context("a tick without a value")?;
        let offset = LATE_START + number * LATE_TICKS + line;
        put_line(value, Position { partition: 0, offset: offset.cast_signed() }, true, &mut out)?;
    }
    Ok(String::from_utf8(out)?)
}

/// The objects of 720 hours with ticks of 20 symbols: keys and content.
pub fn month() -> impl Iterator<Item = (String, String)> {
    let object = |hour: u64, partition: u64| {
        let (day, start) = (1 + hour / 24, hour * MONTH_TICKS);
        let name =
            format!("2025-06-{day:02}-{:02}/stock_prices+{partition}+{start:010}.json", hour % 24);
        let line = |number: u64| {
            let (symbol, second) = (number % 20, MONTH + hour * 3600 + number * 3600 / MONTH_TICKS);
            format!(
                "{{\"symbol\":\"S{symbol:02}\",\"timestamp\":{second}000,\"open\":101.5,\"close\":102.25,\"volume\":{number},\
                 \"kafka_partition\":{partition},\"kafka_offset\":{}}}\n",
                start + number
            )
        };
        (format!("raw/stock_prices/{name}"), (0..MONTH_TICKS).map(line).collect())
    };
    let partitions = u64::from(PARTITIONS.unsigned_abs());
    (0..MONTH_HOURS)
        .flat_map(move |hour| (0..partitions).map(move |partition| object(hour, partition)))
}

fn put_line(
    value: &[u8],
    position: Position,
    sinks_order: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if sinks_order {
        let Converted::Line(line) = convert(Some(value), position) else {
            anyhow::bail!("a tick that the sink would not archive");
        };
        return Ok(out.write_all(&line)?);
    }
    let open = value.strip_suffix(b"}").context("a tick that is no object")?;
    // The provenance goes into the payload, as the connector's transformation puts it.
    let (open, closed) = open.strip_suffix(b"}").map_or((open, "}"), |open| (open, "}}"));
    out.write_all(open)?;
    let Position { partition, offset } = position;
    writeln!(out, ",\"kafka_partition\":{partition},\"kafka_offset\":{offset}{closed}")?;
    Ok(())
}

fn feed(shape: Shape, high_low: bool, seed: u64, ticks: u64) -> anyhow::Result<Feed> {
    let pace = Pace::Spread { start: HOUR, span: 3_600_000_000, ticks };
    Feed::new(Plan { high_low, ..Plan::plain(seed, SYMBOLS, shape, pace) })
}

/// Packs each file of a folder, on two threads.
fn pack(
    from: &Path,
    to: &Path,
    extension: &str,
    pack: fn(&[u8]) -> std::io::Result<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut names: Vec<_> = fs::read_dir(from)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    let halves = names.split_at(names.len() / 2);
    let work = |names: &[std::ffi::OsString]| -> anyhow::Result<()> {
        for name in names {
            let name = name.to_str().context("a name that is no text")?;
            fs::write(to.join(format!("{name}.{extension}")), pack(&fs::read(from.join(name))?)?)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| work(halves.0));
        work(halves.1)?;
        ensure!(first.join().is_ok_and(|done| done.is_ok()), "cannot pack {}", from.display());
        Ok(())
    })
}
