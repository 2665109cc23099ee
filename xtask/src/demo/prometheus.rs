//! Prometheus with the project's own rules, where it is installed.

use crate::files;
use crate::stack::{Program, Stack, ports};
use anyhow::Result;
use std::process::Command;

/// Starts it on its usual port or a free one, scraping the speed layer at `target`; None where it
/// is not installed.
pub fn start(stack: &Stack, target: &str) -> Result<Option<(Program, String)>> {
    let Some(program) = files::on_path("prometheus") else { return Ok(None) };
    let address = ports::usual_or_free(9090)?;
    let folder = stack.dir().join("prometheus");
    files::create_dir(&folder)?;
    let config = folder.join("prometheus.yml");
    files::write(&config, &configuration(target))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"));
    Ok(Some((stack.start_program("prometheus", command)?, format!("http://{address}"))))
}

/// As prometheus/prometheus.yml, whose targets are the containers' names.
fn configuration(target: &str) -> String {
    let rules = files::workspace().join("prometheus/rules/*.rules.yml");
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 5s }}\n\
         rule_files: [\"{}\"]\n\
         scrape_configs:\n\
         - job_name: speed-layer\n  static_configs: [{{ targets: [\"{target}\"] }}]\n",
        rules.display()
    )
}
