//! [`Price`]: an exact decimal.

use crate::decimal::write_nanos;
use std::fmt;

/// A price in units of 10^-9 of the currency: exact for every price that a feed writes, up to about
/// 9.2 billion on either side of zero. Whether one of zero or below is a price is for the decoder's
/// rules to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(i64);

impl Price {
    /// Decimal digits after the point.
    pub const SCALE: u32 = 9;
    /// Units in one of the currency.
    pub const ONE: u64 = 10_u64.pow(Self::SCALE);

    /// A price of `nanos` * 10^-9; `None` for the one number that has no counterpart on the other
    /// side of zero.
    #[must_use]
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos == i64::MIN { None } else { Some(Self(nanos)) }
    }

    /// The price in units of 10^-9.
    #[must_use]
    #[inline]
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

/// The shortest decimal: `201.5`, never `201.500000000`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 < 0 { "-" } else { "" })?;
        let nanos = self.0.unsigned_abs();
        write_nanos(f, nanos / Self::ONE, nanos % Self::ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_written_without_trailing_zeros() {
        let text = |nanos| Price::from_nanos(nanos).unwrap().to_string();
        assert_eq!(text(201_500_000_000), "201.5");
        assert_eq!(text(7_000_000_000), "7");
        assert_eq!(text(1), "0.000000001");
        assert_eq!(text(i64::MAX), "9223372036.854775807");
        assert_eq!(text(-37_630_000_000), "-37.63");
        assert_eq!(text(-1), "-0.000000001");
        assert_eq!(text(0), "0");
    }
}
