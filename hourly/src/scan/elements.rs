//! [`Elements`]: a stream that is one JSON array, cut into its elements with bounded memory.

use super::line::{Line, MAX_REJECT_BYTES, Source};
use super::lines::{INITIAL_BUFFER, read};
use common::decode::MAX_VALUE_BYTES;
use std::io::{self, Chain, Cursor, ErrorKind, Read};

/// Blanks in front of the first value that are looked through.
const MAX_BLANKS: usize = 64 * 1024;

/// A stream from its beginning, though its first bytes have been looked at.
pub type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// What some editors put in front of a text in UTF-8. It belongs to the file, not to its first
/// line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether it begins with an array of objects or texts. No tick begins so; but a line that is no
/// JSON may begin with a bracket, and must not make an array of all the others that never ends.
pub fn is_array<R: Read>(mut input: R) -> io::Result<(bool, Peeked<R>)> {
    let mut head = Vec::new();
    let is_array = loop {
        let mut chunk = [0; 64];
        let mut at_end = false;
        let count = read(&mut input, &mut chunk, &mut at_end)?;
        head.extend_from_slice(&chunk[..count]);
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        if BYTE_ORDER_MARK.starts_with(&head) && !head.is_empty() && !at_end {
            continue;
        }
        let mut bytes = head.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (bytes.next(), bytes.next()) {
            (Some(b'['), Some(second)) => break matches!(second, b'{' | b'"' | b']'),
            (Some(b'[') | None, None) if !at_end && head.len() <= MAX_BLANKS => {}
            _ => break false,
        }
    };
    Ok((is_array, Cursor::new(head).chain(input)))
}

/// One element after the other, out of a buffer that grows up to the longest that may be a tick.
pub struct Elements<R> {
    input: R,
    buffer: Vec<u8>,
    /// What is buffered and not yet given out.
    start: usize,
    end: usize,
    at_end: bool,
    /// Number of the last element given out, counted from 1.
    number: u64,
    is_open: bool,
    is_closed: bool,
}

/// Where in a JSON value a byte stands.
#[derive(Default)]
struct Depth {
    brackets: usize,
    in_string: bool,
    escaped: bool,
}

impl Depth {
    /// Whether `byte` comes after the end of the value; otherwise it belongs to it.
    fn ends_at(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.in_string => {
                self.in_string = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
            }
            b'"' => self.in_string = true,
            b'[' | b'{' => self.brackets += 1,
            b',' | b']' if self.brackets == 0 => return true,
            // What does not pair is part of a value that is no JSON.
            b']' | b'}' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        false
    }
}

impl<R: Read> Elements<R> {
    /// `input` must begin with an array.
    pub fn new(input: R) -> Self {
        let buffer = vec![0; INITIAL_BUFFER];
        Self {
            input,
            buffer,
            start: 0,
            end: 0,
            at_end: false,
            number: 0,
            is_open: false,
            is_closed: false,
        }
    }

    /// How many elements there were, and what follows the array.
    pub fn finish(mut self) -> (u64, Peeked<R>) {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        (self.number, Cursor::new(self.buffer).chain(self.input))
    }

    /// Goes to the next element; `false` where the array ends instead.
    fn advance(&mut self) -> io::Result<bool> {
        while !self.is_closed {
            if self.start == self.end {
                self.fill()?;
                continue;
            }
            match self.buffer[self.start] {
                b']' => self.is_closed = true,
                b'[' if !self.is_open => self.is_open = true,
                b',' => {}
                byte if byte.is_ascii_whitespace() => {}
                _ => return Ok(true),
            }
            self.start += 1;
        }
        Ok(false)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at_end {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it ends in the middle of a JSON array",
            ));
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        self.end += read(&mut self.input, &mut self.buffer[self.end..], &mut self.at_end)?;
        Ok(())
    }
}

