//! PostgreSQL's binary `numeric`: base-10,000 digits, most significant first.
//!
//! The layout is that of `numeric_send` in PostgreSQL's src/backend/utils/adt/numeric.c: four
//! 16-bit words (digit count, weight of the first digit, sign, decimal digits to show), then the
//! digits.

use common::wide_sum::{Exact, WideSum};
use common::{Price, Volume};
use sqlx::decode::Decode;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};

/// The numbers of the types: by its name, sqlx would look a type up with a statement that outlives
/// its transaction.
const NUMERIC: Oid = Oid(1700);
const NUMERIC_ARRAY: Oid = Oid(1231);

const BASE: u64 = 10_000;
const BASE_DIGITS: u32 = 4;
/// A fraction of nine decimal digits fills three digits to the base, after three zeros; one of 18
/// five, after two.
const NANOS_DIGITS: usize = 3;
const FRACTION_DIGITS: usize = 5;
/// 192 bits are 58 decimal digits: 15 digits to the base.
const WHOLE_DIGITS: usize = 15;
const HEADER_WORDS: usize = 4;
/// The sign's word below zero.
const NEGATIVE: i16 = 0x4000;
/// The value of one in the first digit to the base after the point, in units of 10^-9.
const FIRST_DIGIT: u64 = 10_u64.pow(Price::SCALE - BASE_DIGITS);

/// An exact number as PostgreSQL takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numeric(Exact);

impl From<Exact> for Numeric {
    fn from(exact: Exact) -> Self {
        Self(exact)
    }
}

impl From<Price> for Numeric {
    fn from(price: Price) -> Self {
        Self(Exact::of_attos(
            WideSum::default(),
            i128::from(price.nanos()) * i128::from(Price::ONE),
        ))
    }
}

impl From<Volume> for Numeric {
    fn from(volume: Volume) -> Self {
        Self(Exact::of_nanos(volume.whole().into(), volume.nanos().into()))
    }
}

/// Appends a price as a field: its length in bytes, then its binary form. It shows no trailing
/// zeros.
pub fn put_price_field(out: &mut Vec<u8>, price: Price) {
    let nanos = price.nanos().unsigned_abs();
    let (whole, fraction) = (nanos / Price::ONE, nanos % Price::ONE);
    if price.nanos() > 0 && (1..BASE).contains(&whole) && fraction.is_multiple_of(FIRST_DIGIT) {
        return put_short_price_field(out, whole, fraction / FIRST_DIGIT);
    }
    let length_at = out.len();
    out.extend_from_slice(&[0; size_of::<i32>()]);
    // A whole part below 10^10 takes at most three digits to the base.
    let digits =
        [(whole / (BASE * BASE)) as u16, (whole / BASE % BASE) as u16, (whole % BASE) as u16];
    let skipped = digits.iter().take_while(|digit| **digit == 0).count();
    put(out, price.nanos() < 0, &digits[skipped..], &nanos_digits(fraction));
    note_length(out, length_at);
}

/// The digits of `nanos` * 10^-9, less than one, after the point.
fn nanos_digits(nanos: u64) -> [u16; NANOS_DIGITS] {
    let padded = nanos * 10_u64.pow(NANOS_DIGITS as u32 * BASE_DIGITS - Price::SCALE);
    [(padded / (BASE * BASE)) as u16, (padded / BASE % BASE) as u16, (padded % BASE) as u16]
}

/// The length of the field that was appended after its own place.
fn note_length(out: &mut [u8], length_at: usize) {
    let (length, field) = out[length_at..].split_at_mut(size_of::<i32>());
    length.copy_from_slice(&(field.len() as i32).to_be_bytes());
}

