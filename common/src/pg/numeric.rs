//! PostgreSQL's binary `numeric`: base-10,000 digits, most significant first.
//!
//! The layout is that of `numeric_send` in PostgreSQL's src/backend/utils/adt/numeric.c: four 16-bit words (digit
//! count, weight of the first digit, sign, decimal digits to show), then the digits.

use crate::Price;
use crate::wide_sum::WideSum;
use sqlx::decode::Decode;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};

/// The numbers of the types: by its name, sqlx would look a type up with a statement that outlives its transaction.
const NUMERIC: Oid = Oid(1700);
const NUMERIC_ARRAY: Oid = Oid(1231);

const BASE: u64 = 10_000;
const BASE_DIGITS: u32 = 4;
/// A fraction of nine decimal digits fills three digits to the base, after three zeros.
const FRACTION_DIGITS: i16 = 3;
/// 192 bits are 58 decimal digits: 15 digits to the base.
const WHOLE_DIGITS: usize = 15;
const HEADER_WORDS: usize = 4;
/// What one counts in the first digit to the base behind the point, in units of 10^-9.
const FIRST_DIGIT: u64 = 10_u64.pow(Price::SCALE - BASE_DIGITS);

/// An exact number of zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numeric {
    /// Units of one.
    Integer(u128),
    /// Units of 10^-9.
    Nanos(WideSum),
}

impl From<Price> for Numeric {
    fn from(price: Price) -> Self {
        Self::Nanos(WideSum::from(u128::from(price.nanos())))
    }
}

/// Appends a price as a field: its length in bytes, then its binary form. It shows no trailing zeros.
pub fn put_price_field(out: &mut Vec<u8>, price: Price) {
    let (whole, fraction) = (price.nanos() / Price::ONE, price.nanos() % Price::ONE);
    if (1..BASE).contains(&whole) && fraction.is_multiple_of(FIRST_DIGIT) {
        return put_short_price_field(out, whole, fraction / FIRST_DIGIT);
    }
    let length_at = out.len();
    out.extend_from_slice(&[0; size_of::<i32>()]);
    // A whole part below 10^10 takes at most three digits to the base.
    let digits = [(whole / (BASE * BASE)) as u16, (whole / BASE % BASE) as u16, (whole % BASE) as u16];
    let skipped = digits.iter().take_while(|digit| **digit == 0).count();
    put(out, &digits[skipped..], fraction);
    let (length, field) = out[length_at..].split_at_mut(size_of::<i32>());
    length.copy_from_slice(&(field.len() as i32).to_be_bytes());
}

/// One digit to the base before the point and at most one behind it, as most prices have: both fit one integer.
fn put_short_price_field(out: &mut Vec<u8>, whole: u64, part: u64) {
    let (count, shown) = match part {
        0 => (1, 0),
        _ => (2, BASE_DIGITS - [10, 100, 1000].iter().map(|power| u32::from(part.is_multiple_of(*power))).sum::<u32>()),
    };
    let length = 2 * (HEADER_WORDS + count);
    let head = (length as u64) << 32 | (count as u64) << 16;
    let rest = u64::from(shown) << 32 | whole << 16 | part;
    let field = (u128::from(head) << 64 | u128::from(rest)).to_be_bytes();
    // A fixed number of bytes is one store.
    out.extend_from_slice(&field);
    out.truncate(out.len() - (2 - count) * size_of::<u16>());
}

/// Appends any number's binary form, without a length in front.
pub fn put_numeric(out: &mut Vec<u8>, number: Numeric) {
    let (mut whole, fraction) = match number {
        Numeric::Integer(value) => (WideSum::from(value), 0),
        Numeric::Nanos(sum) => sum.div_rem(Price::ONE),
    };
    let mut digits = [0_u16; WHOLE_DIGITS];
    let mut start = digits.len();
    while !whole.is_zero() && start > 0 {
        let digit;
        (whole, digit) = whole.div_rem(BASE);
        start -= 1;
        digits[start] = digit as u16;
    }
    put(out, &digits[start..], fraction);
}

