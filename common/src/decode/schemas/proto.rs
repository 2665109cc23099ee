//! Protobuf's wire format, read by the messages that a schema describes.
//!
//! Own code for the same reason as Avro's. Tests hold it against the `prost-reflect` crate, which
//! reads the schema.
//!
//! A field that the schema does not have is passed over, as Protobuf asks of its readers: a
//! producer may know a newer message. All else must be as the schema says.

mod google;
mod parse;

use super::json;
use crate::decode::MAX_VALUE_BYTES;
#[cfg(test)]
pub use parse::compiled;
pub use parse::parse;
use rustc_hash::FxHashMap;

/// Messages inside one another, as in Protobuf's own readers.
const MAX_DEPTH: u32 = 100;
/// The highest number that a field may have.
const MAX_NUMBER: u64 = (1 << 29) - 1;
/// Where the tenth byte of a number begins: one of its bits is left.
const LAST_SHIFT: u32 = 63;

type TypeId = usize;

/// A schema, ready to be read by.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    enums: Vec<FxHashMap<i32, Box<[u8]>>>,
    /// The messages of the file, which values name by their place.
    tops: Vec<Top>,
}

#[derive(Debug)]
struct Top {
    id: TypeId,
    nested: Vec<Top>,
}

/// A message's type.
#[derive(Debug)]
enum Type {
    Message(Vec<Field>),
    /// One of `google.protobuf`'s wrappers: its only field is what it means.
    Wrapper(Kind),
    /// `confluent.type.Decimal`
    Decimal,
    Google(google::Known),
}

#[derive(Debug)]
struct Field {
    number: u32,
    /// `"name":`
    literal: Box<[u8]>,
    /// Whether a rule looks for it; it is passed over otherwise.
    is_wanted: bool,
    kind: Kind,
    shape: Shape,
    /// The `oneof` that it stands in with others: of these the last that was written counts.
    oneof: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Where it is absent it is its kind's zero.
    Plain,
    /// It may be absent.
    Optional,
    Repeated,
    /// Its kind is that of entries.
    Map,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Double,
    Float,
    /// A number of 32 bits may be written with more. The lower 32 count then, as in Protobuf's own
    /// readers.
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
    Enum(usize),
    Message(TypeId),
}

/// Why bytes are no message of a schema.
type Broken = String;

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Varint,
    Fixed64,
    Fixed32,
}

/// What was last read of a field.
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

impl Schema {
    /// Writes the message that `body` holds as JSON: the way to its type, and then itself.
    /// `takes_all`: what no rule looks for as well.
    pub fn write(
        &self,
        body: &[u8],
        out: &mut Vec<u8>,
        slots: &mut Vec<Slot>,
        takes_all: bool,
    ) -> Result<(), Broken> {
        slots.clear();
        let mut reader = Reader(body);
        let id = self.type_of(&mut reader)?;
        Writer { schema: self, out, slots, takes_all }.message(id, reader.0, 0)
    }

    fn type_of(&self, reader: &mut Reader<'_>) -> Result<TypeId, Broken> {
        let none = || "its message's type is none of its schema".to_owned();
        let count = zigzag(reader.varint()?);
        if count == 0 {
            // The first message of the file is written in short.
            return self.tops.first().map(|top| top.id).ok_or_else(none);
        }
        let (mut all, mut found) = (&self.tops, None);
        for _ in 0..u8::try_from(count).map_err(|_| none())? {
            let index = usize::try_from(zigzag(reader.varint()?));
            let top = index.ok().and_then(|index| all.get(index)).ok_or_else(none)?;
            (all, found) = (&top.nested, Some(top.id));
        }
        found.ok_or_else(none)
    }
}

struct Writer<'s, 'o> {
    schema: &'s Schema,
    out: &'o mut Vec<u8>,
    /// Those of the messages that are being written, the innermost last.
    slots: &'o mut Vec<Slot>,
    takes_all: bool,
}

