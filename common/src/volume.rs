//! [`Volume`]: how much was traded, exactly.

use crate::decimal::write_nanos;
use std::fmt;
use std::num::NonZeroU32;

/// Shares, coins or contracts: zero or more, below 2^63, down to 10^-9 of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume {
    whole: u64,
    /// The fraction in units of 10^-9, plus one: the zero niche keeps `Option<Volume>` as small as
    /// `Volume`, and ticks are copied as quickly as those of whole shares.
    part: NonZeroU32,
}

impl Volume {
    /// Units of the fraction in one.
    pub const ONE: u32 = 1_000_000_000;

    /// `whole` and `nanos` * 10^-9; `None` below zero, and where the fraction is one or more.
    #[must_use]
    #[inline]
    pub const fn from_parts(whole: i64, nanos: u32) -> Option<Self> {
        if whole < 0 || nanos >= Self::ONE {
            return None;
        }
        match NonZeroU32::new(nanos + 1) {
            Some(part) => Some(Self { whole: whole.unsigned_abs(), part }),
            None => None,
        }
    }

    /// A volume of `nanos` * 10^-9; `None` below zero and from 2^63 on.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let one = i128::from(Self::ONE);
        Self::from_parts(i64::try_from(nanos.div_euclid(one)).ok()?, nanos.rem_euclid(one) as u32)
    }

    /// The digits before the point.
    #[must_use]
    #[inline]
    pub const fn whole(self) -> u64 {
        self.whole
    }

    /// The digits after it, in units of 10^-9.
    #[must_use]
    #[inline]
    pub const fn nanos(self) -> u32 {
        self.part.get() - 1
    }
}

/// The shortest decimal: `0.01234`, `100`.
impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_nanos(f, self.whole, self.nanos().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_zero_or_more_and_below_two_to_the_63() {
        assert_eq!(Volume::from_nanos(-1), None);
        assert_eq!(Volume::from_parts(-1, 0), None);
        assert_eq!(Volume::from_parts(0, Volume::ONE), None);
        assert_eq!(Volume::from_nanos((1 << 63) * 1_000_000_000), None);
        let largest = Volume::from_nanos((1 << 63) * 1_000_000_000 - 1).unwrap();
        assert_eq!(largest.to_string(), "9223372036854775807.999999999");
    }

    #[test]
    fn a_volume_is_written_without_trailing_zeros() {
        let text = |nanos| Volume::from_nanos(nanos).unwrap().to_string();
        assert_eq!(text(12_340_000), "0.01234");
        assert_eq!(text(100_000_000_000), "100");
        assert_eq!(text(0), "0");
    }

    #[test]
    fn one_that_may_be_missing_takes_no_more_room() {
        assert_eq!(size_of::<Option<Volume>>(), size_of::<Volume>());
    }
}
