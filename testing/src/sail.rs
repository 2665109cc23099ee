//! [`TestSail`]: a server of Spark Connect of a test's own.

use crate::stack::stack;
use crate::{Child, free_port};
use std::process::Command;

/// A server of Spark Connect that starts in a moment: Sail, out of the cached Python. It ends with
/// the value.
pub struct TestSail {
    process: Child,
    port: u16,
}

impl TestSail {
    /// One that reads files, and the store that `variables` name as AWS tools do.
    pub async fn start(variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let port = free_port();
        let mut command = Command::new(stack("STACK_PYTHON"));
        command.args(["-m", "pysail", "spark", "server", "--ip", "127.0.0.1"]);
        command.args(["--port", &port.to_string()]);
        for (name, value) in variables {
            command.env(if name == "S3_ENDPOINT_URL" { "AWS_ENDPOINT" } else { name }, value);
        }
        command.env("AWS_ALLOW_HTTP", "true");
        let process = Child::spawn(command);
        process.wait_listening(port).await;
        Self { process, port }
    }

    pub fn url(&self) -> String {
        format!("sc://127.0.0.1:{}", self.port)
    }

    /// Kills it in the middle of whatever it does.
    pub fn kill(&self) {
        self.process.sigkill();
    }
}
