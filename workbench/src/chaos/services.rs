//! Stopping and starting the services of the stack. The launcher knows how: it is asked to.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

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

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Service {
    Postgres,
    Kafka,
    Store,
}

impl StackArgs {
    /// Without warning: kill -9, or PostgreSQL's immediate stop.
    ///
    /// # Errors
    /// What the launcher says.
    pub async fn crash(&self, service: Service) -> anyhow::Result<()> {
        self.ask("crash", service).await
    }

    /// Returns once it is ready.
    ///
    /// # Errors
    /// What the launcher says.
    pub async fn start(&self, service: Service) -> anyhow::Result<()> {
        self.ask("start", service).await
    }

    async fn ask(&self, what: &str, service: Service) -> anyhow::Result<()> {
        let name = service
            .to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default();
        let output = tokio::process::Command::new(&self.xtask)
            .args(["stack", what, &name, "--dir"])
            .arg(&self.stack)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("run {}", self.xtask.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{what} {name}: {}", said.trim());
        Ok(())
    }
}
