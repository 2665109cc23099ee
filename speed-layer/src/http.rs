//! `/metrics`, `/healthz` and `/readyz`.

use crate::Shared;
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use common::Failure;
use std::sync::Arc;
use tokio::net::TcpListener;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts serving in the background.
pub async fn serve(shared: &Arc<Shared>) -> Result<(), Failure> {
    let address = shared.config.http_addr;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (--http-addr); choose a free address"))
        .map_err(Failure::Configuration)?;
    tracing::info!("serving /metrics, /healthz and /readyz on {}", listener.local_addr().unwrap_or(address));
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(shared));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!("the HTTP server on {address} ended: {error}");
        }
    });
    Ok(())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], shared.metrics.render())
}

async fn readyz(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let missing = shared.health.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
}
