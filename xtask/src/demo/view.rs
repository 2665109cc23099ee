//! The live view: the report, refreshed in place, with the batch layer running on a schedule.

use super::binaries;
use super::options::Options;
use crate::build::Binaries;
use crate::stack::{Program, Stack};
use anyhow::{Result, bail};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const BATCH_EVERY: Duration = Duration::from_secs(20);
/// Once all agree.
const VERIFY_EVERY: Duration = Duration::from_secs(600);
/// Until then: at first the backfill is still on its way into the archive.
const VERIFY_AGAIN: Duration = Duration::from_secs(60);
const REFRESH_TERMINAL: Duration = Duration::from_secs(2);
/// Without a terminal, frames go one below the other into some log.
const REFRESH_LOG: Duration = Duration::from_secs(30);

pub struct View<'a> {
    stack: &'a Stack,
    binaries: &'a Binaries,
    options: &'a Options,
    places: Vec<String>,
    /// What has ended meanwhile and is not missed.
    notes: Vec<String>,
    begin: Instant,
    next_frame: Instant,
    next_batch: Instant,
    next_verify: Instant,
    batch: Option<Program>,
    /// Follows a run, since it looks at what that has written.
    verify: Option<Program>,
    batch_runs: u32,
}

impl<'a> View<'a> {
    pub fn new(
        stack: &'a Stack,
        binaries: &'a Binaries,
        options: &'a Options,
        places: Vec<String>,
    ) -> Self {
        let now = Instant::now();
        Self {
            stack,
            binaries,
            options,
            places,
            notes: Vec::new(),
            begin: now,
            next_frame: now,
            next_batch: now,
            next_verify: now,
            batch: None,
            verify: None,
            batch_runs: 0,
        }
    }

    /// Goes on showing this below the places.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Does what is due.
    pub fn update(&mut self) -> Result<()> {
        self.end_verify()?;
        self.run_batch_layer()?;
        if Instant::now() >= self.next_frame {
            let on_terminal = std::io::stdout().is_terminal();
            self.next_frame =
                Instant::now() + if on_terminal { REFRESH_TERMINAL } else { REFRESH_LOG };
            self.draw(on_terminal)?;
        }
        Ok(())
    }

    fn run_batch_layer(&mut self) -> Result<()> {
        if let Some(batch) = &mut self.batch {
            let Some(status) = batch.status()? else { return Ok(()) };
            if !status.success() {
                bail!("the batch layer failed ({status}); {}", batch.log_tail());
            }
            self.batch = None;
            self.batch_runs += 1;
            self.run_verify()?;
        }
        if self.verify.is_none() && Instant::now() >= self.next_batch {
            self.next_batch = Instant::now() + BATCH_EVERY;
            self.batch = Some(self.stack.start_program(
                "batch-layer",
                binaries::batch_layer(self.binaries, self.options),
            )?);
        }
        Ok(())
    }

    fn run_verify(&mut self) -> Result<()> {
        if Instant::now() >= self.next_verify {
            let verify = binaries::verify(self.binaries, self.options);
            self.verify = Some(self.stack.start_program("verify", verify)?);
        }
        Ok(())
    }

    /// What it found is in the tables; it ends nothing here.
    fn end_verify(&mut self) -> Result<()> {
        let Some(verify) = &mut self.verify else { return Ok(()) };
        if let Some(status) = verify.status()? {
            self.verify = None;
            self.next_verify =
                Instant::now() + if status.success() { VERIFY_EVERY } else { VERIFY_AGAIN };
        }
        Ok(())
    }

    fn draw(&self, on_terminal: bool) -> Result<()> {
        let report = self.stack.capture_program("report", binaries::report(self.binaries))?;
        let frame = frame(&self.title(), &report.well()?, &self.places, &self.notes);
        let mut out = std::io::stdout().lock();
        if on_terminal {
            // What is higher than the screen would scroll, and be drawn below itself.
            let size = rustix::termios::tcgetwinsize(&out);
            let rows = size.map_or(0, |size| usize::from(size.ws_row));
            let frame: String = match rows {
                0 => frame,
                rows => frame.split_inclusive('\n').take(rows - 1).collect(),
            };
            // Home, each line cleared to its end, then the rest of the screen: it does not flicker.
            write!(out, "\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\n"))?;
        } else {
            write!(out, "{frame}")?;
        }
        Ok(out.flush()?)
    }

    fn title(&self) -> String {
        let seconds = self.begin.elapsed().as_secs();
        format!(
            "stock market demo · live for {} min {:02} s · {} runs of the batch layer · Ctrl-C ends it",
            seconds / 60,
            seconds % 60,
            self.batch_runs
        )
    }
}

/// The report stands last: a screen may be too low for all of it.
fn frame(title: &str, report: &str, places: &[String], notes: &[String]) -> String {
    let mut frame = format!("{title}\n\nLook for yourself:\n");
    for place in places {
        frame.push_str("  ");
        frame.push_str(place);
        frame.push('\n');
    }
    for note in notes {
        frame.push_str(&format!("\n{}\n", note.trim_end()));
    }
    format!("{frame}\n{}\n", report.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_places_between_the_title_and_the_report() {
        let frame = frame("title", "\n\nticks  5\n\n", &["psql x".to_owned()], &[]);
        assert_eq!(frame, "title\n\nLook for yourself:\n  psql x\n\nticks  5\n");
    }

    #[test]
    fn what_has_ended_stays_above_each_report() {
        let frame = frame("title", "ticks  5", &[], &["grafana ended\nwithout it\n".to_owned()]);
        assert!(frame.ends_with("\n\ngrafana ended\nwithout it\n\nticks  5\n"), "{frame}");
    }
}
