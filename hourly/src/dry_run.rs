//! `--dry-run`: what a run would do, and why.

use crate::archive::{Folder, ObjectStore};
use crate::args::Args;
use crate::flags::HourPlan;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lake::FromLake;
use crate::losses::Losses;
use crate::output::print;
use crate::progress::size;
use crate::survey::{ChangeKind, Survey, compare};
use crate::work::whereabouts::Whereabouts;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::words::counted;
use std::collections::BTreeMap;

/// Work to do on one hour.
#[derive(Debug, Default, PartialEq, Eq)]
struct Todo {
    why: Vec<String>,
    /// It is known that the hour itself must be computed.
    stale: bool,
    objects: usize,
    bytes: u64,
}

/// Prints, for each hour with something to do, why, and how much there is to read. Lists and
/// queries, writes nothing. Objects are read that were read by other flags about messages: how many
/// records these would take out is known by that alone.
///
/// An object that was never read is counted in the hour of its folder: only reading it would tell
/// its ticks' hours.
///
/// # Errors
/// As a run's.
pub async fn run(
    args: &Args,
    plan: &HourPlan,
    store: &ObjectStore,
    mut db: BatchDb,
) -> Result<(), Failure> {
    let decode_rules = args.archive.format().describe();
    let has_tables = find_tables(&mut db).await?;
    let mut hours: BTreeMap<Hour, Todo> = BTreeMap::new();
    let mut losses = Losses::new(args, store);
    let folders = args.below.prefix.folders(plan.around(&plan.window));
    if has_tables {
        let emptied = args.allow_shrink.then_some(&plan.window);
        let mut whereabouts = Whereabouts::of(&mut db, store, args.archive_moved).await?;
        whereabouts.check(&mut db, store, &folders, emptied).await?;
    }
    for folder in folders {
        let listing = match store.list(&folder.prefix).await {
            Err(error) if error.is_of_one_folder() => {
                let why = format!("not written: {}{}: {error}", store.location(), folder.prefix);
                hours.entry(folder.hours.start).or_default().why.push(why);
                continue;
            }
            listing => listing?,
        };
        let mut known = if has_tables {
            db.folders(&[&*folder.prefix], &decode_rules).await?
        } else {
            FxHashMap::default()
        };
        let known = known.remove(&*folder.prefix).unwrap_or_default();
        let survey =
            compare(&folder, listing, known, &args.archive.file_name, true, |_| args.recompute);
        note_folder(&folder, &survey, &mut hours);
        losses.look_at(&mut db, survey).await?;
    }
    if has_tables {
        note_stale(&mut db, plan, &mut hours).await?;
        for (hour, why) in losses.of_hours(&mut db, plan).await? {
            hours.entry(hour).or_default().why.push(why);
        }
    }
    let may_be_less = args.recompute && args.lake.from_lake != FromLake::Never;
    print(&text(&hours, plan, may_be_less)).map_err(Failure::Infrastructure)
}

/// A database that no run has seen yet is treated as an empty one.
async fn find_tables(db: &mut BatchDb) -> Result<bool, Failure> {
    let statement = pg::query_scalar("select to_regclass('stale_hours') is not null");
    db.fetch_one("looking for the tables in", statement).await
}

fn note_folder(folder: &Folder, survey: &Survey, hours: &mut BTreeMap<Hour, Todo>) {
    if [survey.changes.len(), survey.gone.len(), survey.back.len()] == [0; 3] {
        return;
    }
    let todo = hours.entry(folder.hours.start).or_default();
    todo.why.extend(reasons(survey));
    todo.objects += survey.changes.len();
    todo.bytes += survey.changes.iter().map(|change| change.object.size).sum::<u64>();
}

fn reasons(survey: &Survey) -> Vec<String> {
    let count =
        |kind: ChangeKind| survey.changes.iter().filter(|change| change.kind == kind).count();
    let counts = [
        (count(ChangeKind::New), "new"),
        (count(ChangeKind::Replaced), "replaced"),
        (survey.gone.len(), "gone"),
        (survey.back.len(), "back as it was"),
        (count(ChangeKind::Forced), "read again (--recompute, or other flags about messages)"),
    ];
    let named = counts.into_iter().filter(|(count, _)| *count > 0);
    named.map(|(count, what)| format!("{count} {what}")).collect()
}

async fn note_stale(
    db: &mut BatchDb,
    plan: &HourPlan,
    hours: &mut BTreeMap<Hour, Todo>,
) -> Result<(), Failure> {
    for stale in db.stale(plan.due, &plan.window).await? {
        let objects = db.objects_of(stale.hour).await?;
        let todo = hours.entry(stale.hour).or_default();
        todo.stale = true;
        todo.why.push("its objects have changed since it was computed".into());
        todo.objects += objects.len();
        todo.bytes += objects.iter().map(|indexed| indexed.object.size).sum::<u64>();
    }
    Ok(())
}

/// `may_be_less`: which of them the lake makes needless is known once they are looked at.
fn text(hours: &BTreeMap<Hour, Todo>, plan: &HourPlan, may_be_less: bool) -> String {
    let mut text = format!("{:<18} {:>9} {:>12}  why\n", "hour", "objects", "to read");
    for (hour, todo) in hours {
        let mut why = todo.why.join(", ");
        if *hour >= plan.due {
            why.push_str("; indexed only: the hour is not over");
        } else if !todo.stale && !plan.window.contains(hour) {
            why.push_str("; outside of the window: read for its neighbours' sake");
        }
        let (objects, bytes) = (todo.objects, size(todo.bytes));
        text.push_str(&format!("{:<18} {objects:>9} {bytes:>12}  {why}\n", hour.to_string()));
    }
    let (objects, bytes) =
        hours.values().fold((0, 0), |sum, todo| (sum.0 + todo.objects, sum.1 + todo.bytes));
    let (hours, objects) = (counted(hours.len() as u64, "hour"), counted(objects as u64, "object"));
    let most = if may_be_less { " at most, without what the lake has" } else { "" };
    text + &format!(
        "{hours}, {objects}, {} to read{most}; nothing was written\nhours of which the speed layer \
         has more than the archive are looked for by the run itself and not shown\n",
        size(bytes)
    )
}
