//! [`Reader`]: objects out of the store through the scan, several at a time.

pub(crate) mod broken;
mod fault;
mod others;

pub use broken::{Breakage, BrokenKind};
pub use others::Others;

use crate::archive::{
    Body, FileName, Format, Interrupted, Longer, Object, ObjectStore, StoreError,
};
use crate::index::Indexed;
use crate::pending_hours::BARS_OF_AN_HOUR;
use crate::scan::{self, Exclusions, Scan, ScanError, ScanOptions, TooWide};
use common::Timestamp;
use common::decode::Rules;
use rustc_hash::FxHashSet;
use service::Failure;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Objects that are fetched at the same time. More than cores, because the first byte of a small
/// one takes longer than the rest.
pub const IN_FLIGHT: usize = 16;

const ATTEMPTS: u32 = 3;
/// So many objects in a row that the store does not give may be the store's fault rather than their
/// own.
const OUTAGE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Reads objects. A caller that awaits several reads stops polling them while it handles one. A
/// read that holds a core permit would then block all others, so each runs in its own task. Cloning
/// is cheap.
#[derive(Debug, Clone)]
pub struct Reader {
    store: ObjectStore,
    format: Arc<Format>,
    /// Decoding takes a core each.
    cores: Arc<Semaphore>,
    stop: CancellationToken,
    health: Arc<Health>,
    others: Arc<Others>,
    /// Scans that were read elsewhere, until they are asked for.
    ahead: Arc<Mutex<Vec<(Object, Scan)>>>,
    /// How many bars of an object may be in memory.
    max_bars: usize,
}

/// Tells an outage of the store from objects that are bad by themselves.
#[derive(Debug, Default)]
struct Health {
    /// Objects in a row that the store did not give, without those of which that was known.
    failures: AtomicU32,
    /// The object that the store gave last.
    given: Mutex<Option<Object>>,
    /// Keys of objects that could not be read before.
    known_broken: FxHashSet<String>,
    /// Held by whoever looks for an object that the store gives.
    search: tokio::sync::Mutex<()>,
}

impl Health {
    fn note_given(&self, object: &Object) {
        self.failures.store(0, Ordering::Relaxed);
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(object.clone());
    }

