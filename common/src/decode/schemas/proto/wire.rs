//! Protobuf's wire format: the fields of a message in the order of its bytes.

/// The highest number that a field may have.
const MAX_NUMBER: u64 = (1 << 29) - 1;
/// Where the tenth byte of a number begins: one of its bits is left.
const LAST_SHIFT: u32 = 63;

/// Why bytes are no message of a schema.
pub type ProtoError = String;

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Varint,
    Fixed64,
    Fixed32,
}

/// The value that was last read for a field.
#[derive(Debug, Clone, Copy, Default)]
pub enum Slot {
    #[default]
    Absent,
    Bits(u64, Wire),
    Bytes {
        start: usize,
        end: usize,
    },
    /// A message that came in several parts; where the first of them begins.
    Parts {
        start: usize,
    },
}

impl Slot {
    pub fn wire(self) -> Option<Wire> {
        if let Self::Bits(_, wire) = self { Some(wire) } else { None }
    }
}

/// The bytes of a field; none where it is absent.
pub fn bytes_of(slot: Slot, body: &[u8]) -> &[u8] {
    match slot {
        Slot::Bytes { start, end } => &body[start..end],
        Slot::Absent | Slot::Bits(..) | Slot::Parts { .. } => &[],
    }
}

/// The bytes of a field as text.
///
/// # Errors
/// If the bytes are no UTF-8.
pub fn text_of(slot: Slot, body: &[u8]) -> Result<&[u8], ProtoError> {
    let text = bytes_of(slot, body);
    match str::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(_) => Err("a string that is no UTF-8".to_owned()),
    }
}

/// A field of another type than the schema's.
#[cold]
pub fn another_type(number: u32, slot: Slot) -> ProtoError {
    let how = match slot.wire() {
        Some(Wire::Varint) => "as a varint",
        Some(Wire::Fixed64) => "in 8 bytes",
        Some(Wire::Fixed32) => "in 4 bytes",
        None => "with a length",
    };
    format!("field {number} is written {how}, as its type is not")
}

/// The last that is there of the field with this number.
///
/// # Errors
/// If the bytes are no valid Protobuf.
pub fn last(body: &[u8], wanted: u32, wire: Option<Wire>) -> Result<Option<Slot>, ProtoError> {
    let (mut entries, mut found) = (Entries::new(body), None);
    while let Some((number, slot)) = entries.next()? {
        if number == wanted {
            if slot.wire() != wire {
                return Err(another_type(number, slot));
            }
            found = Some(slot);
        }
    }
    Ok(found)
}

/// The field that has this number and is an int64.
///
/// # Errors
/// If the bytes are no valid Protobuf.
pub fn int64(body: &[u8], number: u32) -> Result<i64, ProtoError> {
    let slot = last(body, number, Some(Wire::Varint))?;
    Ok(if let Some(Slot::Bits(bits, _)) = slot { bits.cast_signed() } else { 0 })
}

/// The field that has this number and is an int32.
///
/// # Errors
/// If the bytes are no valid Protobuf.
pub fn int32(body: &[u8], number: u32) -> Result<i64, ProtoError> {
    Ok(low(int64(body, number)?.cast_unsigned()).into())
}

/// A number of 32 bits of which more are written.
pub fn low(bits: u64) -> i32 {
    (bits as u32).cast_signed()
}

pub fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

/// The fields of a message in the order of its bytes.
pub struct Entries<'b> {
    whole: usize,
    reader: Reader<'b>,
}

impl<'b> Entries<'b> {
    pub fn new(body: &'b [u8]) -> Self {
        Self { whole: body.len(), reader: Reader(body) }
    }

    fn at(&self) -> usize {
        self.whole - self.reader.0.len()
    }

    /// The next field's number and place. Groups, which nobody writes any more, are passed over.
    ///
    /// # Errors
    /// If the bytes are no valid Protobuf.
    pub fn next(&mut self) -> Result<Option<(u32, Slot)>, ProtoError> {
        let mut groups = Vec::new();
        while !self.reader.0.is_empty() {
            let key = self.reader.varint()?;
            let number = number_of(key)?;
            let slot = match key & 7 {
                0 => self.reader.number(Wire::Varint)?,
                1 => self.reader.number(Wire::Fixed64)?,
                5 => self.reader.number(Wire::Fixed32)?,
                2 => {
                    let length = usize::try_from(self.reader.varint()?)
                        .map_err(|_| "a length beyond all messages")?;
                    let start = self.at();
                    self.reader.take(length)?;
                    Slot::Bytes { start, end: start + length }
                }
                3 => {
                    groups.push(number);
                    continue;
                }
                4 => {
                    groups
                        .pop_if(|open| *open == number)
                        .ok_or("the end of a group that did not begin")?;
                    continue;
                }
                other => return Err(format!("there is no wire type {other}")),
            };
            if groups.is_empty() {
                return Ok(Some((number, slot)));
            }
        }
        if groups.is_empty() { Ok(None) } else { Err("it ends in a group".to_owned()) }
    }
}

#[inline]
fn number_of(key: u64) -> Result<u32, ProtoError> {
    match key >> 3 {
        0 => Err("a field without a number".to_owned()),
        number @ 1..=MAX_NUMBER => Ok(number as u32),
        number => Err(format!("the number {number}, which no field has")),
    }
}

pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// Reads a varint.
    ///
    /// # Errors
    /// If the bytes end within the number, or it has more than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut number = 0_u64;
        for (shift, (at, byte)) in (0..70).step_by(7).zip(self.0.iter().enumerate()) {
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if shift == LAST_SHIFT && *byte > 1 {
                    return Err("a number beyond 64 bits".to_owned());
                }
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < 10 { ends() } else { "a number of more than ten bytes".to_owned() })
    }

    /// Reads a number of the given wire type.
    ///
    /// # Errors
    /// If the bytes end within the number, or it has more than 64 bits.
    pub fn number(&mut self, wire: Wire) -> Result<Slot, ProtoError> {
        let bits = match wire {
            Wire::Varint => self.varint()?,
            Wire::Fixed64 => u64::from_le_bytes(self.array()?),
            Wire::Fixed32 => u32::from_le_bytes(self.array()?).into(),
        };
        Ok(Slot::Bits(bits, wire))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtoError> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(ends)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ProtoError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(ends)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn ends() -> ProtoError {
    "it ends in the midst of a value".to_owned()
}
