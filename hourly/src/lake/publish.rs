//! Showing an hour to readers: what was compared is copied to where they look, and what it replaces
//! is deleted.

use super::key;
use super::look::{LakeReadError, LakeReader, ObjectContents};
use super::table::{self, Candidate, LakeObject};
use crate::archive::{Object, ObjectStore};
use crate::holdings::Holdings;
use crate::index::BatchDb;
use service::Failure;

/// An object that was written and compared, where no reader looks.
#[derive(Debug)]
pub struct StagedObject {
    pub source: String,
    pub name: String,
    pub staged: Object,
    pub contents: ObjectContents,
}

/// The objects of an hour that readers shall see.
pub struct VisibleObjects<'a> {
    pub prefix: &'a str,
    pub candidate: &'a Candidate,
    pub run_id: i64,
    pub parts: Vec<StagedObject>,
    /// Objects that nobody knows, and that hold nothing else than the parts.
    pub replaceable: Vec<LakeObject>,
    pub look: LakeReader<'a>,
}

/// Lets readers see an hour's parts in the place of what they saw before.
///
/// # Errors
/// Where the store or the database fails. What has been shown by then is taken away by [`clear`].
pub async fn publish(
    (db, store): (&mut BatchDb, &ObjectStore),
    shown: VisibleObjects<'_>,
) -> Result<(), Failure> {
    let VisibleObjects { prefix, candidate, run_id, parts, replaceable, look } = shown;
    let object = |part: &StagedObject| LakeObject {
        key: key::published(prefix, &part.source, candidate.hour, &part.name),
        source: part.source.clone(),
        size: part.staged.size,
        contents: part.contents,
    };
    let objects: Vec<LakeObject> = parts.iter().map(object).collect();
    table::announce(db, candidate, run_id, &objects).await?;
    let mut etags = Vec::new();
    for (part, LakeObject { key, size, .. }) in parts.iter().zip(&objects) {
        store.copy(&part.staged.key, key, *size).await?;
        let shown = store.find(key).await?;
        if shown.size != *size {
            let error =
                anyhow::anyhow!("{}{key} has {} of {size} bytes", store.location(), shown.size);
            return Err(Failure::Infrastructure(error));
        }
        if candidate.has_expired {
            // What it replaces is the only other place that has these ticks.
            expect(look, &shown, part.contents).await?;
        }
        etags.push((key.clone(), shown.etag));
    }
    table::switch(db, (candidate, run_id, prefix), &etags, &replaceable).await?;
    clear(db, store, prefix).await
}

/// Reads a copy back.
async fn expect(
    look: LakeReader<'_>,
    shown: &Object,
    expected: ObjectContents,
) -> Result<(), Failure> {
    let what = format!("{}{}", look.store.location(), shown.key);
    match look.read(shown, Holdings::default()).await {
        Ok((_, contents)) if contents.has_ticks_of(&expected) => Ok(()),
        Ok((_, contents)) => {
            let error = anyhow::anyhow!(
                "the store's copy {what} has {} ticks, and not the {} of what was copied",
                contents.rows,
                expected.rows
            );
            Err(Failure::Infrastructure(error))
        }
        Err(LakeReadError::Away(failure)) => Err(failure),
        Err(LakeReadError::Moved) => Err(Failure::Infrastructure(anyhow::anyhow!(
            "{what} was replaced while it was read back"
        ))),
        Err(LakeReadError::Damaged(why)) => Err(Failure::Infrastructure(anyhow::anyhow!(
            "the store's copy {what} cannot be read: {why}"
        ))),
    }
}

/// Deletes what no reader should see: what was replaced, and what a run that was killed has left.
///
/// # Errors
/// Where the store or the database fails.
pub async fn clear(db: &mut BatchDb, store: &ObjectStore, prefix: &str) -> Result<(), Failure> {
    for key in table::leftovers(db).await? {
        store.delete(&key).await?;
        table::forget(db, &key).await?;
    }
    for object in store.list(&key::staging(prefix)).await? {
        store.delete(&object.key).await?;
    }
    Ok(())
}
