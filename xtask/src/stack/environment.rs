//! The names and addresses that programs need to use the stack, one place for all of them.

use super::settings::Stack;
use super::{bucket, jars, postgres, tls};
use crate::files::write;
use anyhow::Result;
use std::fmt::Write;

/// For a database of the stack's server.
fn database_url(stack: &Stack, database: &str) -> String {
    format!(
        "postgres://{}:{}@127.0.0.1:{}/{database}",
        postgres::USER,
        postgres::PASSWORD,
        stack.ports.postgres
    )
}

impl Stack {
    /// As its owner.
    pub fn database_url(&self) -> String {
        database_url(self, postgres::DATABASE)
    }

    pub fn postgres_port(&self) -> u16 {
        self.ports.postgres
    }

    /// For people, a line each.
    pub fn addresses(&self) -> Vec<String> {
        let ports = &self.ports;
        vec![
            format!("psql {}", self.database_url()),
            format!("Kafka 127.0.0.1:{}, topic stock_prices", ports.kafka),
            format!(
                "S3 http://127.0.0.1:{}, bucket {}, access key and secret {}",
                ports.store,
                bucket::BUCKET,
                bucket::ACCESS_KEY
            ),
            format!("all of it as shell variables: . {}", self.dir.join("env").display()),
            format!("logs: {}", self.logs().display()),
        ]
    }

    pub fn connect_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.connect)
    }

    /// STACK_* for the integration tests, the rest for the project's binaries.
    ///
    /// # Errors
    /// Kafka's programs are neither in the cache nor to be had.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let ports = &self.ports;
        let address = |port: u16| format!("127.0.0.1:{port}");
        let endpoint = format!("http://{}", address(ports.store));
        let certificates = tls::Certificates::of(self);
        Ok(vec![
            ("STACK_KAFKA_BROKERS", address(ports.kafka)),
            ("STACK_KAFKA_CONTROLLER", address(ports.kafka_controller)),
            ("STACK_KAFKA_PROXY_LISTEN", address(ports.kafka_proxy_listen)),
            ("STACK_KAFKA_PROXY_TARGET", address(ports.kafka_proxy_target)),
            ("STACK_KAFKA_SECURE_BROKERS", format!("{}:{}", tls::SERVER_NAME, ports.kafka_secure)),
            ("STACK_KAFKA_USER", tls::KAFKA_USER.to_owned()),
            ("STACK_KAFKA_PASSWORD", tls::KAFKA_PASSWORD.to_owned()),
            // For tests that run brokers, or a PostgreSQL, of their own.
            ("STACK_KAFKA_JARS", jars::kafka()?.display().to_string()),
            ("STACK_POSTGRES_BIN", postgres::bin_dir()?.display().to_string()),
            ("STACK_TLS_CA", certificates.authority().display().to_string()),
            ("STACK_TLS_CERTIFICATE", certificates.server().display().to_string()),
            ("STACK_TLS_KEY", certificates.server_key().display().to_string()),
            ("STACK_CONNECT_URL", format!("http://{}", address(ports.connect))),
            ("STACK_DATABASE_URL", database_url(self, "postgres")),
            ("STACK_S3_ENDPOINT_URL", endpoint.clone()),
            ("STACK_S3_ACCESS_KEY", bucket::ACCESS_KEY.to_owned()),
            ("STACK_S3_SECRET_KEY", bucket::SECRET_KEY.to_owned()),
            ("STACK_S3_REGION", bucket::REGION.to_owned()),
            ("KAFKA_BROKERS", address(ports.kafka)),
            ("DATABASE_URL", self.database_url()),
            ("S3_ENDPOINT_URL", endpoint),
            ("S3_BUCKET", bucket::BUCKET.to_owned()),
            ("S3_REGION", bucket::REGION.to_owned()),
            ("AWS_REGION", bucket::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", bucket::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", bucket::SECRET_KEY.to_owned()),
        ])
    }
}

/// Writes `env`, to be sourced by a shell.
pub fn write_file(stack: &Stack) -> Result<()> {
    let mut text = String::new();
    for (name, value) in stack.environment()? {
        writeln!(text, "export {name}='{value}'")?;
    }
    write(&stack.dir.join("env"), &text)
}
