//! Compiles the workspace's binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{files, setup};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Quick to compile, and shared with the tests
    Dev,
    Release,
    /// What is deployed: link-time optimization takes minutes more
    Dist,
}

/// Where compiled binaries are.
pub struct Binaries(PathBuf);

impl Binaries {
    /// Programs that are there already.
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub fn command(&self, name: &str) -> Command {
        Command::new(self.0.join(name))
    }
}

/// Installs what compiling needs, and compiles the binaries of `packages`.
pub fn binaries(profile: Profile, packages: &[&str]) -> Result<Binaries> {
    setup::ensure_build_tools()?;
    let mut build = cargo();
    build.arg("build");
    let folder = match profile {
        // With the tests, so that what `cargo test` compiled serves: alone, dependencies get other
        // features.
        Profile::Dev => {
            build.args(["--workspace", "--all-targets"]);
            "debug"
        }
        Profile::Release => optimized(&mut build, "release", packages),
        Profile::Dist => optimized(&mut build, "dist", packages),
    };
    let status = build.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{} cannot be compiled: see above", packages.join(", "));
    }
    Ok(Binaries(target_dir()?.join(folder)))
}

/// The program that was compiled last, by whatever profile; `None` where none was.
pub fn newest(name: &str) -> Result<Option<PathBuf>> {
    let target = target_dir()?;
    let programs = ["debug", "release", "dist"].map(|folder| target.join(folder).join(name));
    let compiled = |program: &PathBuf| program.metadata().and_then(|file| file.modified()).ok();
    Ok(programs.into_iter().filter(|program| compiled(program).is_some()).max_by_key(compiled))
}

/// The folder of what it builds.
fn optimized(build: &mut Command, profile: &'static str, packages: &[&str]) -> &'static str {
    build.args(["--profile", profile, "--bins"]);
    for package in packages {
        build.args(["--package", package]);
    }
    profile
}

/// Cargo itself, in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(files::workspace());
    // What `cargo run` tells this program of its own package. ring's build script watches these
    // variables, so with them ring and all that uses it would be compiled anew whenever `cargo
    // build` and `cargo xtask` take turns.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Cargo's target folder: this program lies in its `debug` or `release` folder.
fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let target = program.parent().and_then(|profile| profile.parent());
    target
        .map(PathBuf::from)
        .with_context(|| format!("{} is in no target folder", program.display()))
}
