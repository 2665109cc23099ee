//! `batch-layer export`: any range of ticks out of the archive, as CSV or Parquet.
//!
//! [`hours`] knows which hours there are and what is the matter with them, [`source`] gathers the
//! ticks of one, and [`output`] writes them. What the lake has of an hour as it is now comes from
//! there, all else from raw objects.

mod args;
mod csv;
mod hours;
mod output;
mod partial;
mod source;
mod unread;

pub use args::ExportArgs;

use crate::hour::Hour;
use crate::lake::compact::blocking;
use crate::lake::gather::Gathered;
use crate::reader::{Others, Reader};
use crate::stop::stopped_exporting;
use args::Range;
use hours::KnownHour;
use output::{Output, ReaderGone, SeveralTopics};
use rustc_hash::FxHashSet;
use service::Failure;
use service::pg::Migrations;
use service::words::{counted, inflected};
use source::Source;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// Writes the ticks that `args` asks for. `stop` ends it between two hours.
///
/// # Errors
/// As `batch-layer export --help` says under exit codes.
pub async fn run(args: ExportArgs, stop: CancellationToken) -> Result<(), Failure> {
    let range = args.range()?;
    if args.database.args.migrations == Migrations::Only {
        return args.database.args.parse("batch-layer")?.migrate_only().await;
    }
    let format = args.format()?;
    let output = Output::open(&args, format)?;
    let store = crate::archive::ObjectStore::open(&args.archive.store()).await?;
    let mut db = args.database.open("batch-layer export", false).await?;
    let broken: FxHashSet<String> = db.broken().await?.into_values().flatten().collect();
    let others =
        Others::of(&mut db, std::slice::from_ref(&args.below.prefix), &range.hours).await?;
    let reader = Reader::new(store.clone(), args.archive.format(), stop.clone());
    let reader = reader.expecting_broken(broken.iter().cloned()).with_others(others);
    let source = Source::new((&args, format), store, db, reader, stop.clone());
    let mut export = Export::new(source, output, stop);
    match export.run(&args, &range, &broken).await {
        Err(Failure::Infrastructure(error)) if error.is::<ReaderGone>() => Ok(()),
        Err(Failure::Infrastructure(error)) if error.is::<SeveralTopics>() => {
            Err(Failure::Configuration(error))
        }
        done => done,
    }
}

struct Export {
    source: Source,
    /// `None` while it is written to.
    output: Option<Output>,
    stop: CancellationToken,
    /// Hours that are not there as a whole.
    incomplete: BTreeSet<Hour>,
    ticks: u64,
    /// How many hours with ticks came from the lake alone, and how many did not.
    from_lake: u64,
    from_raw: u64,
}

impl Export {
    fn new(source: Source, output: Output, stop: CancellationToken) -> Self {
        let (output, incomplete) = (Some(output), BTreeSet::new());
        Self { source, output, stop, incomplete, ticks: 0, from_lake: 0, from_raw: 0 }
    }

    async fn run(
        &mut self,
        args: &ExportArgs,
        range: &Range,
        broken: &FxHashSet<String>,
    ) -> Result<(), Failure> {
        self.note_unread(args, range, broken).await?;
        for hour in hours::with_ticks(&mut self.source.db, &range.hours).await? {
            if self.stop.is_cancelled() {
                return Err(stopped_exporting());
            }
            self.export(hour).await?;
        }
        let (output, hours, incomplete) =
            (self.output.take(), range.hours.clone(), self.incomplete.clone());
        let is_replaced = move |hour: Hour| hours.contains(&hour) && !incomplete.contains(&hour);
        blocking(move || output.map_or(Ok(()), |output| output.finish(is_replaced))).await?;
        let (lake_hours, raw_hours) = (self.from_lake, self.from_raw);
        let hours = lake_hours + raw_hours;
        let text = format!(
            "{} of {} exported: {} from the lake, {raw_hours} from raw objects",
            counted(self.ticks, "tick"),
            counted(hours, "hour"),
            counted(lake_hours, "hour")
        );
        tracing::info!(ticks = self.ticks, hours, lake_hours, raw_hours, "{text}");
        match self.incomplete.first() {
            None => Ok(()),
            Some(first) => {
                let count = inflected(self.incomplete.len() as u64, "hour[s] [is|are]");
                let what = "not, or may not be, exported as a whole; the warnings above say why. \
                            The first";
                Err(Failure::Partial(format!("{count} {what}: {first}")))
            }
        }
    }

