//! What this process has started, in its memory: the files that say so may vanish with the folder.

use crate::process::Process;
use rustix::process::Signal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const STOP_WITHIN: Duration = Duration::from_secs(15);

struct Entry {
    name: String,
    process: Process,
    /// Asks it to end.
    polite: Signal,
}

/// In the order of starting.
#[derive(Default)]
pub struct Started(Mutex<Vec<Entry>>);

impl Started {
    pub fn add(&self, name: &str, process: Process, polite: Signal) {
        let mut entries = self.entries();
        entries.retain(|entry| entry.process.is_running());
        entries.push(Entry { name: name.to_owned(), process, polite });
    }

    /// Ends what still runs, the newest first, and gives a line about each.
    pub fn end_what_is_left(&self) -> Vec<String> {
        let left = std::mem::take(&mut *self.entries()).into_iter().rev();
        left.filter(|entry| entry.process.is_running()).map(|entry| entry.end()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn end(&self) -> String {
        let (name, number) = (&self.name, self.process.number());
        match self.process.stop(self.polite, STOP_WITHIN) {
            Ok(()) => format!("{name} (process {number}) was left running, and is stopped now"),
            Err(error) => {
                format!("{name} is left running ({error:#}): end it by `kill -9 {number}`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use super::*;

    fn start(started: &Started, name: &str) -> Child {
        let child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        started.add(name, Process::find(child.id()).unwrap(), Signal::TERM);
        child
    }

    #[test]
    fn what_is_left_is_ended_and_named_without_any_file_and_the_newest_first() {
        let started = Started::default();
        let mut first = start(&started, "kafka");
        let mut gone = start(&started, "backfill");
        gone.kill().unwrap();
        gone.wait().unwrap();
        let mut last = start(&started, "speed-layer");

        let left = started.end_what_is_left();
        let named = |child: &Child, name: &str| {
            format!("{name} (process {}) was left running, and is stopped now", child.id())
        };
        assert_eq!(left, [named(&last, "speed-layer"), named(&first, "kafka")]);
        for child in [&mut first, &mut last] {
            assert!(!child.wait().unwrap().success());
        }
        assert!(started.end_what_is_left().is_empty(), "once is enough");
    }
}
