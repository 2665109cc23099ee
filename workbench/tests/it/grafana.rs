//! Grafana's dashboards and alert rules without Grafana.

mod alerts;
mod files;
mod market;
mod queries;

use workbench::dashboards::{Dashboard, own};

fn dashboards() -> Vec<Dashboard> {
    own().unwrap()
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
