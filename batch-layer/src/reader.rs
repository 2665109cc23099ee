//! [`Reader`]: objects out of the store through the scan, several at a time.

use crate::archive::{Body, FileName, Format, Interrupted, Object, Store, StoreError};
use crate::hour::Hour;
use crate::scan::{self, Exclusions, Scan, ScanError, ScanOptions};
use common::decode::Rules;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Objects that are fetched at the same time. More than cores, because the first byte of a small one takes longer than
/// the rest.
pub const IN_FLIGHT: usize = 16;

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Reads objects, each in a task of its own: who waits for several and sees to one of them meanwhile polls none of the
/// others, and one that is given a core must use it, or nobody gets it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
    format: Arc<Format>,
    /// Decoding takes a core each.
    cores: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Why an object was not read.
#[derive(Debug)]
pub enum ReadError {
    /// It is no longer the one that was listed: list again.
    Moved,
    /// It cannot be read as it is. Other objects are not concerned.
    Broken {
        why: String,
        hours: Vec<Hour>,
    },
    /// The store is away.
    Unavailable(anyhow::Error),
    Stopped,
}

impl Reader {
    #[must_use]
    pub fn new(store: Store, format: Format, stop: CancellationToken) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { store, format: Arc::new(format), cores: Arc::new(Semaphore::new(cores)), stop }
    }

    /// What a message may look like.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.format.rules
    }

    /// What the name of an object says.
    #[must_use]
    pub fn name(&self, key: &str) -> FileName {
        self.format.file_name.read(key)
    }

    /// Reads an object, again where the store breaks off in the middle. `exclude`: records to leave out.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read(&self, object: &Object, exclude: Option<Arc<Exclusions>>) -> Result<Scan, ReadError> {
        self.read_with(object, exclude, scan::scan).await
    }

    /// As [`Reader::read`], with another use of the object's lines than summing them up.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_with<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: fn(Body, &ScanOptions) -> Result<T, ScanError>,
    ) -> Result<T, ReadError> {
        let (reader, object) = (self.clone(), object.clone());
        let reading = tokio::spawn(async move { reader.read_patiently(&object, exclude, scan).await });
        AbortOnDropHandle::new(reading).await.unwrap_or_else(|panic| Err(of_panic(&panic)))
    }

    async fn read_patiently<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: fn(Body, &ScanOptions) -> Result<T, ScanError>,
    ) -> Result<T, ReadError> {
        for attempt in 1.. {
            let interrupted = match self.read_once(object, exclude.clone(), scan).await? {
                Ok(scan) => return Ok(scan),
                Err(failed) if Interrupted::caused(&failed.error) => anyhow::Error::new(failed.error),
                Err(failed) => return Err(ReadError::Broken { why: failed.error.to_string(), hours: failed.hours }),
            };
            if self.stop.is_cancelled() {
                break;
            }
            let what = format!("{}{}: the store broke off", self.store.location(), object.key);
            if attempt == ATTEMPTS {
                return Err(ReadError::Unavailable(interrupted.context(what)));
            }
            tracing::warn!("{what}: {interrupted:#}; reading it again");
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(ReadError::Stopped)
    }

    /// The store itself has been asked several times when this fails for its sake.
    async fn read_once<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: fn(Body, &ScanOptions) -> Result<T, ScanError>,
    ) -> Result<Result<T, ScanError>, ReadError> {
        let FileName::Records(origin) = self.name(&object.key) else {
            return Err(ReadError::Broken { why: "its name is not one of the sink's".into(), hours: Vec::new() });
        };
        let body = self.store.read(object, &self.stop).await.map_err(of_store)?;
        let options = ScanOptions {
            compressed_name: object.key.ends_with(".gz") || object.key.ends_with(".zst"),
            origin,
            rules: Arc::clone(&self.format.rules),
            topic: self.format.file_name.topic(&object.key).into(),
            csv: self.format.csv.clone(),
            stored_at: object.last_modified,
            exclude,
        };
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let scanned = tokio::task::spawn_blocking(move || {
            let _core = core;
            scan(body, &options)
        });
        scanned.await.map_err(|panic| of_panic(&panic))
    }
}

fn of_panic(panic: &JoinError) -> ReadError {
    ReadError::Broken { why: panic.to_string(), hours: Vec::new() }
}

fn of_store(error: StoreError) -> ReadError {
    match error {
        StoreError::Moved => ReadError::Moved,
        StoreError::Refused(error) => ReadError::Broken { why: format!("{error:#}"), hours: Vec::new() },
        StoreError::Unavailable(error) => ReadError::Unavailable(error),
    }
}
