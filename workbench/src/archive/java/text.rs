//! What Java takes for text.

/// A Java string: UTF-16 units, so that a lone surrogate (`"\ud83d"`) survives as it does in
/// Connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<u16>);

impl Text {
    pub fn push(&mut self, unit: u16) {
        self.0.push(unit);
    }

    pub fn push_str(&mut self, text: &str) {
        self.0.extend(text.encode_utf16());
    }

    /// `String.hashCode`.
    pub fn hash_code(&self) -> i32 {
        self.0.iter().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(*unit)))
    }

    /// As Jackson writes a string to a UTF-8 stream: surrogates, paired or not, as escapes; `/` and
    /// U+007F as they are.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for &unit in &self.0 {
            match unit {
                0x22 => out.extend_from_slice(b"\\\""),
                0x5C => out.extend_from_slice(b"\\\\"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x09 => out.extend_from_slice(b"\\t"),
                0x0A => out.extend_from_slice(b"\\n"),
                0x0C => out.extend_from_slice(b"\\f"),
                0x0D => out.extend_from_slice(b"\\r"),
                _ => write_unit(unit, out),
            }
        }
        out.push(b'"');
    }
}

fn write_unit(unit: u16, out: &mut Vec<u8>) {
    match char::from_u32(u32::from(unit)) {
        Some(character) if character >= ' ' => {
            let mut utf8 = [0; 3];
            out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
        _ => out.extend_from_slice(format!("\\u{unit:04X}").as_bytes()),
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}
