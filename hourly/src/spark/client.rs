//! [`Client`]: statements to a server of Spark Connect, and their whole results.
//!
//! A server ends each stream of responses after a while (Spark after two minutes) and goes on with
//! the operation; so does a network that breaks. Whoever takes the end of a stream for the end of
//! the result loses data. Here a result is whole when the server says so, and until then the client
//! attaches itself to the operation again.

use super::messages::{
    ExecutePlanRequest, ExecutePlanResponse, InterruptRequest, Nothing, ONE_OPERATION, Plan,
    ReattachExecuteRequest, ReattachOptions, Relation, ReleaseExecuteRequest,
    ReleaseSessionRequest, RequestOption, UserContext,
};
use super::url::SparkUrl;
use prost::Message;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use uuid::Uuid;

/// The largest message that is taken: a server cuts results into far smaller ones.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// The largest result: packed, as Arrow has it, it takes several times as much when it is read.
const MAX_RESULT: usize = 64 << 20;
/// How often in a row an attempt may fail to bring anything.
const ATTEMPTS: u32 = 8;
/// Before the first of them; doubled before each other one, so that all wait for 13 seconds.
const PAUSE: Duration = Duration::from_millis(50);
/// A stream that lasted so long was ended by the server's limit, which is no failure.
const LASTED: Duration = Duration::from_millis(500);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Requests that follow once the result is there, or is no longer wanted.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);
const SERVICE: &str = "/spark.connect.SparkConnectService/";

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Who asks may not, or the server is none of Spark Connect.
    #[error("{0}")]
    Refused(String),
    /// The server has tried, and says why it failed.
    #[error("{0}")]
    Failed(String),
    /// The server is not there, or no longer.
    #[error("{0}")]
    Away(String),
    /// More than there is memory for.
    #[error("the result is larger than {} MiB", MAX_RESULT >> 20)]
    Large,
    #[error("no result within {0:?}; it was interrupted (--spark-timeout)")]
    Late(Duration),
    #[error("the run was stopped")]
    Stopped,
}

/// A session with a server. Cloning is cheap.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    headers: Arc<[(MetadataKey<Ascii>, MetadataValue<Ascii>)]>,
    session_id: String,
    user: UserContext,
    patience: Duration,
    stop: CancellationToken,
}

/// One statement that the server works on.
struct Operation<'c> {
    client: &'c Client,
    id: String,
    /// The last response that has come.
    last: Option<String>,
    /// Attempts since then that brought nothing.
    failures: u32,
    /// The size of what has come.
    bytes: usize,
}

impl Client {
    /// Connects to the server. `patience`: how long a statement may take. `stop` ends waiting for
    /// one.
    ///
    /// # Errors
    /// Where it does not answer, or the URL cannot be meant.
    pub async fn connect(
        url: &SparkUrl,
        patience: Duration,
        stop: CancellationToken,
    ) -> Result<Self, QueryError> {
        let refused =
            |error: &dyn std::error::Error| QueryError::Refused(format!("{url}: {}", chain(error)));
        let mut endpoint =
            Endpoint::from_shared(url.endpoint()).map_err(|error| refused(&error))?;
        if url.use_ssl {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| refused(&error))?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .connect()
            .await
            .map_err(|error| {
                QueryError::Away(format!("{url} does not answer: {}", chain(&error)))
            })?;
        let headers = parse_headers(url)
            .ok_or_else(|| QueryError::Refused(format!("{url}: a parameter is no header")))?;
        let user_id = url.user_id.clone().unwrap_or_else(|| "batch-layer".to_owned());
        let session_id = Uuid::new_v4().to_string();
        Ok(Self {
            channel,
            headers: headers.into(),
            session_id,
            user: UserContext { user_id },
            patience,
            stop,
        })
    }

