//! [`Output`]: where ticks go, as CSV or Parquet.

use super::args::{ExportArgs, Format, is_folder};
use super::csv;
use super::partial::Partial;
use crate::checksum::TickContent;
use crate::hour::Hour;
use crate::lake::file::Writer;
use crate::lake::gather::is_without_offset;
use crate::lake::key;
use crate::lake::sort::{nameless, rewound};
use anyhow::Context;
use common::Place;
use service::Failure;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Whoever read standard output has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;

/// A file of Parquet has no column for the topic.
#[derive(Debug, thiserror::Error)]
#[error(
    "there are ticks of several topics, {0} and {1}, which a file of Parquet does not tell apart: \
     let --output name a folder, which ends with `/`"
)]
pub struct SeveralTopics(String, String);

/// Where ticks go.
pub struct Output {
    format: Format,
    /// Where files lie that standard output gets as a whole.
    temp: PathBuf,
    /// Each hour and topic has a file of its own below it.
    folder: Option<PathBuf>,
    /// Files that were written there.
    written: BTreeSet<PathBuf>,
    /// The file that is being written.
    part: Option<OutputFile>,
    /// The hour that comes next.
    hour: Option<Hour>,
    topic: String,
    /// In the current hour and topic.
    rows: u64,
}

/// Something that is written from its beginning to its end.
struct OutputFile {
    target: Target,
    sink: Sink,
    /// The topic of the ticks so far.
    topic: Option<String>,
}

/// Where it ends up.
enum Target {
    File(Partial),
    /// Standard output, or a file that is no place to keep anything, as a pipe with a name.
    Stream(File),
}

enum Sink {
    Csv(BufWriter<File>),
    Parquet(Box<Writer>),
}

impl Output {
    /// # Errors
    /// [`Failure::Configuration`] where it cannot be written to.
    pub fn open(args: &ExportArgs, format: Format) -> Result<Self, Failure> {
        let temp = args.lake.folder();
        let folder = args.output.clone().filter(|path| is_folder(path));
        let topic = String::new();
        let mut output = Self {
            format,
            temp,
            folder,
            written: BTreeSet::new(),
            part: None,
            hour: None,
            topic,
            rows: 0,
        };
        let opened = match (&output.folder, &args.output) {
            (Some(folder), _) => fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {} (--output)", folder.display())),
            (None, path) => output.open_part(path.clone()),
        };
        opened.map(|()| output).map_err(Failure::Configuration)
    }

    fn open_part(&mut self, path: Option<PathBuf>) -> anyhow::Result<()> {
        let (target, written) = match path {
            None => (Target::Stream(standard_output()?), None),
            Some(path) if is_special(&path) => (Target::Stream(open_special(&path)?), None),
            Some(path) => {
                let (partial, file) = Partial::create(path)?;
                (Target::File(partial), Some(file))
            }
        };
        let into = match (&target, written) {
            (_, Some(file)) => file,
            (Target::Stream(stream), None) if self.format == Format::Csv => stream.try_clone()?,
            _ => nameless(&self.temp)?,
        };
        let sink = match self.format {
            Format::Csv => {
                let mut lines = BufWriter::with_capacity(BUFFER, into);
                lines.write_all(csv::HEADER.as_bytes())?;
                Sink::Csv(lines)
            }
            Format::Parquet => Sink::Parquet(Box::new(Writer::new(into)?)),
        };
        self.part = Some(OutputFile { target, sink, topic: None });
        Ok(())
    }

    /// Begins this hour and topic.
    pub fn begin(&mut self, hour: Hour, topic: &str) {
        (self.hour, self.rows) = (Some(hour), 0);
        topic.clone_into(&mut self.topic);
    }

