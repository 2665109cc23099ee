//! [`Traces`]: spans of the target [`TRACED`], exported over OTLP (HTTP, Protobuf).
//!
//! The standard's environment variables say where they go; without an endpoint there are none. A
//! thread of its own sends them from a queue that holds 2,048 spans (`OTEL_BSP_MAX_QUEUE_SIZE`) and
//! drops the rest: a receiver that is away holds up nobody.

mod client;

use super::listener::{END_WITHIN, Listener, TRACED};
use crate::Failure;
use anyhow::{Context as _, anyhow};
use client::Client;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, Protocol, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer as _, Registry};
use ureq::http::Uri;

/// Whose log lines are shown within the spans in which they were said.
const OWN: [&str; 4] = ["speed_layer", "hourly", "reconciliation", "service"];

/// The exporter, or nothing.
pub struct Traces {
    program: &'static str,
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// # Errors
    /// If a setting can never work.
    pub(super) fn open(program: &'static str) -> Result<Self, Failure> {
        let provider = make_provider(program).map_err(Failure::Configuration)?;
        Ok(Self { program, provider })
    }

    pub(super) fn listener(&self) -> Option<Listener> {
        let tracer = self.provider.as_ref()?.tracer(self.program);
        // The cost of a span is of no interest to readers of batches.
        let layer = tracing_opentelemetry::layer::<Registry>()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false);
        let heard = filter_fn(is_exported).with_max_level_hint(LevelFilter::INFO);
        Some(layer.with_filter(heard).boxed())
    }

    /// Logs nothing: only a build without traces has something to log.
    pub(super) fn log(&self) {}

    /// Waits at most [`END_WITHIN`] for the last spans to be taken; what is left then is dropped.
    pub fn end(self) {
        if let Some(provider) = self.provider {
            // The outage was logged.
            let _ = provider.shutdown_with_timeout(END_WITHIN);
        }
    }
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    let is_own = || OWN.iter().any(|name| metadata.target().starts_with(name));
    match metadata.is_span() {
        true => metadata.target() == TRACED,
        false => *metadata.level() <= Level::INFO && is_own(),
    }
}

fn make_provider(program: &'static str) -> anyhow::Result<Option<SdkTracerProvider>> {
    let Some(endpoint) = endpoint()? else { return Ok(None) };
    check_protocol()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(&endpoint))
        .with_endpoint(endpoint.to_string())
        .with_protocol(Protocol::HttpBinary)
        .build()
        .context("traces (the variables OTEL_EXPORTER_OTLP_*)")?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(make_resource(program));
    Ok(Some(provider.build()))
}

/// A variable of the environment that is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Who takes traces. The words never repeat the URL, which may hold a password.
fn endpoint() -> anyhow::Result<Option<Uri>> {
    let of_traces = OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
    let (name, url) = match (variable(of_traces), variable(OTEL_EXPORTER_OTLP_ENDPOINT)) {
        (Some(url), _) => (of_traces, url),
        (None, Some(base)) => {
            (OTEL_EXPORTER_OTLP_ENDPOINT, format!("{}/v1/traces", base.trim_end_matches('/')))
        }
        (None, None) => return Ok(None),
    };
    let found = url.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|h| !h.is_empty())
    });
    found.map(Some).ok_or_else(|| anyhow!("{name}: no URL as http://collector:4318"))
}

fn check_protocol() -> anyhow::Result<()> {
    for name in [OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL] {
        match variable(name).as_deref() {
            None | Some(OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF) => {}
            Some(other) => anyhow::bail!(
                "{name}={other}: traces are sent by http/protobuf alone, which collectors take at \
                 port 4318"
            ),
        }
    }
    Ok(())
}

/// The traced program: as the environment calls it (`OTEL_SERVICE_NAME`,
/// `OTEL_RESOURCE_ATTRIBUTES`), else by the program's name.
fn make_resource(program: &'static str) -> Resource {
    let named = Resource::builder().build();
    let name = named.get(&Key::new("service.name")).map(|name| name.to_string());
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    match name {
        Some(name) if !name.starts_with("unknown_service") => resource.build(),
        _ => resource.with_service_name(program).build(),
    }
}
