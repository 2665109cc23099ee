//! [`Pooler`]: as PgBouncer in transaction mode sees its clients.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Parameters of a start that PgBouncer 1.18 refuses.
const UNKNOWN: [&str; 2] = ["extra_float_digits", "options"];

/// Stands in front of PostgreSQL, and notes what would outlive a transaction: in PgBouncer's transaction mode the next one
/// may be another session's.
pub struct Pooler {
    address: SocketAddr,
    outliving: Arc<Mutex<Vec<String>>>,
}

impl Pooler {
    /// `target`: `host:port` of the server.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let outliving = Arc::default();
        let (target, seen) = (target.to_owned(), Arc::clone(&outliving));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, outliving }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What would have outlived its transaction so far.
    pub fn outliving(&self) -> Vec<String> {
        self.outliving.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut client: TcpStream, target: String, seen: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut startup = read_body(&mut client).await?;
    let parameters = String::from_utf8_lossy(&startup).into_owned();
    for unknown in UNKNOWN {
        if parameters.contains(unknown) {
            let text = format!("SFATAL\0C08P01\0Munsupported startup parameter: {unknown}\0\0");
            client.write_all(b"E").await?;
            client.write_all(&(text.len() as u32 + 4).to_be_bytes()).await?;
            return client.write_all(text.as_bytes()).await;
        }
    }
    let mut server = TcpStream::connect(target).await?;
    let mut framed = (startup.len() as u32 + 4).to_be_bytes().to_vec();
    framed.append(&mut startup);
    server.write_all(&framed).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    loop {
        let kind = from_client.read_u8().await?;
        let body = read_body(&mut from_client).await?;
        if outlives(kind, &body) {
            let text = String::from_utf8_lossy(&body).into_owned();
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        to_server.write_all(&[kind]).await?;
        to_server.write_all(&(body.len() as u32 + 4).to_be_bytes()).await?;
        to_server.write_all(&body).await?;
    }
}

/// A message of the protocol without its length.
async fn read_body(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; from.read_u32().await? as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn outlives(kind: u8, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    let is_setting = |text: &str| text.starts_with("set ") && !text.starts_with("set local");
    let is_session_lock = |text: &str| text.contains("pg_advisory_lock");
    match kind {
        // Parse: its name, which an unnamed statement does not have, and the text.
        b'P' => body[0] != 0 || is_setting(&text[1..]) || is_session_lock(&text),
        b'Q' => is_setting(&text) || is_session_lock(&text),
        _ => false,
    }
}
