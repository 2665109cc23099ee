//! Plain, gzip or zstd content, told by its first bytes: names promise one thing, and some stores
//! deliver another.

use super::ScanOptions;
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};

const BUFFER: usize = 256 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The largest window that a zstd frame may ask for, as a power of two: 32 MiB. Every level up to
/// 19 stays below.
const MAX_ZSTD_WINDOW: u32 = 25;

type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The members of a gzip file, one after the other. Zeros may follow the last, as gzip(1) allows.
pub struct Members<R> {
    /// `None` after the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(input: R) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }

    fn next_member(mut input: R) -> io::Result<Option<GzDecoder<R>>> {
        let mut padded = false;
        loop {
            let buffered = input.fill_buf()?;
            let zeros = buffered.iter().take_while(|byte| **byte == 0).count();
            match (buffered.is_empty(), zeros) {
                (true, _) => return Ok(None),
                (false, 0) if padded => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "something follows the zeros behind its content",
                    ));
                }
                (false, 0) => return Ok(Some(GzDecoder::new(input))),
                (false, zeros) => {
                    padded = true;
                    input.consume(zeros);
                }
            }
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let ended = self.member.take().map(GzDecoder::into_inner);
            self.member = ended.map(Self::next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

pub enum Decompressed<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<Members<BufReader<Whole<R>>>>),
    Zstd(Box<Bounded<zstd::stream::read::Decoder<'static, BufReader<Whole<R>>>>>),
}

/// gzip packs no content closer than this.
const MOST_OF_GZIP: u64 = 1032;
/// What other formats pack even closer is taken up to this many bytes.
const ANY_CONTENT: u64 = 1 << 30;

/// How many bytes an object of `size` may unpack to.
#[must_use]
pub const fn max_unpacked(size: u64) -> u64 {
    size.saturating_mul(MOST_OF_GZIP).saturating_add(ANY_CONTENT)
}

/// A stream that may hardly have an end.
pub struct Bounded<R> {
    input: R,
    max: u64,
    read: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read += count as u64;
        if self.read > self.max {
            let why = format!(
                "it unpacks to more than {} bytes, and no sink packs so many into its size: it was \
                 not read to its end",
                self.max
            );
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(count)
    }
}

/// Where the name promises compressed content, what is too short to tell is a stump of what it was.
pub fn open<R: Read>(mut input: R, options: &ScanOptions) -> io::Result<Decompressed<R>> {
    let mut head = Vec::with_capacity(ZSTD.len());
    input.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
    let (is_gzip, is_zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    if options.compressed_name && head.len() < ZSTD.len() {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "it ends before its compressed content begins",
        ));
    }
    let whole = Cursor::new(head).chain(input);
    if is_gzip {
        return Ok(Decompressed::Gzip(Box::new(Members::new(BufReader::with_capacity(
            BUFFER, whole,
        )))));
    }
    if is_zstd {
        let mut decoder =
            zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(BUFFER, whole))?;
        decoder.window_log_max(MAX_ZSTD_WINDOW)?;
        let bounded = Bounded { input: decoder, max: options.max_unpacked, read: 0 };
        return Ok(Decompressed::Zstd(Box::new(bounded)));
    }
    Ok(Decompressed::Plain(whole))
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(content) => content.read(buffer),
            Self::Gzip(content) => content.read(buffer),
            Self::Zstd(content) => content.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], compressed_name: bool) -> io::Result<String> {
        read_with(bytes, &ScanOptions { compressed_name, ..options() })
    }

    fn read_with(bytes: &[u8], options: &ScanOptions) -> io::Result<String> {
        let mut text = String::new();
        open(bytes, options)?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn what_unpacks_to_more_than_gzip_could_pack_is_taken_up_to_a_gibibyte() {
        let frame = zstd::encode_all(&[b'x'; 200_000][..], 3).unwrap();
        let packed = [&frame[..], &frame].concat();
        assert!(packed.len() < 200);
        let up_to = |max_unpacked| {
            read_with(&packed, &ScanOptions { max_unpacked, ..options() })
                .map(|text| text.len())
                .map_err(|error| error.to_string())
        };
        assert_eq!(up_to(400_000), Ok(400_000));
        let error = up_to(399_999).unwrap_err();
        assert!(error.starts_with("it unpacks to more than 399999 bytes"), "{error}");
        assert_eq!(max_unpacked(0), 1 << 30);
        assert_eq!(max_unpacked(10 << 20), (1 << 30) + 1032 * (10 << 20));
        assert_eq!(max_unpacked(u64::MAX), u64::MAX);
    }

    #[test]
    fn the_first_bytes_decide_whatever_the_name_says() {
        for compressed_name in [false, true] {
            assert_eq!(read(b"plain", compressed_name).unwrap(), "plain");
            assert_eq!(read(&gzip("packed"), compressed_name).unwrap(), "packed");
            let packed = zstd::encode_all(&b"packed"[..], 3).unwrap();
            assert_eq!(read(&packed, compressed_name).unwrap(), "packed");
        }
    }

    #[test]
    fn members_and_frames_that_follow_one_another_are_all_read() {
        assert_eq!(read(&[gzip("one "), gzip("two")].concat(), true).unwrap(), "one two");
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
        assert_eq!(read(&[frame("one "), frame("two")].concat(), true).unwrap(), "one two");
    }

    #[test]
    fn zeros_behind_gzipped_content_are_passed_over_and_anything_else_is_an_error() {
        let whole = gzip("text");
        assert_eq!(read(&[&whole[..], &[0; 5000]].concat(), true).unwrap(), "text");
        assert!(read(&[&whole[..], &[0; 5000], &whole[..]].concat(), true).is_err());
        assert!(read(&[&whole[..], b"more"].concat(), true).is_err());
    }

    #[test]
    fn content_cut_anywhere_is_an_error_and_never_a_shorter_text() {
        let text =
            "a line that is long enough to be compressed, compressed, compressed\n".repeat(9);
        for whole in [gzip(&text), zstd::encode_all(text.as_bytes(), 3).unwrap()] {
            for length in 0..whole.len() {
                assert!(read(&whole[..length], true).is_err(), "{length} of {} bytes", whole.len());
            }
        }
    }

    #[test]
    fn short_plain_content_is_taken() {
        assert_eq!(read(b"", false).unwrap(), "");
        assert_eq!(read(b"{}", false).unwrap(), "{}");
    }

    #[test]
    fn a_zstd_window_beyond_the_memory_bound_is_an_error() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"small content, large window").unwrap();
        assert!(read(&encoder.finish().unwrap(), true).is_err());
    }
}
