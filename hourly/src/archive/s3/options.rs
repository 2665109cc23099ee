//! [`S3Options`]: which bucket, and how to reach it.

use std::path::PathBuf;

/// How to reach the store. Credentials come from the usual AWS chain.
#[derive(Debug, Clone)]
pub struct S3Options {
    pub bucket: String,
    /// `None`: AWS itself, or AWS_ENDPOINT_URL.
    pub endpoint_url: Option<String>,
    /// `None`: wherever an endpoint is given.
    pub path_style: Option<bool>,
    /// Authorities to trust in addition to the system's, as a PEM file.
    pub ca_file: Option<PathBuf>,
}
