//! Objects on their way into the store.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, TryStreamExt};

use super::objects::Object;
use testing::s3::{Bucket, StoreArgs};

const CONCURRENT_UPLOADS: usize = 8;
const ATTEMPTS: u32 = 30;

/// Writes objects, and goes on trying while the store is away.
pub struct Uploader {
    bucket: Bucket,
    gzip: bool,
}

impl Uploader {
    pub fn new(store: &StoreArgs, gzip: bool) -> Self {
        Self { bucket: Bucket::new(store), gzip }
    }

    /// # Errors
    /// A bucket that the store does not have. One that does not answer may come back.
    pub async fn find_bucket(&self) -> anyhow::Result<()> {
        let name = self.bucket.name();
        let asked = self.bucket.client().head_bucket().bucket(name).send().await;
        let is_missing = asked
            .is_err_and(|error| error.as_service_error().is_some_and(|why| why.is_not_found()));
        anyhow::ensure!(!is_missing, "the store has no bucket {name}: create it first");
        Ok(())
    }

    /// Returns once every object is stored.
    pub async fn upload(&self, objects: Vec<Object>) -> anyhow::Result<()> {
        futures::stream::iter(objects)
            .map(|object| self.put(object))
            .buffer_unordered(CONCURRENT_UPLOADS)
            .try_collect()
            .await
    }

    async fn put(&self, object: Object) -> anyhow::Result<()> {
        let body =
            if self.gzip { gzip(&object.body).context("compress an object")? } else { object.body };
        let body = bytes::Bytes::from(body);
        for attempt in 1.. {
            match self.bucket.put(&object.key, body.clone()).await {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(error) => tracing::warn!("{error:#}; attempt {attempt} of {ATTEMPTS}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}

/// At the level of `gzip` itself and of Kafka Connect's sinks.
pub fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}
