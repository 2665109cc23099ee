//! How values are read of the bytes that they are written as.

use crate::lake::columns::{PRICE, VOLUME};
use common::{Price, Volume};
use parquet::errors::ParquetError;

/// How values are read of the bytes that they are written as.
pub trait Parse {
    type Value: Copy;

    /// The value that `rest` begins with, which is taken off; `None` where there is none.
    fn parse(&mut self, rest: &mut &[u8]) -> Option<Self::Value>;
}

/// Prices, of [`PRICE`] bytes.
#[derive(Debug, Default)]
pub struct Prices;

/// Units of a volume of 1.
const ONE: u64 = Volume::ONE as u64;

/// Volumes, of [`VOLUME`] bytes.
#[derive(Debug, Default)]
pub struct Volumes;

/// Numbers of 32 bits.
#[derive(Debug, Default)]
pub struct Integers;

/// Texts, each by where it stands here.
#[derive(Debug, Default)]
pub struct Texts(Vec<Box<str>>);

impl Parse for Prices {
    type Value = Price;

    #[inline]
    fn parse(&mut self, rest: &mut &[u8]) -> Option<Price> {
        let [sign, nanos @ ..]: [u8; PRICE] = take(rest)?;
        let nanos = i64::from_be_bytes(nanos);
        // What does not fit into 64 bits is no price.
        (i64::from(sign.cast_signed()) == nanos >> 63).then(|| Price::from_nanos(nanos)).flatten()
    }
}

impl Parse for Volumes {
    type Value = Volume;

    #[inline]
    fn parse(&mut self, rest: &mut &[u8]) -> Option<Volume> {
        let bytes: [u8; VOLUME] = take(rest)?;
        let [a, b, c, d, low @ ..] = bytes;
        if [a, b, c, d] == [0; 4] {
            // A division of 128 bits takes as long as all the rest.
            let nanos = u64::from_be_bytes(low);
            return Volume::from_parts(
                i64::try_from(nanos / ONE).ok()?,
                u32::try_from(nanos % ONE).ok()?,
            );
        }
        let mut wide = [if a < 0x80 { 0 } else { 0xff }; 16];
        wide[16 - VOLUME..].copy_from_slice(&bytes);
        Volume::from_nanos(i128::from_be_bytes(wide))
    }
}

impl Parse for Integers {
    type Value = i32;

    #[inline]
    fn parse(&mut self, rest: &mut &[u8]) -> Option<i32> {
        take(rest).map(i32::from_le_bytes)
    }
}

impl Parse for Texts {
    type Value = usize;

    fn parse(&mut self, rest: &mut &[u8]) -> Option<usize> {
        let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
        let (text, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        let text = str::from_utf8(text).ok()?;
        // Without a dictionary each row has its text.
        if self.0.last().is_none_or(|last| **last != *text) {
            self.0.push(text.into());
        }
        Some(self.0.len() - 1)
    }
}

impl Texts {
    /// The text of a value.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&str> {
        self.0.get(number).map(|text| &**text)
    }
}

/// The first bytes, which are taken off.
#[inline]
pub fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// Error of a page that is not as this program writes it.
pub fn error(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}
