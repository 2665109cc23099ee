//! [`Bulk`]: what may read many objects at once in the reader's place.

#[cfg(feature = "spark")]
use crate::archive::StoreOptions;
use crate::archive::{Object, ObjectStore};
use crate::args::Args;
use crate::flags::EngineKind;
use crate::reader::Reader;
use crate::scan::Scan;
#[cfg(feature = "spark")]
use crate::spark::{OBJECTS_PER_STATEMENT, Spark, SparkOptions};
use common::decode::{Rules, SymbolFrom, TimestampFrom};
use service::Failure;
use tokio_util::sync::CancellationToken;

#[cfg(not(feature = "spark"))]
type SparkOptions = std::convert::Infallible;

/// A cluster, or nothing.
#[derive(Default)]
pub enum Bulk {
    #[default]
    Nothing,
    #[cfg(feature = "spark")]
    Spark(Box<Spark>),
}

/// This program by itself.
const LOCAL: &str = concat!("local ", env!("CARGO_PKG_VERSION"));

/// What the flags say of a cluster; `None` where there is to be none.
///
/// # Errors
/// Where they contradict one another.
pub fn options(args: &Args) -> Result<Option<SparkOptions>, Failure> {
    match args.engine.engine {
        EngineKind::Local => Ok(None),
        EngineKind::Spark => spark_options(args).map(Some).map_err(Failure::Configuration),
    }
}

#[cfg(not(feature = "spark"))]
fn spark_options(_: &Args) -> anyhow::Result<SparkOptions> {
    anyhow::bail!("--engine spark: this program was built without it (feature `spark`)")
}

#[cfg(feature = "spark")]
fn spark_options(args: &Args) -> anyhow::Result<SparkOptions> {
    use anyhow::Context as _;
    let url = args.engine.spark_url.as_deref().filter(|url| !url.is_empty());
    let url = url.context("--engine spark needs --spark-url, as sc://HOST:15002")?;
    // The words never repeat the URL, which may hold a token.
    let url = url.parse().map_err(|why: String| anyhow::anyhow!("--spark-url: {why}"))?;
    anyhow::ensure!(
        !args.share,
        "--engine spark and --share exclude each other: either spreads the work"
    );
    if let Some(flag) = flag_in_the_way(args) {
        anyhow::bail!(
            "--engine spark cannot read an archive by {flag}: leave it to --engine local"
        );
    }
    let archive = args.engine.spark_archive.clone().filter(|archive| !archive.is_empty());
    let mut archive = archive.unwrap_or_else(|| match args.archive.store() {
        StoreOptions::S3(options) => format!("s3a://{}/", options.bucket),
        StoreOptions::Local(root) => format!("file://{}/", root.display()),
    });
    if !archive.ends_with('/') {
        archive.push('/');
    }
    Ok(SparkOptions { url, archive, patience: args.engine.spark_timeout })
}

/// A flag by which no line is a tick by itself.
#[cfg_attr(not(feature = "spark"), allow(dead_code))]
fn flag_in_the_way(args: &Args) -> Option<&'static str> {
    let format = args.archive.format();
    let Rules { each, symbol_from, timestamp_from, .. } = &*format.rules;
    match () {
        () if format.csv.is_some() => Some("--csv-fields"),
        () if each.is_some() => Some(said_by(args)),
        () if matches!(symbol_from, SymbolFrom::Key | SymbolFrom::Topic) => Some("--symbol-from"),
        () if *timestamp_from != TimestampFrom::Value => Some("--timestamp-from"),
        () => None,
    }
}

/// The flag that has said where a message holds several ticks.
#[cfg_attr(not(feature = "spark"), allow(dead_code))]
fn said_by(args: &Args) -> &'static str {
    let messages = &args.archive.messages;
    match () {
        () if messages.message_file.is_some() => "what --message-file says of --each",
        () if messages.each.is_some() => "--each",
        () => "what --preset says of --each",
    }
}

#[cfg(feature = "spark")]
impl Bulk {
    /// Connects to the cluster, if there is to be one.
    ///
    /// # Errors
    /// Where it does not answer, or to others alone.
    pub async fn open(
        options: Option<SparkOptions>,
        store: ObjectStore,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        Ok(match options {
            None => Self::Nothing,
            Some(options) => Self::Spark(Box::new(Spark::connect(options, store, stop).await?)),
        })
    }

    /// What sums up objects, and its version.
    #[must_use]
    pub fn engine(&self) -> String {
        match self {
            Self::Nothing => LOCAL.to_owned(),
            Self::Spark(spark) => format!("spark {}", spark.version),
        }
    }

    /// How many objects it is asked for at once.
    #[must_use]
    pub fn at_once(&self) -> usize {
        match self {
            Self::Nothing => usize::MAX,
            Self::Spark(_) => OBJECTS_PER_STATEMENT,
        }
    }

    /// What it has found out about some objects; those that are missing are for the reader.
    ///
    /// # Errors
    /// Where the cluster is away, or refuses what is asked.
    pub async fn scan(
        &mut self,
        objects: &[Object],
        reader: &Reader,
    ) -> Result<Vec<(Object, Scan)>, Failure> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Spark(_) if objects.is_empty() => Ok(Vec::new()),
            Self::Spark(spark) => spark.scan(objects, reader).await,
        }
    }

    /// Logs what it read and closes it.
    pub async fn close(&self) {
        if let Self::Spark(spark) = self {
            let (read, left) = (spark.read, spark.left);
            tracing::info!(
                version = %spark.version,
                read,
                left,
                "Spark {} read {read} objects; {left} were read here",
                spark.version
            );
            spark.close().await;
        }
    }
}

#[cfg(not(feature = "spark"))]
impl Bulk {
    /// # Errors
    /// None.
    pub async fn open(
        _: Option<SparkOptions>,
        _: ObjectStore,
        _: CancellationToken,
    ) -> Result<Self, Failure> {
        Ok(Self::Nothing)
    }

    /// Nothing.
    #[must_use]
    pub fn engine(&self) -> String {
        LOCAL.to_owned()
    }

    /// Any number.
    #[must_use]
    pub fn at_once(&self) -> usize {
        usize::MAX
    }

    /// Nothing.
    ///
    /// # Errors
    /// None.
    pub async fn scan(&mut self, _: &[Object], _: &Reader) -> Result<Vec<(Object, Scan)>, Failure> {
        Ok(Vec::new())
    }

    /// Nothing.
    pub async fn close(&self) {}
}
