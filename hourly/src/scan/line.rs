//! [`Line`]: what is read of an object, where it comes from ([`Source`]), and what takes it
//! ([`LineTaker`]).

use common::decode::Provenance;
use std::io;

/// How many bytes of a rejected line are kept.
pub const MAX_REJECT_BYTES: usize = 2048;

/// A line without its newline.
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// The whole line where `length` is below [`common::decode::MAX_VALUE_BYTES`], otherwise its
    /// beginning.
    pub bytes: &'a [u8],
    /// The length of the whole line in bytes.
    pub length: u64,
    /// Whether nothing shows its end but that of the object.
    pub is_open: bool,
    /// Whether such a line ends in a zero byte, which no text does: a disk has lost what stood
    /// there.
    pub is_torn: bool,
    /// How many values of the same line were given out before it: a line that is longer than any
    /// tick is cut into them.
    pub behind: u16,
    /// Where its message stood in the topic, of a part that does not say it itself.
    pub kafka_position: Option<Provenance>,
    /// Whether it is one of the ticks of a message. What it says of a place is its producer's.
    pub is_element: bool,
}

impl Line<'_> {
    #[inline]
    pub fn is_blank(&self) -> bool {
        let may_be = self.bytes.first().is_none_or(u8::is_ascii_whitespace);
        may_be && self.bytes.len() as u64 == self.length && self.bytes.trim_ascii_start().is_empty()
    }
}

/// Lines, or elements of an array, which count as lines.
pub trait Source {
    /// The next one, or `None` after the last.
    ///
    /// # Errors
    /// Where reading fails.
    fn next_line(&mut self) -> io::Result<Option<Line<'_>>>;

    /// Hands all that are left to `taker`.
    ///
    /// # Errors
    /// Where reading fails.
    fn hand_to(&mut self, taker: &mut impl LineTaker) -> io::Result<()> {
        while let Some(line) = self.next_line()? {
            taker.take(&line);
            if taker.has_given_up() {
                break;
            }
        }
        Ok(())
    }
}

/// What lines are handed to.
pub trait LineTaker {
    /// Takes the line `number`, which `bytes` begin with, if its end can be told by reading it;
    /// gives its length without the newline. So most lines are gone through once, and not a first
    /// time to find their ends.
    fn take_first(&mut self, bytes: &[u8], number: u64) -> Option<usize>;

    /// Takes any line.
    fn take(&mut self, line: &Line<'_>);

    /// Whether the lines that follow are of no use, whatever they are.
    fn has_given_up(&self) -> bool;
}