impl<R: Read> Source for Elements<R> {
    /// The next element, or `None` after the last. An element that is too long for a tick is given
    /// by its beginning.
    fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if !self.advance()? {
            return Ok(None);
        }
        let (mut depth, mut scanned, mut dropped) = (Depth::default(), 0, 0);
        loop {
            let unscanned = &self.buffer[self.start + scanned..self.end];
            if let Some(count) = unscanned.iter().position(|byte| depth.ends_at(*byte)) {
                scanned += count;
                break;
            }
            scanned += unscanned.len();
            if scanned >= MAX_VALUE_BYTES {
                dropped += scanned - MAX_REJECT_BYTES;
                scanned = MAX_REJECT_BYTES;
                self.end = self.start + scanned;
            }
            self.fill()?;
        }
        self.number += 1;
        let start = self.start;
        self.start += scanned;
        if dropped > 0 {
            let bytes = &self.buffer[start..start + MAX_REJECT_BYTES];
            let length = (scanned + dropped) as u64;
            return Ok(Some(Line {
                number: self.number,
                bytes,
                length,
                is_open: false,
                is_torn: false,
                behind: 0,
                kafka_position: None,
                is_element: false,
            }));
        }
        let bytes = self.buffer[start..start + scanned].trim_ascii_end();
        Ok(Some(Line {
            number: self.number,
            bytes,
            length: bytes.len() as u64,
            is_open: false,
            is_torn: false,
            behind: 0,
            kafka_position: None,
            is_element: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::trickle::Trickle;
    use super::*;
    use proptest::prelude::*;

    /// The elements and what follows them.
    fn elements(text: &[u8], step: usize) -> io::Result<(Vec<String>, String)> {
        let mut elements = Elements::new(Trickle(text, step));
        let mut all = Vec::new();
        while let Some(element) = elements.next_line()? {
            assert_eq!(element.number, all.len() as u64 + 1);
            all.push(String::from_utf8_lossy(element.bytes).into_owned());
        }
        let mut rest = String::new();
        elements.finish().1.read_to_string(&mut rest)?;
        Ok((all, rest))
    }

    #[test]
    fn elements_are_cut_out_however_they_are_laid_out() {
        for text in [
            "[\n{\"a\":[1,2]},\n\"b,]\\\"\",\n3\n]",
            "[{\"a\":[1,2]},\"b,]\\\"\",3]",
            " [ {\"a\":[1,2]} , \"b,]\\\"\" , 3 ] ",
        ] {
            for step in [1, 7, 1000] {
                let (all, rest) = elements(text.as_bytes(), step).unwrap();
                assert_eq!(all, ["{\"a\":[1,2]}", "\"b,]\\\"\"", "3"], "{text}");
                assert_eq!(rest.trim(), "");
            }
        }
        assert_eq!(elements(b"[]", 9).unwrap().0.len(), 0);
        assert_eq!(
            elements(b"[[1],[2]]\nmore", 9).unwrap(),
            (vec!["[1]".into(), "[2]".into()], "\nmore".into())
        );
    }

    #[test]
    fn an_array_that_is_cut_off_is_an_error_wherever_it_is() {
        let text = b"[{\"a\":1},{\"b\":\"x\"}]";
        for length in 1..text.len() {
            assert!(elements(&text[..length], 3).is_err(), "{length}");
        }
    }

    #[test]
    fn an_element_longer_than_any_tick_is_measured_and_only_its_beginning_kept() {
        let text = [b"[\"", &vec![b'x'; 3_000_000][..], b"\",1]"].concat();
        let mut elements = Elements::new(Trickle(&text, 65_536));
        let long = elements.next_line().unwrap().unwrap();
        assert_eq!((long.length, long.bytes.len()), (3_000_002, MAX_REJECT_BYTES));
        assert_eq!(elements.next_line().unwrap().unwrap().bytes, b"1");
        assert!(elements.buffer.len() <= 2 * MAX_VALUE_BYTES, "{}", elements.buffer.len());
    }

    #[test]
    fn arrays_are_told_from_lines_by_their_first_bytes() {
        for (text, expected) in [
            ("[{}]", true),
            (" \n\t[\n\"", true),
            ("[]", true),
            ("[oops\n{}", false),
            ("[", false),
            ("{\"a\":[]}", false),
            ("", false),
            ("   ", false),
        ] {
            let (is_array, mut whole) = is_array(Trickle(text.as_bytes(), 1)).unwrap();
            assert_eq!(is_array, expected, "{text:?}");
            let mut again = String::new();
            whole.read_to_string(&mut again).unwrap();
            assert_eq!(again, text, "nothing is lost");
        }
    }

    #[test]
    fn a_byte_order_mark_in_front_is_taken_off() {
        for (text, expected) in [("\u{feff}[{}]", true), ("\u{feff}{}", false), ("\u{feff}", false)]
        {
            for step in [1, 64] {
                let (is_array, mut whole) = is_array(Trickle(text.as_bytes(), step)).unwrap();
                assert_eq!(is_array, expected, "{text:?}");
                let mut rest = String::new();
                whole.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, text.trim_start_matches('\u{feff}'));
            }
        }
    }

    proptest! {
        #[test]
        fn any_array_is_cut_as_a_json_parser_would(values in proptest::collection::vec("[a\\\\\"\\[\\],{}]{0,8}", 0..8), step in 1_usize..9) {
            let text = serde_json::to_string(&values).unwrap();
            let expected: Vec<_> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
            prop_assert_eq!(elements(text.as_bytes(), step).unwrap().0, expected);
        }
    }
}
