//! [`Packed`]: numbers of few bits, as a Parquet page has levels and numbers of a dictionary.

use super::parse::{error, take};
use bytes::Bytes;
use parquet::errors::Result;

/// Runs of one number, and packs of eight numbers.
pub struct Packed {
    bytes: Bytes,
    /// Bits of a number.
    width: usize,
    /// Where the next run begins.
    at: usize,
    /// Numbers of this run that are not read yet.
    left: usize,
    run: Run,
}

enum Run {
    Same(u32),
    /// From this bit on.
    Bits(usize),
}

impl Packed {
    /// `width`: bits of a number.
    ///
    /// # Errors
    /// Where no number has as many; below, where the bytes end too early or are no runs.
    pub fn new(bytes: Bytes, width: usize) -> Result<Self> {
        match width {
            0..=32 => Ok(Self { bytes, width, at: 0, left: 0, run: Run::Same(0) }),
            _ => Err(error("numbers of more than 32 bits")),
        }
    }

    /// Reads the next numbers, in the place of what `out` had.
    pub fn read(&mut self, count: usize, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        while out.len() < count {
            if self.left == 0 {
                self.next_run()?;
            }
            let some = (count - out.len()).min(self.left);
            match &mut self.run {
                Run::Same(number) => out.extend(std::iter::repeat_n(*number, some)),
                Run::Bits(bit) => {
                    let (bytes, width, first) = (&*self.bytes, self.width, *bit);
                    out.extend(
                        (0..some).map(|number| unpacked(bytes, first + number * width, width)),
                    );
                    *bit += some * width;
                }
            }
            self.left -= some;
        }
        Ok(())
    }

    /// A header tells which kind of run follows, and how long it is.
    fn next_run(&mut self) -> Result<()> {
        let header = self.header().ok_or_else(is_cut)?;
        let (count, is_packed) = (usize::try_from(header >> 1)?, header & 1 == 1);
        let length =
            if is_packed { count.saturating_mul(self.width) } else { self.width.div_ceil(8) };
        let end = self.at.saturating_add(length);
        let bytes = self.bytes.get(self.at..end).filter(|_| count > 0).ok_or_else(is_cut)?;
        if is_packed {
            (self.left, self.run) = (count.saturating_mul(8), Run::Bits(self.at * 8));
        } else {
            let mut number = [0; 4];
            number[..length].copy_from_slice(bytes);
            let number = u32::from_le_bytes(number);
            if u64::from(number) >> self.width > 0 {
                return Err(error("a number has more bits than its page says"));
            }
            (self.left, self.run) = (count, Run::Same(number));
        }
        self.at = end;
        Ok(())
    }

    /// Seven bits a byte, the lowest first.
    fn header(&mut self) -> Option<u64> {
        let mut header = 0;
        for shift in (0..64).step_by(7) {
            let mut rest = self.bytes.get(self.at..)?;
            let [byte] = take(&mut rest)?;
            self.at += 1;
            header |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(header);
            }
        }
        None
    }
}

fn is_cut() -> parquet::errors::ParquetError {
    error("a page is cut")
}

/// The number of `width` bits that begins at a bit.
#[inline]
fn unpacked(bytes: &[u8], bit: usize, width: usize) -> u32 {
    let rest = bytes.get(bit / 8..).unwrap_or_default();
    let word = rest
        .first_chunk()
        .map_or_else(|| read_partial_word(rest), |word| u64::from_le_bytes(*word));
    ((word >> (bit % 8)) & ((1 << width) - 1)) as u32
}

/// Fewer than eight bytes, padded with zeros.
#[cold]
fn read_partial_word(rest: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of `width` bits.
    #[derive(Debug, Clone)]
    enum Part {
        Same(u32, usize),
        Packs(Vec<[u32; 8]>),
    }

    fn parts(width: usize) -> impl Strategy<Value = (usize, Vec<Part>)> {
        let number = move || (0..1_u64 << width).prop_map(|number| number as u32);
        let packs = proptest::collection::vec(proptest::array::uniform8(number()), 1..5);
        let part = prop_oneof![
            (number(), 1..300_usize).prop_map(|(number, count)| Part::Same(number, count)),
            packs.prop_map(Part::Packs),
        ];
        (Just(width), proptest::collection::vec(part, 0..6))
    }

    fn header(out: &mut Vec<u8>, mut header: usize) {
        while header >= 0x80 {
            out.push(header as u8 | 0x80);
            header >>= 7;
        }
        out.push(header as u8);
    }

    /// The bytes of some parts, and the numbers in them, as the format's description has them.
    fn encoded(width: usize, parts: &[Part]) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Same(number, count) => {
                    header(&mut bytes, count << 1);
                    bytes.extend(&number.to_le_bytes()[..width.div_ceil(8)]);
                    numbers.extend(std::iter::repeat_n(*number, *count));
                }
                Part::Packs(packs) => {
                    header(&mut bytes, packs.len() << 1 | 1);
                    for pack in packs {
                        let bits: Vec<bool> = pack
                            .iter()
                            .flat_map(|number| (0..width).map(move |bit| number >> bit & 1 == 1))
                            .collect();
                        let byte =
                            |bits: &[bool]| (0..8).map(|at| u8::from(bits[at]) << at).sum::<u8>();
                        bytes.extend(bits.chunks(8).map(byte));
                        numbers.extend(pack);
                    }
                }
            }
        }
        (bytes, numbers)
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_packed_some_at_a_time(
            (width, parts) in (0..=32_usize).prop_flat_map(parts),
            some in 1..40_usize,
        ) {
            let (bytes, numbers) = encoded(width, &parts);
            let mut packed = Packed::new(bytes.into(), width).unwrap();
            let mut read = Vec::new();
            for expected in numbers.chunks(some) {
                packed.read(expected.len(), &mut read).unwrap();
                prop_assert_eq!(&read, expected);
            }
            prop_assert!(packed.read(1, &mut read).is_err());
        }

        #[test]
        fn whatever_bytes_there_are_make_numbers_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            width in 0..40_usize,
        ) {
            let mut read = Vec::new();
            let packed = Packed::new(bytes.into(), width);
            prop_assert_eq!(packed.is_ok(), width <= 32);
            if let Ok(mut packed) = packed && packed.read(1000, &mut read).is_ok() {
                prop_assert!(read.iter().all(|number| u64::from(*number) < 1 << width));
            }
        }
    }
}
