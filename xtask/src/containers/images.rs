//! Building the images, also where no base image can be pulled.

use super::docker::{docker, docker_shown, image};
use crate::{cache, files, process};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The images that the Dockerfile builds on.
pub struct Bases {
    pub rust: String,
    pub runtime: String,
}

/// Of images that are made here, where the Dockerfile's own are out of reach.
const LOCAL_DEBIAN: &str = "stock-lambda/local-debian:bookworm";
const LOCAL_RUST: &str = "stock-lambda/local-rust:bookworm";

impl Bases {
    pub fn of_the_dockerfile_or_local() -> Result<Self> {
        let dockerfile = files::workspace().join("Dockerfile");
        let text = files::read(&dockerfile)?;
        let default = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("ARG {name}=")));
            line.map(str::to_owned)
                .with_context(|| format!("{} has no ARG {name}=", dockerfile.display()))
        };
        let bases = Self { rust: default("RUST_IMAGE")?, runtime: default("RUNTIME_IMAGE")? };
        if [&bases.rust, &bases.runtime]
            .into_iter()
            .all(|name| is_there(name) || docker(&["pull", name]).is_ok())
        {
            return Ok(bases);
        }
        println!(
            "{} or {} cannot be pulled: base images are made on this machine",
            bases.rust, bases.runtime
        );
        if !is_there(LOCAL_DEBIAN) {
            make_debian()?;
        }
        if !is_there(LOCAL_RUST) {
            make_rust()?;
        }
        Ok(Self { rust: LOCAL_RUST.to_owned(), runtime: LOCAL_DEBIAN.to_owned() })
    }
}

/// Builds one target and says what it cost.
pub fn build(target: &str, bases: &Bases) -> Result<()> {
    let started = Instant::now();
    let (rust, runtime) =
        (format!("RUST_IMAGE={}", bases.rust), format!("RUNTIME_IMAGE={}", bases.runtime));
    let tag = image(target);
    let arguments = ["build", "--network", "host", "--build-arg", &rust, "--build-arg", &runtime];
    let of_target = ["--target", target, "--tag", &tag, "."];
    docker_shown(&[&arguments[..], &of_target].concat(), &files::workspace())?;
    let size = docker(&["image", "inspect", "--format", "{{.Size}}", &tag])?
        .parse::<u64>()
        .unwrap_or_default();
    println!("{tag}: {} MB, built in {:.0} s", size / 1_000_000, started.elapsed().as_secs_f64());
    Ok(())
}

fn is_there(name: &str) -> bool {
    docker(&["image", "inspect", name]).is_ok()
}

/// A minimal Debian, with the certificates that this machine trusts, so that it reaches what this
/// machine reaches.
fn make_debian() -> Result<()> {
    if files::on_path("debootstrap").is_none() {
        bail!("base images can be neither pulled nor made: install debootstrap");
    }
    println!("making {LOCAL_DEBIAN} by debootstrap ...");
    let root = cache::entry("debian-bookworm-root", |root| {
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", "--include=ca-certificates", "bookworm"]).arg(root);
        succeed(debootstrap.stdout(Stdio::null()))?;
        let trusted = "etc/ssl/certs/ca-certificates.crt";
        std::fs::copy(Path::new("/").join(trusted), root.join(trusted))
            .context("cannot copy the trusted certificates")?;
        Ok(())
    })?;
    let mut tar =
        Command::new("tar").arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
    let archive = tar.stdout.take().context("tar has no output")?;
    succeed(
        Command::new("docker")
            .args(["import", "-", LOCAL_DEBIAN])
            .stdin(archive)
            .stdout(Stdio::null()),
    )?;
    tar.wait()?;
    Ok(())
}

/// That Debian with this machine's Rust.
fn make_rust() -> Result<()> {
    println!("making {LOCAL_RUST} from this machine's Rust ...");
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let mut tar = Command::new("tar");
    tar.args(["-C", &sysroot, "-c", "bin", "lib"]).stdout(Stdio::piped());
    let mut tar = tar.spawn().context("cannot run tar")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let container = docker(&["create", LOCAL_DEBIAN, "true"])?;
    let filled = succeed(
        Command::new("docker").args(["cp", "-", &format!("{container}:/usr/local")]).stdin(archive),
    );
    tar.wait()?;
    let made = filled.and_then(|()| docker(&["commit", &container, LOCAL_RUST]).map(drop));
    docker(&["rm", &container])?;
    made
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} failed: see above", command.get_program().display());
    }
    Ok(())
}
