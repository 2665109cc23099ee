//! [`Sums`]: what the server's rows say of one object, as our own scan would have said it.
//!
//! Whatever is not wholly clear gives nothing, and the object is read by our own scan.

use crate::hour::Hour;
use crate::scan::{HourBars, Scan, ScanOptions};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use common::bar::{OrderKey, Traded};
use common::decode::MAX_AHEAD;
use common::wide_sum::WideSum;
use common::{Bar, Place, Price, Symbol, Timestamp};
use rustc_hash::FxHashMap;
use std::str::FromStr;

/// The kinds of rows, by `grouping_id()`.
const BAR: &str = "3";
const OFFSETS: &str = "8";
const OBJECT: &str = "15";
const COLUMNS: usize = 30;

/// So many ticks of a bar add up within 38 digits, whatever they are.
const MAX_TICKS: u64 = 50_000_000;

/// The texts in a result of one column.
///
/// # Errors
/// Where it is none of that kind.
pub fn texts(parts: &[Vec<u8>]) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for part in parts {
        for batch in StreamReader::try_new(&part[..], None)? {
            texts_of(&batch?, &mut texts)?;
        }
    }
    Ok(texts)
}

fn texts_of(batch: &RecordBatch, texts: &mut Vec<String>) -> anyhow::Result<()> {
    let column =
        batch.columns().first().ok_or_else(|| anyhow::anyhow!("a result without a column"))?;
    anyhow::ensure!(column.null_count() == 0, "a result with a null");
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    if let Some(array) = column.as_string_opt::<i32>() {
        texts.extend(array.iter().filter_map(owned));
    } else if let Some(array) = column.as_string_opt::<i64>() {
        texts.extend(array.iter().filter_map(owned));
    } else if let Some(array) = column.as_string_view_opt() {
        texts.extend(array.iter().filter_map(owned));
    } else {
        anyhow::bail!("a result of {} in place of text", column.data_type());
    }
    Ok(())
}

/// The number of a line's row, and its bytes.
pub type OtherLine = (i64, Vec<u8>);

/// The answer about one object.
#[derive(Debug, Default)]
pub struct Sums {
    hours: FxHashMap<String, ObjectHour>,
    lines: Option<Lines>,
}

#[derive(Debug, Default)]
struct ObjectHour {
    bars: Vec<(String, Bar)>,
    /// Where offsets begin, and which of the 64 from there on are there.
    offsets: Vec<(u64, u64)>,
    /// Lines in `offsets`.
    placed: u64,
    partitions: Vec<i32>,
}

/// An object's lines, by the numbers of their rows.
#[derive(Debug, Clone, Copy)]
struct Lines {
    least: i64,
    greatest: i64,
    count: u64,
    plain: u64,
    first_plain: i64,
    last_plain: i64,
    other_bytes: u64,
}

impl Lines {
    /// Whether the rows were numbered one after the other: then none of them is missing, and they
    /// are in their order.
    const fn are_in_order(self) -> bool {
        (self.greatest - self.least).unsigned_abs() + 1 == self.count
    }
}

/// The rows of a result, by object.
///
/// # Errors
/// Where a row is not what was asked for.
pub fn sums(rows: &[String], objects: usize) -> anyhow::Result<Vec<Sums>> {
    let mut sums: Vec<Sums> = (0..objects).map(|_| Sums::default()).collect();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        anyhow::ensure!(cells.len() == COLUMNS, "a row of {} parts", cells.len());
        let object = sums.get_mut(cells[1].parse::<usize>()?);
        let object =
            object.ok_or_else(|| anyhow::anyhow!("a row of an object that was not asked for"))?;
        object.take(&cells)?;
    }
    Ok(sums)
}

