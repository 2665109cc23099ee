//! Which loopback ports the services take.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PortChoice {
    /// 9092, 8083, 9000 and 5432
    Default,
    /// Any free ones
    Private,
    /// The default ones where all of them are free, otherwise any
    Free,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub kafka: u16,
    pub kafka_controller: u16,
    /// The broker's second listener; clients reach it through a proxy that a test puts on
    /// `kafka_proxy_listen`.
    pub kafka_proxy_target: u16,
    /// Advertised by the second listener. Nothing of the stack listens there.
    pub kafka_proxy_listen: u16,
    /// The broker's listener with TLS and SASL.
    pub kafka_secure: u16,
    pub connect: u16,
    pub store: u16,
    pub postgres: u16,
}

/// Below Linux's ephemeral ports (from 32768), so that no outgoing connection takes one between the
/// choice and the start.
const PRIVATE: std::ops::Range<u16> = 20_000..32_000;

impl Ports {
    pub const DEFAULT: Self = Self {
        kafka: 9092,
        kafka_controller: 9093,
        kafka_proxy_target: 9094,
        kafka_proxy_listen: 9095,
        kafka_secure: 9096,
        connect: 8083,
        store: 9000,
        postgres: 5432,
    };

    /// Consecutive ports; `base` must be at most 65,000.
    pub fn from_base(base: u16) -> Self {
        Self::take(&mut (base..))
    }

    /// The default ports where all of them are free, otherwise private ones.
    pub fn default_or_private() -> Result<Self> {
        if Self::DEFAULT.all().into_iter().all(is_free) {
            Ok(Self::DEFAULT)
        } else {
            Self::private()
        }
    }

    fn all(&self) -> [u16; 8] {
        [
            self.kafka,
            self.kafka_controller,
            self.kafka_proxy_target,
            self.kafka_proxy_listen,
            self.kafka_secure,
            self.connect,
            self.store,
            self.postgres,
        ]
    }

    /// Free ports, looked for from a place that differs from process to process.
    pub fn private() -> Result<Self> {
        let size = PRIVATE.end - PRIVATE.start;
        let start = std::process::id().wrapping_mul(97) % u32::from(size);
        let start = PRIVATE.start + u16::try_from(start)?;
        let free: Vec<u16> = (start..PRIVATE.end)
            .chain(PRIVATE.start..start)
            .filter(|port| is_free(*port))
            .take(8)
            .collect();
        if free.len() < 8 {
            bail!("fewer than 8 free ports in {PRIVATE:?} on loopback");
        }
        Ok(Self::take(&mut free.into_iter()))
    }

    fn take(ports: &mut impl Iterator<Item = u16>) -> Self {
        let mut next = || ports.next().unwrap_or_default();
        Self {
            kafka: next(),
            connect: next(),
            store: next(),
            postgres: next(),
            kafka_controller: next(),
            kafka_proxy_target: next(),
            kafka_proxy_listen: next(),
            kafka_secure: next(),
        }
    }
}

/// An error that names the first of `ports` that another process listens on.
pub fn check_free(service: &str, ports: &[u16]) -> Result<()> {
    match ports.iter().find(|port| !is_free(**port)) {
        Some(port) => bail!(
            "port {port}, which {service} needs, is taken by another process: stop that process (`ss -ltnp 'sport = :{port}'` \
             names it), or choose other ports by --port-base 19000 or --ports private"
        ),
        None => Ok(()),
    }
}

/// Loopback with this port where it is free, otherwise with any free one.
pub fn usual_or_free(port: u16) -> Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(port).or_else(|_| bind(0));
    listener.and_then(|listener| listener.local_addr()).context("no free port on loopback")
}

/// True where something listens on `port`.
pub fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The services bind with SO_REUSEADDR, and so does the standard library: closed connections do not
/// count.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_service_and_a_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_free("PostgreSQL", &[port]).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}, which PostgreSQL needs")), "{error}");
        assert!(error.contains("--port-base"), "{error}");
        drop(taken);
        check_free("PostgreSQL", &[port]).unwrap();
    }

    #[test]
    fn another_port_is_taken_where_the_usual_one_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        assert_ne!(usual_or_free(address.port()).unwrap(), address);
        drop(taken);
        assert_eq!(usual_or_free(address.port()).unwrap(), address);
    }

    #[test]
    fn private_ports_are_all_different_and_free() {
        let ports = Ports::private().unwrap();
        let mut all = ports.all().to_vec();
        check_free("anything", &all).unwrap();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|port| PRIVATE.contains(port)));
    }

    #[test]
    fn a_base_gives_consecutive_ports() {
        let ports = Ports::from_base(19_000);
        assert_eq!(
            (ports.kafka, ports.connect, ports.store, ports.postgres),
            (19_000, 19_001, 19_002, 19_003)
        );
        assert_eq!(ports.kafka_proxy_listen, 19_006);
    }
}
