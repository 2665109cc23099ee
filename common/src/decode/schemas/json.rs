//! Values as JSON text.

use std::io::Write;

/// Number of digits after the point that a price or volume may have.
const SCALE: u32 = 9;
/// The widest scale of a decimal that is read; JDBC sources have 127 for Oracle's numbers.
pub const MAX_SCALE: u32 = 1000;
/// Bytes of the longest decimal that is read: more digits than such a scale. Longer ones would take
/// long.
const MAX_DECIMAL_BYTES: usize = 512;

pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest decimal that is this float and no other. Anything that is no number becomes a text,
/// which is none either.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    match value.is_finite() {
        true => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
        false => write_text(out, value.to_string().as_bytes()),
    }
}

/// Like [`write_double`]: 201.1 is written so, and not as the double next to it.
pub fn write_float(out: &mut Vec<u8>, value: f32) {
    match value.is_finite() {
        true => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
        false => write_text(out, value.to_string().as_bytes()),
    }
}

/// A text in quotes. It may be no UTF-8, which the decoder will say.
#[inline]
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        text.iter().for_each(|byte| write_escaped(out, *byte));
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0..0x20 => write_code(out, byte),
        byte => out.push(byte),
    }
}

fn write_code(out: &mut Vec<u8>, byte: u8) {
    // Nothing fails that is written into memory, in this file.
    let _ = write!(out, "\\u{byte:04x}");
}

/// Bytes as Avro's own JSON has them: a character for each.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b' '..=b'~' => write_escaped(out, *byte),
            byte => write_code(out, *byte),
        }
    }
    out.push(b'"');
}

pub fn write_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for (at, byte) in bytes.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(out, "{dash}{byte:02x}");
    }
    out.push(b'"');
}

/// The number of a two's complement, the highest byte first, times 10^-`scale`.
pub fn write_decimal(out: &mut Vec<u8>, bytes: &[u8], scale: u32) {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let fill = if is_negative { 0xff } else { 0 };
    let shortest = &bytes[bytes.iter().take_while(|byte| **byte == fill).count()..];
    if shortest.len() > MAX_DECIMAL_BYTES {
        // No reader takes it, and each shows it.
        return write_text(out, format!("a decimal of {} bytes", shortest.len()).as_bytes());
    }
    if is_negative {
        out.push(b'-');
    }
    if shortest.len() >= size_of::<u128>() {
        return write_digits(out, &long_magnitude(shortest, is_negative), scale);
    }
    let mut word = [fill; size_of::<i128>()];
    word[size_of::<i128>() - shortest.len()..].copy_from_slice(shortest);
    let (mut magnitude, mut scale) = (i128::from_be_bytes(word).unsigned_abs(), scale);
    // Nobody needs zeros that a wide scale brings with it.
    while scale > SCALE && magnitude.is_multiple_of(10) {
        (magnitude, scale) = (magnitude / 10, scale - 1);
    }
    match u64::try_from(magnitude) {
        Ok(short) => write_digits(out, itoa::Buffer::new().format(short).as_bytes(), scale),
        Err(_) => write_digits(out, itoa::Buffer::new().format(magnitude).as_bytes(), scale),
    }
}

/// The digits of a number that is longer than any machine's.
fn long_magnitude(bytes: &[u8], is_negative: bool) -> Vec<u8> {
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(if is_negative { !byte } else { *byte });
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    if is_negative {
        // The complement is one less than the magnitude.
        let nines = digits.iter().take_while(|digit| **digit == 9).count();
        digits[..nines].fill(0);
        match digits.get_mut(nines) {
            Some(digit) => *digit += 1,
            None => digits.push(1),
        }
    }
    digits.iter().rev().map(|digit| digit + b'0').collect()
}

