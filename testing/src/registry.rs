//! [`TestRegistry`]: a schema registry of a test's own.

use crate::{Child, free_port};
use serde_json::{Value, json};
use std::process::Command;

/// A schema registry of its own, in memory: that of franz-go, in a process. It ends with the value.
pub struct TestRegistry {
    _process: Child,
    port: u16,
    /// What it lets in, if it asks for anything.
    authorization: Option<String>,
}

impl TestRegistry {
    /// `None` where this machine cannot build it (there is no Go); the test that needs it has
    /// nothing to do then.
    pub async fn start() -> Option<Self> {
        Self::start_for(None).await
    }

    /// One that lets in nobody but who sends this header.
    pub async fn with_authorization(header: &str) -> Option<Self> {
        Self::start_for(Some(header.to_owned())).await
    }

    async fn start_for(authorization: Option<String>) -> Option<Self> {
        let Ok(program) = std::env::var("STACK_SCHEMA_REGISTRY") else {
            eprintln!(
                "STACK_SCHEMA_REGISTRY is not set: there is no schema registry to test against"
            );
            return None;
        };
        let (port, mut command) = (free_port(), Command::new(program));
        command.arg(format!("127.0.0.1:{port}")).args(&authorization);
        let process = Child::spawn(command);
        process.wait_listening(port).await;
        Some(Self { _process: process, port, authorization })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Registers an Avro schema; gives its number.
    pub async fn avro(&self, subject: &str, schema: &str) -> u32 {
        self.register(subject, json!({ "schema": schema })).await
    }

    /// `body`: as the registry's interface takes it.
    pub async fn register(&self, subject: &str, body: Value) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let authorization = self.authorization.clone();
        let registering = move || {
            let mut request =
                ureq::post(&url).header("Content-Type", "application/vnd.schemaregistry.v1+json");
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            request.send(body.to_string())?.body_mut().read_to_string()
        };
        let answer = tokio::task::spawn_blocking(registering)
            .await
            .expect("the asking thread does not panic");
        let answer = answer.expect("register a schema");
        let answer: Value = serde_json::from_str(&answer).expect("the registry answers in JSON");
        let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        id.unwrap_or_else(|| panic!("the registry gives no number: {answer}"))
    }
}

/// A value in the registry's wire format.
pub fn framed(schema: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &schema.to_be_bytes()[..], body].concat()
}

/// A number as Avro writes it.
pub fn avro_long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// Bytes, or the text that they are, as Avro writes them.
pub fn avro_bytes(bytes: &[u8]) -> Vec<u8> {
    [avro_long(bytes.len() as i64), bytes.to_vec()].concat()
}
