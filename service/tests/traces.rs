//! Traces as a process of its own exports them, and what it says of settings in vain.
//!
//! The environment is a whole process's: so the tests start this binary again, as [`traced`].
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that cannot go on has found the failure"
)]

use service::telemetry::{self, LogArgs, LogFormat, TRACED};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Instant;

/// How many spans the process makes besides; more than the queue holds fill nothing.
const FLOOD: &str = "FLOOD";

/// The command that the other tests start.
#[test]
#[ignore = "a process of its own"]
fn traced() {
    let args = LogArgs { log_format: LogFormat::Json };
    let traces = match telemetry::start(&args, "a-program") {
        Ok(traces) => traces,
        Err(failure) => {
            tracing::error!("{}", failure.reason());
            std::process::exit(failure.exit_code().into());
        }
    };
    let batch = tracing::info_span!(target: TRACED, parent: None, "batch", topic = "stock_prices", rows = 3);
    batch.in_scope(|| {
        let commit = tracing::info_span!(target: TRACED, "commit");
        commit.in_scope(|| tracing::warn!(target: "service::a_test", "said within"));
        tracing::info_span!("of nobody's interest").in_scope(|| ());
    });
    drop(batch);
    let flood = std::env::var(FLOOD).map_or(0, |count| count.parse().unwrap());
    for _ in 0..flood {
        tracing::info_span!(target: TRACED, "one of many").in_scope(|| ());
    }
    let begun = Instant::now();
    traces.end();
    println!("ended after {} ms", begun.elapsed().as_millis());
}

/// Runs [`traced`] by these variables and no others.
fn run(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "traced", "--ignored", "--nocapture"]).env_clear();
    command.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_that_was_built_without_traces_says_so_once_where_they_are_asked_for() {
    let (_receiver, url) = listen();
    let asked = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    assert!(asked.status.success());
    let said = text(&asked.stderr);
    assert_eq!(said.matches("built without traces").count(), 1, "{said}");
    assert!(said.contains("\"variable\":\"OTEL_EXPORTER_OTLP_ENDPOINT\""), "{said}");
    let unasked = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]);
    assert!(!text(&unasked.stderr).contains("built without traces"));
}

#[cfg(feature = "otlp")]
mod exported {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::time::Duration;

    /// A slow machine may take so much longer than what is waited for.
    const SLACK: Duration = Duration::from_secs(1);

    /// Takes one request, and answers it; gives its path and what it brings.
    fn receive(listener: &TcpListener) -> (String, ExportTraceServiceRequest) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut path, mut length) = (String::new(), 0);
        for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty())
        {
            if let Some(rest) = line.strip_prefix("POST ") {
                path = rest.split(' ').next().unwrap().to_owned();
            }
            if let Some((_, value)) =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        (path, ExportTraceServiceRequest::decode(&*body).unwrap())
    }

    fn attribute(all: &[KeyValue], key: &str) -> Option<Value> {
        all.iter().find(|found| found.key == key)?.value.clone()?.value
    }

    fn ended_after(output: &Output) -> Duration {
        let said = text(&output.stdout);
        let (_, rest) = said.split_once("ended after ").unwrap_or_else(|| panic!("{said}"));
        Duration::from_millis(rest.split(' ').next().unwrap().parse().unwrap())
    }

    /// The traces that arrive of [`traced`], run by these variables as well.
    fn received(more: &[(&str, &str)]) -> (ExportTraceServiceRequest, Output) {
        let (listener, url) = listen();
        let receiver = std::thread::spawn(move || receive(&listener));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
        let output = run(&[&[endpoint][..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let (path, request) = receiver.join().unwrap();
        assert_eq!(path, "/v1/traces");
        (request, output)
    }

    fn service_name(request: &ExportTraceServiceRequest) -> Option<Value> {
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        attribute(&resource.attributes, "service.name")
    }

    #[test]
    fn a_batch_arrives_with_what_it_holds_and_its_phases_below_it() {
        let (request, output) = received(&[]);
        assert_eq!(service_name(&request), Some(Value::StringValue("a-program".into())));
        let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let spans: Vec<&Span> = scopes.flat_map(|of| &of.spans).collect();
        let named = |name: &str| *spans.iter().find(|span| span.name == name).unwrap();
        let (batch, commit) = (named("batch"), named("commit"));
        assert_eq!(spans.len(), 2, "{spans:?}");
        let topic = attribute(&batch.attributes, "topic");
        assert_eq!(topic, Some(Value::StringValue("stock_prices".into())));
        assert_eq!(attribute(&batch.attributes, "rows"), Some(Value::IntValue(3)));
        assert_eq!(batch.parent_span_id, Vec::<u8>::new());
        assert_eq!((&commit.parent_span_id, &commit.trace_id), (&batch.span_id, &batch.trace_id));
        assert_eq!(commit.events.len(), 1, "{:?}", commit.events);
        assert_eq!(commit.events[0].name, "said within");
        // The log has the sentence, and no span that is none of its own.
        let said = text(&output.stderr);
        let line = said.lines().find(|line| line.contains("said within")).unwrap();
        assert!(!line.contains("commit"), "{line}");
    }

    #[test]
    fn the_environment_names_the_service() {
        let (request, _) = received(&[("OTEL_SERVICE_NAME", "feed-7")]);
        assert_eq!(service_name(&request), Some(Value::StringValue("feed-7".into())));
    }

    #[test]
    fn a_receiver_that_is_away_ends_nothing_and_delays_the_end_by_no_more_than_the_bound() {
        let (listener, refused) = listen();
        drop(listener);
        // One that takes connections and never answers.
        let (_silent, unanswered) = listen();
        for url in [refused, unanswered] {
            let flood = (FLOOD, "5000");
            let output = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), flood]);
            assert!(output.status.success(), "{url}: {}", text(&output.stderr));
            let took = ended_after(&output);
            assert!(took < telemetry::END_WITHIN + SLACK, "{url}: {took:?}");
        }
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported_and_nothing_said() {
        let output = run(&[("OTEL_SERVICE_NAME", "feed-7")]);
        assert!(output.status.success());
        assert!(ended_after(&output) < SLACK);
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }

    #[test]
    fn settings_that_can_never_work_are_configuration_errors_that_keep_passwords() {
        let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
        for url in
            ["collector", "collector:4318", "ftp://me:s3cret@collector", "http://", "http://a b"]
        {
            let output = run(&[(variable, url)]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{url}: {said}");
            assert!(said.contains(variable) && !said.contains("s3cret"), "{url}: {said}");
        }
        let grpc = [(variable, "http://collector:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let output = run(&grpc);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("http/protobuf alone"));
    }
}
