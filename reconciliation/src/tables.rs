//! What PostgreSQL holds of the hours.

use crate::symbols::{ALL_SYMBOLS, NamedSymbols, SymbolRange, parts};
use common::{Bar, Place, SymbolMap, Timestamp};
use hourly::checksum::TickContent;
use hourly::holdings::{Holdings, OffsetsByHour, are_few};
use hourly::hour::Hour;
use hourly::index::{BatchDb, each_row};
use hourly::scan::{Runs, places, runs};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::pg::bars::{Columns, Row};
use service::pg::numeric::{StoredPrice, StoredVolume};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// How rows of batch-layer's are mended.
pub const ANEW: &str = "batch-layer --recompute, over this hour (--hour), writes them anew";

/// How long the next row of a scan of all of `realtime_stock` may take.
const WHOLE_TABLE: Duration = Duration::from_secs(1800);

/// Bars that are compared in one statement: a megabyte for each thousand.
const SYMBOLS_AT_ONCE: usize = 20_000;

/// An hour in the tables that are computed from ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputedCounts {
    /// Ticks in `minute_bars`.
    pub minute_bar_ticks: u64,
    /// Ticks in `hour_bars`.
    pub hour_bar_ticks: u64,
    /// Ticks in `hourly_stock_summary` by `batch_hours`; `None` where batch-layer has never
    /// computed the hour.
    pub summary_ticks: Option<u64>,
    /// Ticks and symbols in `hourly_stock_summary` itself.
    pub summed: (u64, u64),
    /// Symbols by `batch_hours`.
    pub symbols: u64,
    /// Whether the archive has changed since.
    pub is_stale: bool,
    /// Whether `realtime_stock` has the hour's day: retention drops whole days, as partitions.
    pub has_day: bool,
    /// Objects in the hour's sums that are no longer in the archive.
    pub gone_objects: u32,
    /// Those of them that did not expire, but were deleted, as far as a run has noticed it.
    pub deleted_objects: u32,
    /// Of objects that were deleted before their ticks came into the summary.
    pub unsummed_objects: u32,
    /// Whether the hour was computed from this archive.
    pub is_of_this_archive: bool,
    /// Records of which several objects tell different things.
    pub conflicts: u64,
    /// When the hour was computed last.
    pub computed_at: Option<Timestamp>,
}

impl ComputedCounts {
    /// Statements of `batch_hours` about `hourly_stock_summary` that are not true. `archived`: how
    /// many ticks the archive has.
    pub fn misrecorded(&self, archived: u64) -> Option<String> {
        let ((ticks, symbols), recorded) = (self.summed, self.symbols);
        match self.summary_ticks {
            None if ticks > archived => Some(format!(
                "batch_hours has no row of the hour, of which hourly_stock_summary has {ticks} \
                 ticks, and the archive only {archived}: put the objects back before batch-layer \
                 computes it (--hour, --recompute), or the row and that of hour_sums from a \
                 backup"
            )),
            None if ticks > 0 => Some(format!(
                "batch_hours has no row of the hour, of which hourly_stock_summary has {ticks} \
                 ticks: {ANEW}"
            )),
            Some(_) if symbols != recorded => Some(format!(
                "batch_hours counts {recorded} symbols, hourly_stock_summary has {symbols}: {ANEW}"
            )),
            Some(recorded) if ticks != recorded => Some(format!(
                "batch_hours counts {recorded} ticks, hourly_stock_summary has {ticks}: {ANEW}"
            )),
            _ => None,
        }
    }

    /// Whether retention has dropped the hour's ticks: bars are kept for ever, so a day with bars
    /// and without a partition has lost them. Ticks that are only missing, from a day that is
    /// there, were not dropped by it.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        !self.has_day && self.hour_bar_ticks > 0
    }
}

/// Offsets by partition that are no ticks, and are known to be none.
pub type NonTickOffsets = BTreeMap<i32, Runs>;

/// The sources to read; `None` for all.
pub type Sources<'a> = Option<&'a [i16]>;

/// Ticks of `realtime_stock`.
#[derive(Debug, Clone, Copy)]
pub struct TickQuery<'a> {
    pub hour: Hour,
    pub sources: Sources<'a>,
    pub symbols: SymbolRange<'a>,
}

