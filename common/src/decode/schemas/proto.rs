//! Protobuf's wire format, read by the messages that a schema describes.
//!
//! Own code for the same reason as Avro's. Tests hold it against the `prost-reflect` crate, which
//! reads the schema.
//!
//! A field that the schema does not have is passed over, as Protobuf asks of its readers: a
//! producer may know a newer message. All else must be as the schema says.

mod google;
mod parse;
mod schema;
mod wire;

use super::json;
use crate::decode::json::MAX_VALUE_BYTES;
use schema::{Field, Kind, Shape, Type, TypeId};
use wire::{
    Entries, ProtoError, Reader, another_type, bytes_of, int32, last, low, text_of, zigzag,
};

#[cfg(test)]
pub use parse::compiled;
pub use parse::parse;
pub use schema::Schema;
pub use wire::Slot;

/// Messages inside one another, as in Protobuf's own readers.
const MAX_DEPTH: u32 = 100;

impl Schema {
    /// Writes the message that `body` holds as JSON: the way to its type, and then itself.
    /// `takes_all`: what no rule looks for as well.
    pub fn write(
        &self,
        body: &[u8],
        out: &mut Vec<u8>,
        slots: &mut Vec<Slot>,
        takes_all: bool,
    ) -> Result<(), ProtoError> {
        slots.clear();
        let mut reader = Reader(body);
        let id = self.type_of(&mut reader)?;
        Writer { schema: self, out, slots, takes_all }.message(id, reader.0, 0)
    }

    fn type_of(&self, reader: &mut Reader<'_>) -> Result<TypeId, ProtoError> {
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
    /// The slots of the messages that are being written, the innermost last.
    slots: &'o mut Vec<Slot>,
    takes_all: bool,
}

impl Writer<'_, '_> {
    fn message(&mut self, id: TypeId, body: &[u8], depth: u32) -> Result<(), ProtoError> {
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

    fn fields(&mut self, fields: &[Field], body: &[u8], depth: u32) -> Result<(), ProtoError> {
        let base = self.slots.len();
        self.slots.resize(base + fields.len(), Slot::Absent);
        let read = self.read(fields, body, base);
        let written = read.and_then(|()| self.write_fields(fields, body, base, depth));
        self.slots.truncate(base);
        written
    }

    /// Notes what is there of each field.
    fn read(&mut self, fields: &[Field], body: &[u8], base: usize) -> Result<(), ProtoError> {
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
    ) -> Result<(), ProtoError> {
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
    ) -> Result<(), ProtoError> {
        let Slot::Parts { start: first } = slot else {
            return self.value(field.kind, slot, body, depth);
        };
        let mut whole = Vec::new();
        let mut entries = Entries::new(body);
        while let Some((number, slot)) = entries.next()? {
            // Fields before the first were taken back by another field of the `oneof`.
            let is_part = matches!(slot, Slot::Bytes { start, .. } if start >= first);
            if number == field.number && is_part {
                whole.extend_from_slice(bytes_of(slot, body));
            }
        }
        let all = Slot::Bytes { start: 0, end: whole.len() };
        self.value(field.kind, all, &whole, depth)
    }

    fn repeated(&mut self, field: &Field, body: &[u8], depth: u32) -> Result<(), ProtoError> {
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
    ) -> Result<(), ProtoError> {
        if self.out.len() > begin {
            self.out.push(b',');
        }
        self.value(kind, slot, body, depth)?;
        match self.out.len() < MAX_VALUE_BYTES {
            true => Ok(()),
            false => Err(too_long()),
        }
    }

    /// Writes a map, whose entries are messages of a key and a value.
    fn map(&mut self, field: &Field, body: &[u8], depth: u32) -> Result<(), ProtoError> {
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
    fn value(&mut self, kind: Kind, slot: Slot, body: &[u8], depth: u32) -> Result<(), ProtoError> {
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

#[cold]
fn too_long() -> ProtoError {
    format!("as text it has {MAX_VALUE_BYTES} bytes and more")
}