/// The other lines of a result: object, number of its row, and bytes.
///
/// # Errors
/// Where a row is not what was asked for.
pub fn others(rows: &[String], objects: usize) -> anyhow::Result<Vec<Vec<OtherLine>>> {
    let mut others: Vec<Vec<OtherLine>> = vec![Vec::new(); objects];
    for row in rows {
        let mut cells = row.split(',');
        let mut next = || cells.next().ok_or_else(|| anyhow::anyhow!("a row that lacks a part"));
        let (object, number, hex) = (next()?.parse::<usize>()?, next()?.parse()?, next()?);
        let object = others.get_mut(object);
        object
            .ok_or_else(|| anyhow::anyhow!("a row of an object that was not asked for"))?
            .push((number, bytes(hex)?));
    }
    others.iter_mut().for_each(|lines| lines.sort_unstable());
    Ok(others)
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(
        hex.is_ascii() && hex.len().is_multiple_of(2),
        "a line that is not in hexadecimal"
    );
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    Ok((0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>()?)
}

impl Sums {
    fn take(&mut self, cells: &[&str]) -> anyhow::Result<()> {
        match cells[0] {
            // Lines that are not plainly ticks have neither symbol nor hour.
            BAR | OFFSETS if cells[3].is_empty() => {}
            BAR => {
                let bar = parse_bar(cells)?;
                self.hour(cells[3]).bars.push((cells[2].to_owned(), bar));
            }
            OFFSETS if cells[5].is_empty() => {}
            OFFSETS => {
                let (begin, bits, ticks) =
                    (number(cells[5])?, number::<i64>(cells[23])?, number::<u64>(cells[6])?);
                let partition = optional::<i32>(cells[4])?;
                let hour = self.hour(cells[3]);
                hour.offsets.push((begin, bits.cast_unsigned()));
                hour.placed += ticks;
                hour.partitions.extend(partition);
            }
            OBJECT => self.lines = Some(lines(cells)?),
            other => anyhow::bail!("a row of an unknown kind: {other}"),
        }
        Ok(())
    }

    fn hour(&mut self, text: &str) -> &mut ObjectHour {
        self.hours.entry(text.to_owned()).or_default()
    }

    /// How many lines are not plainly ticks, and their bytes; `None` where our own scan has to read
    /// the whole object.
    #[must_use]
    pub fn others(&self) -> Option<(u64, u64)> {
        let lines = self.lines?;
        let others = lines.count - lines.plain;
        // How an object begins tells what it is, and how it ends whether it is whole.
        let has_ends = lines.first_plain == lines.least && lines.last_plain == lines.greatest;
        let is_clear = others == 0 || (lines.are_in_order() && has_ends);
        (lines.plain > 0 && is_clear).then_some((others, lines.other_bytes))
    }

    /// The server has seen no line of it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_none()
    }

    /// The number of a line by that of its row.
    #[must_use]
    pub fn line(&self, row: i64) -> Option<u64> {
        let least = self.lines?.least;
        row.checked_sub(least).map(|at| at.unsigned_abs() + 1)
    }

    /// What the plain lines are; `None` where that is not wholly clear. `has_offset`: whether
    /// each of them does.
    #[must_use]
    pub fn scan(&self, options: &ScanOptions, has_offset: bool) -> Option<Scan> {
        let lines = self.lines?;
        if !has_offset && !lines.are_in_order() {
            return None;
        }
        let mut scan = Scan { lines: lines.plain, ..Scan::default() };
        for (text, of) in &self.hours {
            let hour = hour_of(text, options)?;
            let bars = of.bars(hour, lines, options, has_offset)?;
            // A time may be written with several offsets.
            match scan.hours.iter_mut().find(|(known, _)| *known == hour) {
                Some((_, known)) if known.offsets.is_disjoint(&bars.offsets) => known.merge(bars),
                Some(_) => return None,
                None => scan.hours.push((hour, bars)),
            }
        }
        scan.hours.sort_unstable_by_key(|(hour, _)| *hour);
        let ticks: u64 = scan.hours.iter().map(|(_, bars)| bars.ticks).sum();
        let bars: usize = scan.hours.iter().map(|(_, bars)| bars.bars.len()).sum();
        (ticks == lines.plain && bars <= options.max_bars).then_some(scan)
    }
}

