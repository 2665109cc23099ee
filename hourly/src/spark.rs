//! [`Spark`]: objects summed up by a cluster, over Spark Connect, with the digits of our own scan.
//!
//! The server reads and sums up the lines that are plainly ticks ([`statement`]); the others come
//! back and go through our own decoder ([`answer`]). What is not wholly clear, and each object that
//! the server cannot read, is left to our own scan: so there is one judge of what is a tick, a
//! reject or a broken object.

mod answer;
mod client;
mod messages;
mod statement;
mod url;

pub use client::{Client, QueryError};
pub use messages::Relation;
pub use url::SparkUrl;

use crate::archive::{Object, ObjectStore};
use crate::hour::Hour;
use crate::reader::{ReadError, Reader};
use crate::scan::{self, LineLayout, Scan, ScanOptions};
use crate::stop::stopped;
use answer::{OtherLine, Sums};
use common::Bar;
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use statement::{Pattern, Question};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Objects of one statement: each is a relation for the server to plan.
pub const OBJECTS_PER_STATEMENT: usize = 64;
/// Layouts of lines that one statement looks for.
const MAX_LAYOUTS: usize = 6;
/// Other lines of an object that are fetched; one with more is read by our own scan.
const MAX_OTHERS: u64 = 1000;
const MAX_OTHER_BYTES: u64 = 1 << 20;
/// Objects that the server could not read, one after the other, after which it is asked for no more
/// in this run.
const UNREADABLE: usize = 8;
/// Objects of a statement of which one is to be read here as well.
const CHECKED_AT_MOST: usize = 4;

/// How to reach it.
#[derive(Debug, Clone)]
pub struct SparkOptions {
    pub url: SparkUrl,
    /// Where the server finds the archive, with a `/` at its end; keys follow.
    pub archive: String,
    /// How long a statement may take.
    pub patience: Duration,
}

/// A session with a server that reads the archive.
pub struct Spark {
    client: Client,
    options: SparkOptions,
    store: ObjectStore,
    /// Layouts of lines that were read before, the commonest first.
    layouts: Vec<KnownLayout>,
    /// Version that the server reports.
    pub version: String,
    /// Objects that the server has read, and those that were left to our own scan.
    pub read: u64,
    pub left: u64,
    unreadable: usize,
    /// The last object that it could not read, and its words.
    fault: Option<(String, String)>,
}

/// How some lines are laid out.
struct KnownLayout {
    layout: LineLayout,
    pattern: Pattern,
    /// Such lines among those that were looked at; earlier ones count less.
    lines: u64,
}

/// A request about one object.
struct ObjectRequest {
    object: Object,
    path: String,
    options: ScanOptions,
}

impl Spark {
    /// Connects to a server.
    ///
    /// # Errors
    /// Where it does not answer, or to others alone.
    pub async fn connect(
        options: SparkOptions,
        store: ObjectStore,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let doing = |error| failure(error, &options.url, "asking for its version");
        let client = Client::connect(&options.url, options.patience, stop).await.map_err(doing)?;
        let parts = client.query(statement::version()).await.map_err(doing)?;
        let version =
            answer::texts(&parts).map_err(Failure::Infrastructure)?.pop().unwrap_or_default();
        let version = version.split_whitespace().next().unwrap_or("of no version").to_owned();
        Ok(Self {
            client,
            options,
            store,
            layouts: Vec::new(),
            version,
            read: 0,
            left: 0,
            unreadable: 0,
            fault: None,
        })
    }

