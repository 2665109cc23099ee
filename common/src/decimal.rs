//! The exact value of a JSON number's text, in fixed-point units. No floating point is involved, so
//! `0.1` is one tenth.

use std::fmt;

/// Why a number's text has no value in the units asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// Beyond the range of `i64` in these units.
    OutOfRange,
    /// Has digits below one unit, where exactness was asked for.
    NotExact,
}

/// How to treat digits below one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Round half to even.
    HalfEven,
    /// Accept only zeros (`100.0` is the integer 100; `1.5` is none).
    Exact,
    /// Cut them off.
    Down,
}

/// Number of digits that always fit a `u128`; more can only matter for rounding or be out of range.
const MAX_DIGITS: i64 = 38;

/// The value of `text`, a number in JSON's grammar, in units of 10^-`scale`.
///
/// `text` must already be a valid JSON number: the JSON parser checked that.
///
/// # Errors
/// [`DecimalError`] where the value does not fit `i64`, or is no whole number of units under
/// [`Rounding::Exact`].
pub fn parse(text: &str, scale: i64, rounding: Rounding) -> Result<i64, DecimalError> {
    i64::try_from(parse_wide(text, scale, rounding)?).map_err(|_| DecimalError::OutOfRange)
}

/// Like [`parse`], for values of up to 38 digits.
fn parse_wide(text: &str, scale: i64, rounding: Rounding) -> Result<i128, DecimalError> {
    let number = Digits::of(text);
    let Some(first) = number.first_significant() else {
        return Ok(0);
    };
    // The number is 0.d1d2d3... * 10^point, so it has `kept` digits in front of the unit's end.
    let kept = number.point - first + scale;
    if kept > MAX_DIGITS {
        return Err(DecimalError::OutOfRange);
    }
    let mut units: u128 = 0;
    for position in first..first.saturating_add(kept) {
        units = units * 10 + u128::from(number.digit(position));
    }
    let rest = Rest::after(&number, first.saturating_add(kept), first);
    let up = match rounding {
        Rounding::Exact if rest != Rest::Zero => return Err(DecimalError::NotExact),
        Rounding::Exact | Rounding::Down => false,
        Rounding::HalfEven => rest == Rest::AboveHalf || (rest == Rest::Half && units % 2 == 1),
    };
    let magnitude = i128::try_from(units + u128::from(up)).map_err(|_| DecimalError::OutOfRange)?;
    Ok(if number.negative { -magnitude } else { magnitude })
}

/// Digits that a double is sure of.
const DOUBLE_DIGITS: i64 = 15;
/// Digits that tell every double from the next: no program needs more to write one.
const MOST_DOUBLE_DIGITS: i64 = 17;

/// The price or volume that `text`, a number in JSON's grammar, writes, in units of 10^-9. Digits
/// below that are an error, except where they are what a program has written of a float:
/// - of a 32-bit one (its text, read as a double, is one) as long as what is left still reads as
///   that float: nothing is lost then that it held;
/// - of a 64-bit one (its text has 15 to 17 significant digits) as long as nine digits are left, or
///   those up to the fifteenth say nothing.
///
/// Then they are rounded half to even.
///
/// # Errors
/// If the text is no such number: see [`DecimalError`].
pub fn parse_nanos(text: &str) -> Result<i128, DecimalError> {
    let exact = parse_wide(text, NANOS, Rounding::Exact);
    if exact != Err(DecimalError::NotExact) {
        return exact;
    }
    let number = Digits::of(text);
    let first = number.first_significant().unwrap_or(0);
    let significant = number.last_significant().unwrap_or(0) - first + 1;
    let nanos = parse_wide(text, NANOS, Rounding::HalfEven)?;
    let is_of_double = || significant >= DOUBLE_DIGITS && is_noise(&number, first, nanos);
    let is_rounded =
        significant <= MOST_DOUBLE_DIGITS && (is_of_double() || is_of_single(text, nanos));
    if is_rounded { Ok(nanos) } else { Err(DecimalError::NotExact) }
}

