//! How requests reach a store: whom it must be to be trusted, and through which proxy.

use super::options::S3Options;
use anyhow::Context;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use std::net::IpAddr;
use std::path::PathBuf;

/// A client that trusts the machine's authorities and those of the options, and goes through the
/// proxy of `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, unless `NO_PROXY` names the host.
///
/// # Errors
/// A file of authorities that cannot be read.
pub fn client(options: &S3Options) -> anyhow::Result<SharedHttpClient> {
    let trusted = trust(options)?;
    // The SDK asks no proxy of itself.
    let proxy = if options.endpoint_url.as_deref().is_some_and(is_on_this_machine) {
        ProxyConfig::disabled()
    } else {
        ProxyConfig::from_env()
    };
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(trusted.clone())
            .build()
    }))
}

/// A proxy elsewhere would look for it on its own machine.
fn is_on_this_machine(endpoint: &str) -> bool {
    let behind_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = behind_scheme.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_some_and(|host| {
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

fn trust(options: &S3Options) -> anyhow::Result<TlsContext> {
    let mut store = TrustStore::default();
    // Other AWS tools heed this variable; the SDK leaves it to its users.
    let bundle =
        std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    for (path, setting) in
        [(options.ca_file.as_ref(), "--s3-ca-file"), (bundle.as_ref(), "AWS_CA_BUNDLE")]
    {
        let Some(path) = path else {
            continue;
        };
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read {} ({setting})", path.display()))?;
        anyhow::ensure!(
            pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----"),
            "{} holds no PEM certificate ({setting})",
            path.display()
        );
        store.add_pem_certificate(pem);
    }
    Ok(TlsContext::builder().with_trust_store(store).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_this_machine_is_known_by_its_name_or_address() {
        for endpoint in
            ["http://127.0.0.1:9000", "https://localhost", "http://[::1]:9000/", "http://127.8.8.8"]
        {
            assert!(is_on_this_machine(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://minio:9000",
            "https://localhost.example",
            "http://[2001:db8::1]",
            "http://128.0.0.1",
        ] {
            assert!(!is_on_this_machine(endpoint), "{endpoint}");
        }
    }
}