/// `whole` has no leading zero; `fraction` is in units of 10^-9.
fn put(out: &mut Vec<u8>, whole: &[u16], fraction: u64) {
    let padded = fraction * 10_u64.pow(FRACTION_DIGITS as u32 * BASE_DIGITS - Price::SCALE);
    let parts = [(padded / (BASE * BASE)) as u16, (padded / BASE % BASE) as u16, (padded % BASE) as u16];
    let kept = parts.len() - parts.iter().rev().take_while(|digit| **digit == 0).count();
    // Zeros between the point and the first digit that counts are left to the weight.
    let hidden = if whole.is_empty() { parts[..kept].iter().take_while(|digit| **digit == 0).count() } else { 0 };
    let weight = whole.len() as i16 - 1 - hidden as i16;
    // Trailing zeros of an integer are left out too.
    let whole_kept = match kept {
        0 => whole.len() - whole.iter().rev().take_while(|digit| **digit == 0).count(),
        _ => whole.len(),
    };
    let count = whole_kept + kept - hidden;
    // Appended at once, so that the vector's capacity is checked once.
    let mut words = [[0_u8; 2]; HEADER_WORDS + WHOLE_DIGITS + FRACTION_DIGITS as usize];
    words[0] = (count as i16).to_be_bytes();
    words[1] = if count == 0 { 0 } else { weight }.to_be_bytes();
    words[3] = shown_digits(&parts[..kept]).to_be_bytes();
    for (word, digit) in words[HEADER_WORDS..].iter_mut().zip(whole[..whole_kept].iter().chain(&parts[hidden..kept])) {
        *word = digit.to_be_bytes();
    }
    out.extend_from_slice(words[..HEADER_WORDS + count].as_flattened());
}

/// Decimal digits after the point, up to the last that is not zero. `parts` are digits to the base, of which the last
/// is not zero.
fn shown_digits(parts: &[u16]) -> i16 {
    let Some(last) = parts.last() else {
        return 0;
    };
    let zeros = [10, 100, 1000].iter().take_while(|power| last.is_multiple_of(**power)).count();
    (parts.len() * BASE_DIGITS as usize - zeros) as i16
}

/// A price as it is stored: `None` where the number is none that [`put_price_field`] wrote (zero, negative, `NaN`, beyond nine
/// decimals), so that somebody else must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPrice(pub Option<Price>);

/// The price of a binary form.
#[must_use]
pub fn get_price(bytes: &[u8]) -> Option<Price> {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut words = words.iter().map(|pair| i16::from_be_bytes(*pair));
    let (count, weight, sign, _shown) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits: Vec<i64> = words.map(i64::from).collect();
    if sign != 0 || !rest.is_empty() || digits.len() != usize::try_from(count).ok()? {
        return None;
    }
    let mut nanos: i64 = 0;
    for (digit, position) in digits.into_iter().zip((i16::MIN..=weight).rev()) {
        let part = match position {
            0..=2 => digit.checked_mul((BASE.pow(u32::from(position.unsigned_abs())) * Price::ONE).cast_signed())?,
            -1 => digit * 100_000,
            -2 => digit * 10,
            -3 if digit % 1000 == 0 => digit / 1000,
            _ if digit == 0 => 0,
            _ => return None,
        };
        nanos = nanos.checked_add(part)?;
    }
    Price::from_nanos(nanos)
}

impl sqlx::Type<Postgres> for StoredPrice {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl Decode<'_, Postgres> for StoredPrice {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("prices are read in the binary format only".into());
        }
        Ok(Self(get_price(value.as_bytes()?)))
    }
}

impl sqlx::Type<Postgres> for Numeric {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl PgHasArrayType for Numeric {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC_ARRAY)
    }
}

