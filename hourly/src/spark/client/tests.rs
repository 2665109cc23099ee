//! A server of Spark Connect that ends its streams at bad moments.

use super::super::messages::{ArrowBatch, Sql, relation};
use super::*;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Response, Status};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a server does in answer to a request for responses.
#[derive(Debug, Clone)]
enum Step {
    Part(u8),
    /// So many bytes.
    Much(usize),
    Whole,
    Fails(Code, &'static str),
    Waits,
}
use Step::{Fails, Much, Part, Waits, Whole};

/// A server that does what it was told, request by request, and ends each stream after that.
#[derive(Clone, Default)]
struct Stub {
    answers: Arc<Mutex<VecDeque<Vec<Step>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    async fn start(answers: &[&[Step]]) -> (Self, SparkUrl) {
        let stub = Self::default();
        stub.answers.lock().unwrap().extend(answers.iter().map(|steps| steps.to_vec()));
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = incoming.local_addr().unwrap().port();
        tokio::spawn(Server::builder().add_service(stub.clone()).serve_with_incoming(incoming));
        (stub, format!("sc://127.0.0.1:{port}").parse().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl NamedService for Stub {
    const NAME: &'static str = "spark.connect.SparkConnectService";
}

impl Service<http::Request<Body>> for Stub {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let answering = Answering { stub: self.clone(), method };
        Box::pin(async move {
            let codec =
                tonic_prost::ProstCodec::<ExecutePlanResponse, ReattachExecuteRequest>::default();
            Ok(tonic::server::Grpc::new(codec).server_streaming(answering, request).await)
        })
    }
}

struct Answering {
    stub: Stub,
    method: String,
}

impl ServerStreamingService<ReattachExecuteRequest> for Answering {
    type Response = ExecutePlanResponse;
    type ResponseStream = BoxStream<'static, Result<ExecutePlanResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<ReattachExecuteRequest>) -> Self::Future {
        let is_reattached = self.method == "ReattachExecute";
        let last =
            request.into_inner().last_response_id.filter(|_| is_reattached).unwrap_or_default();
        self.stub
            .asked
            .lock()
            .unwrap()
            .push(format!("{} {last}", self.method).trim_end().to_owned());
        let answers = is_reattached || self.method == "ExecutePlan";
        let steps = answers.then(|| self.stub.answers.lock().unwrap().pop_front()).flatten();
        let responses = stream::iter(steps.unwrap_or_default()).then(|step| async move {
            match step {
                Part(number) => Ok(response(number, Some(vec![number]), false)),
                Much(bytes) => Ok(response(98, Some(vec![0; bytes]), false)),
                Whole => Ok(response(99, None, true)),
                Fails(code, words) => Err(Status::new(code, words)),
                Waits => std::future::pending().await,
            }
        });
        Box::pin(async move { Ok(Response::new(responses.boxed())) })
    }
}

fn response(number: u8, data: Option<Vec<u8>>, is_last: bool) -> ExecutePlanResponse {
    let batch =
        data.map(|data| ArrowBatch { row_count: 1, data, start_offset: None, chunks: None });
    ExecutePlanResponse {
        arrow_batch: batch,
        response_id: number.to_string(),
        result_complete: is_last.then_some(Nothing {}),
    }
}

fn statement() -> Relation {
    let sql = Sql { query: "SELECT 1".to_owned(), named_arguments: HashMap::new() };
    Relation::of(relation::Kind::Sql(sql))
}

async fn query(
    answers: &[&[Step]],
    patience: Duration,
) -> (Result<Vec<Vec<u8>>, QueryError>, Vec<String>) {
    let (stub, url) = Stub::start(answers).await;
    let client = Client::connect(&url, patience, CancellationToken::new()).await.unwrap();
    let result = client.query(statement()).await;
    (result, stub.asked())
}

#[tokio::test]
async fn a_result_is_all_that_came_until_the_server_says_that_it_is_whole() {
    let (result, asked) = query(&[&[Part(1), Part(2), Whole]], PATIENCE).await;
    assert_eq!(result.unwrap(), [[1], [2]]);
    assert_eq!(asked, ["ExecutePlan", "ReleaseExecute"]);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_no_result_but_gone_on_with() {
    let (result, asked) = query(&[&[Part(1)], &[], &[Part(2)], &[Part(3), Whole]], PATIENCE).await;
    assert_eq!(result.unwrap(), [[1], [2], [3]]);
    let expected = [
        "ExecutePlan",
        "ReattachExecute 1",
        "ReattachExecute 1",
        "ReattachExecute 2",
        "ReleaseExecute",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_connection_that_is_cut_twice_loses_and_doubles_nothing() {
    let cut = || Fails(Code::Unavailable, "gone");
    let (result, asked) = query(&[&[Part(1), cut()], &[cut()], &[Part(2), Whole]], PATIENCE).await;
    assert_eq!(result.unwrap(), [[1], [2]]);
    assert_eq!(asked, ["ExecutePlan", "ReattachExecute 1", "ReattachExecute 1", "ReleaseExecute"]);
}

#[tokio::test]
async fn a_server_that_brings_nothing_any_more_is_given_up() {
    let (result, asked) = query(&[&[Part(1)]], PATIENCE).await;
    assert!(matches!(result, Err(QueryError::Away(_))), "{result:?}");
    assert_eq!(
        asked.iter().filter(|asked| asked.starts_with("Reattach")).count(),
        ATTEMPTS as usize
    );
    assert_eq!(asked.last().map(String::as_str), Some("Interrupt"));
}

#[tokio::test]
async fn a_statement_that_the_server_forgot_is_sent_again_only_if_nothing_had_come() {
    let forgotten =
        || Fails(Code::NotFound, "[INVALID_HANDLE.OPERATION_NOT_FOUND] The handle is invalid");
    let (result, asked) = query(&[&[], &[forgotten()], &[Part(1), Whole]], PATIENCE).await;
    assert_eq!(result.unwrap(), [[1]]);
    assert_eq!(asked, ["ExecutePlan", "ReattachExecute", "ExecutePlan", "ReleaseExecute"]);
    let (result, _) = query(&[&[Part(1)], &[forgotten()], &[Part(1), Whole]], PATIENCE).await;
    assert!(matches!(result, Err(QueryError::Away(_))), "{result:?}");
}

#[tokio::test]
async fn an_error_of_the_statement_is_told_in_the_servers_words() {
    let (result, _) =
        query(&[&[Part(1), Fails(Code::Internal, "[PATH_NOT_FOUND] no such path")]], PATIENCE)
            .await;
    assert!(
        matches!(&result, Err(QueryError::Failed(why)) if why.contains("PATH_NOT_FOUND")),
        "{result:?}"
    );
    for code in [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented] {
        let (result, _) = query(&[&[Fails(code, "no")]], PATIENCE).await;
        assert!(matches!(result, Err(QueryError::Refused(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_for_memory_is_given_up_and_interrupted() {
    let half = || Much(MAX_RESULT / 2);
    let (result, _) = query(&[&[half(), half(), Whole]], PATIENCE).await;
    assert!(result.is_ok(), "{result:?}");
    let (result, asked) = query(&[&[half(), half(), Part(1), Waits]], PATIENCE).await;
    assert!(matches!(result, Err(QueryError::Large)), "{:?}", result.map(|_| ()));
    assert_eq!(asked, ["ExecutePlan", "Interrupt"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_interrupted_on_the_server() {
    let (result, asked) = query(&[&[Part(1), Waits]], Duration::from_millis(300)).await;
    assert!(matches!(result, Err(QueryError::Late(_))), "{result:?}");
    assert_eq!(asked, ["ExecutePlan", "Interrupt"]);
}

#[tokio::test]
async fn a_run_that_is_stopped_interrupts_its_statement() {
    let (stub, url) = Stub::start(&[&[Waits]]).await;
    let stop = CancellationToken::new();
    let client = Client::connect(&url, PATIENCE, stop.clone()).await.unwrap();
    stop.cancel();
    assert!(matches!(client.query(statement()).await, Err(QueryError::Stopped)));
    assert_eq!(stub.asked().last().map(String::as_str), Some("Interrupt"));
}

#[tokio::test]
async fn where_nobody_listens_the_server_is_away() {
    let url: SparkUrl = "sc://127.0.0.1:1".parse().unwrap();
    let result = Client::connect(&url, PATIENCE, CancellationToken::new()).await;
    assert!(matches!(result.map(|_| ()), Err(QueryError::Away(_))));
}
