//! The checks of `deploy/check` and `deploy/check-workflows`, Go modules: kustomize, Helm,
//! Kubernetes' types, Compose's own loader and actionlint are Go.

use crate::{control_plane, files, process};
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

/// Fetches and compiles on first use (some minutes, in Go's own cache), then takes seconds.
/// `apply`: then also apply all of it to a real control plane, which takes minutes.
pub fn run(apply: bool) -> Result<ExitCode> {
    if files::on_path("go").is_none() {
        bail!(
            "deploy/check is written in Go, and there is no `go` on the PATH: install Go 1.26 or newer"
        );
    }
    for module in ["deploy/check", "deploy/check-workflows"] {
        let mut go = Command::new("go");
        // Always anew: what is looked at are files that Go does not know of.
        go.args(["test", "-count=1", "-mod=readonly", "./..."])
            .current_dir(files::workspace().join(module));
        let status = go.status().context("cannot run go")?;
        if !status.success() {
            return Ok(process::exit_code(status));
        }
    }
    if apply { control_plane::apply() } else { Ok(ExitCode::SUCCESS) }
}
