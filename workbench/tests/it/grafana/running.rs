//! Every panel, rule and data source as a real Grafana sees them, where one is installed.

use super::market::{SYMBOLS, seeded};
use super::{dashboards, text};
use crate::pipeline::repository;
use common::Timestamp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};
use testing::{Child, ROLE_PASSWORD, TestDatabase, eventually, free_port};
use url::Url;
use workbench::dashboards::{View, fill_in};

/// Its first start makes a database of its own.
const PATIENCE: Duration = Duration::from_secs(120);
const ENVIRONMENT: &str = include_str!("../../../../grafana/loopback.env");
const SOURCES: [&str; 2] = ["stocks-postgres", "stocks-prometheus"];

pub struct Grafana {
    pub url: String,
}

impl Grafana {
    /// An answer, whatever its status; null where it is no JSON.
    async fn ask(&self, path: &str, body: Option<Value>) -> Result<(u16, Value), String> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build();
        let (agent, url) = (ureq::Agent::from(config), format!("{}{path}", self.url));
        let asked = tokio::task::spawn_blocking(move || {
            let mut response = match body {
                Some(body) => agent
                    .post(url)
                    .header("Content-Type", "application/json")
                    .send(body.to_string())?,
                None => agent.get(url).call()?,
            };
            let text = response.body_mut().read_to_string()?;
            Ok::<_, ureq::Error>((response.status().as_u16(), text))
        });
        let (status, text) = asked.await.unwrap().map_err(|error| error.to_string())?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Everything that is not as it should be, by place.
    pub async fn faults(&self) -> Result<Vec<String>, String> {
        let mut faults = Vec::new();
        for uid in SOURCES {
            let (status, answer) =
                self.ask(&format!("/api/datasources/uid/{uid}/health"), None).await?;
            faults.extend(fault_of_source(uid, status, &answer));
        }
        let (status, answer) = self.ask("/api/v1/provisioning/alert-rules", None).await?;
        faults.extend(faults_of_rules(&rules(), status, &answer));
        for dashboard in dashboards() {
            let file = dashboard.file;
            let uid = text(&dashboard.json, "uid");
            let (status, _) = self.ask(&format!("/api/dashboards/uid/{uid}"), None).await?;
            if status != 200 {
                faults.push(format!("{file}: not provisioned ({status})"));
            }
            let view = View::opened(&dashboard, Timestamp::now(), SYMBOLS[0]).unwrap();
            for panel in dashboard.panels() {
                let Some(targets) = panel["targets"].as_array() else { continue };
                let mut targets = targets.clone();
                for target in &mut targets {
                    let key = if target["rawSql"].is_string() { "rawSql" } else { "expr" };
                    target[key] = fill_in(text(target, key), &dashboard, &view).unwrap().into();
                    target["intervalMs"] = (1000 * view.interval()).into();
                    target["maxDataPoints"] = 1000.into();
                }
                let names: Vec<&str> = targets.iter().map(|target| text(target, "refId")).collect();
                let milliseconds = |at: Timestamp| (at.micros() / 1000).to_string();
                let body = json!({"queries": targets, "from": milliseconds(view.from), "to": milliseconds(view.to)});
                let (status, answer) = self.ask("/api/ds/query", Some(body)).await?;
                let of_panel = faults_of_panel(&names, status, &answer);
                let place = |fault: String| format!("{file}: {:?}: {fault}", text(panel, "title"));
                faults.extend(of_panel.into_iter().map(place));
            }
        }
        Ok(faults)
    }
}

