//! Ports for servers of a test's own.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that `cargo xtask` chooses from, and below Linux's ephemeral ones, so that no
/// outgoing connection takes one between the choice and the start, or while a broker is away.
const PORTS: Range<u16> = 12_000..20_000;

/// A port of 127.0.0.1 on which nobody listens.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    PORTS
        .map(|_| {
            let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
                % u32::from(PORTS.end - PORTS.start);
            PORTS.start + u16::try_from(number).expect("it is less than a u16")
        })
        .find(is_free)
        .expect("one of 8,000 ports is free")
}
