//! [`Lines`]: a stream cut at newlines, without copying and with bounded memory.

use super::line::{Line, LineTaker, MAX_REJECT_BYTES, Source};
use super::values::end_of_first;
use common::decode::MAX_VALUE_BYTES;
use std::io::{self, Read};

pub const INITIAL_BUFFER: usize = 256 * 1024;

/// Most objects of some archives are of a few lines, and a large buffer costs more to make than
/// they do to read.
const SMALL_BUFFER: usize = 16 * 1024;

/// One line after the other out of a buffer that grows up to the longest line that may be a tick.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// What is buffered and not yet given out.
    start: usize,
    end: usize,
    number: u64,
    /// Values of the line that is read that were given out by themselves.
    behind: u16,
    /// How many bytes from `start` on hold no newline, as far as that is known: a long line is not
    /// searched again for each of its values.
    without_newline: usize,
    at_end: bool,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; SMALL_BUFFER],
            start: 0,
            end: 0,
            number: 0,
            behind: 0,
            without_newline: 0,
            at_end: false,
        }
    }

    /// Lines that follow `number` others.
    pub fn after(number: u64, input: R) -> Self {
        Self { number, ..Self::new(input) }
    }
}

impl<R: Read> Source for Lines<R> {
    /// The next line, or `None` after the last. The last one needs no newline.
    fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.newline() {
            Some(position) => Ok(Some(self.take(position, 1))),
            None => self.next_line_of_more(),
        }
    }

    /// As by `next_line`, whose result would be written to memory and read back in other pieces for
    /// each line.
    fn hand_to(&mut self, taker: &mut impl LineTaker) -> io::Result<()> {
        loop {
            while self.behind == 0
                && let Some(length) =
                    taker.take_first(&self.buffer[self.start..self.end], self.number + 1)
            {
                self.start += length + 1;
                self.number += 1;
            }
            let line = match self.newline() {
                Some(position) => self.take(position, 1),
                None => match self.next_line_of_more()? {
                    Some(line) => line,
                    None => return Ok(()),
                },
            };
            taker.take(&line);
            if taker.has_given_up() {
                return Ok(());
            }
        }
    }
}

impl<R: Read> Lines<R> {
    /// The length of the next line, where the buffer holds its end.
    #[inline]
    fn newline(&self) -> Option<usize> {
        let skipped = self.without_newline;
        memchr::memchr(b'\n', &self.buffer[self.start + skipped..self.end])
            .map(|position| skipped + position)
    }

    /// The next line, which is not in the buffer yet, or not whole.
    fn next_line_of_more(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.end - self.start;
        loop {
            if self.at_end {
                return Ok((searched > 0).then(|| self.take(searched, 0)));
            }
            if searched >= MAX_VALUE_BYTES {
                return match end_of_first(&self.buffer[self.start..self.end]) {
                    Some(end) => Ok(Some(self.take_value(end))),
                    None => self.skip_long().map(Some),
                };
            }
            self.fill()?;
            let unsearched = &self.buffer[self.start + searched..self.end];
            if let Some(position) = memchr::memchr(b'\n', unsearched) {
                return Ok(Some(self.take(searched + position, 1)));
            }
            searched = self.end - self.start;
        }
    }

    #[inline]
    fn take(&mut self, length: usize, newline: usize) -> Line<'_> {
        let start = self.start;
        self.start += length + newline;
        self.without_newline = 0;
        self.number += 1;
        let behind = std::mem::take(&mut self.behind);
        let bytes = &self.buffer[start..start + length];
        let is_open = newline == 0;
        let is_torn = is_open && bytes.last() == Some(&0);
        Line {
            number: self.number,
            bytes,
            length: length as u64,
            is_open,
            is_torn,
            behind,
            kafka_position: None,
            is_element: false,
        }
    }

    /// The first value of a line in which others follow.
    fn take_value(&mut self, length: usize) -> Line<'_> {
        let (start, behind) = (self.start, self.behind);
        self.start += length;
        self.behind = behind.saturating_add(1);
        self.without_newline = self.end - self.start;
        let bytes = &self.buffer[start..start + length];
        Line {
            number: self.number + 1,
            bytes,
            length: length as u64,
            is_open: false,
            is_torn: false,
            behind,
            kafka_position: None,
            is_element: false,
        }
    }

    /// Reads more after what is buffered.
    fn fill(&mut self) -> io::Result<()> {
        let is_small = self.buffer.len() < INITIAL_BUFFER && self.end == self.buffer.len();
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if is_small || self.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        self.end += read(&mut self.input, &mut self.buffer[self.end..], &mut self.at_end)?;
        Ok(())
    }

    /// Keeps the beginning of a line that is too long for a tick, and drops the rest up to the next
    /// newline.
    fn skip_long(&mut self) -> io::Result<Line<'_>> {
        self.without_newline = 0;
        let (mut nesting, mut is_open) = (Nesting::default(), true);
        nesting.go_on(&self.buffer[self.start..self.end]);
        let kept = MAX_REJECT_BYTES;
        let mut is_torn = self.buffer[self.end - 1] == 0;
        let mut length = (self.end - self.start) as u64;
        self.buffer.copy_within(self.start..self.start + kept, 0);
        self.end = kept;
        self.start = kept;
        while !self.at_end {
            let count = read(&mut self.input, &mut self.buffer[kept..], &mut self.at_end)?;
            let newline = memchr::memchr(b'\n', &self.buffer[kept..kept + count]);
            let part = newline.unwrap_or(count);
            length += part as u64;
            nesting.go_on(&self.buffer[kept..kept + part]);
            if let Some(position) = newline {
                (self.start, self.end) = (kept + position + 1, kept + count);
                (is_torn, is_open) = (false, false);
                break;
            }
            is_torn = self.buffer[..kept + count]
                .last()
                .filter(|_| count > 0)
                .map_or(is_torn, |last| *last == 0);
        }
        self.number += 1;
        let behind = std::mem::take(&mut self.behind);
        Ok(Line {
            number: self.number,
            bytes: &self.buffer[..kept],
            length,
            is_open: is_open && !nesting.is_closed(),
            is_torn,
            behind,
            kafka_position: None,
            is_element: false,
        })
    }
}