    /// What some objects hold, of those of which the server's answer is clear: the others are for
    /// our own scan to read.
    ///
    /// # Errors
    /// Where the server is away, or refuses what is asked.
    pub async fn scan(
        &mut self,
        objects: &[Object],
        reader: &Reader,
    ) -> Result<Vec<(Object, Scan)>, Failure> {
        let mut asked: Vec<ObjectRequest> = if self.has_given_up() {
            Vec::new()
        } else {
            objects.iter().filter_map(|object| self.asked(object, reader)).collect()
        };
        self.learn(&asked, reader).await;
        if self.layouts.is_empty() {
            asked.clear();
        }
        let mut scans = Vec::new();
        let mut waiting: VecDeque<Vec<ObjectRequest>> = VecDeque::new();
        while !asked.is_empty() {
            let rest = asked.split_off(asked.len().min(OBJECTS_PER_STATEMENT));
            waiting.push_back(std::mem::replace(&mut asked, rest));
        }
        while let Some(mut some) = waiting.pop_front() {
            match self.answers(&some).await {
                Ok(found) => {
                    self.unreadable = 0;
                    let found = some.into_iter().zip(found);
                    let found: Vec<_> =
                        found.filter_map(|(asked, scan)| Some((asked.object, scan?))).collect();
                    // What nothing vouches for is for our own scan to read.
                    if self.is_checked(&found, reader).await? {
                        scans.extend(found);
                    }
                }
                // One of them is what the server cannot read, or all are too much: each half is
                // asked for by itself.
                Err(QueryError::Failed(_) | QueryError::Large) if some.len() > 1 => {
                    let half = some.split_off(some.len() / 2);
                    waiting.extend([some, half]);
                }
                // Of the widest objects our own scan knows how to keep little at a time.
                Err(QueryError::Large) => {}
                Err(QueryError::Failed(why)) => {
                    self.note_unreadable(&some, &why);
                    if self.has_given_up() {
                        waiting.clear();
                    }
                }
                Err(error) => return Err(failure(error, &self.options.url, "reading objects")),
            }
        }
        let scans = self.still_there(scans).await?;
        self.read += scans.len() as u64;
        self.left += (objects.len() - scans.len()) as u64;
        Ok(scans)
    }

    /// Says good-bye; and what stood in its way where it has read nothing.
    pub async fn close(&self) {
        if let Some((path, why)) =
            self.fault.as_ref().filter(|_| self.read == 0 && !self.has_given_up())
        {
            let url = &self.options.url;
            tracing::warn!(
                %url,
                path,
                error = why,
                "Spark at {url} has read no object, and could not read {path} (--spark-archive; it \
                 needs keys of its own): {why}; this run has read all by itself"
            );
        }
        self.client.close().await;
    }

