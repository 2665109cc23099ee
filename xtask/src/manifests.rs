//! The checks of `deploy/check`, a Go module: kustomize, Kubernetes' types and Compose's own loader are Go.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{files, setup, test};

/// Fetches and compiles on first use (some minutes, in Go's own cache), then takes seconds.
pub fn run() -> Result<ExitCode> {
    if setup::on_path("go").is_none() {
        bail!("deploy/check is written in Go, and there is no `go` on the PATH: install Go 1.26 or newer");
    }
    let mut go = Command::new("go");
    // Always anew: what is looked at are files that Go does not know of.
    go.args(["test", "-count=1", "-mod=readonly", "./..."]).current_dir(files::workspace().join("deploy/check"));
    Ok(test::exit_code(go.status().context("cannot run go")?))
}