impl ObjectHour {
    /// The bars of an hour that is known now.
    fn bars(
        &self,
        hour: Hour,
        lines: Lines,
        options: &ScanOptions,
        has_offset: bool,
    ) -> Option<HourBars> {
        let mut sum = HourBars::of_topic(std::sync::Arc::clone(&options.topic));
        let partition = match self.partitions.first() {
            Some(first) if self.partitions.iter().any(|other| other != first) => return None,
            Some(first) => *first,
            None => options.origin.partition,
        };
        let mut offsets = self.offsets.clone();
        offsets.sort_unstable();
        for (begin, bits) in offsets {
            (0..64).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| {
                sum.offsets.insert(partition, begin + bit);
            });
        }
        sum.offsets.flush();
        sum.repeated.flush();
        for (symbol, bar) in &self.bars {
            let placed = |OrderKey { timestamp, place }: OrderKey| OrderKey {
                timestamp: hour.start().plus_micros(timestamp.micros()),
                place: if has_offset {
                    Place { partition, ..place }
                } else {
                    options.origin.place(((place.offset - lines.least).unsigned_abs(), 0))
                },
            };
            let bar = Bar { first: placed(bar.first), last: placed(bar.last), ..*bar };
            sum.ticks += bar.ticks;
            let symbol = Symbol::new(symbol)?;
            if bar.ticks > MAX_TICKS || sum.bars.get_mut(symbol).is_some() {
                return None;
            }
            sum.bars.insert(symbol, bar);
        }
        // A line that comes a second time is for our own scan to judge.
        let are_known = if has_offset { sum.ticks } else { 0 };
        (sum.offsets.len() == are_known && self.placed == are_known).then_some(sum)
    }
}

/// The hour that a text names; `None` where a tick of it may be rejected for its time.
fn hour_of(text: &str, options: &ScanOptions) -> Option<Hour> {
    let start = start_of(text, options)?;
    let latest = options.stored_at.micros().saturating_add(MAX_AHEAD);
    let is_believed = start >= options.rules.times.oldest
        && start.micros().saturating_add(Timestamp::HOUR) <= latest;
    let hour = Hour::of(start);
    (is_believed && hour.start() == start).then_some(hour)
}

fn start_of(text: &str, options: &ScanOptions) -> Option<Timestamp> {
    if let Some(micros) = text.strip_prefix('@') {
        return micros.parse().ok().map(Timestamp::from_micros);
    }
    let (hour, offset) = text.split_once('|')?;
    options.rules.times.parse_text(&format!("{hour}:00:00{offset}")).ok()
}

fn lines(cells: &[&str]) -> anyhow::Result<Lines> {
    Ok(Lines {
        least: number(cells[24])?,
        greatest: number(cells[25])?,
        count: number(cells[26])?,
        plain: number(cells[6])?,
        first_plain: optional(cells[27])?.unwrap_or(-1),
        last_plain: optional(cells[28])?.unwrap_or(-1),
        other_bytes: optional(cells[29])?.unwrap_or(0),
    })
}

fn parse_bar(cells: &[&str]) -> anyhow::Result<Bar> {
    let ticks: u64 = number(cells[6])?;
    let volumes: u64 = number(cells[18])?;
    let traded = Traded {
        whole: optional(cells[19])?.unwrap_or(0),
        nanos: optional(cells[20])?.unwrap_or(0),
        notional: sum_of(optional(cells[21])?.unwrap_or(0)),
        notional_attos: optional(cells[22])?.unwrap_or(0),
        is_known: volumes == ticks,
    };
    Ok(Bar {
        open: price(cells[10])?,
        high: price(cells[15])?,
        low: price(cells[16])?,
        close: price(cells[14])?,
        ticks,
        sum_close: number(cells[17])?,
        traded,
        first: key(&cells[7..10])?,
        last: key(&cells[11..14])?,
    })
}

fn sum_of(number: i128) -> WideSum {
    let mut sum = WideSum::default();
    sum += number;
    sum
}

/// A time within its hour, a partition, and an offset or the number of a row.
fn key(cells: &[&str]) -> anyhow::Result<OrderKey> {
    let partition = optional(cells[1])?.unwrap_or(0);
    let place = Place { partition, offset: number(cells[2])?, index: 0 };
    Ok(OrderKey { timestamp: Timestamp::from_micros(number(cells[0])?), place })
}

fn price(cell: &str) -> anyhow::Result<Price> {
    Price::from_nanos(number(cell)?).ok_or_else(|| anyhow::anyhow!("{cell} is no price"))
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(cell: &str) -> anyhow::Result<T> {
    cell.parse().map_err(|_| anyhow::anyhow!("\"{cell}\" is no number"))
}

fn optional<T: FromStr<Err = std::num::ParseIntError>>(cell: &str) -> anyhow::Result<Option<T>> {
    if cell.is_empty() { Ok(None) } else { number(cell).map(Some) }
}
