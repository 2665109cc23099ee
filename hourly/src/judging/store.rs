//! The tables of verdicts: which hours are to be judged, what was found in them, and
//! the verdicts on that.

use super::verdicts::{CleanBar, Provisional, Reason};
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::TransactionLock;
use anomalies::Kind;
use anomalies::bars::hours;
use anomalies::hindsight::DETECTOR;
use common::{Place, Timestamp};
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::pg::bars::Columns;
use sqlx::postgres::{PgArguments, PgRow, PgTransaction};
use sqlx::{Acquire, AssertSqlSafe, Row as _};
use std::collections::BTreeMap;
use std::ops::Range;

/// The reason stored for findings added by hindsight.
pub const WITH_HINDSIGHT: &str = "found_with_hindsight";

/// Source of ticks of a topic that the speed layer has never read.
pub const UNKNOWN_SOURCE: i16 = 0;

/// A finding with its whole identity.
#[derive(Debug, Clone)]
pub struct FindingRow {
    pub source: i16,
    pub detector: String,
    pub version: i32,
    pub symbol: String,
    pub finding: Provisional,
}

/// Rows to write for an hour.
#[derive(Debug, Default)]
pub struct Judged {
    /// Verdicts on findings, by where they stand among the hour's; `None`: their ticks are not
    /// in the archive.
    pub verdicts: BTreeMap<usize, Option<Reason>>,
    pub added: Vec<Added>,
    pub minutes: Vec<(Box<str>, CleanBar)>,
    pub hours: Vec<(Box<str>, CleanBar)>,
    pub ticks: u64,
}

/// An anomaly found only with hindsight.
#[derive(Debug, Clone)]
pub struct Added {
    pub source: i16,
    pub symbol: Box<str>,
    pub place: Place,
    pub at: Timestamp,
    pub kind: Kind,
    pub score: f64,
    pub observed: f64,
    pub expected: f64,
}

/// How many findings got which verdict just now, and how many that hindsight had added are none any
/// more.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct VerdictCounts {
    pub confirmed: u64,
    pub withdrawn: u64,
    pub added: u64,
    pub removed: u64,
}

/// An hour that is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourToJudge {
    pub hour: Hour,
    pub is_in_window: bool,
    /// Raw objects of it are gone. The lake has some of its ticks at least.
    pub has_gone: bool,
}

impl BatchDb {
    /// The hours that `detectors` have to judge, newer ones first: computed hours whose ticks, or
    /// those near them of the neighbouring hours, have changed since, and those of which more was
    /// found, however old they are. What another run reads by other rules than `decode_rules` is
    /// left to that.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn to_judge(
        &mut self,
        (detectors, decode_rules): (&str, &str),
        window: &Range<Hour>,
    ) -> Result<Vec<HourToJudge>, Failure> {
        let statement = pg::query_as(include_str!("../../sql/judging/to_judge.sql"))
            .bind(detectors)
            .bind(Timestamptz(window.start.start()))
            .bind(Timestamptz(window.end.start()))
            .bind(decode_rules)
            // They may have begun anywhere in the hour before.
            .bind([Kind::Silence, Kind::MarketSilence].map(Kind::name));
        let due: Vec<(Timestamptz, bool, bool)> =
            self.fetch_all("reading judged_hours in", statement).await?;
        let of = |(hour, is_in_window, has_gone)| HourToJudge {
            hour: Hour::from(hour),
            is_in_window,
            has_gone,
        };
        Ok(due.into_iter().map(of).collect())
    }

    /// The hours, of some, that were judged and have lost raw objects.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn judged_without_raw(&mut self, hours: &[Hour]) -> Result<Vec<Hour>, Failure> {
        let statement = pg::query_scalar(include_str!("../../sql/judging/judged_without_raw.sql"))
            .bind(Timestamptz::all(hours.iter().map(|hour| hour.start())));
        let hours: Vec<Timestamptz> = self.fetch_all("reading judged_hours in", statement).await?;
        Ok(hours.into_iter().map(Hour::from).collect())
    }

    /// Findings of the speed layer in an hour's ticks.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn findings_of(&mut self, hour: Hour) -> Result<Vec<FindingRow>, Failure> {
        let kinds = Kind::CAUSAL.map(Kind::name);
        let statement = pg::query(include_str!("../../sql/judging/findings.sql"))
            .bind(Timestamptz(hour.start()))
            .bind(kinds)
            .bind(DETECTOR.name);
        self.read_all("reading anomalies in", statement, found).await
    }

    /// The sources of each topic, newer ones after older ones.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sources(&mut self) -> Result<Vec<(String, i16)>, Failure> {
        let statement = pg::query_as("select topic, source from kafka_sources order by source");
        self.fetch_all("reading kafka_sources in", statement).await
    }

    /// Notes that an hour needs not be judged again, if ticks have come since for those symbols
    /// alone in which nothing was found. Not for an hour that is judged whole, or in which a market
    /// was silent: there a tick counts whosever it is.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn is_still_judged(&mut self, hour: Hour, detectors: &str) -> Result<bool, Failure> {
        let note = pg::query(include_str!("../../sql/judging/still_judged.sql"))
            .bind(Timestamptz(hour.start()))
            .bind(detectors)
            .bind([Kind::Silence, Kind::MarketSilence].map(Kind::name));
        Ok(self.write("judged_hours", note).await? > 0)
    }

    /// Writes what hindsight says of an hour in which `rows` were found.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn write_verdicts(
        &mut self,
        (hour, detectors): (Hour, &str),
        rows: &[FindingRow],
        judged: &Judged,
    ) -> Result<VerdictCounts, Failure> {
        let doing = format!("writing the verdicts of hour {hour} to");
        self.transact(&doing, TransactionLock::None, async |transaction| {
            write(transaction, (hour, detectors), rows, judged).await
        })
        .await
    }
}