/// A row of `realtime_stock`.
pub struct RealtimeTick<'r> {
    pub source: i16,
    pub place: Place,
    pub content: TickContent<'r>,
}

/// Shows ticks of `realtime_stock`, one after the other.
///
/// # Errors
/// PostgreSQL's.
pub async fn each_tick(
    connection: &mut PgConnection,
    patience: Duration,
    TickQuery { hour, sources, symbols: (from, to) }: TickQuery<'_>,
    mut each: impl FnMut(&RealtimeTick<'_>),
) -> Result<(), sqlx::Error> {
    let rows = pg::query(include_str!("../sql/realtime.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()))
        .bind(sources)
        .bind(from)
        .bind(to)
        .fetch(connection);
    each_row(patience, rows, |row| {
        each(&RealtimeTick {
            source: row.try_get("source")?,
            place: Place {
                partition: row.try_get("kafka_partition")?,
                offset: row.try_get("kafka_offset")?,
                index: row.try_get::<i16, _>("kafka_index")?.cast_unsigned(),
            },
            content: content(&row)?,
        });
        Ok(())
    })
    .await
}

/// Adds those ticks of an hour to `holdings` that are at some places, by partition, for their
/// checksums.
///
/// # Errors
/// Where the database fails.
pub async fn read_among(
    db: &mut BatchDb,
    hour: Hour,
    sources: Sources<'_>,
    (places, holdings): (&OffsetsByHour, &mut Holdings),
) -> Result<(), Failure> {
    let keeps_values = are_few(places);
    read_ticks(db, hour, sources, |row| {
        let partition = row.place.partition;
        let wanted = places.get(&(hour, partition));
        let place =
            row.place.number().filter(|place| wanted.is_some_and(|wanted| wanted.contains(*place)));
        if let Some(place) = place
            && holdings.add(partition, Some(place), &row.content)
            && keeps_values
        {
            holdings.keep_value(partition, place, &row.content);
        }
    })
    .await
}

async fn read_ticks(
    db: &mut BatchDb,
    hour: Hour,
    sources: Sources<'_>,
    each: impl FnMut(&RealtimeTick<'_>),
) -> Result<(), Failure> {
    let asked = TickQuery { hour, sources, symbols: ALL_SYMBOLS };
    db.steps("reading realtime_stock in", async |connection, patience| {
        each_tick(connection, patience, asked, each).await
    })
    .await
}

/// Adds the ticks of `realtime_stock` in an hour to `holdings`.
///
/// # Errors
/// Where the database fails.
pub async fn read_realtime(
    db: &mut BatchDb,
    hour: Hour,
    sources: Sources<'_>,
    holdings: &mut Holdings,
) -> Result<(), Failure> {
    let mut last_source = None;
    read_ticks(db, hour, sources, |row| {
        if last_source.replace(row.source) != Some(row.source) {
            holdings.sources.entry(hour).or_default().insert(row.source);
        }
        let (partition, place) = (row.place.partition, row.place.number());
        match (holdings.add(partition, place, &row.content), row.content.tick()) {
            (true, Some(tick)) => holdings.sum_up(&tick, row.place),
            (true, None) => {}
            (false, _) => {
                place.into_iter().for_each(|place| holdings.note_doubled(hour, partition, place))
            }
        }
    })
    .await
}

fn content(row: &PgRow) -> Result<TickContent<'_>, sqlx::Error> {
    let price = |name| {
        Ok::<_, sqlx::Error>(row.try_get::<Option<StoredPrice>, _>(name)?.and_then(|price| price.0))
    };
    let volume = row.try_get::<Option<StoredVolume>, _>("volume")?;
    // What no decoder would have let pass must equal no tick, and above all none without a volume:
    // it gets no open.
    let is_strange = volume == Some(StoredVolume(None));
    Ok(TickContent {
        symbol: row.try_get("symbol")?,
        timestamp: row.try_get::<Timestamptz, _>("timestamp")?.into(),
        open: price("open")?.filter(|_| !is_strange),
        high: price("high")?,
        low: price("low")?,
        close: price("close")?,
        volume: volume.and_then(|volume| volume.0),
        extras: common::Extras::default(),
    })
}

/// Reads what was computed of an hour. `location`: that of the archive.
///
/// # Errors
/// Where the database fails.
pub async fn computed(
    db: &mut BatchDb,
    hour: Hour,
    location: &str,
) -> Result<ComputedCounts, Failure> {
    let statement = pg::query(include_str!("../sql/computed.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()))
        .bind(location);
    db.query("reading minute_bars and batch_hours in", async |connection| {
        let row = statement.fetch_one(connection).await?;
        Ok(ComputedCounts {
            minute_bar_ticks: row.try_get::<i64, _>("bars")?.cast_unsigned(),
            hour_bar_ticks: row.try_get::<i64, _>("hour_bars")?.cast_unsigned(),
            computed_at: row.try_get::<Option<Timestamptz>, _>("computed_at")?.map(Timestamp::from),
            gone_objects: row.try_get::<i32, _>("gone_objects")?.cast_unsigned(),
            deleted_objects: row.try_get::<i32, _>("deleted_objects")?.cast_unsigned(),
            unsummed_objects: row.try_get::<i32, _>("unsummed_objects")?.cast_unsigned(),
            conflicts: row.try_get::<i64, _>("conflicts")?.cast_unsigned(),
            summary_ticks: row.try_get::<Option<i64>, _>("summaries")?.map(i64::cast_unsigned),
            summed: (
                row.try_get::<i64, _>("summed_ticks")?.cast_unsigned(),
                row.try_get::<i64, _>("summed_symbols")?.cast_unsigned(),
            ),
            symbols: row.try_get::<i32, _>("symbols")?.cast_unsigned().into(),
            is_stale: row.try_get("stale")?,
            is_of_this_archive: row.try_get("is_of_this_archive")?,
            has_day: row.try_get("has_day")?,
        })
    })
    .await
}

/// A table whose rows follow from the ticks of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    Summary,
    HourBars,
    /// `hour_bars` compared with the archive, whose numbers went through 64-bit floats. Without
    /// order, open and close are not compared.
    Archived {
        is_ordered: bool,
    },
}

impl Derived {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Summary => "hourly_stock_summary",
            Self::HourBars | Self::Archived { .. } => "hour_bars",
        }
    }

    /// Columns that are compared.
    const fn columns(self) -> Columns {
        match self {
            Self::Summary => Columns::Values,
            Self::HourBars | Self::Archived { .. } => Columns::All,
        }
    }

    /// Symbols of which `expected` and the table say different things. The arguments are the hour
    /// and the ends of a range of symbols.
    fn query(self, [hour, from, to]: [String; 3]) -> String {
        let rows = format!(
            "(select * from {} where hour = {hour} and symbol >= {from} and ({to}::text is null or \
             symbol < {to}))",
            self.name()
        );
        let differs = match self {
            Self::Summary => "(t.open, t.high, t.low, t.close, t.volume, t.ticks, t.avg_close, t.avg_volume, t.vwap)
                 is distinct from
                 (e.open, e.high, e.low, e.close, e.volume, e.ticks, e.sum_close / e.ticks, e.volume / e.ticks,
                  e.notional / nullif(e.volume, 0))"
                .to_owned(),
            Self::HourBars => format!("({}) is distinct from ({})", Columns::All.of("t"), Columns::All.of("e")),
            Self::Archived { is_ordered } => differ_beyond_floats(is_ordered),
        };
        format!(
            "with expected as (select * from {})
             select coalesce(e.symbol, t.symbol)
             from expected e full join {rows} t on t.symbol = e.symbol
             where {differs}
             order by 1",
            self.columns().rows()
        )
    }
}

/// Whether a table's row says something else than sums whose parts have gone through 64-bit floats.
/// Those tell apart what is less than 8,388,608.
fn differ_beyond_floats(is_ordered: bool) -> String {
    let price = "greatest(abs(e.high), abs(e.low))";
    let rounded = |size: &str, all: &str| {
        format!("(case when {size} < 8388608 then 0 else 4e-15 * {all} end)")
    };
    let of_prices = |names: &[&str]| {
        let differences: Vec<_> =
            names.iter().map(|name| format!("abs(e.{name} - t.{name})")).collect();
        format!("greatest({}) > {}", differences.join(", "), rounded(price, price))
    };
    let sums = [
        "(e.ticks, e.volume is null) is distinct from (t.ticks, t.volume is null)".to_owned(),
        of_prices(if is_ordered { &["open", "high", "low", "close"] } else { &["high", "low"] }),
        format!(
            "abs(e.sum_close - t.sum_close) > {}",
            rounded(price, &format!("{price} * e.ticks"))
        ),
        format!("abs(e.volume - t.volume) > {}", rounded("e.volume", "e.volume")),
        format!(
            "abs(e.notional - t.notional) > {}",
            rounded("greatest(abs(e.high), abs(e.low), e.volume)", &format!("{price} * e.volume"))
        ),
    ];
    let ends = is_ordered
        .then(|| format!("({}) is distinct from ({})", Columns::ends("t"), Columns::ends("e")));
    sums.into_iter().chain(ends).collect::<Vec<_>>().join(" or ")
}

/// The symbols of an hour of which a table says something else than the ticks.
///
/// # Errors
/// Where the database fails.
pub async fn find_differing(
    db: &mut BatchDb,
    hour: Hour,
    table: Derived,
    expected: &SymbolMap<Bar>,
) -> Result<NamedSymbols, Failure> {
    let mut bars: Vec<Row<'_>> =
        expected.iter().map(|(symbol, bar)| (symbol.as_str(), hour.start(), bar)).collect();
    bars.sort_unstable_by_key(|(symbol, ..)| *symbol);
    let (mut found, doing) = (NamedSymbols::default(), format!("reading {} in", table.name()));
    for part in parts(&bars, ALL_SYMBOLS, SYMBOLS_AT_ONCE, |(symbol, ..)| symbol) {
        let differing = db.query(&doing, async |connection| {
            find_differing_of_part(connection, hour, table, part).await
        });
        found.extend(differing.await?);
    }
    Ok(found)
}

/// The symbols of an hour of which its minutes, put together, say something else than the hour.
///
/// # Errors
/// Where the database fails.
pub async fn minutes_beside_hours(db: &mut BatchDb, hour: Hour) -> Result<NamedSymbols, Failure> {
    let end = |of: &str, way: &str| {
        let names =
            ["timestamp", "partition", "offset", "index"].map(|name| format!("{of}_{name}"));
        names
            .map(|name| format!("(array_agg({name} order by minute {way}))[1] as {name}"))
            .join(", ")
    };
    let (first, last) = (end("first", "asc"), end("last", "desc"));
    let (ours, theirs) = (Columns::All.of("m"), Columns::All.of("h"));
    let statement = format!(
        "with minutes as
             (select symbol, (array_agg(open order by minute))[1] as open, max(high) as high, min(low) as low,
                     (array_agg(close order by minute desc))[1] as close,
                     case when count(volume) = count(*) then sum(volume) end as volume, sum(ticks) as ticks,
                     sum(sum_close) as sum_close, case when count(notional) = count(*) then sum(notional) end as notional,
                     {first}, {last}
              from minute_bars
              where minute >= $1 and minute < $2
              group by symbol)
         select coalesce(m.symbol, h.symbol)
         from minutes m full join (select * from hour_bars where hour = $1) h on h.symbol = m.symbol
         where ({ours}) is distinct from ({theirs})
         order by 1"
    );
    let statement = pg::query_scalar_with(AssertSqlSafe(statement), PgArguments::default())
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()));
    let symbols: Vec<String> = db.fetch_all("reading minute_bars in", statement).await?;
    let mut named = NamedSymbols::default();
    named.extend(symbols);
    Ok(named)
}

