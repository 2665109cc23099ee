//! [`TcpProxy`]: a network that breaks, falls silent or becomes slow.

use crate::{eventually, free_port};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Stands between a client and a server on loopback, and breaks on demand. It ends when the value
/// is dropped.
pub struct TcpProxy {
    address: SocketAddr,
    target: String,
    state: watch::Sender<State>,
    /// Takes connections; none does while it is cut.
    accepting: JoinSet<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    is_stalled: bool,
    delay: Duration,
    /// Bytes a second, in each direction; 0 for as many as come.
    rate: u32,
    /// Counts the cuts, so that a connection from before a cut ends even if the link is restored at
    /// once.
    cuts: u64,
}

/// How long an address may be somebody's still.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1, which no outgoing connection takes while the proxy is
    /// cut. `target` is `host:port`.
    pub async fn start(target: &str) -> Self {
        Self::listen(&format!("127.0.0.1:{}", free_port()), target).await
    }

    /// # Panics
    /// When the address is taken.
    pub async fn listen(address: &str, target: &str) -> Self {
        // Whoever listened there before may be gone and not have closed it yet.
        let listener = eventually(&format!("listening on {address}"), LISTENS_WITHIN, || async {
            TcpListener::bind(address).await.map_err(|error| error.to_string())
        })
        .await;
        let address = listener.local_addr().expect("a bound listener has an address");
        let (target, (state, _)) = (target.to_owned(), watch::channel(State::default()));
        let mut proxy = Self { address, target, state, accepting: JoinSet::new() };
        proxy.accept(listener);
        proxy
    }

    fn accept(&mut self, listener: TcpListener) {
        let (target, states) = (self.target.clone(), self.state.subscribe());
        self.accepting.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let cuts = states.borrow().cuts;
                tokio::spawn(connect(client, target.clone(), states.clone(), cuts));
            }
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops every live connection and refuses new ones; both hold when this returns.
    pub async fn cut(&mut self) {
        self.accepting.shutdown().await;
        self.state.send_modify(|state| {
            state.is_stalled = true;
            state.cuts += 1;
        });
    }

    /// Back to forwarding: ends a cut or a stall. Stalled connections go on with what was held
    /// back.
    pub async fn restore(&mut self) {
        self.go_on(false).await;
    }

    /// Half-open: connections stay and new ones are accepted, but not a byte is forwarded.
    pub async fn stall(&mut self) {
        self.go_on(true).await;
    }

    async fn go_on(&mut self, is_stalled: bool) {
        self.state.send_modify(|state| state.is_stalled = is_stalled);
        if self.accepting.is_empty() {
            let listener = TcpListener::bind(self.address).await;
            self.accept(
                listener
                    .unwrap_or_else(|error| panic!("listen on {} again: {error}", self.address)),
            );
        }
    }

    /// Every byte arrives this much later, in each direction; the throughput stays.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// No more than so many bytes a second pass, in each direction of each connection.
    pub fn throttle(&self, bytes_per_second: u32) {
        self.state.send_modify(|state| state.rate = bytes_per_second);
    }
}

/// One connection, until a cut comes after the first `cuts`.
async fn connect(client: TcpStream, target: String, states: watch::Receiver<State>, cuts: u64) {
    let forwarding = async {
        if reach_whole(&mut states.clone()).await.is_none() {
            return;
        }
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            forward(from_client, to_server, states.clone()),
            forward(from_server, to_client, states.clone()),
        );
    };
    let mut watched = states.clone();
    tokio::select! {
        () = forwarding => {}
        // Dropping `forwarding` drops both sockets.
        _ = watched.wait_for(|state| state.cuts != cuts) => {}
    }
}

/// One direction. A queue between the two halves keeps the throughput whatever the delay.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut states: watch::Receiver<State>,
) {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let mut writer_states = states.clone();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while reach_whole(&mut states).await.is_some() {
            let Ok(length @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let due = Instant::now() + states.borrow().delay;
            if queue.send((due, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = queued.recv().await {
            tokio::time::sleep_until(due).await;
            for piece in bytes.chunks(1024) {
                let rate = writer_states.borrow().rate;
                if rate > 0 {
                    let takes = piece.len() as f64 / f64::from(rate);
                    tokio::time::sleep(Duration::from_secs_f64(takes)).await;
                }
                if reach_whole(&mut writer_states).await.is_none()
                    || to.write_all(piece).await.is_err()
                {
                    return;
                }
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

/// None once the proxy is gone.
async fn reach_whole(states: &mut watch::Receiver<State>) -> Option<()> {
    states.wait_for(|state| !state.is_stalled).await.ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn ping(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"ping");
        Ok(())
    }

    #[tokio::test]
    async fn a_cut_drops_connections_and_refuses_new_ones_until_restored() {
        let mut proxy = TcpProxy::start(&echo().await.to_string()).await;
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        ping(&mut before).await.unwrap();
        proxy.cut().await;
        assert!(ping(&mut before).await.is_err());
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        proxy.restore().await;
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        ping(&mut after).await.unwrap();
    }

    #[tokio::test]
    async fn a_stall_holds_every_byte_back_and_then_delivers_it() {
        let mut proxy = TcpProxy::start(&echo().await.to_string()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ping(&mut stream).await.unwrap();
        proxy.stall().await;
        stream.write_all(b"held").await.unwrap();
        let mut answer = [0; 4];
        let waited =
            tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut answer));
        assert!(waited.await.is_err(), "nothing comes through");
        proxy.restore().await;
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"held");
    }

    #[tokio::test]
    async fn a_delay_counts_in_each_direction() {
        let proxy = TcpProxy::start(&echo().await.to_string()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.delay(Duration::from_millis(60));
        let started = Instant::now();
        ping(&mut stream).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(120));
    }
}