    /// The whole result of a statement: parts, each a stream of Arrow's IPC format.
    ///
    /// # Errors
    /// [`QueryError`]; the server does not go on with what is given up.
    pub async fn query(&self, statement: Relation) -> Result<Vec<Vec<u8>>, QueryError> {
        let id = Uuid::new_v4().to_string();
        let mut operation = Operation { client: self, id, last: None, failures: 0, bytes: 0 };
        let within = tokio::time::timeout(self.patience, operation.run(statement));
        let result = match self.stop.run_until_cancelled(within).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(QueryError::Late(self.patience)),
            None => Err(QueryError::Stopped),
        };
        match &result {
            Ok(_) => operation.release().await,
            Err(_) => operation.interrupt().await,
        }
        result
    }

    /// Ends the session.
    pub async fn close(&self) {
        let request = ReleaseSessionRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user.clone()),
        };
        self.send_last("ReleaseSession", request).await;
    }

    /// What the server may hear or not.
    async fn send_last<M: Message + Send + Sync + 'static>(
        &self,
        method: &'static str,
        message: M,
    ) {
        let asked = self.ask::<M, Nothing>(method, message);
        let answered = tokio::time::timeout(LAST_WORDS_WITHIN, asked)
            .await
            .map_err(|_| "no answer".to_owned())
            .and_then(|answer| answer.map_err(|status| status.message().to_owned()));
        match answered {
            Ok(mut answers) => {
                // Some servers work only while somebody listens.
                let all = async { while let Ok(Some(_)) = answers.message().await {} };
                let _ = tokio::time::timeout(LAST_WORDS_WITHIN, all).await;
            }
            Err(error) if error.is_empty() => {}
            Err(error) => {
                tracing::debug!(method, error, "the server of Spark Connect did not take it");
            }
        }
    }

    /// Sends a message; gives the stream of what is answered.
    async fn ask<M: Message + 'static, A: Message + Default + 'static>(
        &self,
        method: &'static str,
        message: M,
    ) -> Result<Streaming<A>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let not_ready = |error: tonic::transport::Error| Status::unavailable(chain(&error));
        grpc.ready().await.map_err(not_ready)?;
        let mut request = Request::new(message);
        for (name, value) in self.headers.iter() {
            request.metadata_mut().insert(name, value.clone());
        }
        let path = format!("{SERVICE}{method}");
        let path =
            PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))?;
        let codec = tonic_prost::ProstCodec::default();
        Ok(grpc.server_streaming(request, path, codec).await?.into_inner())
    }
}

