//! That a container has no more rights than it needs, looked at from outside while it runs.

use super::docker::{CONFINED, docker, image};
use crate::interrupt;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::time::Duration;

const NAME: &str = "stock-lambda-check";
const HEALTHY_WITHIN: Duration = Duration::from_secs(90);
/// The user of the images.
const USER: &str = "65532";

/// An unprivileged user, labels, and nothing in the environment or in the history that could be a
/// secret.
pub fn check_image(target: &str) -> Result<()> {
    let name = image(target);
    let inspect = |format: &str| docker(&["image", "inspect", "--format", format, &name]);
    ensure!(
        inspect("{{.Config.User}}")? == format!("{USER}:{USER}"),
        "{name} does not run as user {USER}"
    );
    let environment = inspect("{{range .Config.Env}}{{println .}}{{end}}")?;
    let unknown = environment.lines().find(|line| !line.is_empty() && !line.starts_with("PATH="));
    ensure!(unknown.is_none(), "{name} has {unknown:?} in its environment");
    let labels = inspect("{{json .Config.Labels}}")?;
    for label in ["title", "description", "licenses", "version", "revision"] {
        ensure!(
            labels.contains(&format!("org.opencontainers.image.{label}")),
            "{name} has no label {label}"
        );
    }
    Ok(())
}

/// Runs it without any service, which it must bear: healthy, without a right, and gone soon after
/// SIGTERM.
pub fn check_speed_layer() -> Result<()> {
    // Left by a check that was killed; there is none as a rule.
    let _ = docker(&["rm", "--force", NAME]);
    let name = image("speed-layer");
    let mut arguments = vec!["run", "--detach", "--name", NAME];
    arguments.extend(CONFINED.split(' '));
    // Nobody listens on port 1.
    arguments.extend(["--env", "DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing"]);
    arguments.extend(["--env", "KAFKA_BROKERS=127.0.0.1:1"]);
    arguments.extend(["--env", "HTTP_ADDR=127.0.0.1:19464", &name]);
    docker(&arguments)?;
    let checked = look();
    let removed = docker(&["rm", "--force", NAME]);
    checked.and(removed.map(drop))?;
    println!(
        "speed-layer in a container: healthy without services, user {USER}, no capability, read-only, ends on SIGTERM"
    );
    Ok(())
}

fn look() -> Result<()> {
    let inspect = |format: &str| docker(&["inspect", "--format", format, NAME]);
    let healthy =
        interrupt::poll(HEALTHY_WITHIN, || Ok(inspect("{{.State.Health.Status}}")? == "healthy"))?;
    ensure!(
        healthy,
        "not healthy: {}; {}",
        inspect("{{json .State.Health}}")?,
        docker(&["logs", NAME])?
    );
    let pid = inspect("{{.State.Pid}}")?;
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    for (field, expected) in [
        ("Uid", USER),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        let found = status
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{field}:")))
            .unwrap_or_default();
        let found = found.split_whitespace().next().unwrap_or_default();
        ensure!(found == expected, "{field} of the process is {found}, expected {expected}");
    }
    if docker(&["exec", NAME, "touch", "/usr/local/bin/written"]).is_ok() {
        bail!("the root file system can be written");
    }
    docker(&["stop", "--time", "15", NAME])?;
    let code = inspect("{{.State.ExitCode}}")?;
    ensure!(code == "0", "it ended with exit code {code} on SIGTERM; {}", docker(&["logs", NAME])?);
    Ok(())
}