/// Number of digits after the point of a price or volume.
const NANOS: i64 = 9;

/// Whether what a double's text has below 10^-9 is none that it was written for.
fn is_noise(number: &Digits<'_>, first: i64, nanos: i128) -> bool {
    const NINE_DIGITS: u128 = 100_000_000;
    let kept = number.point - first + NANOS;
    let tail = || (first + kept..first + DOUBLE_DIGITS).map(|position| number.digit(position));
    let says_nothing =
        || kept > 0 && (tail().all(|digit| digit == 0) || tail().all(|digit| digit == 9));
    nanos.unsigned_abs() >= NINE_DIGITS || says_nothing()
}

/// Whether `text` is a 32-bit float, as programs write it that hold it as a double, and `nanos` *
/// 10^-9 is the same.
fn is_of_single(text: &str, nanos: i128) -> bool {
    let single = |double: f64| {
        let single = double as f32;
        (f64::from(single) == double).then_some(single)
    };
    let Some(single) = text.parse().ok().and_then(single) else {
        return false;
    };
    let left = (nanos as f64 / 1e9) as f32;
    nanos != 0 && left == single
}

/// Writes `whole` and `nanos` * 10^-9 as the shortest decimal.
pub(crate) fn write_nanos(f: &mut fmt::Formatter<'_>, whole: u64, nanos: u64) -> fmt::Result {
    if nanos == 0 {
        return write!(f, "{whole}");
    }
    let digits = format!("{nanos:09}");
    write!(f, "{whole}.{}", digits.trim_end_matches('0'))
}

/// A JSON number taken apart: all its digits without the dot, and the dot's position among them.
struct Digits<'a> {
    negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    /// Number of digits before the decimal point, once the exponent is applied; may be negative.
    point: i64,
}

