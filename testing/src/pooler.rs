//! [`Pooler`]: as PgBouncer in transaction mode sees its clients.

use crate::Server;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Parameters of a start that PgBouncer 1.18 refuses.
const UNKNOWN: [&str; 2] = ["extra_float_digits", "options"];

/// Stands in front of PostgreSQL, and notes what would outlive a transaction: in PgBouncer's
/// transaction mode the next one may be another session's.
pub struct Pooler {
    server: Server,
    outliving: Arc<Mutex<Vec<String>>>,
}

impl Pooler {
    /// `target`: `host:port` of the server.
    pub async fn start(target: &str) -> Self {
        let outliving = Arc::default();
        let (target, seen) = (target.to_owned(), Arc::clone(&outliving));
        let serve = move |client| serve(client, target.clone(), Arc::clone(&seen));
        Self { server: Server::start(serve).await, outliving }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What would have outlived its transaction so far.
    pub fn outliving(&self) -> Vec<String> {
        self.outliving.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    mut client: TcpStream,
    target: String,
    seen: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
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
    let status = Arc::new(AtomicU8::new(IDLE));
    let told = Arc::clone(&status);
    tokio::spawn(async move {
        while let Ok((kind, body)) = read(&mut from_server).await {
            if kind == b'Z' {
                told.store(body[0], Ordering::SeqCst);
            }
            if write(&mut to_client, kind, &body).await.is_err() {
                break;
            }
        }
    });
    let mut prepared = Prepared::default();
    loop {
        let (kind, body) = read(&mut from_client).await?;
        let is_apart = prepared.comes_apart(kind, &body, status.load(Ordering::SeqCst));
        if is_apart || outlives(kind, &body) {
            let text = if is_apart { prepared.text.as_bytes() } else { &body };
            let text = String::from_utf8_lossy(text).into_owned();
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        write(&mut to_server, kind, &body).await?;
    }
}

/// What the server says of a session that is in no transaction.
const IDLE: u8 = b'I';

/// The statement that was prepared last.
#[derive(Default)]
struct Prepared {
    text: String,
    /// The client has waited for the server since.
    is_synced: bool,
}

impl Prepared {
    /// Whether this brings values for a statement that was prepared before, outside of a
    /// transaction: they may be another session's by now.
    fn comes_apart(&mut self, kind: u8, body: &[u8], status: u8) -> bool {
        match kind {
            b'P' => {
                let text = String::from_utf8_lossy(body).into_owned();
                *self = Self { text, is_synced: false };
            }
            b'S' => self.is_synced = true,
            _ => {}
        }
        kind == b'B' && self.is_synced && status == IDLE
    }
}

async fn read(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    Ok((kind, read_body(from).await?))
}

async fn write(
    to: &mut (impl AsyncWriteExt + Unpin),
    kind: u8,
    body: &[u8],
) -> std::io::Result<()> {
    let mut framed = vec![kind];
    framed.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    framed.extend_from_slice(body);
    to.write_all(&framed).await
}

/// A message of the protocol without its length.
async fn read_body(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; from.read_u32().await? as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn outlives(kind: u8, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    match kind {
        // Parse: its name, which an unnamed statement does not have, and the text.
        b'P' => body[0] != 0 || has_what_outlives(&text[1..]),
        b'Q' => has_what_outlives(&text),
        _ => false,
    }
}

fn has_what_outlives(statements: &str) -> bool {
    let is_comment = |line: &&str| line.trim_start().starts_with("--");
    let statements: Vec<&str> = statements.lines().filter(|line| !is_comment(line)).collect();
    statements.join("\n").split(['\0', ';']).any(changes_the_session)
}

/// Whether a statement changes what its session is to those that come after its transaction.
fn changes_the_session(statement: &str) -> bool {
    let text = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    let is_setting =
        begins(&["set "]) && !begins(&["set local ", "set transaction ", "set constraints "]);
    let is_temporary = begins(&["create temp"]) && !text.contains("on commit drop");
    let is_cursor = begins(&["declare "]) && text.contains("with hold");
    let is_set_by_function =
        text.contains("set_config(") && !text.replace(", ", ",").contains(",true)");
    let is_lock = text.contains("advisory_lock");
    let is_other = begins(&["listen ", "prepare ", "load ", "reset ", "discard "]);
    is_setting || is_temporary || is_cursor || is_set_by_function || is_lock || is_other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_come_apart_from_their_statement_are_seen() {
        let mut prepared = Prepared::default();
        let mut comes_apart = |kind, status| prepared.comes_apart(kind, b"\0select 1\0", status);
        assert!(!comes_apart(b'P', IDLE) && !comes_apart(b'B', IDLE) && !comes_apart(b'S', IDLE));
        assert!(!comes_apart(b'P', b'T') && !comes_apart(b'S', b'T') && !comes_apart(b'B', b'T'));
        assert!(!comes_apart(b'P', IDLE) && !comes_apart(b'S', IDLE) && comes_apart(b'B', IDLE));
    }

    #[test]
    fn what_outlives_a_transaction_is_seen_wherever_it_stands() {
        for text in [
            "SET statement_timeout = 5",
            "begin; set statement_timeout = 5",
            "begin;\n  set  session statement_timeout = 5",
            "-- It is short.\nset statement_timeout = 5",
            "select set_config('jit', 'off', false)",
            "listen news",
            "create temporary table t (a int)",
            "declare c cursor with hold for select 1",
            "select pg_advisory_lock(1)",
            "select pg_try_advisory_lock(1)",
            "prepare p as select 1",
        ] {
            assert!(outlives(b'Q', format!("{text}\0").as_bytes()), "{text}");
            assert!(outlives(b'P', format!("\0{text}\0\0\0").as_bytes()), "{text}");
        }
        assert!(outlives(b'P', b"name\0select 1\0\0\0"));
    }

    #[test]
    fn what_ends_with_its_transaction_is_not() {
        for text in [
            "begin; set local statement_timeout = 5; set transaction isolation level repeatable read",
            "select set_config('jit', 'off', true)",
            "select pg_advisory_xact_lock(1)",
            "create temp table t (a int) on commit drop",
            "update t set a = 1",
            "-- Not with pg_advisory_lock;\n-- set it aside.\nselect 1",
            "commit",
        ] {
            assert!(!outlives(b'Q', format!("{text}\0").as_bytes()), "{text}");
            assert!(!outlives(b'P', format!("\0{text}\0\0\0").as_bytes()), "{text}");
        }
    }
}
