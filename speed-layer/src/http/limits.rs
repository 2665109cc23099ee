//! A listener whose connections have limits: neither many of them nor silent ones keep `/healthz`
//! from answering.

use axum::serve::Listener;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Connections at once; a new one beyond that ends the oldest. Monitors need a few.
const MOST: usize = 64;
/// How long a connection may take from its begin, or from its last answer, to the end of its next
/// request. Longer than Prometheus pauses between two scrapes, as a rule.
const REQUEST: Duration = Duration::from_secs(30);

/// Accepts connections within the limits.
pub struct Limited {
    listener: TcpListener,
    /// The open connections, the oldest first.
    open: VecDeque<CancellationToken>,
}

impl Limited {
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.open.retain(|token| !token.is_cancelled());
        while self.open.len() >= MOST {
            if let Some(oldest) = self.open.pop_front() {
                oldest.cancel();
            }
        }
        let token = CancellationToken::new();
        self.open.push_back(token.clone());
        (Connection::new(stream, token), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when a newer one needs its place, or when it is silent for too long.
pub struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _is_open: DropGuard,
}

impl Connection {
    fn new(stream: TcpStream, token: CancellationToken) -> Self {
        let deadline = Box::pin(tokio::time::sleep(REQUEST));
        let ended = Box::pin(token.clone().cancelled_owned());
        Self { stream, deadline, ended, _is_open: token.drop_guard() }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_over =
            self.ended.as_mut().poll(cx).is_ready() || self.deadline.as_mut().poll(cx).is_ready();
        if is_over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // An answer: the time for the next request begins.
        self.deadline.as_mut().reset(Instant::now() + REQUEST);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
