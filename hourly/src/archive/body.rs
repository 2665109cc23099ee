//! [`Body`]: the bytes of one object, read by the thread that also decodes them.

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf, Bytes};
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many chunks of a stream wait for the reader: enough to keep a core busy, little enough to
/// bound memory.
const CHUNKS_AHEAD: usize = 4;

/// In so much time of waiting for the store it must give so many bytes, or it is taken for broken:
/// what whispers would hold up a run for days.
const PACE: (Duration, u64) = (Duration::from_secs(30), 30 * 1024);

/// An object of so many bytes is fetched whole before it is read: what hands chunks and threads on
/// costs more than it.
const SMALL: u64 = 64 * 1024;

/// An object's bytes, for a thread that may block. Reading fails once the run is stopped.
#[derive(Debug)]
pub struct Body {
    source: BodyStream,
    stop: CancellationToken,
    /// Bytes that are still to come.
    left: u64,
}

#[derive(Debug)]
enum BodyStream {
    File(File),
    /// Bytes that came, and why no more did.
    Whole {
        bytes: Bytes,
        failed: Option<io::Error>,
    },
    Stream {
        chunks: mpsc::Receiver<io::Result<Bytes>>,
        current: Bytes,
    },
}

/// The store stopped sending; the content itself is not to blame, so reading the object again may
/// do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(String);

/// More bytes come than the listing shows: it is another object by now, or a body that may never
/// end.
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
    /// `size`: how many bytes there must be.
    pub fn file(mut file: File, size: u64, stop: CancellationToken) -> Self {
        if size > SMALL {
            return Self { source: BodyStream::File(file), stop, left: size };
        }
        let mut bytes = Vec::with_capacity(size as usize + 1);
        // One byte more, if there is one, tells that it has grown.
        let failed = file.by_ref().take(size + 1).read_to_end(&mut bytes).err();
        Self { source: BodyStream::Whole { bytes: bytes.into(), failed }, stop, left: size }
    }

    /// Fetches a small object; starts to fetch a larger one, ahead of the reader.
    pub async fn streamed(stream: ByteStream, size: u64, stop: CancellationToken) -> Self {
        let mut chunks = Chunks { stream, pace: Pace::default() };
        if size <= SMALL {
            let (bytes, failed) = chunks.all(size, &stop).await;
            return Self { source: BodyStream::Whole { bytes, failed }, stop, left: size };
        }
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(async move {
            while let Some(chunk) = chunks.next().await {
                let is_last = chunk.is_err();
                if sender.send(chunk).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            source: BodyStream::Stream { chunks: receiver, current: Bytes::new() },
            stop,
            left: size,
        }
    }

    /// Whether all of it is here and plain text, by how it begins: it takes no longer to be read
    /// than its size says.
    #[must_use]
    pub fn is_text_at_hand(&self) -> bool {
        match &self.source {
            BodyStream::Whole { bytes, failed: None } => matches!(bytes.first(), Some(b'{' | b'[')),
            _ => false,
        }
    }
}

/// Chunks from a store, as long as it keeps its pace.
struct Chunks {
    stream: ByteStream,
    pace: Pace,
}

impl Chunks {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let asked = Instant::now();
        let chunk = self.stream.next().await?;
        let chunk = chunk.map_err(|error| format!("{:#}", anyhow::Error::new(error)));
        let chunk =
            chunk.and_then(|chunk| self.pace.note(asked.elapsed(), chunk.len()).map(|()| chunk));
        Some(chunk.map_err(|why| io::Error::other(Interrupted(why))))
    }

    /// All that comes, up to a byte more than `size`, and why it is not all there is.
    async fn all(&mut self, size: u64, stop: &CancellationToken) -> (Bytes, Option<io::Error>) {
        let mut first = Bytes::new();
        let mut rest: Vec<u8> = Vec::new();
        while (first.len() + rest.len()) as u64 <= size {
            match stop.run_until_cancelled(self.next()).await.flatten() {
                // The reader looks whether the run is stopped.
                None => break,
                Some(Err(error)) => return (joined(first, rest), Some(error)),
                Some(Ok(chunk)) if first.is_empty() => first = chunk,
                Some(Ok(chunk)) => rest.extend_from_slice(&chunk),
            }
        }
        (joined(first, rest), None)
    }
}

/// Nearly always the first chunk is all.
fn joined(first: Bytes, rest: Vec<u8>) -> Bytes {
    if rest.is_empty() { first } else { [&first[..], &rest].concat().into() }
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
        if bytes >= PACE.1 {
            Ok(())
        } else {
            Err(format!("only {bytes} bytes came in {waited:.0?}"))
        }
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
            BodyStream::File(file) => file.read(buffer)?,
            BodyStream::Whole { bytes, failed } => match failed.take_if(|_| bytes.is_empty()) {
                Some(error) => return Err(error),
                None => take(bytes, buffer),
            },
            BodyStream::Stream { chunks, current } => {
                while current.is_empty() {
                    match chunks.blocking_recv() {
                        Some(chunk) => *current = chunk?,
                        None => break,
                    }
                }
                take(current, buffer)
            }
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other(Longer))?;
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::Error::other(Interrupted(format!(
                "{} bytes short of its end",
                self.left
            ))));
        }
        Ok(count)
    }
}

fn take(bytes: &mut Bytes, buffer: &mut [u8]) -> usize {
    let count = bytes.len().min(buffer.len());
    bytes.copy_to_slice(&mut buffer[..count]);
    count
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
    async fn a_body_of_more_bytes_than_the_listing_says_is_another_object_whether_small_or_large() {
        for text in [&b"{}\n{}\n{}\n"[..], &[b'x'; SMALL as usize + 1000]] {
            let long = text.len() as u64;
            for (size, expected) in [(long, None), (long - 1, Some(true)), (long + 1, Some(false))]
            {
                let stop = CancellationToken::new();
                let streamed =
                    Body::streamed(ByteStream::from(text.to_vec()), size, stop.clone()).await;
                let path = std::env::temp_dir().join(format!("body-{}-{size}", std::process::id()));
                std::fs::write(&path, text).unwrap();
                let file = Body::file(File::open(&path).unwrap(), size, stop);
                std::fs::remove_file(&path).unwrap();
                for mut body in [streamed, file] {
                    assert_eq!(body.is_text_at_hand(), size < 100);
                    let read =
                        tokio::task::spawn_blocking(move || io::copy(&mut body, &mut io::sink()));
                    let failed = read.await.unwrap().err();
                    assert_eq!(failed.as_ref().map(Longer::caused), expected, "{size}: {failed:?}");
                    assert_eq!(
                        failed.is_some_and(|error| Interrupted::caused(&error)),
                        expected == Some(false)
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn a_small_body_that_ends_early_gives_what_has_come_and_says_so() {
        let stop = CancellationToken::new();
        let mut body = Body::streamed(ByteStream::from_static(b"{}\n"), 9, stop.clone()).await;
        let mut text = String::new();
        let failed = body.read_to_string(&mut text).unwrap_err();
        assert!(Interrupted::caused(&failed) && text == "{}\n", "{failed} {text}");
        let mut stopped = Body::streamed(ByteStream::from_static(b"{}\n"), 3, stop.clone()).await;
        stop.cancel();
        assert!(Interrupted::caused(&stopped.read_to_string(&mut text).unwrap_err()));
    }
}