/// One digit to the base before the point and at most one after it, as most prices have: both fit
/// one integer.
fn put_short_price_field(out: &mut Vec<u8>, whole: u64, part: u64) {
    let (count, shown) = match part {
        0 => (1, 0),
        _ => (
            2,
            BASE_DIGITS
                - [10, 100, 1000]
                    .iter()
                    .map(|power| u32::from(part.is_multiple_of(*power)))
                    .sum::<u32>(),
        ),
    };
    let length = 2 * (HEADER_WORDS + count);
    let head = (length as u64) << 32 | (count as u64) << 16;
    let rest = u64::from(shown) << 32 | whole << 16 | part;
    let field = (u128::from(head) << 64 | u128::from(rest)).to_be_bytes();
    // A fixed number of bytes is one store.
    out.extend_from_slice(&field);
    out.truncate(out.len() - (2 - count) * size_of::<u16>());
}

/// Appends a volume as a field, as [`put_price_field`] does a price.
pub fn put_volume_field(out: &mut Vec<u8>, volume: Volume) {
    if volume.nanos() == 0 && volume.whole() < BASE * BASE {
        return put_short_volume_field(out, volume.whole());
    }
    let length_at = out.len();
    out.extend_from_slice(&[0; size_of::<i32>()]);
    // A whole part below 2^63 takes at most five digits to the base.
    let (mut digits, mut start, mut whole) = ([0_u16; 5], 5, volume.whole());
    while whole > 0 {
        start -= 1;
        digits[start] = (whole % BASE) as u16;
        whole /= BASE;
    }
    put(out, false, &digits[start..], &nanos_digits(volume.nanos().into()));
    note_length(out, length_at);
}

/// At most two digits to the base, both before the point, as nearly all volumes of whole shares
/// have.
fn put_short_volume_field(out: &mut Vec<u8>, whole: u64) {
    let (weight, first, second) = match (whole / BASE, whole % BASE) {
        (0, low) => (0, low, 0),
        (high, low) => (1, high, low),
    };
    let count = usize::from(first != 0) + usize::from(second != 0);
    let length = 2 * (HEADER_WORDS + count);
    let head = (length as u64) << 32 | (count as u64) << 16 | weight;
    let field = (u128::from(head) << 64 | u128::from(first << 16 | second)).to_be_bytes();
    // A fixed number of bytes is one store.
    out.extend_from_slice(&field);
    out.truncate(out.len() - (2 - count) * size_of::<u16>());
}

/// Appends any number's binary form, without a length in front.
fn put_numeric(out: &mut Vec<u8>, Numeric(number): Numeric) {
    let mut whole = number.whole;
    let mut digits = [0_u16; WHOLE_DIGITS];
    let mut start = digits.len();
    while !whole.is_zero() && start > 0 {
        let digit;
        (whole, digit) = whole.div_rem(BASE);
        start -= 1;
        digits[start] = digit as u16;
    }
    let mut padded = u128::from(number.attos)
        * 10_u128.pow(FRACTION_DIGITS as u32 * BASE_DIGITS - 2 * Price::SCALE);
    let mut parts = [0_u16; FRACTION_DIGITS];
    for part in parts.iter_mut().rev() {
        *part = (padded % u128::from(BASE)) as u16;
        padded /= u128::from(BASE);
    }
    put(out, number.is_negative, &digits[start..], &parts);
}

/// `whole` has no leading zero; `parts` are the digits after the point.
fn put(out: &mut Vec<u8>, is_negative: bool, whole: &[u16], parts: &[u16]) {
    let kept = parts.len() - parts.iter().rev().take_while(|digit| **digit == 0).count();
    // Zeros between the point and the first digit that counts are left to the weight.
    let hidden = if whole.is_empty() {
        parts[..kept].iter().take_while(|digit| **digit == 0).count()
    } else {
        0
    };
    let weight = whole.len() as i16 - 1 - hidden as i16;
    // Trailing zeros of an integer are left out too.
    let whole_kept = match kept {
        0 => whole.len() - whole.iter().rev().take_while(|digit| **digit == 0).count(),
        _ => whole.len(),
    };
    let count = whole_kept + kept - hidden;
    // Appended at once, so that the vector's capacity is checked once.
    let mut words = [[0_u8; 2]; HEADER_WORDS + WHOLE_DIGITS + FRACTION_DIGITS];
    words[0] = (count as i16).to_be_bytes();
    words[1] = if count == 0 { 0 } else { weight }.to_be_bytes();
    words[2] = if is_negative { NEGATIVE } else { 0 }.to_be_bytes();
    words[3] = shown_digits(&parts[..kept]).to_be_bytes();
    for (word, digit) in
        words[HEADER_WORDS..].iter_mut().zip(whole[..whole_kept].iter().chain(&parts[hidden..kept]))
    {
        *word = digit.to_be_bytes();
    }
    out.extend_from_slice(words[..HEADER_WORDS + count].as_flattened());
}

