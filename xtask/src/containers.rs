//! `cargo xtask containers`: the images are built, and the demo's proof is repeated with every
//! program in its container.

mod confined;
mod docker;
mod images;

use crate::{demo, files};
use anyhow::{Context, Result, bail};
use docker::{CONFINED, docker, image};
use images::Bases;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

/// The images, named after the Dockerfile's targets.
const TARGETS: [&str; 3] = ["speed-layer", "batch-layer", "workbench"];

/// What the programs take from the environment of the stack.
const ENVIRONMENT: &str = "KAFKA_BROKERS DATABASE_URL S3_ENDPOINT_URL S3_BUCKET AWS_REGION \
                           AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY RUST_LOG";

pub fn run() -> Result<ExitCode> {
    check_engine()?;
    let bases = Bases::of_the_dockerfile_or_local()?;
    for target in TARGETS {
        images::build(target, &bases)?;
    }
    for target in TARGETS {
        confined::check_image(target)?;
    }
    confined::check_speed_layer()?;
    println!("the demo, with every program in its container");
    demo::run(&demo::Options::once_with(&wrappers()?)?)
}

fn check_engine() -> Result<()> {
    match docker(&["version", "--format", "{{.Server.Version}}"]) {
        Ok(version) => {
            println!("engine: Docker {version}");
            Ok(())
        }
        Err(error) => bail!(
            "there is no Docker engine that answers ({error:#}); start one, or name it in DOCKER_HOST. As root, without \
             changing the machine's network:\n  dockerd --bridge=none --iptables=false --data-root /var/tmp/docker"
        ),
    }
}

/// A folder with a script for each program, which runs it in its container. Signals and exit codes
/// pass through.
fn wrappers() -> Result<PathBuf> {
    let folder = files::workspace().join("target/containers");
    files::create_dir(&folder)?;
    let environment: String = ENVIRONMENT.split(' ').map(|name| format!("--env {name} ")).collect();
    for target in TARGETS {
        let script = format!(
            "#!/bin/sh\nexec docker run --rm {CONFINED} {environment}{} \"$@\"\n",
            image(target)
        );
        let file = folder.join(target);
        files::write(&file, &script)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", file.display()))?;
    }
    Ok(folder)
}