fn write_digits(out: &mut Vec<u8>, digits: &[u8], scale: u32) {
    let scale = scale as usize;
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    match digits.len().checked_sub(scale) {
        Some(0) | None => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
        Some(whole) => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// `number` * 10^`zeros` as bytes.
    fn long_of(number: u32, zeros: u32) -> Vec<u8> {
        let mut bytes = vec![0; 60];
        let mut times = |factor: u32, more: u32| {
            bytes.iter_mut().rev().fold(more, |carry, byte: &mut u8| {
                let product = u32::from(*byte) * factor + carry;
                *byte = product as u8;
                product >> 8
            });
        };
        times(1, number);
        (0..zeros).for_each(|_| times(10, 0));
        bytes
    }

    #[test]
    fn a_float_is_written_as_its_shortest_decimal() {
        assert_eq!(text(|out| write_double(out, 201.5)), "201.5");
        assert_eq!(text(|out| write_double(out, 0.1)), "0.1");
        assert_eq!(text(|out| write_float(out, 150.72)), "150.72");
        assert_eq!(text(|out| write_double(out, f64::NAN)), "\"NaN\"");
        assert_eq!(text(|out| write_double(out, f64::NEG_INFINITY)), "\"-inf\"");
    }

    #[test]
    fn a_decimal_is_exact_however_long_it_is() {
        let decimal =
            |unscaled: i128, scale| text(|out| write_decimal(out, &unscaled.to_be_bytes(), scale));
        assert_eq!(decimal(20_150, 2), "201.50");
        assert_eq!(decimal(-3763, 2), "-37.63");
        assert_eq!(decimal(5, 3), "0.005");
        assert_eq!(decimal(0, 0), "0");
        assert_eq!(decimal(0, 2), "0.00");
        assert_eq!(decimal(201_500_000_000_000_000_000, 18), "201.500000000");
        assert_eq!(decimal(1, 18), "0.000000000000000001");
        assert_eq!(decimal(i128::MIN, 0), i128::MIN.to_string());
        assert_eq!(text(|out| write_decimal(out, &[], 2)), "0.00");
        // 201.5 as a source writes it that gives Oracle's numbers a scale of 127.
        let wide = long_of(2015, 126);
        assert_eq!(text(|out| write_decimal(out, &wide, 127)), format!("201.5{}", "0".repeat(126)));
        assert_eq!(
            text(|out| write_decimal(out, &[0x7f; 1_000_000], 2)),
            "\"a decimal of 1000000 bytes\""
        );
        // 2^128 and its negative.
        let mut long = vec![1];
        long.extend([0; 16]);
        assert_eq!(
            text(|out| write_decimal(out, &long, 0)),
            "340282366920938463463374607431768211456"
        );
        long[0] = 0xff;
        assert_eq!(
            text(|out| write_decimal(out, &long, 2)),
            "-3402823669209384634633746074317682114.56"
        );
    }

    #[test]
    fn bytes_and_identifiers_become_texts() {
        assert_eq!(text(|out| write_bytes(out, b"A\"\xff")), "\"A\\\"\\u00ff\"");
        let uuid = text(|out| write_uuid(out, &[0x12; 16]));
        assert_eq!(uuid, "\"12121212-1212-1212-1212-121212121212\"");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_json(value: String) {
            let json = text(|out| write_text(out, value.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        }

        #[test]
        fn any_decimal_is_the_number_that_was_meant(unscaled: i128, more in 0_usize..20, scale in 0_u32..40) {
            let fill = if unscaled < 0 { 0xff } else { 0 };
            let bytes = [&vec![fill; more][..], &unscaled.to_be_bytes()].concat();
            let written = text(|out| write_decimal(out, &bytes, scale));
            let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
            let digits = format!("{whole}{fraction}{}", "0".repeat(scale as usize - fraction.len()));
            let digits = if digits.starts_with('-') { digits.replacen("-0", "-", 1) } else { digits };
            prop_assert_eq!(digits.parse::<i128>().unwrap(), unscaled);
        }

        #[test]
        fn a_long_decimal_is_the_one_that_a_short_one_is(unscaled: i128) {
            let fill = if unscaled < 0 { 0xff } else { 0 };
            let bytes = [&[fill][..], &unscaled.to_be_bytes()].concat();
            let digits = long_magnitude(&bytes, unscaled < 0);
            let digits = String::from_utf8(digits).unwrap();
            let expected = unscaled.unsigned_abs().to_string();
            prop_assert_eq!(digits.trim_start_matches('0'), expected.trim_start_matches('0'));
        }
    }
}
