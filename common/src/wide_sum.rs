//! [`WideSum`]: an exact sum that cannot overflow, and [`Exact`], what sums are in the end.

use std::fmt;
use std::ops::AddAssign;

/// A sum of 192 bits, as a two's complement. `close * volume` may take 126 bits, so a handful of
/// absurd ticks would overflow an `i128`; this holds 2^64 of the largest, and no producer can make
/// a sum wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WideSum {
    high: i64,
    low: u128,
}

impl WideSum {
    /// The upper 64 bits and the lower 128, to be written down.
    #[must_use]
    pub const fn to_parts(self) -> (i64, u128) {
        (self.high, self.low)
    }

    /// The sum of what [`WideSum::to_parts`] gave.
    #[must_use]
    pub const fn from_parts(high: i64, low: u128) -> Self {
        Self { high, low }
    }

    /// Quotient and remainder of a sum that is not below zero.
    #[must_use]
    pub fn div_rem(self, divisor: u64) -> (Self, u64) {
        if self.high == 0 {
            let divisor = u128::from(divisor);
            let quotient = Self { high: 0, low: self.low / divisor };
            return (quotient, (self.low % divisor) as u64);
        }
        // Long division, one 64-bit limb after the other.
        let (high, rest) = div_limb(0, self.high.cast_unsigned(), divisor);
        let (middle, rest) = div_limb(rest, (self.low >> 64) as u64, divisor);
        let (low, rest) = div_limb(rest, self.low as u64, divisor);
        let quotient =
            Self { high: high.cast_signed(), low: u128::from(middle) << 64 | u128::from(low) };
        (quotient, rest)
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    const fn is_negative(self) -> bool {
        self.high < 0
    }

    fn negated(self) -> Self {
        let (low, is_zero) = (!self.low).overflowing_add(1);
        Self { high: (!self.high).wrapping_add(i64::from(is_zero)), low }
    }
}

fn div_limb(carried: u64, limb: u64, divisor: u64) -> (u64, u64) {
    let dividend = u128::from(carried) << 64 | u128::from(limb);
    let divisor = u128::from(divisor);
    ((dividend / divisor) as u64, (dividend % divisor) as u64)
}

impl From<u128> for WideSum {
    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }
}

impl From<i128> for WideSum {
    fn from(value: i128) -> Self {
        Self { high: (value >> 127) as i64, low: value.cast_unsigned() }
    }
}

impl AddAssign<i128> for WideSum {
    #[inline]
    fn add_assign(&mut self, addend: i128) {
        let (low, carry) = self.low.overflowing_add(addend.cast_unsigned());
        self.low = low;
        // The sign of the addend fills the upper bits.
        self.high += i64::from(carry) + (addend >> 127) as i64;
    }
}

impl AddAssign for WideSum {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        let (low, carry) = self.low.overflowing_add(other.low);
        self.low = low;
        self.high += other.high + i64::from(carry);
    }
}

impl fmt::Display for WideSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 10_u64.pow(19);
        if self.is_negative() {
            return write!(f, "-{}", self.negated());
        }
        if self.high == 0 {
            return write!(f, "{}", self.low);
        }
        let (rest, chunk) = self.div_rem(CHUNK);
        write!(f, "{rest}{chunk:019}")
    }
}

/// An exact number with up to 18 digits after the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exact {
    /// Whether it is below zero.
    pub is_negative: bool,
    /// The digits before the point, without the sign.
    pub whole: WideSum,
    /// The digits after it, in units of 10^-18.
    pub attos: u64,
}

impl Exact {
    const NANO: i128 = 1_000_000_000;

    /// `whole` and `nanos` * 10^-9, which may be one or more.
    #[must_use]
    pub fn of_nanos(whole: u128, nanos: u128) -> Self {
        let one = Self::NANO.unsigned_abs();
        let mut sum = WideSum::from(whole);
        sum += WideSum::from(nanos / one);
        Self { is_negative: false, whole: sum, attos: (nanos % one) as u64 * Self::NANO as u64 }
    }

    /// `nanos` * 10^-9 and `attos` * 10^-18, which may be one or more; either may be below zero.
    #[must_use]
    pub fn of_attos(mut nanos: WideSum, attos: i128) -> Self {
        nanos += attos.div_euclid(Self::NANO);
        let mut rest = attos.rem_euclid(Self::NANO) as u64;
        let is_negative = nanos.is_negative();
        if is_negative {
            // The rest goes upwards from the nanos, and is turned with them.
            if rest > 0 {
                nanos += 1;
                rest = Self::NANO as u64 - rest;
            }
            nanos = nanos.negated();
        }
        let (whole, part) = nanos.div_rem(Self::NANO as u64);
        Self { is_negative, whole, attos: part * Self::NANO as u64 + rest }
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_negative { "-" } else { "" })?;
        if self.attos == 0 {
            self.whole.fmt(f)
        } else {
            write!(f, "{}.{:018}", self.whole, self.attos)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sum_past_128_bits_is_exact() {
        let mut sum = WideSum::from(u128::MAX);
        sum += 1;
        assert_eq!(sum.to_string(), "340282366920938463463374607431768211456");
        let twice = sum;
        sum += twice;
        assert_eq!(sum.to_string(), "680564733841876926926749214863536422912");
    }

    #[test]
    fn division_past_128_bits_leaves_the_right_remainder() {
        let mut sum = WideSum::from(u128::MAX);
        sum += 8;
        let (quotient, remainder) = sum.div_rem(10);
        assert_eq!(
            (quotient.to_string().as_str(), remainder),
            ("34028236692093846346337460743176821146", 3)
        );
    }

    #[test]
    fn a_sum_below_zero_is_exact() {
        let mut sum = WideSum::default();
        sum += -1;
        assert_eq!(sum.to_string(), "-1");
        (0..3).for_each(|_| sum += i128::MIN);
        assert_eq!(sum.to_string(), "-510423550381407695195061911147652317185");
        let same = sum;
        sum += same.negated();
        assert!(sum.is_zero());
        let text = |nanos: i128, attos| Exact::of_attos(nanos.into(), attos).to_string();
        assert_eq!(text(-1_500_000_000, 0), "-1.500000000000000000");
        assert_eq!(text(-1_500_000_000, 1), "-1.499999999999999999");
        assert_eq!(text(0, -1), "-0.000000000000000001");
        assert_eq!(text(1, -1_000_000_001), "-0.000000000000000001");
        assert_eq!(text(-1, 1_000_000_000), "0");
    }

    proptest! {
        #[test]
        fn sums_of_either_sign_are_those_of_128_bits_where_these_hold_them(addends in proptest::collection::vec(any::<i64>(), 0..9)) {
            let mut sum = WideSum::default();
            addends.iter().for_each(|addend| sum += i128::from(*addend) << 60);
            let expected = addends.iter().map(|addend| i128::from(*addend)).sum::<i128>();
            prop_assert_eq!(sum.to_string(), (expected << 60).to_string());
        }
    }
}
