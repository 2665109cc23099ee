//! [`Progress`]: a bar on a terminal, log lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use service::words::counted;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a log says where a long run stands.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How often it says how many hours are done, behind the first time. Where nothing is to do,
/// thousands pass in a second.
const HOURS_EVERY: Duration = Duration::from_secs(5);

/// Tells the one who started the run how far it is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    hours: u64,
    objects: u64,
    bytes: u64,
    last_log: Instant,
    /// `None` until it has said how many hours are done.
    hours_logged: Option<Instant>,
}

impl Progress {
    /// `hours`: how many the window has.
    #[must_use]
    pub fn new(hours: u64, quiet: bool) -> Self {
        let is_person = !quiet && std::io::stderr().is_terminal();
        let bar = is_person.then(|| {
            let bar = ProgressBar::new(hours);
            let template = "{bar:30} {pos}/{len} hours  {msg}  {elapsed} (left: {eta})";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let last_log = Instant::now();
        Self { bar, quiet, hours, objects: 0, bytes: 0, last_log, hours_logged: None }
    }

    /// One more object was read.
    pub fn object(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}, {}", counted(self.objects, "object"), size(self.bytes)));
        } else if !self.quiet && self.last_log.elapsed() >= LOG_EVERY {
            self.last_log = Instant::now();
            let (objects, bytes) = (counted(self.objects, "object"), size(self.bytes));
            tracing::info!(objects = self.objects, bytes = self.bytes, "{objects} read, {bytes}");
        }
    }

    /// The first `done` hours of the window are done.
    pub fn hours_done(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if !self.quiet && done < self.hours && self.is_time_for_hours(Instant::now()) {
            tracing::info!(done, hours = self.hours, "{done} of {} hours done", self.hours);
        }
    }

    fn is_time_for_hours(&mut self, now: Instant) -> bool {
        let is_time = self.hours_logged.is_none_or(|last| now - last >= HOURS_EVERY);
        if is_time {
            self.hours_logged = Some(now);
        }
        is_time
    }

    /// Lets `log` say what was done; on a terminal the bar shows it.
    pub fn log_done(&self, log: impl FnOnce()) {
        if self.bar.is_none() && !self.quiet {
            log();
        }
    }

    /// Lets `log` warn without tearing the bar.
    pub fn log(&self, log: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(log),
            None => log(),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1.5 MB`
#[must_use]
pub fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_that_pass_in_no_time_are_said_once_and_then_every_few_seconds() {
        let mut progress = Progress::new(9, false);
        let begin = Instant::now();
        let said = [0, 1, 4_999, 5_000, 5_001, 11_000]
            .map(|millis| progress.is_time_for_hours(begin + Duration::from_millis(millis)));
        assert_eq!(said, [true, false, false, true, false, true]);
    }
}
