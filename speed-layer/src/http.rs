//! `/metrics`, `/healthz` and `/readyz`.

mod limits;

use crate::process::Process;
use anyhow::{Context, anyhow};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use limits::Limited;
use service::Failure;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Shorter than the time that a container's health check is given.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts serving in the background.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(shared: &Arc<Process>) -> Result<(), Failure> {
    let address = shared.config.http_addr;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (--http-addr); choose a free address"))
        .map_err(Failure::Configuration)?;
    let listening = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %listening, "serving /metrics, /healthz and /readyz on {listening}");
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(shared));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(Limited::new(listener), routes).await {
            tracing::error!(%address, %error, "the HTTP server on {address} ended: {error}");
        }
    });
    Ok(())
}

/// Asks another instance's `/healthz`.
///
/// # Errors
/// If there is no answer, or another one than 200.
pub async fn probe(mut address: SocketAddr) -> Result<(), Failure> {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let what = format!("no healthy instance on {address} (--http-addr)");
    let answer = tokio::time::timeout(PROBE_TIMEOUT, ask(address)).await;
    let status = answer.context("no answer").and_then(|answer| Ok(answer?)).context(what.clone());
    match status.map_err(Failure::Infrastructure)?.as_str() {
        "200" => Ok(()),
        status => Err(Failure::Infrastructure(anyhow!("{what}: status {status}"))),
    }
}

/// The status of the answer: all that a client for this one request has to understand.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

async fn metrics(State(shared): State<Arc<Process>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, OPENMETRICS)],
        shared.metrics.render(shared.health.missing().is_empty()),
    )
}

async fn readyz(State(shared): State<Arc<Process>>) -> impl IntoResponse {
    let missing = shared.health.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
}
