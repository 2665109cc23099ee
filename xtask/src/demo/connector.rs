//! Registers the project's own sink connector at the Connect worker.

use crate::interrupt;
use crate::stack::Stack;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::time::Duration;

/// The configuration that the container image uses; its `${env:..}` are read by the worker.
const CONFIG: &str = include_str!("../../../connect/confluent-sink-connector.json");
const NAME: &str = "minio-sink-connector";
const RUNNING_WITHIN: Duration = Duration::from_secs(60);

/// Registers or updates the connector and waits until it and its tasks run.
pub fn register(stack: &Stack) -> Result<()> {
    let connector = format!("{}/connectors/{NAME}", stack.connect_url());
    let mut response = ureq::put(format!("{connector}/config"))
        .config()
        .http_status_as_error(false)
        .build()
        .content_type("application/json")
        .send(CONFIG)
        .with_context(|| format!("no answer from Kafka Connect at {connector}"))?;
    if !response.status().is_success() {
        let why = response.body_mut().read_to_string().unwrap_or_default();
        bail!("Kafka Connect refuses the connector {NAME}: {why}");
    }
    let mut last = String::new();
    let running = interrupt::poll(RUNNING_WITHIN, || {
        if let Ok(mut status) = ureq::get(format!("{connector}/status")).call() {
            last = status.body_mut().read_to_string().unwrap_or_default();
        }
        state(&last)
    })?;
    if !running {
        bail!("the connector {NAME} does not run after {} s: {last}", RUNNING_WITHIN.as_secs());
    }
    Ok(())
}

/// True when a task exists and everything runs; an error when something has failed.
fn state(status: &str) -> Result<bool> {
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for part in tasks.iter().chain([&status["connector"]]) {
        if part["state"] == "FAILED" {
            let trace = part["trace"]
                .as_str()
                .and_then(|trace| trace.lines().next())
                .unwrap_or("no reason given");
            bail!("the connector {NAME} failed: {trace}");
        }
    }
    let runs = |part: &Value| part["state"] == "RUNNING";
    Ok(!tasks.is_empty() && tasks.iter().all(runs) && runs(&status["connector"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_runs_only_with_all_its_tasks() {
        assert!(!state("").unwrap());
        assert!(!state(r#"{"connector":{"state":"RUNNING"},"tasks":[]}"#).unwrap());
        assert!(
            !state(r#"{"connector":{"state":"RUNNING"},"tasks":[{"state":"UNASSIGNED"}]}"#)
                .unwrap()
        );
        assert!(
            state(r#"{"connector":{"state":"RUNNING"},"tasks":[{"state":"RUNNING"}]}"#).unwrap()
        );
    }

    #[test]
    fn a_failed_task_is_an_error_with_the_first_line_of_its_trace() {
        let status = r#"{"connector":{"state":"RUNNING"},"tasks":[{"state":"FAILED","trace":"no bucket\n\tat x"}]}"#;
        assert!(state(status).unwrap_err().to_string().ends_with("failed: no bucket"));
    }
}
