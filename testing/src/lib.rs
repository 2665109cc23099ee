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
mod server;
mod stack;
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
pub use ports::free_port;
pub use postgres::TestPostgres;
pub use proxy::TcpProxy;
pub use quota::ReadQuota;
pub use registry::{TestRegistry, avro_bytes, avro_long, framed};
pub use roles::{ROLE_PASSWORD, assert_refused};
pub use sail::TestSail;
pub use secrets::{Secrets, assert_hidden};
pub use server::Server;
pub use stack::stack;
pub use tls::{TlsProxy, foreign_authority};
pub use topic::{TestMessage, TestTopic};
