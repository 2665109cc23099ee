//! The command `docker`, and how the images and their containers are named and confined.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// What is taken from each container that does not need it; the host's network, because that is
/// where the stack is.
pub const CONFINED: &str = "--network host --read-only --tmpfs /tmp --cap-drop ALL \
                            --security-opt no-new-privileges:true --pull=never";

pub fn image(target: &str) -> String {
    format!("stock-lambda/{target}")
}

/// Standard output of a docker command.
pub fn docker(arguments: &[&str]) -> Result<String> {
    process::output(Command::new("docker").args(arguments))
        .with_context(|| format!("docker {}", arguments.join(" ")))
}

/// A docker command whose output a person may want to see.
pub fn docker_shown(arguments: &[&str], folder: &Path) -> Result<()> {
    let status = Command::new("docker")
        .args(arguments)
        .current_dir(folder)
        .status()
        .context("cannot run docker")?;
    if !status.success() {
        bail!("docker {} failed: see above", arguments.join(" "));
    }
    Ok(())
}
