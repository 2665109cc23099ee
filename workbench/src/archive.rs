//! A stand-in for the Kafka Connect S3 sink: the same keys and, byte for byte, the same lines.
//! For developers' machines and for Compose's first start, where that connector is not to be had.

mod args;
mod caught_up;
pub mod convert;
pub mod java;
pub mod json;
pub mod objects;
mod schemas;
mod sink;
mod subscription;
mod upload;

pub use args::ArchiveArgs;
pub use sink::{Archived, run};
pub(crate) use upload::gzip;