impl Operation<'_> {
    async fn run(&mut self, statement: Relation) -> Result<Vec<Vec<u8>>, QueryError> {
        let mut parts = Vec::new();
        let mut stream = self.execute(statement.clone()).await;
        loop {
            let began = Instant::now();
            let ended = match stream {
                Ok(answers) => match self.receive(answers, &mut parts).await? {
                    Some(ended) => ended,
                    None => return Ok(parts),
                },
                Err(status) => status,
            };
            let is_lost = loses_session(&ended);
            if is_lost && self.last.is_some() {
                let what = "the server has forgotten a statement in the middle of its result (was \
                            it restarted?)";
                return Err(QueryError::Away(format!("{what}: {}", ended.message())));
            }
            if !is_lost && !is_transient(&ended) {
                return Err(of_status(&ended));
            }
            self.wait(began.elapsed(), &ended).await?;
            stream =
                if is_lost { self.execute(statement.clone()).await } else { self.reattach().await };
        }
    }

    /// Takes in responses. `None` where the result is whole, and otherwise how the stream ended
    /// before that.
    async fn receive(
        &mut self,
        mut answers: Streaming<ExecutePlanResponse>,
        parts: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Status>, QueryError> {
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => {
                    return Ok(Some(Status::unavailable("the stream ended before the result")));
                }
                Err(status) => return Ok(Some(status)),
            };
            (self.last, self.failures) = (Some(answer.response_id), 0);
            if let Some(batch) = answer.arrow_batch {
                if batch.chunks.is_some_and(|chunks| chunks > 1) {
                    return Err(QueryError::Failed(
                        "the server cuts batches in pieces, unasked".to_owned(),
                    ));
                }
                self.bytes += batch.data.len();
                parts.push(batch.data);
                if self.bytes > MAX_RESULT {
                    return Err(QueryError::Large);
                }
            }
            if answer.result_complete.is_some() {
                return Ok(None);
            }
        }
    }

    async fn wait(&mut self, lasted: Duration, ended: &Status) -> Result<(), QueryError> {
        self.failures = if lasted >= LASTED { 1 } else { self.failures + 1 };
        if self.failures > ATTEMPTS {
            return Err(QueryError::Away(format!(
                "no result after {ATTEMPTS} attempts: {}",
                ended.message()
            )));
        }
        tokio::time::sleep(PAUSE * (1 << (self.failures - 1))).await;
        Ok(())
    }

    async fn execute(&self, statement: Relation) -> Result<Streaming<ExecutePlanResponse>, Status> {
        let reattach = Some(ReattachOptions { reattachable: true });
        let request = ExecutePlanRequest {
            session_id: self.client.session_id.clone(),
            user_context: Some(self.client.user.clone()),
            plan: Some(Plan { root: Some(statement) }),
            client_type: Some(concat!("batch-layer/", env!("CARGO_PKG_VERSION")).to_owned()),
            request_options: vec![RequestOption { reattach }],
            operation_id: Some(self.id.clone()),
        };
        self.client.ask("ExecutePlan", request).await
    }

    async fn reattach(&self) -> Result<Streaming<ExecutePlanResponse>, Status> {
        let request = ReattachExecuteRequest {
            session_id: self.client.session_id.clone(),
            user_context: Some(self.client.user.clone()),
            operation_id: self.id.clone(),
            last_response_id: self.last.clone(),
        };
        self.client.ask("ReattachExecute", request).await
    }

    async fn release(&self) {
        let request = ReleaseExecuteRequest {
            session_id: self.client.session_id.clone(),
            user_context: Some(self.client.user.clone()),
            operation_id: self.id.clone(),
            release_all: Some(Nothing {}),
        };
        self.client.send_last("ReleaseExecute", request).await;
    }

    async fn interrupt(&self) {
        let request = InterruptRequest {
            session_id: self.client.session_id.clone(),
            user_context: Some(self.client.user.clone()),
            kind: ONE_OPERATION,
            operation_id: Some(self.id.clone()),
        };
        self.client.send_last("Interrupt", request).await;
    }
}

fn parse_headers(url: &SparkUrl) -> Option<Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>> {
    let mut headers = Vec::new();
    for (name, value) in &url.headers {
        headers.push((name.parse().ok()?, value.parse().ok()?));
    }
    if let Some(token) = &url.token {
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
        value.set_sensitive(true);
        headers.push((MetadataKey::from_static("authorization"), value));
    }
    Some(headers)
}

/// Whether the operation may go on all the same: the connection broke, or the server was not there
/// for a moment.
fn is_transient(status: &Status) -> bool {
    let has_cause = status.source().is_some();
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => {
            has_cause || status.message().contains("h2 protocol error")
        }
        _ => status.message().contains("INVALID_CURSOR.DISCONNECTED"),
    }
}

/// Whether the server knows nothing of the operation, or of its session.
fn loses_session(status: &Status) -> bool {
    const SIGNS: [&str; 4] =
        ["OPERATION_NOT_FOUND", "OPERATION_ABANDONED", "SESSION_NOT_FOUND", "SESSION_CHANGED"];
    SIGNS.iter().any(|sign| status.message().contains(sign))
}

fn of_status(status: &Status) -> QueryError {
    const LONGEST: usize = 600;
    let words = status.message();
    let end = words.char_indices().nth(LONGEST).map_or(words.len(), |(at, _)| at);
    let what = format!("{:?}: {}", status.code(), &words[..end]);
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            QueryError::Refused(what)
        }
        _ => QueryError::Failed(what),
    }
}

/// An error with its causes, which tonic's own words leave out.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests;