fn found(row: &PgRow) -> Result<FindingRow, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    let kind = Kind::CAUSAL.into_iter().find(|of| of.name() == kind);
    let (partition, offset) = (row.try_get("kafka_partition")?, row.try_get("kafka_offset")?);
    let place =
        Place { partition, offset, index: row.try_get::<i16, _>("kafka_index")?.cast_unsigned() };
    let Timestamptz(at) = row.try_get("time")?;
    Ok(FindingRow {
        source: row.try_get("source")?,
        detector: row.try_get("detector")?,
        version: row.try_get("version")?,
        symbol: row.try_get("symbol")?,
        finding: Provisional {
            kind: kind.ok_or(sqlx::Error::RowNotFound)?,
            at,
            place,
            score: row.try_get("score")?,
            observed: row.try_get("observed")?,
            expected: row.try_get("expected")?,
            since: at,
            came: Vec::new(),
        },
    })
}

async fn write(
    transaction: &mut PgTransaction<'_>,
    (hour, detectors): (Hour, &str),
    rows: &[FindingRow],
    judged: &Judged,
) -> Result<VerdictCounts, sqlx::Error> {
    let (confirmed, withdrawn) = update_verdicts(transaction, rows, &judged.verdicts).await?;
    let (added, removed) = replace_added(transaction, hour, &judged.added).await?;
    // What hangs on it goes with it.
    pg::query("delete from judged_hours where hour = $1")
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    pg::query("insert into judged_hours (hour, detectors, ticks) values ($1, $2, $3)")
        .bind(Timestamptz(hour.start()))
        .bind(detectors)
        .bind(judged.ticks.cast_signed())
        .execute(transaction.acquire().await?)
        .await?;
    insert_bars(transaction, ("clean_minutes", "minute"), hour, &judged.minutes).await?;
    insert_bars(transaction, ("clean_hours", "hour"), hour, &judged.hours).await?;
    Ok(VerdictCounts { confirmed, withdrawn, added, removed })
}

/// Takes back what was said of an hour that the archive no longer has.
///
/// # Errors
/// Where the database fails.
pub async fn withdraw(transaction: &mut PgTransaction<'_>, hour: Hour) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/judging/delete_of_detectors.sql"))
        .bind(Timestamptz(hour.start()))
        .bind([DETECTOR.name, hours::DETECTOR.name])
        .execute(transaction.acquire().await?)
        .await?;
    pg::query(include_str!("../../sql/judging/withdraw.sql"))
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await
        .map(drop)
}

/// Takes clean bars away that are created again when the hour is judged: those of `symbols`, whose
/// ticks are others now; `None`: all. `is_added`: they have more ticks, and nothing else has
/// changed.
///
/// # Errors
/// Where the database fails.
pub async fn forget_clean(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    (symbols, is_added): (Option<&[&str]>, bool),
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/judging/forget_clean.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(symbols)
        .bind(is_added)
        .execute(transaction.acquire().await?)
        .await
        .map(drop)
}

