//! What Prometheus answers.

use anyhow::{Context, bail};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running Prometheus.
pub struct Prometheus {
    url: String,
}

impl Prometheus {
    /// `url`: such as `http://127.0.0.1:9090`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    /// The values of an expression at this moment, one for each series.
    ///
    /// # Errors
    /// No Prometheus there, or an expression that it refuses.
    pub async fn ask(&self, expression: &str) -> anyhow::Result<Vec<f64>> {
        let answer = self.get("/api/v1/query", &[("query", expression)]).await?;
        if answer["status"] != "success" {
            bail!(
                "Prometheus refuses {expression:?}: {}",
                answer["error"].as_str().unwrap_or("no reason given")
            );
        }
        let result = &answer["data"]["result"];
        let series = result.as_array().map(Vec::as_slice).unwrap_or_default();
        series.iter().map(|one| Ok(one["value"][1].as_str().context("a value")?.parse()?)).collect()
    }

    /// An answer of its API, whatever its status.
    ///
    /// # Errors
    /// No Prometheus there, or an answer that is no JSON.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        let request = ureq::Agent::from(config)
            .get(format!("{}{path}", self.url))
            .query_pairs(parameters.to_vec());
        let asked =
            tokio::task::spawn_blocking(move || request.call()?.body_mut().read_to_string())
                .await?;
        let body = asked.with_context(|| format!("ask Prometheus at {}", self.url))?;
        serde_json::from_str(&body)
            .with_context(|| format!("Prometheus at {} does not answer in JSON", self.url))
    }
}
