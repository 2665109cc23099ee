//! [`Output`]: where ticks go, as CSV or Parquet.

use super::args::{ExportArgs, Format};
use super::csv;
use super::partial::Partial;
use crate::checksum::Content;
use crate::hour::Hour;
use crate::lake::file::Writer;
use crate::lake::gather::is_placeless;
use crate::lake::key;
use crate::lake::sort::{nameless, rewound};
use anyhow::Context;
use common::Place;
use service::Failure;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Whoever read standard output has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;

/// A file of Parquet has no column for the topic.
#[derive(Debug, thiserror::Error)]
#[error(
    "there are ticks of several topics, {0} and {1}, which a file of Parquet does not tell apart: let --output name a \
         folder, which ends with `/`"
)]
pub struct SeveralTopics(String, String);

/// Where ticks go.
pub struct Output {
    format: Format,
    /// Where files lie that standard output gets as a whole.
    temp: PathBuf,
    /// Each hour and topic has a file of its own below it.
    folder: Option<PathBuf>,
    /// What is written to.
    part: Option<Part>,
    /// What comes next.
    hour: Option<Hour>,
    topic: String,
    /// In the current hour and topic.
    rows: u64,
}

/// Something that is written from its beginning to its end.
struct Part {
    sink: Sink,
    /// `None`: standard output.
    file: Option<Partial>,
    /// The topic of the ticks so far.
    topic: Option<String>,
}

enum Sink {
    Csv(BufWriter<File>),
    Parquet(Box<Writer>),
}

impl Output {
    /// # Errors
    /// [`Failure::Configuration`] where it cannot be written to.
    pub fn open(args: &ExportArgs) -> Result<Self, Failure> {
        let temp = args.lake.folder();
        let folder =
            args.output.clone().filter(|path| path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/"));
        let (format, topic) = (args.format, String::new());
        let mut output = Self { format, temp, folder, part: None, hour: None, topic, rows: 0 };
        let opened = match (&output.folder, &args.output) {
            (Some(folder), _) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {} (--output)", folder.display()))
            }
            (None, path) => output.open_part(path.clone()),
        };
        opened.map(|()| output).map_err(Failure::Configuration)
    }

    fn open_part(&mut self, path: Option<PathBuf>) -> anyhow::Result<()> {
        let (file, into) = match path {
            Some(path) => {
                let (partial, file) = Partial::create(path)?;
                (Some(partial), file)
            }
            None if self.format == Format::Parquet => (None, nameless(&self.temp)?),
            None => (None, standard_output()?),
        };
        let sink = match self.format {
            Format::Csv => {
                let mut lines = BufWriter::with_capacity(BUFFER, into);
                lines.write_all(csv::HEADER.as_bytes())?;
                Sink::Csv(lines)
            }
            Format::Parquet => Sink::Parquet(Box::new(Writer::new(into)?)),
        };
        self.part = Some(Part { sink, file, topic: None });
        Ok(())
    }

    /// What follows is of this hour and topic.
    pub fn begin(&mut self, hour: Hour, topic: &str) {
        (self.hour, self.rows) = (Some(hour), 0);
        topic.clone_into(&mut self.topic);
    }

    /// # Errors
    /// Where it cannot be written; here and below. [`SeveralTopics`] and [`ReaderGone`] are told apart.
    pub fn push(&mut self, content: &Content<'_>, place: Place) -> anyhow::Result<()> {
        if self.part.is_none() {
            let path = self.path()?;
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
        let name = match self.format {
            Format::Csv => "ticks.csv",
            Format::Parquet => "ticks.parquet",
        };
        let folder = folder.join(key::folder("", &self.topic, hour));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {} (--output)", folder.display()))?;
        Ok(Some(folder.join(name)))
    }

    /// Ends an hour's topic; gives how many ticks it had.
    pub fn end(&mut self) -> anyhow::Result<u64> {
        match &mut self.part {
            Some(_) if self.folder.is_some() => self.part.take().map_or(Ok(()), Part::finish)?,
            // Ticks are in order within an hour, and readers are told so of each group.
            Some(Part { sink: Sink::Parquet(writer), .. }) => writer.end_group()?,
            _ => {}
        }
        Ok(self.rows)
    }

    /// Ends all.
    pub fn finish(self) -> anyhow::Result<()> {
        self.part.map_or(Ok(()), Part::finish)
    }
}

impl Part {
    fn push(&mut self, content: &Content<'_>, topic: &str, place: Place) -> anyhow::Result<()> {
        match &mut self.sink {
            Sink::Csv(lines) => {
                csv::write(lines, content, topic, place).map_err(|error| told(error, self.file.is_some()))
            }
            Sink::Parquet(writer) => {
                let known = self.topic.get_or_insert_with(|| topic.to_owned());
                if known != topic {
                    return Err(SeveralTopics(known.clone(), topic.to_owned()).into());
                }
                debug_assert!(!is_placeless(place), "the lake's columns have no such place");
                Ok(writer.push(content, place)?)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        let is_file = self.file.is_some();
        let (file, is_copied) = match self.sink {
            Sink::Csv(lines) => (lines.into_inner().map_err(|error| told(error.into_error(), is_file))?, false),
            Sink::Parquet(writer) => (writer.finish()?.0, !is_file),
        };
        if is_copied {
            io::copy(&mut rewound(file)?, &mut standard_output()?).map_err(|error| told(error, is_file))?;
            return Ok(());
        }
        self.file.map_or(Ok(()), |partial| partial.finish(&file))
    }
}

/// Standard output without its buffer of lines.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// `is_file`: it is no pipe whose other end may have gone.
fn told(error: io::Error, is_file: bool) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe if !is_file => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("cannot write the ticks (--output)"),
    }
}
