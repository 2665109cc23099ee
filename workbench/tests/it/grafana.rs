//! Grafana's dashboards and alert rules without Grafana.

mod alerts;
mod answers;
mod files;
mod market;
mod mended;
mod queries;
mod running;
mod sink;

use workbench::dashboards::{Dashboard, own};

fn dashboards() -> Vec<Dashboard> {
    own().unwrap()
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