/// Decimal digits after the point, up to the last that is not zero. `parts` are digits to the base,
/// of which the last is not zero.
fn shown_digits(parts: &[u16]) -> i16 {
    let Some(last) = parts.last() else {
        return 0;
    };
    let zeros = [10, 100, 1000].iter().take_while(|power| last.is_multiple_of(**power)).count();
    (parts.len() * BASE_DIGITS as usize - zeros) as i16
}

/// A price as it is stored: `None` where the number is none that [`put_price_field`] wrote (`NaN`,
/// beyond nine decimals), so that somebody else must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPrice(pub Option<Price>);

/// A volume as it is stored: `None` where the number is none that [`put_volume_field`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVolume(pub Option<Volume>);

/// The price of a binary form.
#[must_use]
pub fn get_price(bytes: &[u8]) -> Option<Price> {
    Price::from_nanos(i64::try_from(get_nanos(bytes)?).ok()?)
}

/// The volume of a binary form.
#[must_use]
pub fn get_volume(bytes: &[u8]) -> Option<Volume> {
    Volume::from_nanos(get_nanos(bytes)?)
}

/// The number of a binary form in units of 10^-9; `None` where it is none of these, or far beyond
/// all that is stored.
fn get_nanos(bytes: &[u8]) -> Option<i128> {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut words = words.iter().map(|pair| i16::from_be_bytes(*pair));
    let (count, weight, sign, _shown) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits: Vec<i128> = words.map(i128::from).collect();
    if !matches!(sign, 0 | NEGATIVE)
        || !rest.is_empty()
        || digits.len() != usize::try_from(count).ok()?
    {
        return None;
    }
    let mut nanos: i128 = 0;
    for (digit, position) in digits.into_iter().zip((i16::MIN..=weight).rev()) {
        nanos += match position {
            // A volume has no more than five of them before the point.
            0..=4 => {
                digit
                    * i128::from(BASE.pow(u32::from(position.unsigned_abs())))
                    * i128::from(Price::ONE)
            }
            -1 => digit * 100_000,
            -2 => digit * 10,
            -3 if digit % 1000 == 0 => digit / 1000,
            _ if digit == 0 => 0,
            _ => return None,
        };
    }
    Some(if sign == NEGATIVE { -nanos } else { nanos })
}

impl sqlx::Type<Postgres> for StoredPrice {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl Decode<'_, Postgres> for StoredPrice {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(get_price(binary(&value)?)))
    }
}

impl sqlx::Type<Postgres> for StoredVolume {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC)
    }
}

impl Decode<'_, Postgres> for StoredVolume {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(get_volume(binary(&value)?)))
    }
}

