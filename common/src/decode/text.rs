//! [`Text`]: reads a value eight bytes at a time, because a loop over the bytes of a number
//! mispredicts its end.
//!
//! `inline(always)`, here and in what builds on it: places and values then stay in registers, which
//! was measured to save a tenth of a scan.

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

/// A value of eight bytes or more, read at positions that the caller keeps: as plain numbers they
/// stay in registers. A position may lie after the end, where only zero bytes follow; JSON has
/// none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// `None` for a shorter value, which is no tick.
    #[inline(always)]
    pub fn new(value: &'a [u8]) -> Option<Self> {
        (value.len() >= 8).then_some(Self(value))
    }

    /// The bytes from `at` on.
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

    /// The position after `literal`, if the value has it at `at`.
    #[inline(always)]
    pub fn strip(self, at: usize, literal: &Literal) -> Option<usize> {
        let bytes = &*literal.bytes;
        let end = at + bytes.len();
        let text = self.0.get(at..end)?;
        let is_same = match bytes.len() {
            0..8 => u128::from(self.word(at)) & literal.mask == literal.head,
            8..=16 => match self.rest(at).first_chunk() {
                Some(head) => u128::from_le_bytes(*head) & literal.mask == literal.head,
                None => text == bytes,
            },
            17..=32 => {
                let is_last = text
                    .last_chunk()
                    .is_some_and(|last| u128::from_le_bytes(*last) == literal.last);
                is_last
                    && text
                        .first_chunk()
                        .is_some_and(|head| u128::from_le_bytes(*head) == literal.head)
            }
            // So long that a call of memcmp pays.
            33.. => text == bytes,
        };
        is_same.then_some(end)
    }

    /// The value and the count of the digits at `at`. The value is right up to [`MAX_DIGITS`].
    #[inline(always)]
    pub fn digits(self, at: usize) -> (i64, usize) {
        let (value, count) = eight_digits(self.word(at));
        if count < 8 { (value, count) } else { self.more_digits(at, value) }
    }

    /// The decimal at `at`, if it is one of the usual ones: with a point and of seven bytes at
    /// most, so that one word holds it and the byte after it. Returns its digits as one number, and
    /// how many are before and after the point.
    #[inline(always)]
    pub fn short_decimal(self, at: usize) -> Option<(i64, usize, usize)> {
        let (values, others) = digits_of(self.word(at));
        let whole = others.trailing_zeros() as usize / 8;
        let end = (others & others.wrapping_sub(1)).trailing_zeros() as usize / 8;
        let is_point = whole < 8 && (values >> (8 * whole)) as u8 == b'.' ^ b'0';
        if !is_point || whole == 0 || end > 7 || end == whole + 1 {
            return None;
        }
        // The digits after the point move up to those before it.
        let before = (1 << (8 * whole)) - 1;
        let joined = (values & before) | ((values >> 8) & !before);
        Some((sum_of(joined, end - 1), whole, end - 1 - whole))
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
    /// The first 16 as a word, zeros where there are fewer, and the bits of it that count.
    head: u128,
    mask: u128,
    /// The last 16, where there are as many.
    last: u128,
}

impl Literal {
    pub fn new(bytes: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        let len = bytes.len().min(16);
        head[..len].copy_from_slice(&bytes[..len]);
        mask[..len].fill(0xff);
        let last = bytes.last_chunk().copied().unwrap_or_default();
        let [head, mask, last] = [head, mask, last].map(u128::from_le_bytes);
        Self { bytes: bytes.into(), head, mask, last }
    }

    pub fn contains(&self, byte: u8) -> bool {
        self.bytes.contains(&byte)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The number that the leading ASCII digits of `word` write, and how many they are.
#[inline(always)]
fn eight_digits(word: u64) -> (i64, usize) {
    let (values, others) = digits_of(word);
    let count = others.trailing_zeros() as usize / 8;
    (sum_of(values, count), count)
}

/// A word whose ASCII digits have become 0 to 9, and one that marks the highest bit of every other
/// byte. A carry only reaches bytes after the first of those, and after a point there is none.
#[inline(always)]
fn digits_of(word: u64) -> (u64, u64) {
    let values = word ^ 0x3030_3030_3030_3030;
    (values, (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080)
}

/// The number that the first `count` of `values` are the digits of. They are added up by pairs,
/// fours and eights (D. Lemire, "Quickly parsing eight digits", 2018).
#[inline(always)]
fn sum_of(values: u64, count: usize) -> i64 {
    // Zeros in front; in two steps, since all 64 bits may go.
    let half = 4 * (8 - count) as u32;
    let values = values << half << half;
    let pairs = (values.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(1 + (10_000 << 32)) >> 32).cast_signed()
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
        fn a_decimal_is_read_at_once_as_by_its_halves(whole in "[0-9]{1,8}", fraction in "[0-9]{1,8}", after: [u8; 9]) {
            prop_assume!(!after[0].is_ascii_digit());
            let value = [format!("{whole}.{fraction}").as_bytes(), &after].concat();
            let joined = format!("{whole}{fraction}").parse().unwrap();
            let expected = (whole.len() + fraction.len() < 7).then_some((joined, whole.len(), fraction.len()));
            prop_assert_eq!(Text::new(&value).unwrap().short_decimal(0), expected);
        }

        #[test]
        fn what_is_no_decimal_is_none(value in "([0-9]{0,3}[.]?[^0-9.][.0-9]{0,9}|[.][0-9]{1,9}|[0-9]{1,4}[.]?)[ ]{8}") {
            prop_assert_eq!(Text::new(value.as_bytes()).unwrap().short_decimal(0), None, "{}", value);
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
        assert_eq!(
            (text.digits(8), text.word(30), text.byte(8), text.rest(9)),
            ((0, 0), 0, 0, &b""[..])
        );
    }
}
