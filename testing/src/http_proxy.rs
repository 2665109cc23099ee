//! [`HttpProxy`]: an HTTP server that fails by a test's rule.

use crate::Server;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Stands in front of an HTTP server on loopback and treats each request as a test's rule says. It
/// ends with the value.
///
/// It forwards one request a connection, with its head unchanged but for `Connection: close`:
/// signatures stay valid.
pub struct HttpProxy {
    server: Server,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub method: String,
    /// With the query.
    pub path: String,
    /// All lines of the head.
    pub head: String,
}

/// What becomes of a request.
pub enum Treatment {
    Forward,
    /// It is answered without asking the server.
    Answer {
        status: u16,
        body: String,
    },
    /// The connection ends after so many bytes of the answer's body.
    CutAfter(usize),
    /// The connection stays, but nothing more comes after so many bytes of the answer's body.
    StallAfter(usize),
    /// Something happens first; then it is forwarded.
    After(Pin<Box<dyn Future<Output = ()> + Send>>),
}

type Rule = Arc<dyn Fn(&HttpRequest) -> Treatment + Send + Sync>;

impl HttpProxy {
    /// Listens on a free port of 127.0.0.1. `target` is `host:port`.
    pub async fn start(
        target: &str,
        rule: impl Fn(&HttpRequest) -> Treatment + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::default();
        let connection = Connection {
            target: target.to_owned(),
            requests: Arc::clone(&requests),
            rule: Arc::new(rule),
        };
        let serve = move |client| {
            let connection = connection.clone();
            async move { connection.serve(client).await }
        };
        Self { server: Server::start(serve).await, requests }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().expect("no connection panics").clone()
    }
}

#[derive(Clone)]
struct Connection {
    target: String,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    rule: Rule,
}

impl Connection {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Some((head, body)) = read_head(&mut client).await? else {
            return Ok(());
        };
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let request = HttpRequest { method, path, head };
        self.requests.lock().expect("no connection panics").push(request.clone());
        let (limit, stalls) = match (self.rule)(&request) {
            Treatment::Answer { status, body } => return answer(&mut client, status, &body).await,
            Treatment::CutAfter(limit) => (Some(limit), false),
            Treatment::StallAfter(limit) => (Some(limit), true),
            Treatment::Forward => (None, false),
            Treatment::After(first) => {
                first.await;
                (None, false)
            }
        };
        let mut server = TcpStream::connect(&self.target).await?;
        let head = request.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(&[head.as_bytes(), &body].concat()).await?;
        let Some(limit) = limit else {
            tokio::io::copy(&mut server, &mut client).await?;
            return client.shutdown().await;
        };
        let Some((head, body)) = read_head(&mut server).await? else {
            return Ok(());
        };
        client.write_all(head.as_bytes()).await?;
        tokio::io::copy(&mut body.chain(server).take(limit as u64), &mut client).await?;
        client.flush().await?;
        if stalls {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn answer(client: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.write_all((head + body).as_bytes()).await?;
    client.shutdown().await
}

/// Everything up to the empty line, and what came behind it. `None` where the peer says nothing.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