fn binary<'a>(value: &PgValueRef<'a>) -> Result<&'a [u8], BoxDynError> {
    match value.format() {
        PgValueFormat::Binary => value.as_bytes(),
        PgValueFormat::Text => Err("numbers are read in the binary format only".into()),
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
        let words: Vec<i16> =
            bytes.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
        let (count, weight, scale, digits) = (words[0], words[1], words[3] as usize, &words[4..]);
        let sign = if words[2] == NEGATIVE { "-" } else { "" };
        assert_eq!(count as usize, digits.len());
        assert!(
            digits.first() != Some(&0) && digits.last() != Some(&0),
            "digits are trimmed: {digits:?}"
        );
        let digit = |position: i16| {
            let index = usize::try_from(weight - position).ok();
            index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
        };
        let whole: String =
            (0..=weight.max(0)).rev().map(|position| format!("{:04}", digit(position))).collect();
        let fraction: String = (1..=5).map(|position| format!("{:04}", digit(-position))).collect();
        assert!(fraction[scale..].bytes().all(|byte| byte == b'0'), "no digit is hidden");
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if scale == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{}", &fraction[..scale])
        }
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
            "0",
            "-0.000000001",
            "-37.63",
            "-9223372036.854775807",
        ] {
            let nanos =
                common::decimal::parse(text, 9, common::decimal::Rounding::HalfEven).unwrap();
            assert_eq!(of_price(nanos), text);
        }
    }

    fn of_volume(nanos: i128) -> String {
        let volume = Volume::from_nanos(nanos).unwrap();
        let (mut direct, mut general) = (Vec::new(), Vec::new());
        put_volume_field(&mut direct, volume);
        put_numeric(&mut general, volume.into());
        let (length, direct) = direct.split_at(4);
        assert_eq!(length, (direct.len() as i32).to_be_bytes());
        assert_eq!(direct, general, "both ways write {volume} alike");
        assert_eq!(get_volume(direct), Some(volume), "it reads back");
        shown(direct)
    }

    #[test]
    fn volumes_are_written_exactly_and_short() {
        for (text, nanos) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("9999", 9_999_000_000_000),
            ("10000", 10_000_000_000_000),
            ("99999999", 99_999_999_000_000_000),
            ("100000000", 100_000_000_000_000_000),
            ("0.01234", 12_340_000),
            ("12345678.000000001", 12_345_678_000_000_001),
            ("9223372036854775807.999999999", (1 << 63) * 1_000_000_000 - 1),
        ] {
            assert_eq!(of_volume(nanos), text);
        }
    }

    #[test]
    fn numbers_that_are_no_price_are_told() {
        let stored =
            |words: &[i16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        // 201.5 as PostgreSQL sends it.
        assert_eq!(
            get_price(&stored(&[2, 0, 0, 1, 201, 5000])).map(Price::nanos),
            Some(201_500_000_000)
        );
        let nan = i16::from_be_bytes([0xc0, 0]);
        for words in [
            &[0, 0, nan, 0][..],
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
        let integer = |value| Numeric(Exact { whole: WideSum::from(value), ..Exact::default() });
        assert_eq!(text(integer(0)), "0");
        assert_eq!(text(integer(u128::MAX)), u128::MAX.to_string());
        let mut sum = WideSum::from(u128::MAX);
        sum += sum;
        assert_eq!(text(Exact::of_attos(sum, 0).into()), "680564733841876926926749214863.53642291");
        assert_eq!(
            text(Exact::of_attos(sum, 1).into()),
            "680564733841876926926749214863.536422910000000001"
        );
        assert_eq!(text(Exact::of_nanos(0, 1_500_000_000).into()), "1.5");
    }

    proptest! {
        #[test]
        fn any_price_is_written_as_it_displays(nanos in -i64::MAX..=i64::MAX) {
            prop_assert_eq!(of_price(nanos), Price::from_nanos(nanos).unwrap().to_string());
        }

        #[test]
        fn round_prices_too(units in -99_i64..100_000, zeros in 0_u32..14) {
            let nanos = units * 10_i64.pow(zeros);
            prop_assert_eq!(of_price(nanos), Price::from_nanos(nanos).unwrap().to_string());
        }

        #[test]
        fn any_volume_is_written_as_it_displays(whole in 0..=i64::MAX, shift in 0_u32..63, nanos in 0..Volume::ONE, is_whole: bool) {
            let volume = Volume::from_parts(whole >> shift, if is_whole { 0 } else { nanos }).unwrap();
            let all = i128::from(volume.whole()) * 1_000_000_000 + i128::from(volume.nanos());
            prop_assert_eq!(of_volume(all), volume.to_string());
        }

        #[test]
        fn any_integer_is_written_as_it_displays(value: u128, zeros in 0_u32..20) {
            let value = value / 10_u128.pow(20) * 10_u128.pow(zeros);
            let mut out = Vec::new();
            put_numeric(&mut out, Numeric(Exact { whole: WideSum::from(value), ..Exact::default() }));
            prop_assert_eq!(shown(&out), value.to_string());
        }
    }
}
