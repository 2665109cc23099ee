//! Objects on their way into the store.

use super::objects::Object;
use anyhow::{Context, bail};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures::{StreamExt, TryStreamExt};
use std::io::{Read, Write};
use std::time::Duration;
use testing::s3::{Bucket, StoreArgs};
use tokio_util::sync::CancellationToken;

const CONCURRENT_UPLOADS: usize = 8;
const ATTEMPTS: u32 = 30;

/// How long the store may take for an object: so long, and a second for each of so many bytes.
const STORE_PATIENCE: Duration = Duration::from_secs(30);
const PACE: u64 = 30 * 1024;

/// How long it is waited for once the process is to end.
const LAST_PATIENCE: Duration = Duration::from_secs(7);

/// The mark of an object that says which topic's it is: two of one name are told apart by it.
const TOPIC_ID: &str = "topic-id";

/// Writes objects, and goes on trying while the store is away.
pub struct Uploader {
    bucket: Bucket,
    gzip: bool,
    shutdown: CancellationToken,
}

impl Uploader {
    pub fn new(store: &StoreArgs, gzip: bool, shutdown: CancellationToken) -> Self {
        Self { bucket: Bucket::new(store), gzip, shutdown }
    }

    /// # Errors
    /// A bucket that the store does not have. One that does not answer may come back.
    pub async fn find_bucket(&self) -> anyhow::Result<()> {
        let name = self.bucket.name();
        let asked = self.bucket.client().head_bucket().bucket(name).send();
        let asked = tokio::time::timeout(STORE_PATIENCE, asked);
        let Ok(asked) = self.unless_stopped(async { Ok(asked.await) }).await? else {
            tracing::warn!("look for bucket {name}: {}", no_answer(STORE_PATIENCE));
            return Ok(());
        };
        let is_missing = asked
            .is_err_and(|error| error.as_service_error().is_some_and(|why| why.is_not_found()));
        anyhow::ensure!(!is_missing, "the store has no bucket {name}: create it first");
        Ok(())
    }

    /// Returns once every object is stored. `topic_id`: whose they are; empty where nobody knows.
    ///
    /// # Errors
    /// A store that stays away, or that does not answer when the process is to end; an object of
    /// another topic in the place of one.
    pub async fn upload(&self, objects: Vec<Object>, topic_id: &str) -> anyhow::Result<()> {
        let writing = futures::stream::iter(objects)
            .map(|object| self.put(object, topic_id))
            .buffer_unordered(CONCURRENT_UPLOADS)
            .try_collect();
        self.unless_stopped(writing).await
    }

    async fn unless_stopped<T>(
        &self,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let stopped = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(LAST_PATIENCE).await;
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            () = stopped => bail!(
                "stopped, and the store has not taken what was open within {} s: it is not committed, and the next start \
                 archives it",
                LAST_PATIENCE.as_secs()
            ),
        }
    }

    async fn put(&self, object: Object, topic_id: &str) -> anyhow::Result<()> {
        let body = if self.gzip {
            gzip(&object.body).context("compress an object")?
        } else {
            object.body.clone()
        };
        let body = Bytes::from(body);
        let patience = STORE_PATIENCE + Duration::from_secs(body.len() as u64 / PACE);
        for attempt in 1.. {
            let asked = self.put_once(&object, body.clone(), topic_id);
            let answer = tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| {
                let (bucket, key) = (self.bucket.name(), &object.key);
                Err(anyhow::anyhow!("write s3://{bucket}/{key}: {}", no_answer(patience)))
            });
            match answer {
                Ok(None) => break,
                Ok(Some(why)) => bail!(
                    "s3://{}/{} is of another topic of this name ({why}), and is not overwritten: give the archiver a \
                     folder and a group of their own for this one, by --topics-dir and --group-id (docs/operations.md, \
                     \"A topic that was made anew\")",
                    self.bucket.name(),
                    object.key
                ),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(error) => tracing::warn!("{error:#}; attempt {attempt} of {ATTEMPTS}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Writes it, unless what stands there is another topic's: then it gives how that is known.
    async fn put_once(
        &self,
        object: &Object,
        body: Bytes,
        topic_id: &str,
    ) -> anyhow::Result<Option<String>> {
        let key = object.key.as_str();
        if let Some(marks) = self.bucket.marks(key).await? {
            match marks.get(TOPIC_ID) {
                Some(id) if !topic_id.is_empty() => {
                    if id != topic_id {
                        return Ok(Some(format!("its id is {id}, this one's is {topic_id}")));
                    }
                }
                _ => {
                    let there = self.bucket.get(key).await?;
                    if begins_otherwise(&there, &object.body) {
                        return Ok(Some("its first line is another message".to_owned()));
                    }
                }
            }
        }
        let mark = (!topic_id.is_empty()).then_some((TOPIC_ID, topic_id));
        self.bucket.put_marked(key, body, mark).await?;
        Ok(None)
    }
}

fn no_answer(within: Duration) -> String {
    format!("no answer of the store within {} s", within.as_secs())
}

/// Whether an object's first line is not the one that belongs there: the same place of a topic has
/// the same message. `there` may be compressed; one that is broken or empty tells nothing.
fn begins_otherwise(there: &[u8], wanted: &[u8]) -> bool {
    const MAGIC: [u8; 2] = [0x1f, 0x8b];
    let mut plain = Vec::new();
    if there.starts_with(&MAGIC) {
        // What was read up to a fault may hold the first line.
        let _ = MultiGzDecoder::new(there).read_to_end(&mut plain);
    } else {
        plain.extend_from_slice(there);
    }
    let first =
        |lines: &[u8]| lines.split_inclusive(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    first(&plain)
        .filter(|line| line.ends_with(b"\n"))
        .is_some_and(|line| Some(line) != first(wanted))
}

/// At the level of `gzip` itself and of Kafka Connect's sinks.
pub fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_first_line_is_seen_through_gzip_and_a_broken_object_tells_nothing() {
        let (there, longer, other) = (b"a\nb\n".as_slice(), b"a\nb\nc\n".as_slice(), b"x\nb\n");
        for there in [there.to_vec(), gzip(there).unwrap()] {
            assert!(!begins_otherwise(&there, longer));
            assert!(begins_otherwise(&there, other));
        }
        for broken in [b"".as_slice(), b"x", &gzip(there).unwrap()[..12]] {
            assert!(!begins_otherwise(broken, there), "{broken:?}");
        }
    }
}
