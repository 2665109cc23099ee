//! A stack that lives as long as its owner.

use super::bucket::StoreKind;
use super::options::UpOptions;
use super::ports::PortChoice;
use super::settings::Stack;
use crate::process::{detached, exit_code};
use crate::{files, interrupt};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

/// Taken down, data deleted, when this value is dropped or this process dies, by whatever signal: a
/// watcher in a session of its own waits for the pipe from this process to close.
pub struct OwnedStack {
    stack: Stack,
    watcher: Child,
}

impl OwnedStack {
    /// Brings up a stack in `dir`; data that is left there is deleted.
    ///
    /// # Errors
    /// A stack runs there, which has an owner, because stacks do not outlive theirs.
    pub fn start(dir: &Path, options: &UpOptions) -> Result<Self> {
        if Stack::open(dir)?.is_some_and(|stack| stack.is_running()) {
            bail!(
                "a stack runs in {0}: end its owner first, or `cargo xtask stack down --dir {0}`",
                dir.display()
            );
        }
        super::down(dir, true)?;
        let stack = Stack::open_or_create(dir, options)?;
        // Not the file's name: the demo may have compiled this program anew meanwhile, and the old
        // file is then gone.
        let program = format!("/proc/{}/exe", std::process::id());
        let watcher = detached(program)
            .args(["stack", "watch", "--dir"])
            .arg(&stack.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the watcher of the stack")?;
        let owned = Self { stack, watcher };
        match owned.stack.up() {
            Ok(()) => Ok(owned),
            Err(error) => Err(owned.fail(error)),
        }
    }

    /// Runs a program on a stack in a temporary folder, on private ports. Where it fails, the
    /// services' logs are kept.
    pub fn run(
        name: &str,
        store: Option<StoreKind>,
        program: impl FnOnce(&Stack) -> Result<Command>,
    ) -> Result<ExitCode> {
        let folder =
            std::env::temp_dir().join(format!("stock-lambda-{name}-{}", std::process::id()));
        let ports = Some(PortChoice::Private);
        let owned = Self::start(&folder, &UpOptions { store, ports, ..UpOptions::default() })?;
        let ended =
            program(&owned.stack).and_then(|program| owned.stack.run_program(name, program));
        let status = ended.map_err(|error| owned.fail(error))?;
        if !status.success() {
            eprintln!("the services' logs are kept in {}", owned.keep_logs()?.display());
        }
        Ok(exit_code(status))
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    fn take_down_without_watcher(&self) {
        let dir = self.stack.dir.display();
        match super::down(&self.stack.dir, true) {
            Ok(()) => {
                eprintln!("xtask: the watcher of the stack in {dir} had ended; the stack is down")
            }
            Err(error) => {
                eprintln!("xtask: the stack in {dir} was not taken down properly: {error:#}")
            }
        }
    }

    /// Saves the logs from deletion, next to the stack's folder, and says where they are.
    pub fn keep_logs(&self) -> Result<PathBuf> {
        let kept = self.stack.dir.with_extension("logs");
        files::remove_dir(&kept)?;
        fs::rename(self.stack.logs(), &kept)
            .with_context(|| format!("cannot keep the logs in {}", kept.display()))?;
        Ok(kept)
    }

    /// The error, and where the logs are that explain it.
    pub fn fail(&self, error: anyhow::Error) -> anyhow::Error {
        match self.keep_logs() {
            _ if interrupt::requested() => error,
            Ok(kept) => {
                let (was, is) =
                    (self.stack.logs().display().to_string(), kept.display().to_string());
                anyhow::anyhow!(
                    "{}\nxtask: all logs are kept in {is}",
                    format!("{error:#}").replace(&was, &is)
                )
            }
            Err(_) => error,
        }
    }
}

impl Drop for OwnedStack {
    fn drop(&mut self) {
        let started = Instant::now();
        // Waiting closes the pipe first.
        let watched = self.watcher.wait();
        // The watcher knows what the folder says, and finds nothing where that has vanished.
        for line in self.stack.started.end_what_is_left() {
            eprintln!("xtask: {line}: its file in {} is gone", self.stack.dir.display());
        }
        match watched {
            Ok(status) if status.success() => {
                eprintln!("the stack is down ({:.1} s)", started.elapsed().as_secs_f64())
            }
            _ => self.take_down_without_watcher(),
        }
    }
}