/// The uids of the alert rules that are provisioned.
pub fn rules() -> Vec<String> {
    let file = repository().join("grafana/provisioning/alerting/batch-layer.json");
    let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let groups = json["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| text(rule, "uid").to_owned()).collect()
}

fn fault_of_source(uid: &str, status: u16, answer: &Value) -> Option<String> {
    let is_well = status == 200 && text(answer, "status") == "OK";
    (!is_well).then(|| format!("data source {uid}: {status}, {}", text(answer, "message")))
}

fn faults_of_rules(wanted: &[String], status: u16, answer: &Value) -> Vec<String> {
    let Some(there) = answer.as_array().filter(|_| status == 200) else {
        return vec![format!("alert rules: {status}, {answer}")];
    };
    let is_there = |uid: &&String| there.iter().any(|rule| text(rule, "uid") == uid.as_str());
    let missing = wanted.iter().filter(|uid| !is_there(uid));
    missing.map(|uid| format!("alert rule {uid} is not there")).collect()
}

/// Of each query its own error; a status of the whole without any is one, too.
pub fn faults_of_panel(names: &[&str], status: u16, answer: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for name in names {
        let result = &answer["results"][name];
        if let Some(error) = result["error"].as_str() {
            faults.push(format!("query {name}: {error}"));
        } else if result["status"].as_u64().is_some_and(|status| status != 200) {
            faults.push(format!("query {name}: {}", result["status"]));
        } else if !result["frames"].is_array() {
            faults.push(format!("query {name} is not answered ({status}): {answer}"));
        }
    }
    if faults.is_empty() && status != 200 {
        faults.push(format!("{status}: {answer}"));
    }
    faults
}

/// The server and its home, from `GRAFANA_HOME` or where packages put them.
fn installed() -> Option<(Command, PathBuf)> {
    let homes = ["/usr/share/grafana", "/opt/grafana"].map(PathBuf::from);
    let given = env::var_os("GRAFANA_HOME").map(PathBuf::from);
    let home = given.iter().chain(&homes).find(|home| home.is_dir())?.clone();
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::iter::once(home.join("bin")).chain(env::split_paths(&path)).collect();
    for (name, arguments) in [("grafana-server", &[][..]), ("grafana", &["server"][..])] {
        if let Some(program) =
            folders.iter().map(|folder| folder.join(name)).find(|it| it.is_file())
        {
            let mut command = Command::new(program);
            command.args(arguments);
            return Some((command, home));
        }
    }
    None
}

/// The project's files, which name the folder of the dashboards as it is in the container.
fn provision(folder: &Path) {
    let source = repository().join("grafana").canonicalize().unwrap();
    fs::create_dir_all(folder.join("plugins")).unwrap();
    for kind in ["datasources", "dashboards", "alerting"] {
        fs::create_dir_all(folder.join(kind)).unwrap();
        for entry in fs::read_dir(source.join("provisioning").join(kind)).unwrap() {
            let entry = entry.unwrap();
            let there = source.join("dashboards");
            let text = fs::read_to_string(entry.path()).unwrap();
            let text = text.replace("/etc/grafana/dashboards", &there.to_string_lossy());
            fs::write(folder.join(kind).join(entry.file_name()), text).unwrap();
        }
    }
}

/// A Grafana as the demo's, and a Prometheus that scrapes nothing: each expression is asked, though
/// none has a series.
fn start(
    mut command: Command,
    home: &Path,
    folder: &Path,
    database: &TestDatabase,
) -> (Grafana, [Child; 2]) {
    let port = free_port();
    let url = Url::parse(database.url()).unwrap();
    fs::write(folder.join("prometheus.yml"), "scrape_configs: []\n").unwrap();
    let metrics = format!("127.0.0.1:{}", free_port());
    let mut prometheus = Command::new("prometheus");
    prometheus
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("series").display()))
        .arg(format!("--web.listen-address={metrics}"));
    provision(&folder.join("provisioning"));
    fs::create_dir_all(folder.join("plugins")).unwrap();
    command
        .arg(format!("--homepath={}", home.display()))
        .env("GF_PATHS_DATA", folder.join("data"))
        .env("GF_PATHS_LOGS", folder.join("logs"))
        .env("GF_PATHS_PLUGINS", folder.join("plugins"))
        .env("GF_PATHS_PROVISIONING", folder.join("provisioning"))
        .env("GF_SERVER_HTTP_PORT", port.to_string())
        .envs(ENVIRONMENT.lines().filter_map(|line| line.split_once('=')))
        // Alert rules are shown to no less.
        .env("GF_AUTH_ANONYMOUS_ORG_ROLE", "Admin")
        .env(
            "GRAFANA_DB_HOST",
            format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432)),
        )
        .env("GRAFANA_DB_NAME", url.path().trim_start_matches('/'))
        .env("GRAFANA_DB_USER", "grafana_reader")
        .env("GRAFANA_DB_PASSWORD", ROLE_PASSWORD)
        .env("GRAFANA_DB_SSLMODE", "disable")
        .env("GRAFANA_PROMETHEUS_URL", format!("http://{metrics}"));
    let processes = [Child::spawn(prometheus), Child::spawn(command)];
    (Grafana { url: format!("http://127.0.0.1:{port}") }, processes)
}

#[tokio::test]
async fn every_panel_has_an_answer_in_a_real_grafana_where_one_is_installed() {
    let Some((command, home)) = installed() else {
        println!("no Grafana on the PATH or in GRAFANA_HOME: it is not asked");
        return;
    };
    let database = seeded().await;
    database.add_roles().await;
    let folder = tempfile::tempdir().unwrap();
    let (grafana, _processes) = start(command, &home, folder.path(), &database);
    eventually("Grafana to be healthy", PATIENCE, || async {
        let (_, answer) = grafana.ask("/api/health", None).await?;
        if text(&answer, "database") == "ok" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    // Data sources and dashboards are provisioned a moment later.
    eventually("a Grafana without faults", PATIENCE, || async {
        let faults = grafana.faults().await?;
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    })
    .await;
}
