//! A Kubernetes control plane that takes what is deployed: etcd, the API server and the
//! controllers, built by Go into the cache. `deploy/check` starts it and asks it.

use crate::{cache, files, go, interrupt, process};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// As deploy/check/go.mod has it, and control_plane/go.mod.
const VERSION: &str = "1.36.4";
const FILES: [(&str, &str); 3] = [
    ("main.go", include_str!("control_plane/main.go")),
    ("go.mod", include_str!("control_plane/go.mod")),
    ("go.sum", include_str!("control_plane/go.sum")),
];
/// The test of `deploy/check` that needs it.
const TEST: &str = "^TestAControlPlaneTakesWhatIsDeployed$";
/// Four deployments, of which the CronJobs are waited for a minute and more.
const TIMEOUT: &str = "-test.timeout=20m";

/// Applies both overlays and the chart, prints each step, and says what was refused.
pub fn apply() -> Result<ExitCode> {
    let plane = program()?;
    let checks = files::workspace().join("target/manifests-checks");
    let mut compile = Command::new("go");
    compile.args(["test", "-c", "-mod=readonly", "-o"]).arg(&checks).arg(".");
    go::build("the checks", compile.current_dir(checks_folder()))?;
    let started = Command::new(&checks)
        .args(["-test.run", TEST, TIMEOUT])
        .env("CONTROL_PLANE", plane)
        .current_dir(checks_folder())
        // Once this ends, the checks end what they have started.
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run the checks")?;
    wait_for(started)
}

fn checks_folder() -> PathBuf {
    files::workspace().join("deploy/check")
}

fn wait_for(mut checks: Child) -> Result<ExitCode> {
    loop {
        if let Some(status) = checks.try_wait().context("cannot wait for the checks")? {
            interrupt::check()?;
            return Ok(process::exit_code(status));
        }
        if interrupt::requested() {
            drop(checks.stdin.take());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn program() -> Result<PathBuf> {
    Ok(cache::entry(&format!("control-plane-{VERSION}"), build)?.join("control-plane"))
}

fn build(into: &Path) -> Result<()> {
    println!("building a Kubernetes control plane by Go (7 minutes on two cores, once) ...");
    let mut go = go::building("control-plane", &FILES, into)?;
    go::build("the control plane", go.args(["-trimpath", "-ldflags", &named()]))
}

/// Kubernetes' own build writes its version like this; without it, it would call itself 0.0.0.
fn named() -> String {
    let minor = VERSION.split('.').nth(1).unwrap_or_default();
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    [
        "-s -w",
        &set("gitVersion", &format!("v{VERSION}")),
        &set("gitMajor", "1"),
        &set("gitMinor", minor),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_of_the_version_whose_types_the_checks_have() {
        let checks = std::fs::read_to_string(checks_folder().join("go.mod")).unwrap();
        assert!(checks.contains(&format!("\tk8s.io/api v0{}\n", &VERSION[1..])), "{checks}");
        assert!(FILES[1].1.contains(&format!("\tk8s.io/kubernetes v{VERSION}\n")));
    }

    #[test]
    fn the_control_plane_knows_its_version() {
        assert_eq!(
            named(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=36"
        );
    }
}