    /// `None` of an object whose name means something else to Spark than to the store.
    fn asked(&self, object: &Object, reader: &Reader) -> Option<ObjectRequest> {
        let is_plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'=')
        };
        let is_hidden = object.key.split('/').any(|name| name.starts_with(['.', '_']));
        let options = reader.options(object, None)?;
        let is_asked = object.key.bytes().all(is_plain) && !is_hidden && object.size > 0;
        is_asked.then(|| ObjectRequest {
            object: object.clone(),
            path: format!("{}{}", self.options.archive, object.key),
            options,
        })
    }

    /// Reads one object of a statement's here as well: names and versions are those of the listing,
    /// and nothing else tells whether the server has read the same archive. `false` where none of
    /// some can be read here.
    async fn is_checked(&self, scans: &[(Object, Scan)], reader: &Reader) -> Result<bool, Failure> {
        for (object, there) in scans.iter().take(CHECKED_AT_MOST) {
            match reader.sharing().read(object, None).await {
                Ok(here) if is_same(&here, there) => return Ok(true),
                Ok(here) => return Err(self.differs(object, &here, there)),
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped()),
                // Whoever reads it next says why.
                Err(ReadError::Moved | ReadError::Wide | ReadError::Broken(_)) => {}
            }
        }
        Ok(scans.is_empty())
    }

    fn differs(&self, object: &Object, here: &Scan, there: &Scan) -> Failure {
        let ticks = |scan: &Scan| scan.hours.iter().map(|(_, bars)| bars.ticks).sum::<u64>();
        let archive = &self.options.archive;
        Failure::Configuration(anyhow::anyhow!(
            "Spark reads other content under {archive}{} than {}{} has ({} ticks of {} lines, and \
             here {} of {}): is {archive} the same archive (--spark-archive), or a copy?",
            object.key,
            self.store.location(),
            object.key,
            ticks(there),
            there.lines,
            ticks(here),
            here.lines
        ))
    }

    /// Looks at the first lines of some objects.
    async fn learn(&mut self, asked: &[ObjectRequest], reader: &Reader) {
        self.layouts.iter_mut().for_each(|known| known.lines /= 2);
        for ObjectRequest { object, options, .. } in
            [asked.first(), asked.last()].into_iter().flatten()
        {
            for line in reader.first_lines(object).await.unwrap_or_default() {
                self.learn_line(&line, options);
            }
        }
        self.layouts.sort_by_key(|known| std::cmp::Reverse(known.lines));
        // All of one statement tell the same of their places.
        if let Some(first) = self.layouts.first() {
            let (has_offset, is_wrapped) = (first.layout.has_offset(), first.layout.is_wrapped);
            self.layouts.retain(|known| {
                known.layout.has_offset() == has_offset && known.layout.is_wrapped == is_wrapped
            });
            self.layouts.truncate(MAX_LAYOUTS);
        }
    }

    fn learn_line(&mut self, line: &[u8], options: &ScanOptions) {
        let Some(layout) = LineLayout::of(line, options) else {
            return;
        };
        match self.layouts.iter_mut().find(|known| known.layout == layout) {
            Some(known) => known.lines += 1,
            None => {
                let pattern = Pattern::of(&layout, &options.rules);
                self.layouts.extend(pattern.map(|pattern| KnownLayout {
                    layout,
                    pattern,
                    lines: 1,
                }));
            }
        }
    }

    /// Contents of some objects, where the answer is clear.
    async fn answers(&self, asked: &[ObjectRequest]) -> Result<Vec<Option<Scan>>, QueryError> {
        let patterns: Vec<Pattern> =
            self.layouts.iter().map(|known| known.pattern.clone()).collect();
        let paths: Vec<String> = asked.iter().map(|asked| asked.path.clone()).collect();
        let question = Question { paths: &paths, patterns: &patterns };
        let rows = self.rows(question.sums()).await?;
        let sums = answer::sums(&rows, asked.len())
            .map_err(|error| QueryError::Failed(format!("{error:#}")))?;
        // Some servers take a path that leads nowhere for one without lines; each of these objects
        // has bytes.
        if sums.iter().all(Sums::is_empty) {
            return Err(QueryError::Failed("the server finds no line there".to_owned()));
        }
        let others = self.others(&sums, &paths, &patterns).await?;
        let first = self.layouts.first().map(|known| &known.layout);
        let (has_offset, is_wrapped) =
            first.map_or((false, false), |first| (first.has_offset(), first.is_wrapped));
        let each = asked.iter().zip(&sums).enumerate();
        Ok(each
            .map(|(at, (asked, sums))| {
                combined(sums, others.get(&at), &asked.options, (has_offset, is_wrapped))
            })
            .collect())
    }

    /// The lines that are not plainly ticks, of those objects that have few of them.
    async fn others(
        &self,
        sums: &[Sums],
        paths: &[String],
        patterns: &[Pattern],
    ) -> Result<FxHashMap<usize, Vec<OtherLine>>, QueryError> {
        let has_few = |sums: &Sums| {
            sums.others().is_some_and(|(lines, bytes)| {
                (1..=MAX_OTHERS).contains(&lines) && bytes <= MAX_OTHER_BYTES
            })
        };
        let with: Vec<usize> = (0..sums.len()).filter(|at| has_few(&sums[*at])).collect();
        if with.is_empty() {
            return Ok(FxHashMap::default());
        }
        let paths: Vec<String> = with.iter().map(|at| paths[*at].clone()).collect();
        let question = Question { paths: &paths, patterns };
        let rows = self.rows(question.others()).await?;
        let lines = answer::others(&rows, paths.len())
            .map_err(|error| QueryError::Failed(format!("{error:#}")))?;
        Ok(with.into_iter().zip(lines).collect())
    }

    async fn rows(&self, statement: Relation) -> Result<Vec<String>, QueryError> {
        let parts = self.client.query(statement).await?;
        answer::texts(&parts).map_err(|error| QueryError::Failed(format!("{error:#}")))
    }

    /// The objects that are still the ones that were listed before they were read.
    async fn still_there(
        &self,
        scans: Vec<(Object, Scan)>,
    ) -> Result<Vec<(Object, Scan)>, Failure> {
        let folder = |key: &str| key.rfind('/').map_or(String::new(), |end| key[..=end].to_owned());
        let folders: FxHashSet<String> =
            scans.iter().map(|(object, _)| folder(&object.key)).collect();
        let mut there = FxHashSet::default();
        for folder in folders {
            let listed = self.store.list(&folder).await?;
            there.extend(listed.into_iter().map(|object| (object.key, object.etag, object.size)));
        }
        let is_there = |object: &Object| {
            there.contains(&(object.key.clone(), object.etag.clone(), object.size))
        };
        Ok(scans.into_iter().filter(|(object, _)| is_there(object)).collect())
    }

    /// An object that the server cannot read is for our own scan to judge. After several in turn so
    /// are all others: whoever is at fault, the numbers come.
    fn note_unreadable(&mut self, asked: &[ObjectRequest], why: &str) {
        let path = asked.first().map_or("", |asked| &*asked.path);
        tracing::debug!(path, error = why, "Spark could not read it");
        self.unreadable += 1;
        self.fault = Some((path.to_owned(), why.to_owned()));
        if self.has_given_up() {
            let url = &self.options.url;
            tracing::warn!(
                %url,
                path,
                error = why,
                "Spark at {url} could not read {UNREADABLE} objects in turn, {path} the last \
                 (--spark-archive; it needs keys of its own): {why}; this run reads what is left \
                 by itself"
            );
        }
    }

    fn has_given_up(&self) -> bool {
        self.unreadable >= UNREADABLE
    }
}

