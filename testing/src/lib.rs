//! What integration tests of every crate share: a database, topic and bucket of their own on the
//! running local stack, clients of Kafka and of the store, a TCP proxy that breaks, brokers that
//! may be killed, the binary under test as a child process, waiting on conditions, whether SQL
//! fits the schema, and whether pages name each flag.
//!
//! Everything here panics when it fails: a test whose ground is missing has failed, and the panic
//! says why.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "test equipment: a failure here is the test's failure"
)]

mod bucket;
mod child;
mod cluster;
mod database;
mod eventually;
mod folder;
mod forgetting_broker;
mod http_proxy;
mod java;
pub mod kafka;
mod pages;
mod pgbouncer;
mod pooler;
mod ports;
mod postgres;
mod proxy;
mod quota;
mod registry;
mod roles;
pub mod s3;
mod sail;
mod secrets;
pub mod statements;
mod tls;
mod topic;
mod unprivileged;

pub use bucket::TestBucket;
pub use child::Child;
pub use cluster::{SecondBroker, TestCluster, broker_count, leaders};
pub use database::TestDatabase;
pub use eventually::{Outcome, eventually};
pub use forgetting_broker::ForgettingBroker;
pub use http_proxy::{HttpProxy, HttpRequest, Treatment};
pub use pages::flags_without_a_page;
pub use pgbouncer::{PgBouncer, Pooling};
pub use pooler::Pooler;
pub use postgres::TestPostgres;
pub use proxy::TcpProxy;
pub use quota::ReadQuota;
pub use registry::{TestRegistry, avro_bytes, avro_long, framed};
pub use roles::{ROLE_PASSWORD, assert_refused};
pub use sail::TestSail;
pub use secrets::{Secrets, assert_hidden};
pub use tls::{TlsProxy, foreign_authority};
pub use topic::{Record, TestTopic};

pub use ports::free_port;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The value of a `STACK_*` variable, which `cargo xtask test` sets and `cargo xtask stack up`
/// writes to its `env` file.
pub fn stack(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set, so there is no local stack to test against: run `cargo xtask test`"
        )
    })
}

/// A name that no other test uses at the same time, in this process or another one; fit for
/// databases, topics and buckets.
fn unique_name(kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{kind}-{clock:x}-{}-{number}", std::process::id())
}

/// Runs `cleanup` to its end on a thread and runtime of its own: `Drop` is not async, and may run
/// while a test panics.
fn clean_up<F>(cleanup: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(cleanup());
        }
    });
    // Its panic would only hide the test's own.
    let _ = thread.join();
}
