//! Which folders have objects that nothing is exported of, since `batch-layer` has not read them as
//! they are.

use super::source::Source;
use crate::archive::{FileNameTemplate, Folder, LISTINGS_AHEAD, PrefixTemplate, StoreError};
use crate::hour::Hour;
use crate::survey::{Change, ChangeKind, compare};
use futures::StreamExt;
use rustc_hash::FxHashSet;
use service::Failure;
use std::collections::BTreeSet;
use std::ops::Range;

/// In a range of more hours it is looked first which folders there are.
const LONG_HOURS: usize = 500;

/// The folders of a range with objects that the index does not know, or knows as they were.
/// `broken`: keys of those that could not be read.
///
/// # Errors
/// Where the database or the store fails.
pub async fn folders(
    source: &mut Source,
    (template, names): (&PrefixTemplate, &FileNameTemplate),
    hours: &Range<Hour>,
    broken: &FxHashSet<String>,
) -> Result<Vec<Folder>, Failure> {
    let folders = listed(source, template, hours).await?;
    // Those that have come meanwhile share a query of the index.
    let mut listings = source.store.listings(folders).ready_chunks(LISTINGS_AHEAD);
    let mut unread = Vec::new();
    while let Some(listed) = listings.next().await {
        let prefixes: Vec<&str> = listed.iter().map(|(folder, _)| &*folder.prefix).collect();
        let mut known = source.db.folders(&prefixes, "").await?;
        for (folder, listing) in listed {
            let known = known.remove(&*folder.prefix).unwrap_or_default();
            let survey = compare(&folder, listing?, known, names, false, |_| false);
            if survey.changes.iter().any(|change| is_unread(change, broken)) {
                unread.push(folder);
            }
        }
    }
    Ok(unread)
}

/// Whether its ticks, as they are now, are in no hour.
fn is_unread(change: &Change, broken: &FxHashSet<String>) -> bool {
    let is_another = matches!(change.kind, ChangeKind::New | ChangeKind::Replaced);
    let is_older = change.twin.as_ref().is_some_and(|twin| twin.is_newer);
    is_another && !is_older && !broken.contains(&*change.object.key)
}

/// The folders of a range; of a long one, those that there are.
async fn listed(
    source: &Source,
    template: &PrefixTemplate,
    hours: &Range<Hour>,
) -> Result<Vec<Folder>, Failure> {
    if Hour::each(hours.clone()).count() <= LONG_HOURS {
        return Ok(template.folders(hours.clone()));
    }
    let there = match source.store.folders(template.stem(), "", true).await {
        // Who may not list there is not told of them.
        Err(StoreError::Refused(_)) => return Ok(Vec::new()),
        there => BTreeSet::from_iter(there?),
    };
    let is_there = |hour: &Hour| there.contains(template.level(&template.prefix(*hour)));
    Ok(template.folders_of(Hour::each(hours.clone()).filter(is_there)))
}