    /// Logs which folders of the range have objects that the index does not know as they are.
    /// `broken`: keys of those that cannot be read.
    async fn note_unread(
        &mut self,
        args: &ExportArgs,
        range: &Range,
        broken: &FxHashSet<String>,
    ) -> Result<(), Failure> {
        let names = (&args.below.prefix, &args.archive.file_name);
        let folders = unread::folders(&mut self.source, names, &range.hours, broken).await?;
        let Some(first) = folders.first() else { return Ok(()) };
        let location = self.source.store.location();
        let text = inflected(folders.len() as u64, "folder[s] [has|have]");
        tracing::warn!(
            location,
            folders = folders.len(),
            first = %first.prefix,
            "{text} objects that are new or have changed since batch-layer looked, {location}{} \
             the first: nothing is exported of them. Run batch-layer for those hours (--from, \
             --to), and export again",
            first.prefix
        );
        self.incomplete
            .extend(folders.iter().map(|folder| folder.hours.start.max(range.hours.start)));
        Ok(())
    }

    async fn export(&mut self, hour: Hour) -> Result<(), Failure> {
        let known = hours::known(&mut self.source.db, hour).await?;
        let mut source = self.source.of_hour(hour, &known).await?;
        let mut ticks = 0;
        while let Some((topic, gathered)) = self.source.next_topic(&mut source).await? {
            ticks += gathered.ticks(hour);
            self.write((hour, topic), gathered).await?;
        }
        let from = if source.has_read_raw { &mut self.from_raw } else { &mut self.from_lake };
        *from += u64::from(ticks > 0);
        let why = lack(&known, (ticks, source.has_lost_lake), self.source.store.location());
        let lacks = source.lacks.into_iter().chain(why);
        for why in lacks {
            tracing::warn!(%hour, error = why, "hour {hour}: {why}");
            self.incomplete.insert(hour);
        }
        Ok(())
    }

    async fn write(
        &mut self,
        (hour, topic): (Hour, String),
        gathered: Gathered,
    ) -> Result<(), Failure> {
        let Some(mut output) = self.output.take() else { return Ok(()) };
        let written = blocking(move || {
            let mut sorted = gathered.sorter.finish()?;
            output.begin(hour, &topic);
            while let Some(row) = sorted.next_row()? {
                output.push(&row.content(sorted.name(&row), sorted.conditions(&row)), row.place)?;
            }
            let rows = output.end()?;
            Ok((output, rows))
        });
        let (output, rows) = written.await?;
        self.output = Some(output);
        self.ticks += rows;
        Ok(())
    }
}

/// What is the matter with an hour of which `ticks` were found. `has_lost_lake`: what the lake had
/// of it is no longer there, or is another. `location`: of the store.
fn lack(
    known: &KnownHour,
    (ticks, has_lost_lake): (u64, bool),
    location: String,
) -> Option<String> {
    if !known.is_of(&location) {
        let other = &known.location;
        return Some(format!(
            "it was computed from {other}, and this is {location} (--bucket): not exported"
        ));
    }
    match (&known.lack, known.ticks) {
        (Some(why), _) => Some(format!("exported as it is: {why}")),
        (None, None) => Some("exported as it is: batch-layer has not computed it".to_owned()),
        (None, Some(_)) if known.is_stale => Some(
            "exported as it is: its objects have changed since batch-layer computed it".to_owned(),
        ),
        (None, Some(known)) if known != ticks => {
            let why = if has_lost_lake {
                "its raw objects are gone, and what the lake had of them is, too, or is not what \
                 it was"
            } else {
                "objects have expired before the lake had them"
            };
            Some(format!("{ticks} of its {known} ticks were found: {why}"))
        }
        (None, Some(_)) => None,
    }
}
