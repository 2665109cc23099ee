//! A release binary as a process whose use of the machine is measured.

use crate::process::status;
use anyhow::Context;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(3);

/// A running process; killed when it is dropped.
pub struct Measured(Child);

/// What a process has used since it started.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// In user and kernel mode, of all threads.
    pub cpu_seconds: f64,
    pub peak_megabytes: f64,
}

impl Measured {
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("start {}", command.get_program().display()))?))
    }

    /// # Errors
    /// Where the process has ended.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let id = self.0.id();
        let cpu_seconds = cpu_seconds(id).context("the measured process has ended")?;
        Ok(Usage { cpu_seconds, peak_megabytes: status(id, "VmHWM")? / 1024.0 })
    }
}

/// What all threads of a process have used since it started, in user and kernel mode.
///
/// # Errors
/// A process that is not there.
pub fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))
        .with_context(|| format!("no process {id}"))?;
    // Fields are counted behind the name, which may hold spaces: utime and stime are the 12th and
    // 13th there.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| {
        fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat")
    };
    Ok((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}

impl Measured {
    /// Waits for the end. The usage is that of the last look, at most a few milliseconds before it.
    ///
    /// # Errors
    /// A process that ended before the first look.
    pub fn finish(mut self) -> anyhow::Result<(ExitStatus, Usage)> {
        let mut usage = self.usage()?;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok((status, usage));
            }
            usage = self.usage().unwrap_or(usage);
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