/// Whether the JSON values in a line that is gone through once are whole.
#[derive(Default)]
struct Nesting {
    brackets: usize,
    is_any: bool,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    fn go_on(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.in_string => {
                    self.in_string = self.escaped || *byte != b'"';
                    self.escaped = !self.escaped && *byte == b'\\';
                }
                b'"' => (self.in_string, self.is_any) = (true, true),
                b'{' | b'[' => (self.brackets, self.is_any) = (self.brackets + 1, true),
                b'}' | b']' => self.brackets = self.brackets.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether there are values, and the last one has ended.
    const fn is_closed(&self) -> bool {
        self.is_any && self.brackets == 0 && !self.in_string
    }
}

pub fn read(input: &mut impl Read, buffer: &mut [u8], at_end: &mut bool) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Ok(count) => {
                *at_end = count == 0;
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trickle::Trickle;
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &[u8], step: usize) -> Vec<(u64, Vec<u8>, u64)> {
        let mut lines = Lines::new(Trickle(text, step));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((line.number, line.bytes.to_vec(), line.length));
        }
        all
    }

    #[test]
    fn the_longest_line_that_may_be_a_tick_is_given_whole() {
        let line = vec![b'x'; MAX_VALUE_BYTES - 1];
        let text = [&line[..], b"\nnext"].concat();
        let all = lines(&text, usize::MAX);
        assert_eq!(all[0].1.len(), MAX_VALUE_BYTES - 1);
        assert_eq!(all[1], (2, b"next".to_vec(), 4));
    }

    #[test]
    fn a_longer_line_is_measured_and_only_its_beginning_kept() {
        for ending in [&b"\nnext\n"[..], b"\nnext", b""] {
            let text = [&vec![b'x'; 5_000_000][..], ending].concat();
            let mut lines = Lines::new(Trickle(&text, 65_536));
            let long = lines.next_line().unwrap().unwrap();
            assert_eq!((long.length, long.bytes.len()), (5_000_000, MAX_REJECT_BYTES));
            let next = lines.next_line().unwrap().map(|line| (line.number, line.bytes.to_vec()));
            assert_eq!(next, (!ending.is_empty()).then(|| (2, b"next".to_vec())));
            assert!(lines.buffer.len() <= 2 * MAX_VALUE_BYTES, "{}", lines.buffer.len());
        }
    }

    #[test]
    fn a_line_that_is_longer_than_any_tick_is_cut_into_its_values() {
        let value = br#"{"a":"0123456789"}"#;
        let text = [&value.repeat(2 * MAX_VALUE_BYTES / value.len()), &b"\n{}\n"[..]].concat();
        let mut lines = Lines::new(Trickle(&text, 65_536));
        let (mut values, mut last) = (0, None);
        while let Some(line) = lines.next_line().unwrap() {
            if line.number == 1 {
                // Its last part, which is short enough, comes in one piece.
                values += line.bytes.windows(value.len()).filter(|part| part == value).count();
            }
            last = Some((line.number, line.bytes.to_vec(), line.behind));
        }
        assert_eq!(values, 2 * MAX_VALUE_BYTES / value.len());
        assert_eq!(last, Some((2, b"{}".to_vec(), 0)));
        assert!(lines.buffer.len() <= 2 * MAX_VALUE_BYTES, "{}", lines.buffer.len());
    }

    #[test]
    fn of_a_long_line_without_a_newline_it_is_known_whether_its_value_has_ended() {
        let long = "x".repeat(3_000_000);
        for (text, is_open) in [
            (format!(r#"{{"a":"{long}"#), true),
            (format!(r#"{{"a":"{long}\"}}"#), true),
            (format!(r#"{{"a":"{long}"}}"#), false),
            (format!("{{\"a\":\"{long}\"}} \n"), false),
            (format!("{{\"a\":\"{long}\n"), false),
            ("[".repeat(3_000_000), true),
            (format!(r#"[["{long}"],{{"#), true),
        ] {
            let mut lines = Lines::new(Trickle(text.as_bytes(), 65_536));
            let line = lines.next_line().unwrap().unwrap();
            assert_eq!(line.is_open, is_open, "{}..{}", &text[..9], &text[text.len() - 9..]);
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_between_newlines_however_the_bytes_arrive(text in "[ab\n]{0,60}", step in 1_usize..9) {
            let all: Vec<_> = lines(text.as_bytes(), step).into_iter().map(|(_, bytes, _)| bytes).collect();
            let expected: Vec<_> = text.split_terminator('\n').map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(all, expected);
        }
    }
}
