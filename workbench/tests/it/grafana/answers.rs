//! What reads a Grafana's answers, on answers of the same shape: no Grafana is needed here.

use super::running::{Grafana, faults_of_panel, rules};
use super::text;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

/// Answers each request by `answer`, of its path and body, until the test ends.
fn stub(answer: impl Fn(&str, &str) -> (u16, Value) + Send + 'static) -> Grafana {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut lines, mut length) = (Vec::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_lowercase();
                length =
                    line.strip_prefix("content-length: ").map_or(length, |n| n.parse().unwrap());
                if line.is_empty() {
                    break;
                }
                lines.push(line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let path = lines[0].split(' ').nth(1).unwrap();
            let (status, json) = answer(path, &String::from_utf8(body).unwrap());
            let json = json.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                json.len()
            );
            stream.write_all((head + &json).as_bytes()).unwrap();
        }
    });
    Grafana { url }
}

/// As Grafana 12 answers when all is well.
fn well(path: &str, body: &str) -> (u16, Value) {
    let json = match path {
        "/api/ds/query" => {
            let asked: Value = serde_json::from_str(body).unwrap();
            let frame = json!({"status": 200, "frames": [{"schema": {"fields": []}, "data": {"values": []}}]});
            let queries = asked["queries"].as_array().unwrap().iter();
            let results: serde_json::Map<_, _> =
                queries.map(|query| (text(query, "refId").to_owned(), frame.clone())).collect();
            json!({"results": results})
        }
        "/api/v1/provisioning/alert-rules" => {
            rules().iter().map(|uid| json!({"uid": uid})).collect()
        }
        path if path.ends_with("/health") => {
            json!({"status": "OK", "message": "Database Connection OK"})
        }
        _ => json!({"dashboard": {}}),
    };
    (200, json)
}

#[tokio::test]
async fn a_grafana_that_answers_well_has_no_fault() {
    assert_eq!(stub(well).faults().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_query_a_rule_a_source_and_a_dashboard_that_fail_are_each_named() {
    let sick = |path: &str, body: &str| match path {
        "/api/ds/query" if body.contains("from ingest_gaps") => {
            let error = json!({"error": "db query error: pq: permission denied", "status": 400, "frames": []});
            let asked: Value = serde_json::from_str(body).unwrap();
            let mut queries = asked["queries"].as_array().unwrap().iter();
            let of_gaps = queries.find(|query| text(query, "rawSql").contains("ingest_gaps"));
            let (_, mut answer) = well(path, body);
            answer["results"][text(of_gaps.unwrap(), "refId")] = error;
            (400, answer)
        }
        "/api/v1/provisioning/alert-rules" => {
            (200, rules().iter().skip(1).map(|uid| json!({"uid": uid})).collect())
        }
        "/api/datasources/uid/stocks-prometheus/health" => {
            (400, json!({"status": "ERROR", "message": "refused"}))
        }
        "/api/dashboards/uid/evidence" => (404, json!({"message": "Dashboard not found"})),
        _ => well(path, body),
    };
    let faults = stub(sick).faults().await.unwrap();
    assert_eq!(
        faults,
        [
            "data source stocks-prometheus: 400, refused",
            "alert rule batch-overdue is not there",
            "evidence.json: not provisioned (404)",
            "overview.json: \"Ticks\": query C: db query error: pq: permission denied",
            "pipeline.json: \"Lost offsets\": query A: db query error: pq: permission denied",
        ]
    );
}

#[test]
fn a_query_without_an_answer_or_with_a_status_of_its_own_is_a_fault() {
    let frames = json!([]);
    for (status, answer, faults) in [
        (200, json!({"results": {"A": {"status": 200, "frames": frames}}}), 0),
        (200, json!({"results": {"A": {"frames": frames}}}), 0),
        (207, json!({"results": {"A": {"status": 500, "frames": frames}}}), 1),
        (200, json!({"results": {}}), 1),
        (403, json!({"message": "no permission"}), 1),
        (502, json!({"results": {"A": {"frames": frames}}}), 1),
    ] {
        assert_eq!(faults_of_panel(&["A"], status, &answer).len(), faults, "{status} {answer}");
    }
}
