//! Grafana's dashboards and alert rules without Grafana.

mod alerts;
mod answers;
mod files;
mod market;
mod mended;
mod queries;
mod running;
mod sink;

use std::path::{Path, PathBuf};
use workbench::dashboards::{Dashboard, load};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dashboards() -> Vec<Dashboard> {
    load(&repository().join("grafana/dashboards")).unwrap()
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
