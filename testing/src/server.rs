//! [`Server`]: whatever a test puts in a real server's place.

use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Serves on a free port of 127.0.0.1. It ends with the value, and its connections with it.
pub struct Server {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Server {
    /// `serve`: a connection to its end; how it ends is the client's concern.
    pub async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen on a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            // Dropping the set ends them.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client));
            }
        });
        Self { address, _accepting: accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