    fn given(&self) -> Option<Object> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Bars of one object, where others are read next to it: 16 of them then take 100 MB.
const BARS_OF_MANY: usize = 20_000;
/// Bars of one object that is read alone: 65 MB.
const BARS_OF_ONE: usize = 200_000;

/// Why an object was not read.
#[derive(Debug)]
pub enum ReadError {
    /// It holds too many bars to be read together with others: read it alone, once they are done
    /// with.
    Wide,
    /// It is no longer the one that was listed: list again.
    Moved,
    /// It cannot be read as it is. Other objects are not concerned.
    Broken(Breakage),
    /// The store itself is away, or refuses everything.
    Outage(Failure),
    Stopped,
}

impl ReadError {
    /// A broken object whose hours are unknown.
    fn broken(kind: BrokenKind, why: &impl ToString) -> Self {
        Self::Broken(Breakage { kind, why: why.to_string(), hours: Vec::new() })
    }
}

/// Why one try to read an object has failed.
enum Unscanned {
    /// The store did not give it.
    Store(StoreError),
    /// Its content could not be read.
    Scan(ScanError),
}

impl Reader {
    #[must_use]
    pub fn new(store: ObjectStore, format: Format, stop: CancellationToken) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            store,
            format: Arc::new(format),
            cores: Arc::new(Semaphore::new(cores)),
            stop,
            health: Arc::default(),
            others: Arc::default(),
            ahead: Arc::default(),
            max_bars: BARS_OF_ONE,
        }
    }

    /// A reader to which it is no news that these objects cannot be read. It has read nothing yet.
    #[must_use]
    pub fn expecting_broken(self, keys: impl Iterator<Item = String>) -> Self {
        let health = Health { known_broken: keys.collect(), ..Health::default() };
        Self { health: Arc::new(health), ..self }
    }

    /// A reader that asks for these where the store refuses an object and has given none yet.
    #[must_use]
    pub fn with_others(self, others: Others) -> Self {
        Self { others: Arc::new(others), ..self }
    }

    /// Where the objects lie.
    #[must_use]
    pub const fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// The rules of messages.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.format.rules
    }

    /// All that decides what an object holds: [`Format::describe`].
    #[must_use]
    pub fn describe_format(&self) -> String {
        self.format.describe()
    }

    /// Reads the name of an object.
    #[must_use]
    pub fn name(&self, key: &str) -> FileName {
        self.format.file_name.read(key)
    }

    /// The topic that the name of an object tells, if any.
    #[must_use]
    pub fn topic<'k>(&self, key: &'k str) -> &'k str {
        self.format.file_name.topic(key)
    }

    /// What is taken of objects, by their topics and in the order in which they come.
    pub fn by_topic<T>(
        &self,
        objects: Vec<Indexed>,
        take: impl Fn(Indexed) -> T,
    ) -> BTreeMap<String, Vec<T>> {
        let mut topics: BTreeMap<String, Vec<T>> = BTreeMap::new();
        for indexed in objects {
            topics
                .entry(self.topic(&indexed.object.key).to_owned())
                .or_default()
                .push(take(indexed));
        }
        topics
    }

    /// Reads an object, again where the store breaks off in the middle. `exclude`: records to leave
    /// out.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
    ) -> Result<Scan, ReadError> {
        self.read_with(object, exclude, scan::scan).await
    }

    /// Sums up only the records that `named` has.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_named(
        &self,
        object: &Object,
        named: Arc<Exclusions>,
    ) -> Result<Scan, ReadError> {
        self.read_with(object, Some(named), scan::scan_named).await
    }

    /// As [`Reader::read`], where others are read at the same time and may all be in memory at
    /// once.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Wide`] where it needs more than its share.
    pub async fn read_beside_others(&self, object: &Object) -> Result<Scan, ReadError> {
        match self.take_ahead(object) {
            Some(scan) => Ok(scan),
            None => self.sharing().read(object, None).await,
        }
    }

    /// Keeps what was read elsewhere, in place of what was kept before.
    pub fn keep_ahead(&self, scans: Vec<(Object, Scan)>) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = scans;
    }

    fn take_ahead(&self, object: &Object) -> Option<Scan> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let at = ahead.iter().position(|(known, _)| known == object)?;
        Some(ahead.swap_remove(at).1)
    }

    /// A reader whose objects may all be in memory at once: one that needs more than its share is
    /// [`ReadError::Wide`].
    #[must_use]
    pub fn sharing(&self) -> Self {
        Self { max_bars: BARS_OF_MANY, ..self.clone() }
    }

    /// As [`Reader::read`], with another use of the object's lines than summing them up.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_with<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: impl Fn(Body, &ScanOptions) -> Result<T, ScanError> + Clone + Send + Sync + 'static,
    ) -> Result<T, ReadError> {
        let (reader, object) = (self.clone(), object.clone());
        let reading =
            tokio::spawn(async move { reader.read_patiently(&object, exclude, scan).await });
        AbortOnDropHandle::new(reading)
            .await
            .unwrap_or_else(|panic| Err(ReadError::broken(BrokenKind::Damaged, &panic)))
    }

    async fn read_patiently<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: impl Fn(Body, &ScanOptions) -> Result<T, ScanError> + Clone + Send + Sync + 'static,
    ) -> Result<T, ReadError> {
        for attempt in 1.. {
            let (why, hours) = match self.read_once(object, exclude.clone(), scan.clone()).await {
                Ok(scan) => {
                    self.health.note_given(object);
                    return Ok(scan);
                }
                Err(Unscanned::Scan(failed)) if Interrupted::caused(&failed.error) => {
                    (failed.error.to_string(), failed.hours)
                }
                Err(Unscanned::Scan(failed)) if Longer::caused(&failed.error) => {
                    return Err(ReadError::Moved);
                }
                Err(Unscanned::Scan(failed))
                    if TooWide::caused(&failed.error) && self.max_bars < BARS_OF_ONE =>
                {
                    return Err(ReadError::Wide);
                }
                Err(Unscanned::Scan(ScanError { error, hours })) => {
                    self.health.note_given(object);
                    let (kind, why) = (BrokenKind::Damaged, error.to_string());
                    return Err(ReadError::Broken(Breakage { kind, why, hours }));
                }
                Err(Unscanned::Store(StoreError::Moved)) => return Err(ReadError::Moved),
                Err(Unscanned::Store(error)) => return Err(self.sort(object, error).await),
            };
            if self.stop.is_cancelled() {
                break;
            }
            let (location, key) = (self.store.location(), &*object.key);
            if attempt == ATTEMPTS {
                let error = anyhow::anyhow!("the store broke off {ATTEMPTS} times: {why}");
                let ReadError::Broken(known) =
                    self.sort(object, StoreError::Unavailable(error)).await
                else {
                    return Err(ReadError::Outage(Failure::Infrastructure(anyhow::anyhow!(
                        "{location}{key}: the store broke off: {why}"
                    ))));
                };
                return Err(ReadError::Broken(Breakage { hours, ..known }));
            }
            tracing::warn!(
                location,
                key,
                error = %why,
                attempt,
                "{location}{key}: the store broke off: {why}; reading it again"
            );
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(ReadError::Stopped)
    }

    /// Options from an object's name, before its first byte is read; `None` if its name is not one
    /// of the sink's.
    #[must_use]
    pub fn options(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
    ) -> Option<ScanOptions> {
        let FileName::Records(origin) = self.name(&object.key) else {
            return None;
        };
        Some(ScanOptions {
            compressed_name: object.key.ends_with(".gz") || object.key.ends_with(".zst"),
            origin,
            rules: Arc::clone(&self.format.rules),
            topic: self.format.file_name.topic(&object.key).into(),
            csv: self.format.csv.clone(),
            stored_at: object.last_modified.unwrap_or_else(Timestamp::now),
            max_bars: self.max_bars,
            // One that is read alone may span many hours of few symbols.
            hour_weight: if self.max_bars < BARS_OF_ONE { BARS_OF_AN_HOUR } else { 0 },
            max_without_tick: scan::max_without_tick(object.size),
            max_unpacked: scan::max_unpacked(object.size),
            exclude,
        })
    }

    /// Some lines that an object begins with.
    ///
    /// # Errors
    /// As [`Reader::read`].
    #[cfg(feature = "spark")]
    pub async fn first_lines(&self, object: &Object) -> Result<Vec<Vec<u8>>, ReadError> {
        self.read_with(object, None, |body, options| {
            scan::first_lines(body, options).map_err(|error| ScanError { error, hours: Vec::new() })
        })
        .await
    }

    /// The store itself has been asked several times when this fails for its sake.
    async fn read_once<T: Send + 'static>(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        scan: impl Fn(Body, &ScanOptions) -> Result<T, ScanError> + Send + 'static,
    ) -> Result<T, Unscanned> {
        let Some(options) = self.options(object, exclude) else {
            let error = std::io::Error::other("its name is not one of the sink's");
            return Err(Unscanned::Scan(ScanError { error, hours: Vec::new() }));
        };
        let body = self.store.read(object, &self.stop).await.map_err(Unscanned::Store)?;
        let core = Arc::clone(&self.cores).acquire_owned().await;
        if body.is_text_at_hand() {
            // In a moment, and it has a task of its own.
            return scan(body, &options).map_err(Unscanned::Scan);
        }
        let scanned = tokio::task::spawn_blocking(move || {
            let _core = core;
            scan(body, &options)
        });
        let scanned = scanned.await.unwrap_or_else(|panic| {
            let error = std::io::Error::other(panic.to_string());
            Err(ScanError { error, hours: Vec::new() })
        });
        scanned.map_err(Unscanned::Scan)
    }
}