    /// # Errors
    /// Where it cannot be written. [`SeveralTopics`] and [`ReaderGone`] are told
    /// apart.
    pub fn push(&mut self, content: &TickContent<'_>, place: Place) -> anyhow::Result<()> {
        if self.part.is_none() {
            let path = self.path()?;
            self.written.extend(path.clone());
            self.open_part(path)?;
        }
        if let Some(part) = &mut self.part {
            part.push(content, &self.topic, place)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Where the current hour's ticks go, in a folder.
    fn path(&self) -> anyhow::Result<Option<PathBuf>> {
        let (Some(folder), Some(hour)) = (&self.folder, self.hour) else { return Ok(None) };
        let folder = folder.join(key::folder("", &self.topic, hour));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {} (--output)", folder.display()))?;
        Ok(Some(folder.join(name(self.format))))
    }

    /// Ends an hour's topic; gives how many ticks it had.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn end(&mut self) -> anyhow::Result<u64> {
        match &mut self.part {
            Some(_) if self.folder.is_some() => {
                self.part.take().map_or(Ok(()), OutputFile::finish)?
            }
            // Ticks are in order within an hour, and readers are told so of each group.
            Some(OutputFile { sink: Sink::Parquet(writer), .. }) => writer.end_group()?,
            _ => {}
        }
        Ok(self.rows)
    }

    /// Ends all. In a folder, no file is left of an hour of `hours` that an earlier run has
    /// written, and not this one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(self, hours: impl Fn(Hour) -> bool) -> anyhow::Result<()> {
        self.part.map_or(Ok(()), OutputFile::finish)?;
        let Some(folder) = self.folder else { return Ok(()) };
        remove_others(&folder, (&hours, name(self.format)), &self.written).with_context(|| {
            format!(
                "cannot delete what an earlier export has left in {} (--output)",
                folder.display()
            )
        })
    }
}

impl OutputFile {
    fn push(&mut self, content: &TickContent<'_>, topic: &str, place: Place) -> anyhow::Result<()> {
        match &mut self.sink {
            Sink::Csv(lines) => csv::write(lines, content, topic, place)
                .map_err(|error| write_error(error, matches!(self.target, Target::File(_)))),
            Sink::Parquet(writer) => {
                let known = self.topic.get_or_insert_with(|| topic.to_owned());
                if known != topic {
                    return Err(SeveralTopics(known.clone(), topic.to_owned()).into());
                }
                debug_assert!(!is_without_offset(place), "the lake's columns have no such place");
                Ok(writer.push(content, place)?)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        let is_file = matches!(self.target, Target::File(_));
        let (file, is_copied) = match self.sink {
            Sink::Csv(lines) => (
                lines.into_inner().map_err(|error| write_error(error.into_error(), is_file))?,
                false,
            ),
            Sink::Parquet(writer) => (writer.finish()?.0, !is_file),
        };
        match self.target {
            Target::File(partial) => partial.finish(&file),
            Target::Stream(mut stream) if is_copied => io::copy(&mut rewound(file)?, &mut stream)
                .map_err(|error| write_error(error, false))
                .map(drop),
            Target::Stream(_) => Ok(()),
        }
    }
}

/// Name of an hour's file in a folder.
const fn name(format: Format) -> &'static str {
    match format {
        Format::Csv => "ticks.csv",
        Format::Parquet => "ticks.parquet",
    }
}

/// Whether something is there that is neither a file nor a folder: it is written to, and not
/// replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

fn open_special(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .with_context(|| format!("cannot write {} (--output)", path.display()))
}

/// Deletes an hour's file that was not `written`, wherever it lies below a folder as
/// [`key::folder`] names it, where its hour is one of `hours`.
fn remove_others(
    folder: &Path,
    (hours, name): (&impl Fn(Hour) -> bool, &str),
    written: &BTreeSet<PathBuf>,
) -> io::Result<()> {
    for topic in folders(folder, "source=")? {
        for date in folders(&topic, "date=")? {
            for hour in folders(&date, "hour=")? {
                let file = hour.join(name);
                let is_meant = key::hour_of(&format!("{}/", hour.display())).is_some_and(hours);
                if is_meant && !written.contains(&file) && file.is_file() {
                    fs::remove_file(&file)?;
                }
            }
        }
    }
    Ok(())
}

fn folders(folder: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let there = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(prefix.as_bytes()) && path.is_dir()
    };
    Ok(there.collect::<io::Result<Vec<_>>>()?.into_iter().filter(is_meant).collect())
}

/// Standard output without its buffer of lines.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// `is_file`: it is no pipe whose other end may have gone.
fn write_error(error: io::Error, is_file: bool) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe if !is_file => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("cannot write the ticks (--output)"),
    }
}
