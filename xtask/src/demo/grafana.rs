//! Grafana with the project's own dashboards, where `grafana-server` or `grafana` is installed.

use super::reader;
use crate::files;
use crate::stack::{Program, Stack, ports};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Homes that packages use: the server reads its defaults and pages there.
const HOMES: [&str; 2] = ["/usr/share/grafana", "/opt/grafana"];

const ENVIRONMENT: &str = include_str!("../../../grafana/loopback.env");

/// Starts it on its usual port or a free one; None where it is not installed.
pub fn start(stack: &Stack, prometheus: Option<&str>) -> Result<Option<(Program, String)>> {
    let (Some(program), Some(home)) =
        (server(), HOMES.iter().find(|home| Path::new(home).is_dir()))
    else {
        return Ok(None);
    };
    let port = ports::usual_or_free(3000)?.port();
    let folder = stack.dir().join("grafana");
    provision(&folder)?;
    let plugins = folder.join("plugins");
    files::create_dir(&plugins)?;
    let mut command = program;
    command
        .arg(format!("--homepath={home}"))
        .env("GF_PATHS_DATA", folder.join("data"))
        .env("GF_PATHS_LOGS", folder.join("logs"))
        .env("GF_PATHS_PROVISIONING", folder.join("provisioning"))
        .env("GF_PATHS_PLUGINS", &plugins)
        .env("GF_SERVER_HTTP_PORT", port.to_string())
        .envs(ENVIRONMENT.lines().filter_map(|line| line.split_once('=')))
        .envs(reader::environment(stack))
        .env("GRAFANA_PROMETHEUS_URL", prometheus.unwrap_or("http://127.0.0.1:9090"));
    let program = stack.start_program("grafana", command)?;
    Ok(Some((program, format!("http://127.0.0.1:{port}"))))
}

fn server() -> Option<Command> {
    if let Some(path) = files::on_path("grafana-server") {
        return Some(Command::new(path));
    }
    let mut command = Command::new(files::on_path("grafana")?);
    command.arg("server");
    Some(command)
}

/// Copies the provisioning files, because they name the folder of the dashboards as it is in the
/// container.
fn provision(folder: &Path) -> Result<()> {
    let source = files::workspace().join("grafana");
    // It complains where this one is missing.
    files::create_dir(&folder.join("provisioning").join("plugins"))?;
    for kind in ["datasources", "dashboards", "alerting"] {
        let to = folder.join("provisioning").join(kind);
        files::create_dir(&to)?;
        let from = source.join("provisioning").join(kind);
        for entry in
            fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))?
        {
            let entry = entry?;
            let text = fs::read_to_string(entry.path())?;
            let dashboards = source.join("dashboards");
            let text = text.replace("/etc/grafana/dashboards", &dashboards.to_string_lossy());
            files::write(&to.join(entry.file_name()), &text)?;
        }
    }
    Ok(())
}
