//! [`Text`]: reads a value eight bytes at a time, because a loop over the bytes of a number mispredicts its end.
//!
//! `inline(always)`, here and in what builds on it: places and values then stay in registers, which was measured to
//! save a tenth of a scan.

/// The powers of ten that an `i64` holds.
pub(super) const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The most digits of an `i64` that can be added up without a look at each of them.
pub(super) const MAX_DIGITS: usize = 18;

/// A value of eight bytes or more, read at places that the caller keeps: as plain numbers they stay in registers.
/// A place may lie behind the end, where only zero bytes follow; JSON has none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// `None` for a shorter value, which is no tick.
    #[inline(always)]
    pub fn new(value: &'a [u8]) -> Option<Self> {
        (value.len() >= 8).then_some(Self(value))
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// What follows `at`.
    #[inline(always)]
    pub fn rest(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or_default()
    }

    /// The eight bytes at `at`, the first of them lowest.
    #[inline(always)]
    pub fn word(self, at: usize) -> u64 {
        if let Some(word) = self.rest(at).first_chunk() {
            return u64::from_le_bytes(*word);
        }
        // Out of the value's last eight bytes, the missing ones as zeros.
        let missing = (at + 8).saturating_sub(self.0.len());
        match self.0.last_chunk() {
            Some(last) if missing < 8 => u64::from_le_bytes(*last) >> (8 * missing),
            _ => 0,
        }
    }

    #[inline(always)]
    pub fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The place behind `literal`, if that stands at `at`.
    #[inline(always)]
    pub fn strip(self, at: usize, literal: &Literal) -> Option<usize> {
        let bytes = &*literal.bytes;
        let end = at + bytes.len();
        let text = self.0.get(at..end)?;
        let is_same = match bytes.len() {
            8..=64 => {
                let (words, others) = (text.as_chunks::<8>().0, bytes.as_chunks::<8>().0);
                let differs = words.iter().zip(others).any(|(a, b)| u64::from_ne_bytes(*a) != u64::from_ne_bytes(*b));
                // The last word overlaps with the one before it.
                !differs && text.last_chunk::<8>() == bytes.last_chunk::<8>()
            }
            // So long that a call of memcmp pays.
            65.. => text == bytes,
            _ => (self.word(at) ^ literal.word) & literal.mask == 0,
        };
        is_same.then_some(end)
    }

    /// The value and the count of the digits at `at`. The value is right up to [`MAX_DIGITS`].
    #[inline(always)]
    pub fn digits(self, at: usize) -> (i64, usize) {
        let (value, count) = eight_digits(self.word(at));
        if count < 8 { (value, count) } else { self.more_digits(at, value) }
    }

    fn more_digits(self, at: usize, mut value: i64) -> (i64, usize) {
        let mut count = 8;
        loop {
            let (more, digits) = eight_digits(self.word(at + count));
            count += digits;
            value = value.wrapping_mul(POWERS[digits]).wrapping_add(more);
            if digits < 8 {
                return (value, count);
            }
        }
    }
}

/// Fixed bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Literal {
    bytes: Box<[u8]>,
    /// Those of less than eight bytes as a word, and the bits of it that count.
    word: u64,
    mask: u64,
}

impl Literal {
    pub fn new(bytes: &[u8]) -> Self {
        let mut word = [0; 8];
        let short = bytes.len().min(7);
        word[..short].copy_from_slice(&bytes[..short]);
        Self { bytes: bytes.into(), word: u64::from_le_bytes(word), mask: (1 << (8 * short)) - 1 }
    }
}

/// The number that the leading ASCII digits of `word` write, and how many they are. The digits are added up by pairs,
/// fours and eights (D. Lemire, "Quickly parsing eight digits", 2018).
#[inline(always)]
fn eight_digits(word: u64) -> (i64, usize) {
    // Digits become 0 to 9; whatever else exceeds them. A carry only reaches bytes behind the first that does.
    let values = word ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() as usize / 8;
    // Zeros in front; in two steps, since all 64 bits may go.
    let half = 4 * (8 - count) as u32;
    let values = values << half << half;
    let pairs = (values.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(1 + (10_000 << 32)) >> 32;
    (eight.cast_signed(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_read_wherever_they_stand(before in "[a-z]{8,20}", digits in "[0-9]{0,18}", after in "([^0-9].{0,9})?") {
            let value = format!("{before}{digits}{after}");
            let read = Text::new(value.as_bytes()).unwrap().digits(before.len());
            prop_assert_eq!(read, (digits.parse().unwrap_or(0), digits.len()));
        }

        #[test]
        fn any_bytes_may_follow_digits(digits in "[0-9]{0,7}", after: [u8; 8]) {
            prop_assume!(!after[0].is_ascii_digit());
            let value = [digits.as_bytes(), &after].concat();
            let expected = (digits.parse().unwrap_or(0), digits.len());
            prop_assert_eq!(Text::new(&value).unwrap().digits(0), expected);
        }

        #[test]
        fn a_literal_is_stripped_where_it_stands_and_only_there(
            text in "[ab]{8,90}", at in 0_usize..90, len in 0_usize..90, literal in "[ab]{0,80}", take: bool,
        ) {
            let at = at.min(text.len());
            let literal = if take { text[at..].chars().take(len).collect() } else { literal };
            let stripped = Text::new(text.as_bytes()).unwrap().strip(at, &Literal::new(literal.as_bytes()));
            prop_assert_eq!(stripped, text[at..].starts_with(&literal).then_some(at + literal.len()));
        }
    }

    #[test]
    fn behind_the_end_stands_nothing() {
        let text = Text::new(b"12345678").unwrap();
        assert_eq!((text.digits(8), text.word(30), text.byte(8), text.rest(9)), ((0, 0), 0, 0, &b""[..]));
    }
}