/// As [`find_differing`], of the symbols in a range.
async fn find_differing_of_part(
    connection: &mut PgConnection,
    hour: Hour,
    table: Derived,
    (bars, (from, to)): (&[Row<'_>], SymbolRange<'_>),
) -> Result<Vec<String>, sqlx::Error> {
    let columns = table.columns();
    pg::query_scalar_with(AssertSqlSafe(table.query(columns.more())), columns.arguments(bars)?)
        .bind(Timestamptz(hour.start()))
        .bind(from)
        .bind(to)
        .fetch_all(connection)
        .await
}

/// All that is read until [`end_snapshot`] is of one moment, which is given back.
///
/// # Errors
/// Where the database fails.
pub async fn begin_snapshot(db: &mut BatchDb) -> Result<Timestamp, Failure> {
    db.query("reading", async |connection| {
        pg::begin_snapshot(connection).await?;
        let now: Timestamptz = pg::query_scalar("select now()").fetch_one(connection).await?;
        Ok(now.into())
    })
    .await
}

/// # Errors
/// Where the database fails.
pub async fn end_snapshot(db: &mut BatchDb) -> Result<(), Failure> {
    db.query("reading", async |connection| pg::end_snapshot(connection).await).await
}

/// The next offset that the speed layer will write, by partition.
///
/// # Errors
/// Where the database fails.
pub async fn next_offsets(
    db: &mut BatchDb,
    groups: &[String],
    topic: &str,
) -> Result<BTreeMap<i32, u64>, Failure> {
    // A topic that was created again, or read by several groups, has a row of each.
    let rows = include_str!("../sql/next_offsets.sql");
    let statement = pg::query_as(rows).bind(groups).bind(topic);
    let rows: Vec<(i32, i64)> = db.fetch_all("reading kafka_offsets in", statement).await?;
    Ok(rows.into_iter().map(|(partition, next)| (partition, next.cast_unsigned())).collect())
}

/// Offsets that the speed layer could not read any more, and has recorded as such.
#[derive(Debug, Default)]
pub struct Gaps(Vec<Gap>);

#[derive(Debug)]
struct Gap {
    partition: i32,
    offsets: Range<u64>,
    /// When the topic was seen again, whose offsets are others.
    until: Option<Timestamp>,
}

impl Gaps {
    /// Those that excuse missing ticks of an hour and of later ones.
    pub fn at(&self, hour: Hour) -> NonTickOffsets {
        let mut gaps: BTreeMap<i32, Vec<Range<u64>>> = BTreeMap::new();
        for gap in self.0.iter().filter(|gap| gap.until.is_none_or(|until| until > hour.start())) {
            gaps.entry(gap.partition).or_default().push(gap.offsets.clone());
        }
        let all = |offsets| runs::sorted(offsets).into_iter().collect();
        gaps.into_iter().map(|(partition, offsets)| (partition, all(offsets))).collect()
    }
}

/// Partition, first offset, the one after the last, and until when it counts.
type GapRow = (i32, i64, i64, Option<Timestamptz>);

/// A gap of a topic that was created again, or is read from another cluster, says nothing of the
/// offsets that it has since.
///
/// # Errors
/// Where the database fails.
pub async fn gaps(db: &mut BatchDb, groups: &[String], topic: &str) -> Result<Gaps, Failure> {
    let statement = pg::query_as(include_str!("../sql/gaps.sql")).bind(groups).bind(topic);
    let rows: Vec<GapRow> = db.fetch_all("reading kafka_gaps in", statement).await?;
    let gap = |(partition, from, to, until): GapRow| {
        let offsets = from.cast_unsigned()..to.cast_unsigned();
        Gap { partition, offsets, until: until.map(Timestamp::from) }
    };
    Ok(Gaps(rows.into_iter().map(gap).collect()))
}

/// Description, for errors, of reading the sources of topics.
const READING_SOURCES: &str = "reading kafka_sources in";

/// The consumer groups that have written a topic.
///
/// # Errors
/// Where the database fails.
pub async fn groups(db: &mut BatchDb, topic: &str) -> Result<Vec<String>, Failure> {
    let statement =
        pg::query_scalar("select distinct group_id from kafka_sources where topic = $1 order by 1")
            .bind(topic);
    db.fetch_all(READING_SOURCES, statement).await
}

/// Kafka's id of a topic as it was read last; empty where the brokers did not tell it, or nobody
/// has read it.
///
/// # Errors
/// Where the database fails.
pub async fn newest_topic_id(db: &mut BatchDb, topic: &str) -> Result<String, Failure> {
    let statement = pg::query_scalar(include_str!("../sql/topic_id.sql")).bind(topic);
    let id: Option<String> = db.fetch_optional(READING_SOURCES, statement).await?;
    Ok(id.unwrap_or_default())
}

/// The sources of a topic, the newest last: it has another one whenever it was created again.
///
/// # Errors
/// Where the database fails.
pub async fn sources(db: &mut BatchDb, topic: &str) -> Result<Vec<i16>, Failure> {
    let statement = pg::query_scalar(
        "select source from kafka_sources where topic = $1 order by first_seen_at, source",
    )
    .bind(topic);
    db.fetch_all(READING_SOURCES, statement).await
}

/// The topics that the database has other than `named`.
///
/// # Errors
/// Where the database fails.
pub async fn topics_beside(db: &mut BatchDb, named: &[String]) -> Result<Vec<String>, Failure> {
    let statement =
        pg::query_scalar("select distinct topic from kafka_sources where topic <> all ($1)")
            .bind(named);
    db.fetch_all(READING_SOURCES, statement).await
}

/// The topics of which `realtime_stock` has ticks of other sources in an hour.
///
/// # Errors
/// Where the database fails.
pub async fn other_topics(
    db: &mut BatchDb,
    hour: Hour,
    sources: &[i16],
) -> Result<Vec<String>, Failure> {
    let statement = pg::query_scalar(include_str!("../sql/other_topics.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()))
        .bind(sources);
    db.fetch_all("reading realtime_stock in", statement).await
}

/// The places of what is in `rejected_ticks` of messages from one offset to another.
///
/// # Errors
/// Where the database fails.
pub async fn rejected(
    db: &mut BatchDb,
    topic: &str,
    partition: i32,
    messages: Range<u64>,
) -> Result<RoaringTreemap, Failure> {
    let statement = pg::query_scalar(include_str!("../sql/rejected.sql"))
        .bind(topic)
        .bind(partition)
        .bind(messages.start.cast_signed())
        .bind((messages.end - 1).cast_signed());
    db.steps("reading rejected_ticks in", async |connection, patience| {
        collect(patience, statement.fetch(connection)).await
    })
    .await
}

/// Values that are looked at of a partition's rejects of an hour: 20 MB at most.
const VALUES_READ: usize = 10_000;

/// What is in `rejected_ticks` at some places, the first of them, as far as it was kept whole.
///
/// # Errors
/// Where the database fails.
pub async fn rejected_values(
    db: &mut BatchDb,
    topic: &str,
    partition: i32,
    among: &RoaringTreemap,
) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
    let first: RoaringTreemap = among.iter().take(VALUES_READ).collect();
    let messages: Vec<i64> = places::messages(&first).iter().map(u64::cast_signed).collect();
    let statement = pg::query_as(include_str!("../sql/rejected_values.sql"))
        .bind(topic)
        .bind(partition)
        .bind(messages);
    let rows: Vec<(i64, Vec<u8>)> = db.fetch_all("reading rejected_ticks in", statement).await?;
    let values = rows.into_iter().map(|(place, value)| (place.cast_unsigned(), value));
    Ok(values.filter(|(place, _)| first.contains(*place)).collect())
}

/// How many bytes what is in `rejected_ticks` as a message's first element has, by the offset
/// of the message: the whole message's length, where that was rejected.
///
/// # Errors
/// Where the database fails.
pub async fn rejected_lengths(
    db: &mut BatchDb,
    topic: &str,
    partition: i32,
    among: &RoaringTreemap,
) -> Result<FxHashMap<u64, i64>, Failure> {
    let Some(range) = hull(among) else {
        return Ok(FxHashMap::default());
    };
    let statement = pg::query_as(include_str!("../sql/rejected_lengths.sql"))
        .bind(topic)
        .bind(partition)
        .bind(range.start.cast_signed())
        .bind((range.end - 1).cast_signed());
    let rows: Vec<(i64, i64)> = db.fetch_all("reading rejected_ticks in", statement).await?;
    let lengths = rows.into_iter().map(|(offset, bytes)| (offset.cast_unsigned(), bytes));
    Ok(lengths.filter(|(offset, _)| among.contains(*offset)).collect())
}

/// When Kafka took some rejected messages, as far as that is known, by offset.
///
/// # Errors
/// Where the database fails.
pub async fn rejected_times(
    db: &mut BatchDb,
    topic: &str,
    partition: i32,
    among: &RoaringTreemap,
) -> Result<Vec<(u64, Timestamp)>, Failure> {
    let Some(range) = hull(among) else {
        return Ok(Vec::new());
    };
    let statement = pg::query_as(include_str!("../sql/rejected_times.sql"))
        .bind(topic)
        .bind(partition)
        .bind(range.start.cast_signed())
        .bind((range.end - 1).cast_signed());
    let rows: Vec<(i64, Timestamptz)> =
        db.fetch_all("reading rejected_ticks in", statement).await?;
    let times = rows.into_iter().map(|(offset, at)| (offset.cast_unsigned(), at.into()));
    Ok(times.filter(|(offset, _)| among.contains(*offset)).collect())
}

/// Those of some messages that have a tick in `realtime_stock`, in an hour.
///
/// # Errors
/// Where the database fails.
pub async fn realtime_in(
    db: &mut BatchDb,
    hour: Hour,
    (partition, sources): (i32, Sources<'_>),
    among: &RoaringTreemap,
) -> Result<RoaringTreemap, Failure> {
    let Some(range) = hull(among) else {
        return Ok(RoaringTreemap::new());
    };
    let statement = pg::query_scalar(include_str!("../sql/realtime_in.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()))
        .bind(partition)
        .bind(range.start.cast_signed())
        .bind((range.end - 1).cast_signed())
        .bind(sources);
    let found = db.steps("reading realtime_stock in", async |connection, patience| {
        collect(patience, statement.fetch(connection)).await
    });
    Ok(found.await? & among)
}

/// The messages from one offset to another that have a tick in `realtime_stock`, in whatever hour.
/// There is no index for that: it reads every day there is.
///
/// # Errors
/// Where the database fails.
pub async fn realtime_anywhere(
    db: &mut BatchDb,
    (partition, sources): (i32, Sources<'_>),
    messages: Range<u64>,
) -> Result<RoaringTreemap, Failure> {
    let statement = pg::query_scalar(include_str!("../sql/realtime_anywhere.sql"))
        .bind(partition)
        .bind(messages.start.cast_signed())
        .bind((messages.end - 1).cast_signed())
        .bind(sources);
    db.steps("reading realtime_stock in", async |connection, _| {
        collect(WHOLE_TABLE, statement.fetch(connection)).await
    })
    .await
}

/// The hours of the days that retention has dropped from `realtime_stock`.
///
/// # Errors
/// Where the database fails.
pub async fn dropped_hours(db: &mut BatchDb) -> Result<BTreeSet<Hour>, Failure> {
    let statement = pg::query_scalar("select day::timestamp at time zone 'UTC' from dropped_days");
    let days: Vec<Timestamptz> = db.fetch_all("reading dropped_days in", statement).await?;
    let hours = |day: Hour| Hour::each(day..day.plus(24));
    Ok(days.into_iter().map(Hour::from).flat_map(hours).collect())
}

/// From the smallest offset of each source in some hours to after the largest.
///
/// # Errors
/// Where the database fails.
pub async fn source_spans(
    db: &mut BatchDb,
    hours: &Range<Hour>,
    (partition, sources): (i32, Sources<'_>),
) -> Result<Vec<Range<u64>>, Failure> {
    let statement = pg::query_as(include_str!("../sql/source_spans.sql"))
        .bind(Timestamptz(hours.start.start()))
        .bind(Timestamptz(hours.end.start()))
        .bind(partition)
        .bind(sources);
    let spans: Vec<(i64, i64)> = db.fetch_all("reading realtime_stock in", statement).await?;
    let span = |(first, last): (i64, i64)| first.cast_unsigned()..last.cast_unsigned() + 1;
    Ok(spans.into_iter().map(span).collect())
}

/// From the smallest offset of the messages that some places are in to after the largest.
pub fn hull(places: &RoaringTreemap) -> Option<Range<u64>> {
    let messages = places::messages(places);
    Some(messages.min()?..messages.max()? + 1)
}

async fn collect(
    patience: Duration,
    rows: futures::stream::BoxStream<'_, Result<i64, sqlx::Error>>,
) -> Result<RoaringTreemap, sqlx::Error> {
    let mut found = RoaringTreemap::new();
    each_row(patience, rows, |offset| {
        found.insert(offset.cast_unsigned());
        Ok(())
    })
    .await?;
    Ok(found)
}
