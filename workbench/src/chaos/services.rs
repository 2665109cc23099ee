//! Stopping and starting the services of the stack. The launcher knows how: it is asked to.

use anyhow::{Context, ensure};
use clap::Args;
use std::path::PathBuf;
use std::process::Stdio;

/// The stack that is to be broken; `cargo xtask` fills this in.
#[derive(Args, Clone)]
pub struct StackArgs {
    /// The launcher's binary.
    #[arg(long, hide = true, env = "XTASK", default_value = "")]
    xtask: PathBuf,
    /// The stack's folder.
    #[arg(long, hide = true, env = "STACK_DIR", default_value = "")]
    stack: PathBuf,
}

/// `service`: as `cargo xtask stack crash` takes it.
impl StackArgs {
    /// Without warning: kill -9, or PostgreSQL's immediate stop.
    ///
    /// # Errors
    /// What the launcher says.
    pub async fn crash(&self, service: &str) -> anyhow::Result<()> {
        self.ask("crash", service).await
    }

    /// Returns once it is ready.
    ///
    /// # Errors
    /// What the launcher says.
    pub async fn start(&self, service: &str) -> anyhow::Result<()> {
        self.ask("start", service).await
    }

    async fn ask(&self, what: &str, service: &str) -> anyhow::Result<()> {
        let output = tokio::process::Command::new(&self.xtask)
            .args(["stack", what, service, "--dir"])
            .arg(&self.stack)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("run {}", self.xtask.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{what} {service}: {}", said.trim());
        Ok(())
    }
}
