//! [`WideSum`]: an exact sum that cannot overflow.

use std::fmt;
use std::ops::AddAssign;

/// An unsigned sum of 192 bits. `close * volume` may take 126 bits, so a handful of absurd ticks would overflow an
/// `i128`; this holds 2^64 of the largest, and no producer can make a sum wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WideSum {
    high: u64,
    low: u128,
}

impl WideSum {
    /// The sum's value where it fits 128 bits, as it nearly always does.
    #[must_use]
    pub fn to_u128(self) -> Option<u128> {
        (self.high == 0).then_some(self.low)
    }

    /// The upper 64 bits and the lower 128, to be written down.
    #[must_use]
    pub const fn to_parts(self) -> (u64, u128) {
        (self.high, self.low)
    }

    /// The sum of what [`WideSum::to_parts`] gave.
    #[must_use]
    pub const fn from_parts(high: u64, low: u128) -> Self {
        Self { high, low }
    }

    /// Quotient and remainder.
    #[must_use]
    pub(crate) fn div_rem(self, divisor: u64) -> (Self, u64) {
        if self.high == 0 {
            let divisor = u128::from(divisor);
            let quotient = Self { high: 0, low: self.low / divisor };
            return (quotient, (self.low % divisor) as u64);
        }
        // Long division, one 64-bit limb after the other.
        let (high, rest) = div_limb(0, self.high, divisor);
        let (middle, rest) = div_limb(rest, (self.low >> 64) as u64, divisor);
        let (low, rest) = div_limb(rest, self.low as u64, divisor);
        let quotient = Self { high, low: u128::from(middle) << 64 | u128::from(low) };
        (quotient, rest)
    }

    #[must_use]
    pub(crate) fn is_zero(self) -> bool {
        self == Self::default()
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

impl AddAssign<u128> for WideSum {
    fn add_assign(&mut self, addend: u128) {
        let (low, carry) = self.low.overflowing_add(addend);
        self.low = low;
        self.high += u64::from(carry);
    }
}

impl AddAssign for WideSum {
    fn add_assign(&mut self, other: Self) {
        *self += other.low;
        self.high += other.high;
    }
}

impl fmt::Display for WideSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 10_u64.pow(19);
        if let Some(value) = self.to_u128() {
            return write!(f, "{value}");
        }
        let (rest, chunk) = self.div_rem(CHUNK);
        write!(f, "{rest}{chunk:019}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_past_128_bits_is_exact() {
        let mut sum = WideSum::from(u128::MAX);
        sum += 1;
        assert_eq!(sum.to_string(), "340282366920938463463374607431768211456");
        let twice = sum;
        sum += twice;
        assert_eq!(sum.to_string(), "680564733841876926926749214863536422912");
        assert_eq!(sum.to_u128(), None);
    }

    #[test]
    fn division_past_128_bits_leaves_the_right_remainder() {
        let mut sum = WideSum::from(u128::MAX);
        sum += 8;
        let (quotient, remainder) = sum.div_rem(10);
        assert_eq!((quotient.to_string().as_str(), remainder), ("34028236692093846346337460743176821146", 3));
    }
}
