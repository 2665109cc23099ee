//! [`ReadQuota`]: a broker that lets a client read slowly.

use crate::java::kafka_tool;
use crate::stack::{stack, unique_name};

/// How fast the stack's broker lets one client read; all others are left alone. It is lifted with
/// the value.
pub struct ReadQuota {
    client_id: String,
    is_lifted: bool,
}

impl ReadQuota {
    /// For a client id of its own, which the client must use.
    pub fn set(bytes_per_second: u32) -> Self {
        let client_id = unique_name("client");
        alter(&client_id, &["--add-config", &format!("consumer_byte_rate={bytes_per_second}")])
            .expect("set the quota");
        Self { client_id, is_lifted: false }
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The broker knows of it when this returns.
    pub fn lift(mut self) {
        self.is_lifted = true;
        lift(&self.client_id).expect("lift the quota");
    }
}

impl Drop for ReadQuota {
    fn drop(&mut self) {
        if !self.is_lifted {
            // Its failure would only hide the test's own.
            let _ = lift(&self.client_id);
        }
    }
}

fn lift(client_id: &str) -> Result<(), String> {
    alter(client_id, &["--delete-config", "consumer_byte_rate"])
}

fn alter(client_id: &str, how: &[&str]) -> Result<(), String> {
    let brokers = stack("STACK_KAFKA_BROKERS");
    let which = ["--bootstrap-server", &brokers, "--entity-type", "clients", "--entity-name"];
    let args = [&which[..], &[client_id, "--alter"], how].concat();
    kafka_tool("kafka.admin.ConfigCommand", &args)
}
