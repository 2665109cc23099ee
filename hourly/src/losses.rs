//! [`Losses`]: how many records a run would take out of hours, or by which flags it would leave
//! them alone, before it does.

use crate::archive::{Object, ObjectStore};
use crate::args::Args;
use crate::decode_rules::described;
use crate::flags::HourPlan;
use crate::hour::Hour;
use crate::index::{BatchDb, Computed};
use crate::lake::covered;
use crate::reader::{IN_FLIGHT, ReadError, Reader};
use crate::scan::HourBars;
use crate::stop::stopped;
use crate::survey::Survey;
use futures::stream::{self, StreamExt};
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is known of the objects that a run would read in another way, or miss.
pub struct Losses {
    reader: Reader,
    decode_rules: String,
    allow_shrink: bool,
    recompute: bool,
    /// Ticks by hour of the objects that were read here.
    read: FxHashMap<Arc<str>, BTreeMap<Hour, u64>>,
    gone: FxHashSet<String>,
    /// Hours of which such objects hold ticks, or held some.
    touched: BTreeSet<Hour>,
}

impl Losses {
    pub fn new(args: &Args, store: &ObjectStore) -> Self {
        let format = args.archive.format();
        Self {
            decode_rules: format.describe(),
            reader: Reader::new(store.clone(), format, CancellationToken::new()),
            allow_shrink: args.allow_shrink,
            recompute: args.recompute,
            read: FxHashMap::default(),
            gone: FxHashSet::default(),
            touched: BTreeSet::new(),
        }
    }

    /// Looks at what has changed in a folder.
    pub async fn look_at(&mut self, db: &mut BatchDb, survey: Survey) -> Result<(), Failure> {
        let others = survey.changes.into_iter().filter(|change| change.by_other_rules);
        let objects: Vec<Object> = others.map(|change| change.object).collect();
        for key in
            objects.iter().map(|object| &*object.key).chain(survey.gone.iter().map(|key| &**key))
        {
            self.touched.extend(db.ticks_by_hour(key).await?.into_keys());
        }
        self.gone.extend(survey.gone);
        let reader = self.reader.clone();
        let mut reads = stream::iter(objects)
            .map(|object| {
                let reader = reader.clone();
                async move {
                    let scan = reader.read(&object, None).await;
                    (object.key, scan)
                }
            })
            .buffered(IN_FLIGHT);
        while let Some((key, scan)) = reads.next().await {
            let held = match scan {
                Ok(scan) => {
                    let ticks =
                        |(hour, held): &(Hour, HourBars)| (*hour, held.ticks + held.duplicates);
                    scan.hours.iter().map(ticks).collect()
                }
                Err(ReadError::Moved | ReadError::Wide | ReadError::Broken(_)) => continue,
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped()),
            };
            self.read.insert(key, held);
        }
        Ok(())
    }

    /// The hours of the window that would have fewer records than they have, each with words.
    pub async fn of_hours(
        &self,
        db: &mut BatchDb,
        plan: &HourPlan,
    ) -> Result<Vec<(Hour, String)>, Failure> {
        let asked: Vec<Hour> = if self.allow_shrink {
            let covered = covered::hours(db, &plan.window).await?;
            Hour::each(plan.window.clone()).filter(|hour| !covered.contains(hour)).collect()
        } else {
            self.touched.range(plan.window.clone()).copied().collect()
        };
        let mut found = Vec::new();
        for hour in asked {
            let Some(known) = db.computed(hour).await?.filter(|known| known.ticks > 0) else {
                continue;
            };
            let (mut left, mut is_emptied) = (0, false);
            for indexed in db.objects_of(hour).await? {
                let now = self.read.get(&indexed.object.key).map(|held| held.get(&hour).copied());
                left += match now {
                    _ if self.gone.contains(&*indexed.object.key) => 0,
                    Some(now) => {
                        is_emptied |= now.is_none() && indexed.ticks > 0;
                        now.unwrap_or(0)
                    }
                    None => indexed.ticks,
                };
            }
            found.extend(self.describe(&known, left, is_emptied).map(|words| (hour, words)));
        }
        Ok(found)
    }

    /// `left`: the ticks of the objects that it would be made of, without what is new.
    /// `is_emptied`: one of them would lose all of its ticks.
    fn describe(&self, known: &Computed, left: u64, is_emptied: bool) -> Option<String> {
        let out = known.ticks.saturating_sub(left);
        if out == 0 {
            return None;
        }
        // Records that stand twice are counted twice in what is left.
        let least = if known.duplicates > 0 { "at least " } else { "" };
        let records = format!("{least}{out} of its {} records", known.ticks);
        let others = described(&known.decode_rules, &self.decode_rules);
        let by = others.as_ref().map(|others| format!(", computed {others}")).unwrap_or_default();
        Some(match (self.allow_shrink, others.is_some()) {
            (true, true) if is_emptied && !self.recompute => format!(
                "--allow-shrink would take out {records}{by}: not written, unless --recompute stands beside it"
            ),
            (true, _) => format!("--allow-shrink would take out {records}{by}"),
            (false, true) => format!("without {records}{by}: not written"),
            // Of objects that have expired, or were deleted, the hour keeps the ticks.
            (false, false) => return None,
        })
    }
}