impl Writer<'_, '_> {
    fn message(&mut self, id: TypeId, body: &[u8], depth: u32) -> Result<(), Broken> {
        if depth >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        if self.out.len() >= MAX_VALUE_BYTES {
            return Err(too_long());
        }
        let schema = self.schema;
        match &schema.types[id] {
            Type::Message(fields) => self.fields(fields, body, depth),
            Type::Google(known) => known.write(body, self.out),
            Type::Wrapper(kind) => {
                let value = last(body, 1, kind.wire())?.unwrap_or_default();
                self.value(*kind, value, body, depth)
            }
            Type::Decimal => {
                let unscaled = last(body, 1, None)?.unwrap_or_default();
                let scale = int32(body, 3)?;
                let is_one = |scale: &u32| *scale <= json::MAX_SCALE;
                let scale =
                    u32::try_from(scale).ok().filter(is_one).ok_or("a decimal's scale is none")?;
                json::write_decimal(self.out, bytes_of(unscaled, body), scale);
                Ok(())
            }
        }
    }

    fn fields(&mut self, fields: &[Field], body: &[u8], depth: u32) -> Result<(), Broken> {
        let base = self.slots.len();
        self.slots.resize(base + fields.len(), Slot::Absent);
        let read = self.read(fields, body, base);
        let written = read.and_then(|()| self.write_fields(fields, body, base, depth));
        self.slots.truncate(base);
        written
    }

    /// Notes what is there of each field.
    fn read(&mut self, fields: &[Field], body: &[u8], base: usize) -> Result<(), Broken> {
        let mut entries = Entries::new(body);
        while let Some((number, slot)) = entries.next()? {
            // Producers write fields in their order, and they are few.
            let Some(at) = fields.iter().position(|field| field.number == number) else {
                continue;
            };
            if !fields[at].takes(slot) {
                return Err(another_type(number, slot));
            }
            if !self.writes(&fields[at]) {
                fields[at].check(slot, body)?;
            }
            if fields[at].oneof.is_some() {
                self.forget_rivals(fields, at, base);
            }
            let known = &mut self.slots[base + at];
            *known = match (&fields[at], *known) {
                (
                    Field { kind: Kind::Message(_), shape: Shape::Optional, .. },
                    Slot::Bytes { start, .. } | Slot::Parts { start },
                ) => Slot::Parts { start },
                _ => slot,
            };
        }
        Ok(())
    }

    fn writes(&self, field: &Field) -> bool {
        field.is_wanted || self.takes_all
    }

    fn forget_rivals(&mut self, fields: &[Field], at: usize, base: usize) {
        for (other, slot) in fields.iter().zip(&mut self.slots[base..]) {
            if other.oneof == fields[at].oneof && other.number != fields[at].number {
                *slot = Slot::Absent;
            }
        }
    }