impl<'a> Digits<'a> {
    fn of(text: &'a str) -> Self {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_value(exponent)),
            None => (unsigned, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let point = (integer.len() as i64).saturating_add(exponent);
        Self { negative, integer: integer.as_bytes(), fraction: fraction.as_bytes(), point }
    }

    fn len(&self) -> i64 {
        (self.integer.len() + self.fraction.len()) as i64
    }

    /// The digit at `position`, zero outside the written ones.
    fn digit(&self, position: i64) -> u64 {
        let Ok(position) = usize::try_from(position) else {
            return 0;
        };
        let digit = match position.checked_sub(self.integer.len()) {
            None => self.integer.get(position),
            Some(in_fraction) => self.fraction.get(in_fraction),
        };
        digit.map_or(0, |d| u64::from(d - b'0'))
    }

    fn first_significant(&self) -> Option<i64> {
        (0..self.len()).find(|&position| self.digit(position) != 0)
    }

    fn last_significant(&self) -> Option<i64> {
        (0..self.len()).rfind(|&position| self.digit(position) != 0)
    }
}

/// An exponent of any length; beyond what can matter it saturates.
fn exponent_value(text: &str) -> i64 {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    // Far from the ends of i64, so that adding digit counts cannot overflow.
    let bounded = magnitude.min(i64::MAX / 4);
    if negative { -bounded } else { bounded }
}

/// How the digits below one unit compare with its half.
#[derive(PartialEq, Eq)]
enum Rest {
    Zero,
    BelowHalf,
    Half,
    AboveHalf,
}

impl Rest {
    /// The digits from `end` on; `first` is the position of the number's first digit that is not
    /// zero.
    fn after(number: &Digits<'_>, end: i64, first: i64) -> Self {
        if end < first {
            return Rest::BelowHalf;
        }
        let more = (end + 1..number.len()).any(|position| number.digit(position) != 0);
        match (number.digit(end), more) {
            (0, false) => Rest::Zero,
            (0..=4, _) => Rest::BelowHalf,
            (5, false) => Rest::Half,
            _ => Rest::AboveHalf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> Result<i64, DecimalError> {
        parse(text, 9, Rounding::HalfEven)
    }

    #[test]
    fn decimals_are_taken_exactly() {
        assert_eq!(nanos("201.5"), Ok(201_500_000_000));
        assert_eq!(nanos("0.1"), Ok(100_000_000));
        assert_eq!(nanos("2.015e2"), Ok(201_500_000_000));
        assert_eq!(nanos("2015E-1"), Ok(201_500_000_000));
        assert_eq!(nanos("-0.5"), Ok(-500_000_000));
        assert_eq!(nanos("0"), Ok(0));
        assert_eq!(nanos("-0.000e99"), Ok(0));
    }

    #[test]
    fn digits_below_a_unit_round_half_to_even() {
        assert_eq!(nanos("0.0000000005"), Ok(0));
        assert_eq!(nanos("0.0000000015"), Ok(2));
        assert_eq!(nanos("0.0000000025"), Ok(2));
        assert_eq!(nanos("0.00000000250000000000000000001"), Ok(3));
        assert_eq!(nanos("1.0000000004999999"), Ok(1_000_000_000));
        assert_eq!(nanos("0.1e-20"), Ok(0));
        assert_eq!(nanos("9e-10"), Ok(1));
        assert_eq!(nanos("9e-11"), Ok(0));
    }

    #[test]
    fn a_value_beyond_the_range_is_an_error() {
        assert_eq!(nanos("9223372036.854775807"), Ok(i64::MAX));
        assert_eq!(nanos("9223372036.8547758075"), Err(DecimalError::OutOfRange));
        assert_eq!(nanos("-9223372036.854775808"), Ok(i64::MIN));
        assert_eq!(nanos("1e400"), Err(DecimalError::OutOfRange));
        assert_eq!(nanos("1e99999999999999999999999"), Err(DecimalError::OutOfRange));
        assert_eq!(nanos("1e-99999999999999999999999"), Ok(0));
    }

    #[test]
    fn an_integer_may_be_written_as_a_decimal_but_not_have_a_fraction() {
        let integer = |text| parse(text, 0, Rounding::Exact);
        assert_eq!(integer("100.0"), Ok(100));
        assert_eq!(integer("1e2"), Ok(100));
        assert_eq!(integer("1.50e1"), Ok(15));
        assert_eq!(integer("1.5"), Err(DecimalError::NotExact));
        assert_eq!(integer("1e-1"), Err(DecimalError::NotExact));
        assert_eq!(integer("0.01"), Err(DecimalError::NotExact));
        assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer("9223372036854775808"), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn a_number_is_rounded_only_where_a_double_was_written() {
        for (text, nanos) in [
            ("201.5", 201_500_000_000),
            ("0.000000001", 1),
            ("150.72000122070312", 150_720_001_221),
            ("0.30000000000000004", 300_000_000),
            ("1.2340000000000001e-05", 12_340),
            ("0.000012339999999999999", 12_340),
            ("9.999999999999999", 10_000_000_000),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
        for text in [
            "1.2345e-9",
            "0.1234567891",
            "1e-10",
            "1.2345678901234567e-09",
            "0.000012345678901234567",
            "9e-30",
        ] {
            assert_eq!(parse_nanos(text), Err(DecimalError::NotExact), "{text}");
        }
        // No double is written with so many digits: somebody means them.
        for text in [
            "150.720001220703125",
            "0.299999999999999988898",
            "1234567890.12345678901",
            "9.99999999999999999",
        ] {
            assert_eq!(parse_nanos(text), Err(DecimalError::NotExact), "{text}");
        }
        assert_eq!(parse_nanos("150.720001220000000000000"), Ok(150_720_001_220));
        assert_eq!(parse_nanos("9223372036854775807.999999999"), Ok((1 << 63) * 1_000_000_000 - 1));
        assert_eq!(parse_nanos("1e30"), Err(DecimalError::OutOfRange));
    }

    /// As numpy, pandas and yfinance write them.
    #[test]
    fn a_single_that_was_written_as_a_double_is_rounded_whatever_its_digits() {
        for (text, nanos) in [
            ("5990.6201171875", 5_990_620_117_188),
            ("-5989.77978515625", -5_989_779_785_156),
            ("597.02001953125", 597_020_019_531),
            ("5.9906201171875e3", 5_990_620_117_188),
            ("05990.62011718750000000000", 5_990_620_117_188),
            // Prices of pennies and coins: the digits that are left are all that such a float
            // holds.
            ("0.012299999594688416", 12_300_000),
            ("1.234499995916849e-05", 12_345),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
        for text in [
            // 2^-10: a digit would be lost that the float holds.
            "0.0009765625",
            "0.00000095367431640625",
            // No floats: somebody means these digits.
            "5990.6201171874",
            "5990.6201171876",
            "597.0200195312",
            "8.1400003433",
            "0.0000000001",
            "1e-400",
            // The single next to 150.72, in more digits than a program writes.
            "150.720001220703125",
        ] {
            assert_eq!(parse_nanos(text), Err(DecimalError::NotExact), "{text}");
        }
    }

    #[test]
    fn digits_below_a_unit_can_be_cut_off() {
        let down = |text, scale| parse(text, scale, Rounding::Down);
        assert_eq!(down("1.999", 2), Ok(199));
        assert_eq!(down("-1.999", 2), Ok(-199));
        assert_eq!(down("1999", -3), Ok(1));
        assert_eq!(down("999", -3), Ok(0));
        assert_eq!(down("9e-30", 0), Ok(0));
    }

    proptest! {
        #[test]
        fn any_fixed_point_number_comes_back(units: i64) {
            let text = format!("{}{}.{:09}", if units < 0 { "-" } else { "" },
                units.unsigned_abs() / 1_000_000_000, units.unsigned_abs() % 1_000_000_000);
            prop_assert_eq!(nanos(&text), Ok(units));
        }

        #[test]
        fn an_exponent_moves_the_point(mantissa in 1_i64..1_000_000_000, exponent in -9_i32..9) {
            let expected = i128::from(mantissa) * 10_i128.pow(u32::try_from(exponent + 9).unwrap());
            let expected = i64::try_from(expected).map_err(|_| DecimalError::OutOfRange);
            prop_assert_eq!(nanos(&format!("{mantissa}e{exponent}")), expected);
        }

        /// Cents as numpy's float32, written as a double: nothing is lost of what the float holds.
        #[test]
        fn every_single_of_a_price_is_read(cents in 1_u32..2_000_000_000, places in 0_i32..5) {
            let single = (f64::from(cents) / 10_f64.powi(places)) as f32;
            let text = format!("{:?}", f64::from(single));
            let nanos = parse_nanos(&text);
            prop_assert_eq!(nanos.map(|nanos| (nanos as f64 / 1e9) as f32), Ok(single), "{}", text);
        }

        /// Below 15 digits nothing else than a single is rounded.
        #[test]
        fn what_no_float_would_write_is_rejected(
            whole in 0_u32..10_000,
            part in prop_oneof![1_u64..10_000_000_000, (0_u64..512).prop_map(|half| (2 * half + 1) * 9_765_625)],
        ) {
            prop_assume!(!part.is_multiple_of(10));
            let text = format!("{whole}.{part:010}");
            let double: f64 = text.parse().unwrap();
            let is_single = f64::from(double as f32) == double;
            let is_read = parse_nanos(&text).is_ok();
            prop_assert!(if whole > 0 { is_read == is_single } else { is_single || !is_read }, "{}", text);
        }

        #[test]
        fn the_nearest_double_agrees(value in 0.000_001_f64..9_000_000.0) {
            let units = nanos(&format!("{value:.17}")).unwrap();
            let expected = value * 1e9;
            prop_assert!((units as f64 - expected).abs() <= 1.0 + expected * 1e-15);
        }
    }
}
