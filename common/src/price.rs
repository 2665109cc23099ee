//! [`Price`]: an exact decimal.

use std::fmt;

/// A price in units of 10^-9 of the currency: exact for every price that a feed writes, from 0.000000001 up to about
/// 9.2 billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(i64);

impl Price {
    /// Decimal digits after the point.
    pub const SCALE: u32 = 9;
    /// Units in one of the currency.
    pub const ONE: u64 = 10_u64.pow(Self::SCALE);

    /// A price of `nanos` * 10^-9; `None` unless it is above zero.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos > 0 { Some(Self(nanos)) } else { None }
    }

    /// The price in units of 10^-9; always above zero.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// The shortest decimal: `201.5`, never `201.500000000`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.nanos() / Self::ONE, self.nanos() % Self::ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_above_zero() {
        assert_eq!(Price::from_nanos(0), None);
        assert_eq!(Price::from_nanos(-1), None);
        assert!(Price::from_nanos(1).is_some());
    }

    #[test]
    fn a_price_is_written_without_trailing_zeros() {
        let text = |nanos| Price::from_nanos(nanos).unwrap().to_string();
        assert_eq!(text(201_500_000_000), "201.5");
        assert_eq!(text(7_000_000_000), "7");
        assert_eq!(text(1), "0.000000001");
        assert_eq!(text(i64::MAX), "9223372036.854775807");
    }
}
