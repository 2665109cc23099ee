//! [`Body`]: the bytes of one object, read by the thread that also decodes them.

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf, Bytes};
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many chunks of a stream wait for the reader: enough to keep a core busy, little enough to bound memory.
const CHUNKS_AHEAD: usize = 4;

/// In so much time of waiting for the store it must give so many bytes, or it is taken for broken: what whispers would hold
/// up a run for days.
const PACE: (Duration, u64) = (Duration::from_secs(30), 30 * 1024);

/// An object's bytes, for a thread that may block. Reading fails once the run is stopped.
#[derive(Debug)]
pub struct Body {
    source: Source,
    stop: CancellationToken,
    /// Bytes that are still to come.
    left: u64,
}

#[derive(Debug)]
enum Source {
    File(File),
    Stream { chunks: mpsc::Receiver<io::Result<Bytes>>, current: Bytes },
}

/// The store stopped sending; the content itself is not to blame, so reading the object again may do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(String);

/// More bytes come than the listing shows: it is another object by now, or a body that may never end.
#[derive(Debug, thiserror::Error)]
#[error("it is longer than the store lists it")]
pub struct Longer;

impl Longer {
    /// Whether this is why reading failed.
    #[must_use]
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

impl Body {
    /// `size`: how many bytes there must be, here and below.
    pub fn file(file: File, size: u64, stop: CancellationToken) -> Self {
        Self { source: Source::File(file), stop, left: size }
    }

    /// Starts to fetch at once, ahead of the reader.
    pub fn streamed(mut stream: ByteStream, size: u64, stop: CancellationToken) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(async move {
            let mut pace = Pace::default();
            loop {
                let asked = Instant::now();
                let Some(chunk) = stream.next().await else { return };
                let chunk = chunk.map_err(|error| format!("{:#}", anyhow::Error::new(error)));
                let chunk = chunk.and_then(|chunk| pace.note(asked.elapsed(), chunk.len()).map(|()| chunk));
                let chunk = chunk.map_err(|why| io::Error::other(Interrupted(why)));
                let is_last = chunk.is_err();
                if sender.send(chunk).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { source: Source::Stream { chunks, current: Bytes::new() }, stop, left: size }
    }
}

/// How fast a store gives what is asked for.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Counts what has come after a while of waiting.
    ///
    /// # Errors
    /// It is less than [`PACE`] asks for.
    fn note(&mut self, waited: Duration, bytes: usize) -> Result<(), String> {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < PACE.0 {
            return Ok(());
        }
        let Self { waited, bytes } = std::mem::take(self);
        if bytes >= PACE.1 { Ok(()) } else { Err(format!("only {bytes} bytes came in {waited:.0?}")) }
    }
}

impl Interrupted {
    /// Whether this is why reading failed.
    #[must_use]
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(Interrupted("the run is being stopped".into())));
        }
        let count = match &mut self.source {
            Source::File(file) => file.read(buffer)?,
            Source::Stream { chunks, current } => {
                while current.is_empty() {
                    match chunks.blocking_recv() {
                        Some(chunk) => *current = chunk?,
                        None => break,
                    }
                }
                let count = current.len().min(buffer.len());
                current.copy_to_slice(&mut buffer[..count]);
                count
            }
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other(Longer))?;
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::Error::other(Interrupted(format!("{} bytes short of its end", self.left))));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_body_that_whispers_is_broken_and_one_that_is_slow_is_not() {
        let mut pace = Pace::default();
        let whispered = (0..30).find_map(|_| pace.note(SECOND, 1).err());
        assert_eq!(whispered.as_deref(), Some("only 30 bytes came in 30s"));
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.note(SECOND, 1100).is_ok()));
        // The end of a body may be short.
        assert_eq!(pace.note(SECOND, 5), Ok(()));
    }

    #[tokio::test]
    async fn a_body_of_more_bytes_than_the_listing_says_is_another_object() {
        for (size, expected) in [(9, None), (8, Some(true)), (10, Some(false))] {
            let stop = CancellationToken::new();
            let streamed = Body::streamed(ByteStream::from_static(b"{}\n{}\n{}\n"), size, stop.clone());
            let path = std::env::temp_dir().join(format!("body-{}-{size}", std::process::id()));
            std::fs::write(&path, b"{}\n{}\n{}\n").unwrap();
            let file = Body::file(File::open(&path).unwrap(), size, stop);
            std::fs::remove_file(&path).unwrap();
            for mut body in [streamed, file] {
                let read = tokio::task::spawn_blocking(move || io::copy(&mut body, &mut io::sink()));
                let failed = read.await.unwrap().err();
                assert_eq!(failed.as_ref().map(Longer::caused), expected, "{size}: {failed:?}");
                assert_eq!(failed.is_some_and(|error| Interrupted::caused(&error)), expected == Some(false));
            }
        }
    }
}
