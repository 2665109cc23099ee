//! Certificates of the stack, made anew with it: PostgreSQL takes TLS beside plain connections,
//! Kafka has a listener with TLS and SASL, and tests put TLS in front of the store.

use super::settings::Stack;
use crate::{files, process};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The server's certificate is for this name only, so that a client that checks names refuses
/// 127.0.0.1.
pub const SERVER_NAME: &str = "localhost";

/// SASL SCRAM on Kafka's secure listener; demo credentials.
pub const KAFKA_USER: &str = "stocks";
pub const KAFKA_PASSWORD: &str = "stocks-secret";

/// Where the stack's certificates are.
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    pub fn of(stack: &Stack) -> Self {
        Self { dir: stack.dir.join("tls") }
    }

    /// The authority that signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub fn server(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    pub fn server_key(&self) -> PathBuf {
        self.dir.join("server.key")
    }

    /// Key and certificate in one file, as Kafka wants them.
    pub fn server_both(&self) -> PathBuf {
        self.dir.join("server-both.pem")
    }

    /// Makes them unless they are there.
    pub fn ensure(&self) -> Result<()> {
        if self.server_both().is_file() {
            return Ok(());
        }
        files::create_dir(&self.dir)?;
        let authority_key = self.dir.join("ca.key");
        certify(&authority_key, &self.authority(), "stock-lambda local authority", |openssl| {
            openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
            openssl.args(["-addext", "keyUsage=critical,keyCertSign"]);
        })?;
        certify(&self.server_key(), &self.server(), SERVER_NAME, |openssl| {
            openssl.arg("-CA").arg(self.authority()).arg("-CAkey").arg(&authority_key);
            openssl.args(["-addext", &format!("subjectAltName=DNS:{SERVER_NAME}")]);
            openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
            openssl.args(["-addext", "extendedKeyUsage=serverAuth"]);
        })?;
        // Nothing else shall be signed by it.
        files::remove_file(&authority_key)?;
        files::write(
            &self.server_both(),
            &(files::read(&self.server_key())? + &files::read(&self.server())?),
        )
    }
}

/// One key and its certificate.
fn certify(
    key: &Path,
    certificate: &Path,
    name: &str,
    more: impl FnOnce(&mut Command),
) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650".split(' '));
    openssl
        .args(["-subj", &format!("/CN={name}"), "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate);
    more(&mut openssl);
    process::output(&mut openssl).map(drop)
}
