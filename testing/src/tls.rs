//! The stack's certificates, and TLS in front of a service that has none.

use crate::Server;
use crate::stack::stack;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Takes TLS connections with the stack's certificate and passes them on without. It ends when the
/// value is dropped.
pub struct TlsProxy(Server);

impl TlsProxy {
    /// Listens on a free port of 127.0.0.1. `target` is `host:port`.
    pub async fn start(target: &str) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server_config()));
        let target = target.to_owned();
        Self(Server::start(move |client| pass_on(client, acceptor.clone(), target.clone())).await)
    }

    /// `localhost:port`, the name that the certificate is for.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.0.address().port())
    }
}

async fn pass_on(client: TcpStream, acceptor: TlsAcceptor, target: String) {
    // A client that does not trust the certificate ends here, which is its test's concern.
    let Ok(mut inner) = acceptor.accept(client).await else { return };
    if let Ok(mut outer) = TcpStream::connect(&target).await {
        let _ = copy_bidirectional(&mut inner, &mut outer).await;
    }
}

fn server_config() -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(stack("STACK_TLS_CERTIFICATE"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .expect("read the stack's certificate");
    let key = PrivateKeyDer::from_pem_file(stack("STACK_TLS_KEY"))
        .expect("read the key of the stack's certificate");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the stack's key fits its certificate")
}

/// An authority in `folder` that has signed nothing of the stack's.
pub fn foreign_authority(folder: &Path) -> PathBuf {
    let certificate = folder.join("foreign-ca.pem");
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split(' '))
        .args(["-subj", "/CN=foreign authority", "-addext", "keyUsage=critical,keyCertSign"])
        .arg("-keyout")
        .arg(folder.join("foreign-ca.key"))
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("run openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    certificate
}