/// Gives how many findings have become confirmed and withdrawn.
async fn update_verdicts(
    transaction: &mut PgTransaction<'_>,
    rows: &[FindingRow],
    verdicts: &BTreeMap<usize, Option<Reason>>,
) -> Result<(u64, u64), sqlx::Error> {
    if verdicts.is_empty() {
        return Ok((0, 0));
    }
    let all = || verdicts.keys().map(|number| &rows[*number]);
    let word = |reason: &Option<Reason>| match reason.map(Reason::is_confirmed) {
        Some(true) => "confirmed",
        Some(false) => "withdrawn",
        None => "provisional",
    };
    let verdicts: Vec<String> =
        pg::query_scalar(include_str!("../../sql/judging/update_verdicts.sql"))
            .bind(all().map(|row| row.source).collect::<Vec<_>>())
            .bind(all().map(|row| row.finding.place.partition).collect::<Vec<_>>())
            .bind(all().map(|row| row.finding.place.offset).collect::<Vec<_>>())
            .bind(all().map(|row| row.finding.place.index.cast_signed()).collect::<Vec<_>>())
            .bind(all().map(|row| row.detector.as_str()).collect::<Vec<_>>())
            .bind(all().map(|row| row.version).collect::<Vec<_>>())
            .bind(all().map(|row| row.finding.kind.name()).collect::<Vec<_>>())
            .bind(verdicts.values().map(word).collect::<Vec<_>>())
            .bind(verdicts.values().map(|reason| reason.map(Reason::name)).collect::<Vec<_>>())
            .fetch_all(transaction.acquire().await?)
            .await?;
    let count = |word: &str| verdicts.iter().filter(|verdict| *verdict == word).count() as u64;
    Ok((count("confirmed"), count("withdrawn")))
}

/// A finding that is found again keeps the time at which it was found first. Of two ticks that are
/// presumed in one place, as those of objects that have no offsets and overlap, the odder one
/// stands for both. Gives how many are new, and how many are gone.
async fn replace_added(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    added: &[Added],
) -> Result<(u64, u64), sqlx::Error> {
    let (new, gone): (i64, i64) = pg::query_as(include_str!("../../sql/judging/replace_added.sql"))
        .bind(added.iter().map(|added| added.source).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.place.partition).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.place.offset).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.place.index.cast_signed()).collect::<Vec<_>>())
        .bind(added.iter().map(|added| &*added.symbol).collect::<Vec<_>>())
        .bind(added.iter().map(|added| Timestamptz(added.at)).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.kind.name()).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.score).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.observed).collect::<Vec<_>>())
        .bind(added.iter().map(|added| added.expected).collect::<Vec<_>>())
        .bind(Timestamptz(hour.start()))
        .bind(DETECTOR.name)
        .bind(DETECTOR.version.cast_signed())
        .bind(WITH_HINDSIGHT)
        .fetch_one(transaction.acquire().await?)
        .await?;
    Ok((new.cast_unsigned(), gone.cast_unsigned()))
}

async fn insert_bars(
    transaction: &mut PgTransaction<'_>,
    (table, start): (&str, &str),
    hour: Hour,
    bars: &[(Box<str>, CleanBar)],
) -> Result<(), sqlx::Error> {
    if bars.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "insert into {table} (symbol, {start}, ticks, of_hour, left_out)
         select symbol, start, 0, $4, left_out
         from unnest($1::text[], $2::timestamptz[], $3::bigint[]) as bars (symbol, start, left_out)"
    );
    pg::query_with(AssertSqlSafe(insert), PgArguments::default())
        .bind(bars.iter().map(|(symbol, _)| &**symbol).collect::<Vec<_>>())
        .bind(bars.iter().map(|(_, clean)| Timestamptz(clean.start)).collect::<Vec<_>>())
        .bind(bars.iter().map(|(_, clean)| clean.left_out.cast_signed()).collect::<Vec<_>>())
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    // Of those that have good ticks.
    let rows = bars
        .iter()
        .filter_map(|(symbol, clean)| Some((&**symbol, clean.start, clean.bar.as_ref()?)));
    let update = format!(
        "update {table} t set ({}) = ({}) from {} where t.symbol = bars.symbol and t.{start} = \
         bars.start",
        Columns::Values.names(),
        Columns::Values.of("bars"),
        Columns::Values.rows()
    );
    let arguments = Columns::Values.arguments(&rows.collect::<Vec<_>>())?;
    pg::query_with(AssertSqlSafe(update), arguments).execute(transaction.acquire().await?).await?;
    Ok(())
}