impl Encode<'_, Postgres> for Numeric {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        put_numeric(out, *self);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The decimal that PostgreSQL reads from the binary form, computed the slow way.
    fn shown(bytes: &[u8]) -> String {
        let words: Vec<i16> = bytes.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
        let (count, weight, scale, digits) = (words[0], words[1], words[3] as usize, &words[4..]);
        assert_eq!(count as usize, digits.len());
        assert!(digits.first() != Some(&0) && digits.last() != Some(&0), "digits are trimmed: {digits:?}");
        let digit = |position: i16| {
            let index = usize::try_from(weight - position).ok();
            index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
        };
        let whole: String = (0..=weight.max(0)).rev().map(|position| format!("{:04}", digit(position))).collect();
        let fraction: String = (1..=3).map(|position| format!("{:04}", digit(-position))).collect();
        assert!(fraction[scale..].bytes().all(|byte| byte == b'0'), "no digit is hidden");
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if scale == 0 { whole.to_owned() } else { format!("{whole}.{}", &fraction[..scale]) }
    }

    fn of_price(nanos: i64) -> String {
        let price = Price::from_nanos(nanos).unwrap();
        let (mut direct, mut general) = (Vec::new(), Vec::new());
        put_price_field(&mut direct, price);
        put_numeric(&mut general, price.into());
        let (length, direct) = direct.split_at(4);
        assert_eq!(length, (direct.len() as i32).to_be_bytes());
        assert_eq!(direct, general, "both ways write {price} alike");
        assert_eq!(get_price(direct), Some(price), "it reads back");
        shown(direct)
    }

    #[test]
    fn prices_are_written_exactly_and_short() {
        for text in [
            "201.5",
            "201.5001",
            "9999.9999",
            "0.5",
            "1",
            "10000",
            "100000000",
            "0.000000001",
            "0.0001",
            "9223372036.854775807",
            "100000000.01",
        ] {
            let nanos = crate::decimal::parse(text, 9, crate::decimal::Rounding::HalfEven).unwrap();
            assert_eq!(of_price(nanos), text);
        }
    }

    #[test]
    fn numbers_that_are_no_price_are_told() {
        let stored = |words: &[i16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        // 201.5 as PostgreSQL sends it.
        assert_eq!(get_price(&stored(&[2, 0, 0, 1, 201, 5000])).map(Price::nanos), Some(201_500_000_000));
        let nan = i16::from_be_bytes([0xc0, 0]);
        let negative = 0x4000;
        for words in [
            &[0, 0, 0, 0][..],
            &[0, 0, nan, 0],
            &[1, 0, negative, 0, 201],
            &[1, -3, 0, 10, 1],
            &[1, -4, 0, 16, 1],
            &[1, 3, 0, 0, 1],
            &[1, 2, 0, 0, 9999],
            &[2, 0, 0, 1, 201],
        ] {
            assert_eq!(get_price(&stored(words)), None, "{words:?}");
        }
    }

    #[test]
    fn zero_and_the_largest_sum_are_written() {
        let text = |number| {
            let mut out = Vec::new();
            put_numeric(&mut out, number);
            shown(&out)
        };
        assert_eq!(text(Numeric::Integer(0)), "0");
        assert_eq!(text(Numeric::Integer(u128::MAX)), u128::MAX.to_string());
        let mut sum = WideSum::from(u128::MAX);
        sum += sum;
        assert_eq!(text(Numeric::Nanos(sum)), "680564733841876926926749214863.53642291");
    }

    proptest! {
        #[test]
        fn any_price_is_written_as_it_displays(nanos in 1..=i64::MAX) {
            prop_assert_eq!(of_price(nanos), Price::from_nanos(nanos).unwrap().to_string());
        }

        #[test]
        fn round_prices_too(units in 1_i64..100_000, zeros in 0_u32..14) {
            let nanos = units * 10_i64.pow(zeros);
            prop_assert_eq!(of_price(nanos), Price::from_nanos(nanos).unwrap().to_string());
        }

        #[test]
        fn any_integer_is_written_as_it_displays(value: u128, zeros in 0_u32..20) {
            let value = value / 10_u128.pow(20) * 10_u128.pow(zeros);
            let mut out = Vec::new();
            put_numeric(&mut out, Numeric::Integer(value));
            prop_assert_eq!(shown(&out), value.to_string());
        }
    }
}