    fn write_fields(
        &mut self,
        fields: &[Field],
        body: &[u8],
        base: usize,
        depth: u32,
    ) -> Result<(), Broken> {
        self.out.push(b'{');
        let mut is_first = true;
        for (at, field) in fields.iter().enumerate() {
            let slot = self.slots[base + at];
            let is_there = field.shape != Shape::Optional || !matches!(slot, Slot::Absent);
            if !is_there || !self.writes(field) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.literal);
            match field.shape {
                Shape::Plain | Shape::Optional => self.singular(field, slot, body, depth)?,
                Shape::Repeated => self.repeated(field, body, depth)?,
                Shape::Map => self.map(field, body, depth)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn singular(
        &mut self,
        field: &Field,
        slot: Slot,
        body: &[u8],
        depth: u32,
    ) -> Result<(), Broken> {
        let Slot::Parts { start: first } = slot else {
            return self.value(field.kind, slot, body, depth);
        };
        let mut whole = Vec::new();
        let mut entries = Entries::new(body);
        while let Some((number, slot)) = entries.next()? {
            // Those in front of the first were taken back by another field of the `oneof`.
            let is_part = matches!(slot, Slot::Bytes { start, .. } if start >= first);
            if number == field.number && is_part {
                whole.extend_from_slice(bytes_of(slot, body));
            }
        }
        let all = Slot::Bytes { start: 0, end: whole.len() };
        self.value(field.kind, all, &whole, depth)
    }

    fn repeated(&mut self, field: &Field, body: &[u8], depth: u32) -> Result<(), Broken> {
        self.out.push(b'[');
        let begin = self.out.len();
        let mut entries = Entries::new(body);
        while let Some((number, slot)) = entries.next()? {
            match (slot, field.kind.wire()) {
                _ if number != field.number => {}
                (Slot::Bytes { start, end }, Some(wire)) => {
                    let mut packed = Reader(&body[start..end]);
                    while !packed.0.is_empty() {
                        let slot = packed.number(wire)?;
                        self.item(field.kind, slot, body, begin, depth)?;
                    }
                }
                _ => self.item(field.kind, slot, body, begin, depth)?,
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn item(
        &mut self,
        kind: Kind,
        slot: Slot,
        body: &[u8],
        begin: usize,
        depth: u32,
    ) -> Result<(), Broken> {
        if self.out.len() > begin {
            self.out.push(b',');
        }
        self.value(kind, slot, body, depth)?;
        match self.out.len() < MAX_VALUE_BYTES {
            true => Ok(()),
            false => Err(too_long()),
        }
    }

    /// Its entries are messages of a key and a value.
    fn map(&mut self, field: &Field, body: &[u8], depth: u32) -> Result<(), Broken> {
        let schema = self.schema;
        let members = match field.kind {
            Kind::Message(id) => match &schema.types[id] {
                Type::Message(members) => members.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        self.out.push(b'{');
        let begin = self.out.len();
        let mut entries = Entries::new(body);
        while let Some((number, slot)) = entries.next()? {
            if number != field.number {
                continue;
            }
            let entry = bytes_of(slot, body);
            if self.out.len() > begin {
                self.out.push(b',');
            }
            for (member, end) in members.iter().zip([b":".as_slice(), b""]) {
                let value = last(entry, member.number, member.kind.wire())?.unwrap_or_default();
                let start = self.out.len();
                self.value(member.kind, value, entry, depth + 1)?;
                if !end.is_empty() && self.out[start] != b'"' {
                    self.out.insert(start, b'"');
                    self.out.push(b'"');
                }
                self.out.extend_from_slice(end);
            }
            if self.out.len() >= MAX_VALUE_BYTES {
                return Err(too_long());
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// An absent one is its kind's zero.
    fn value(&mut self, kind: Kind, slot: Slot, body: &[u8], depth: u32) -> Result<(), Broken> {
        let bits = if let Slot::Bits(bits, _) = slot { bits } else { 0 };
        match kind {
            Kind::Double => json::write_double(self.out, f64::from_bits(bits)),
            Kind::Float => json::write_float(self.out, f32::from_bits(bits as u32)),
            Kind::Int32 | Kind::Sfixed32 => json::write_integer(self.out, low(bits).into()),
            Kind::Int64 | Kind::Sfixed64 => json::write_integer(self.out, bits.cast_signed()),
            Kind::Uint32 | Kind::Fixed32 => json::write_unsigned(self.out, (bits as u32).into()),
            Kind::Uint64 | Kind::Fixed64 => json::write_unsigned(self.out, bits),
            Kind::Sint32 => json::write_integer(self.out, zigzag((bits as u32).into())),
            Kind::Sint64 => json::write_integer(self.out, zigzag(bits)),
            Kind::Bool => self.out.extend_from_slice(if bits == 0 { b"false" } else { b"true" }),
            Kind::Text => json::write_text(self.out, text_of(slot, body)?),
            Kind::Bytes => json::write_bytes(self.out, bytes_of(slot, body)),
            Kind::Enum(id) => {
                let number = low(bits);
                match self.schema.enums[id].get(&number) {
                    Some(name) => self.out.extend_from_slice(name),
                    None => json::write_integer(self.out, number.into()),
                }
            }
            Kind::Message(id) => return self.message(id, bytes_of(slot, body), depth + 1),
        }
        Ok(())
    }
}

impl Field {
    /// Whether this may be of the field.
    fn takes(&self, slot: Slot) -> bool {
        let is_packed = self.shape == Shape::Repeated && matches!(slot, Slot::Bytes { .. });
        is_packed || slot.wire() == self.kind.wire()
    }

    /// What is passed over must be of its type all the same.
    fn check(&self, slot: Slot, body: &[u8]) -> Result<(), Broken> {
        match (self.kind.wire(), slot) {
            (Some(wire), Slot::Bytes { start, end }) => {
                let mut packed = Reader(&body[start..end]);
                while !packed.0.is_empty() {
                    packed.number(wire)?;
                }
            }
            (None, _) if matches!(self.kind, Kind::Text) => drop(text_of(slot, body)?),
            _ => {}
        }
        Ok(())
    }
}

impl Kind {
    /// `None` for what stands behind its length.
    fn wire(self) -> Option<Wire> {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Some(Wire::Fixed64),
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Some(Wire::Fixed32),
            Self::Int32 | Self::Uint32 | Self::Sint32 | Self::Bool | Self::Enum(_) => {
                Some(Wire::Varint)
            }
            Self::Int64 | Self::Uint64 | Self::Sint64 => Some(Wire::Varint),
            Self::Text | Self::Bytes | Self::Message(_) => None,
        }
    }
}

impl Slot {
    fn wire(self) -> Option<Wire> {
        if let Self::Bits(_, wire) = self { Some(wire) } else { None }
    }
}

/// The bytes of a field; none where it is absent.
fn bytes_of(slot: Slot, body: &[u8]) -> &[u8] {
    match slot {
        Slot::Bytes { start, end } => &body[start..end],
        Slot::Absent | Slot::Bits(..) | Slot::Parts { .. } => &[],
    }
}

fn text_of(slot: Slot, body: &[u8]) -> Result<&[u8], Broken> {
    let text = bytes_of(slot, body);
    match str::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(_) => Err("a string that is no UTF-8".to_owned()),
    }
}

/// A field of another type than the schema's.
#[cold]
fn another_type(number: u32, slot: Slot) -> Broken {
    let how = match slot.wire() {
        Some(Wire::Varint) => "as a varint",
        Some(Wire::Fixed64) => "in 8 bytes",
        Some(Wire::Fixed32) => "in 4 bytes",
        None => "with a length",
    };
    format!("field {number} is written {how}, as its type is not")
}

/// The last that is there of the field with this number.
fn last(body: &[u8], wanted: u32, wire: Option<Wire>) -> Result<Option<Slot>, Broken> {
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
fn int64(body: &[u8], number: u32) -> Result<i64, Broken> {
    let slot = last(body, number, Some(Wire::Varint))?;
    Ok(if let Some(Slot::Bits(bits, _)) = slot { bits.cast_signed() } else { 0 })
}

/// The field that has this number and is an int32.
fn int32(body: &[u8], number: u32) -> Result<i64, Broken> {
    Ok(low(int64(body, number)?.cast_unsigned()).into())
}

/// What a number of 32 bits is of which more are written.
fn low(bits: u64) -> i32 {
    (bits as u32).cast_signed()
}

fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

/// The fields of a message as they stand in its bytes.
struct Entries<'b> {
    whole: usize,
    reader: Reader<'b>,
}

impl<'b> Entries<'b> {
    fn new(body: &'b [u8]) -> Self {
        Self { whole: body.len(), reader: Reader(body) }
    }

    fn at(&self) -> usize {
        self.whole - self.reader.0.len()
    }

    /// The next field's number and place. Groups, which nobody writes any more, are passed over.
    fn next(&mut self) -> Result<Option<(u32, Slot)>, Broken> {
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
fn number_of(key: u64) -> Result<u32, Broken> {
    match key >> 3 {
        0 => Err("a field without a number".to_owned()),
        number @ 1..=MAX_NUMBER => Ok(number as u32),
        number => Err(format!("the number {number}, which no field has")),
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
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

    fn number(&mut self, wire: Wire) -> Result<Slot, Broken> {
        let bits = match wire {
            Wire::Varint => self.varint()?,
            Wire::Fixed64 => u64::from_le_bytes(self.array()?),
            Wire::Fixed32 => u32::from_le_bytes(self.array()?).into(),
        };
        Ok(Slot::Bits(bits, wire))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(ends)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(ends)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cold]
fn too_long() -> Broken {
    format!("as text it has {MAX_VALUE_BYTES} bytes and more")
}

fn ends() -> Broken {
    "it ends in the midst of a value".to_owned()
}