/// Whether two scans tell of the same ticks.
fn is_same(one: &Scan, other: &Scan) -> bool {
    fn bars(scan: &Scan) -> BTreeMap<(Hour, &str), Bar> {
        let of_hours = scan.hours.iter();
        of_hours
            .flat_map(|(hour, of)| of.bars.iter().map(|(name, bar)| ((*hour, name.as_str()), *bar)))
            .collect()
    }
    (one.lines, one.rejected) == (other.lines, other.rejected) && bars(one) == bars(other)
}

/// An object's sums with its other lines; `None` where they are not clear.
fn combined(
    sums: &Sums,
    others: Option<&Vec<OtherLine>>,
    options: &ScanOptions,
    (has_offset, is_wrapped): (bool, bool),
) -> Option<Scan> {
    let (count, _) = sums.others()?;
    let mut scan = sums.scan(options, has_offset)?;
    if count == 0 {
        return Some(scan);
    }
    let others = others.filter(|lines| lines.len() as u64 == count)?;
    let numbered = |(row, bytes): &OtherLine| Some((sums.line(*row)?, bytes.clone()));
    let lines: Vec<(u64, Vec<u8>)> = others.iter().map(numbered).collect::<Option<_>>()?;
    let rest = scan::scan_some(&lines, options, is_wrapped);
    scan.join(rest).then_some(scan)
}

fn failure(error: QueryError, url: &SparkUrl, doing: &str) -> Failure {
    let what = format!("Spark at {url} (--spark-url), {doing}");
    match error {
        QueryError::Refused(_) => Failure::Configuration(anyhow::Error::new(error).context(what)),
        QueryError::Stopped => crate::stop::stopped(),
        _ => Failure::Infrastructure(anyhow::Error::new(error).context(what)),
    }
}

#[cfg(test)]
mod tests;
