//! Ways to services that can be broken.

use anyhow::Context;
use testing::TcpProxy;
use url::Url;

/// A proxy in front of the server of `url`, and the URL that leads through it.
pub async fn link(url: &str) -> anyhow::Result<(TcpProxy, String)> {
    let mut url = Url::parse(url).context("the address of a service is a URL")?;
    let address = |url: &Url| {
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default().unwrap_or(5432)))
    };
    let proxy =
        TcpProxy::start(&address(&url).context("the address of a service has a host")?).await;
    let port = url.set_port(Some(proxy.address().port()));
    port.and_then(|()| url.set_ip_host(proxy.address().ip()))
        .map_err(|()| anyhow::anyhow!("{url} takes no port"))?;
    Ok((proxy, url.to_string().trim_end_matches('/').to_owned()))
}
