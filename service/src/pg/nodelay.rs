//! TCP_NODELAY, which sqlx never sets.
//!
//! Without it every small COPY waits for the server's delayed acknowledgement: 186 ms from message
//! to row instead of 11 (docs/benchmarks.md). sqlx shows no socket, so the process's own
//! descriptors are searched for it.

use rustix::net::{AddressFamily, SocketAddrAny, getpeername, sockopt};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};

/// Sets TCP_NODELAY on this process's TCP connections to `port`. Failing costs latency only, so
/// nothing is reported.
pub(super) fn set_for_peer_port(port: u16) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let descriptors =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors {
        // SAFETY: the descriptor is used before this function returns. If another thread closes or
        // reuses it in between, the calls fail or set the option on another TCP socket, where it
        // does no harm either.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        if peer_port(socket) == Some(port) {
            let _ = sockopt::set_tcp_nodelay(socket, true);
        }
    }
}

fn peer_port(socket: BorrowedFd<'_>) -> Option<u16> {
    let peer: SocketAddrAny = getpeername(socket).ok()??;
    if !matches!(peer.address_family(), AddressFamily::INET | AddressFamily::INET6) {
        return None;
    }
    SocketAddr::try_from(peer).ok().map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_connections_to_the_port_are_changed() {
        let (here, elsewhere) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let wanted = TcpStream::connect(here.local_addr().unwrap()).unwrap();
        let other = TcpStream::connect(elsewhere.local_addr().unwrap()).unwrap();
        set_for_peer_port(here.local_addr().unwrap().port());
        assert!(wanted.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }
}
