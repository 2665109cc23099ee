//! [`Client`]: the way to who takes traces. It blocks the thread that exports, and no other.

use crate::failure::one_line;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long an answer may take, and reaching who gives it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const REACHED_WITHIN: Duration = Duration::from_secs(4);
/// The longest answer; one that says that all was taken has no bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Sends what is exported, and says once that it is not taken, and once that it is again.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// For messages: without what may be a password.
    place: String,
    /// Why nothing is taken at this moment.
    trouble: Mutex<Option<String>>,
}

impl Client {
    pub fn new(endpoint: &Uri) -> Self {
        let roots = match endpoint.scheme_str() {
            Some("https") => system_roots(),
            _ => Vec::new(),
        };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .timeout_connect(Some(REACHED_WITHIN))
            .build();
        let port = endpoint.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{}{port}", endpoint.host().unwrap_or_default());
        Self { agent: agent.into(), place, trouble: Mutex::default() }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let answer = self.agent.run(request.map(|body| body.to_vec()))?;
        let (head, mut body) = answer.into_parts();
        let body = body.with_config().limit(MAX_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }

    /// Logs a change since the last call.
    fn note(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == trouble {
            return;
        }
        let place = self.place.as_str();
        match &trouble {
            Some(error) => tracing::warn!(
                place,
                error,
                "{place} accepts no traces: {error}; dropping what the queue cannot hold"
            ),
            None => tracing::info!(place, "{place} accepts traces again"),
        }
        *known = trouble;
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        self.note(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the answer is {}", answer.status())),
            Err(error) => Some(one_line(error)),
        });
        Ok(answer?)
    }
}

fn system_roots() -> Vec<Certificate<'static>> {
    let system = rustls_native_certs::load_native_certs();
    system.certs.iter().map(|found| Certificate::from_der(found).to_owned()).collect()
}
