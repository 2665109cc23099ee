//! Avro's binary encoding, read by the schema that it was written with.
//!
//! Own code, because it runs for every message: what no rule looks for is passed over, and the rest
//! goes straight into the text. Both must follow the schema, or the value is none of it. Tests hold
//! it against what another library has written.

mod nodes;
mod parse;

use super::json;
use super::times::{self, TimeKind};
use super::unread::SchemaReadError;
use crate::decode::json::MAX_VALUE_BYTES;
use crate::reject::Reason;
use nodes::{MAX_DEPTH, Member, Node, NodeId};

pub use nodes::Schema;
pub use parse::parse;

/// Records, items and unions in one value: those of no length would have no end.
const MAX_ITEMS: u64 = 1_000_000;

/// Where the tenth byte of a number begins: one of its bits is left.
const LAST_SHIFT: u32 = 63;

/// Why bytes are no value of a schema.
type AvroError = String;

impl Schema {
    /// Writes the value that `body` is as JSON; `takes_all`: what no rule looks for as well.
    ///
    /// # Errors
    /// If the bytes are no value of the schema.
    pub fn write(
        &self,
        body: &[u8],
        out: &mut Vec<u8>,
        takes_all: bool,
    ) -> Result<(), SchemaReadError> {
        let (whole, beyond) = (body.len(), None);
        let mut reader = Reader { schema: self, whole, rest: body, items: 0, takes_all, beyond };
        let written = reader.write(self.root, out, 0).and_then(|()| reader.end());
        written.map_err(|why| {
            let at = body.len() - reader.rest.len();
            let reason = reader.beyond.unwrap_or(Reason::NotOfSchema);
            SchemaReadError { reason, why: format!("{why}, at byte {at} of {}", body.len()) }
        })
    }
}

struct Reader<'s, 'b> {
    schema: &'s Schema,
    whole: usize,
    rest: &'b [u8],
    items: u64,
    takes_all: bool,
    /// Which limit of messages the value is beyond, so that it is broken off.
    beyond: Option<Reason>,
}

impl<'b> Reader<'_, 'b> {
    fn write(&mut self, id: NodeId, out: &mut Vec<u8>, depth: usize) -> Result<(), AvroError> {
        let schema = self.schema;
        match &schema.nodes[id] {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Boolean => {
                out.extend_from_slice(if self.boolean()? { b"true" } else { b"false" })
            }
            Node::Int => json::write_integer(out, self.int()?),
            Node::Long => json::write_integer(out, self.long()?),
            Node::Float => json::write_float(out, f32::from_le_bytes(self.array()?)),
            Node::Double => json::write_double(out, f64::from_le_bytes(self.array()?)),
            Node::Bytes => json::write_bytes(out, self.sized()?),
            Node::Text => json::write_text(out, self.text()?),
            Node::Fixed(size) => json::write_bytes(out, self.take(*size)?),
            Node::Decimal { size, scale } => {
                let bytes = match size {
                    Some(size) => self.take(*size)?,
                    None => self.sized()?,
                };
                json::write_decimal(out, bytes, *scale);
            }
            Node::Uuid => json::write_uuid(out, &self.array::<16>()?),
            Node::Time(kind) => times::write(out, *kind, self.time(*kind)?),
            Node::Enum(symbols) => {
                out.extend_from_slice(self.choose(symbols, "symbol of an enum")?)
            }
            Node::Union(branches) => {
                self.count(1)?;
                let branch = *self.choose(branches, "branch of a union")?;
                self.write(branch, out, depth)?;
            }
            Node::Record(members) => self.write_record(members, out, depth)?,
            Node::Array(of) => self.write_items(*of, false, out, depth)?,
            Node::Map(of) => self.write_items(*of, true, out, depth)?,
        }
        Ok(())
    }

    fn write_record(
        &mut self,
        members: &[Member],
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), AvroError> {
        let (depth, begin) = (self.enter(depth)?, out.len());
        for member in members {
            if member.is_wanted || self.takes_all {
                out.extend_from_slice(&member.literal);
                self.write(member.node, out, depth)?;
            } else {
                self.skip(member.node, depth)?;
            }
        }
        match out.get_mut(begin) {
            // The comma in front of the first member.
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
        self.within_limit(out)
    }

    fn write_items(
        &mut self,
        of: NodeId,
        has_names: bool,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), AvroError> {
        let depth = self.enter(depth)?;
        let (open, close) = if has_names { (b'{', b'}') } else { (b'[', b']') };
        out.push(open);
        let mut is_first = true;
        self.each_item(|reader| {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            if has_names {
                json::write_text(out, reader.text()?);
                out.push(b':');
            }
            reader.write(of, out, depth)?;
            reader.within_limit(out)
        })?;
        out.push(close);
        Ok(())
    }

    /// The items of an array or a map: blocks, each with its count in front, up to an empty one.
    fn each_item(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        loop {
            let (count, bytes) = self.block()?;
            let before = self.rest.len();
            (0..count).try_for_each(|_| item(self))?;
            let has = before - self.rest.len();
            if let Some(bytes) = bytes.filter(|bytes| *bytes != has) {
                return Err(format!("a block of {bytes} bytes has {has}"));
            }
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// Like [`Reader::write`], but without the text.
    fn skip(&mut self, id: NodeId, depth: usize) -> Result<(), AvroError> {
        let schema = self.schema;
        match &schema.nodes[id] {
            Node::Null => {}
            Node::Boolean => self.boolean().map(drop)?,
            Node::Int => self.int().map(drop)?,
            Node::Long => self.long().map(drop)?,
            Node::Time(kind) => self.time(*kind).map(drop)?,
            Node::Enum(symbols) => self.choose(symbols, "symbol of an enum").map(drop)?,
            Node::Float => self.take(4).map(drop)?,
            Node::Double => self.take(8).map(drop)?,
            Node::Uuid => self.take(16).map(drop)?,
            Node::Text => self.text().map(drop)?,
            Node::Bytes | Node::Decimal { size: None, .. } => self.sized().map(drop)?,
            Node::Fixed(size) | Node::Decimal { size: Some(size), .. } => {
                self.take(*size).map(drop)?
            }
            Node::Union(branches) => {
                self.count(1)?;
                let branch = *self.choose(branches, "branch of a union")?;
                self.skip(branch, depth)?;
            }
            Node::Record(members) => {
                let depth = self.enter(depth)?;
                members.iter().try_for_each(|member| self.skip(member.node, depth))?;
            }
            Node::Array(of) => self.skip_items(*of, false, depth)?,
            Node::Map(of) => self.skip_items(*of, true, depth)?,
        }
        Ok(())
    }

    fn skip_items(&mut self, of: NodeId, has_names: bool, depth: usize) -> Result<(), AvroError> {
        let depth = self.enter(depth)?;
        self.each_item(|reader| {
            if has_names {
                reader.text()?;
            }
            reader.skip(of, depth)
        })
    }

    /// Goes into what holds others; gives the depth in there.
    fn enter(&mut self, depth: usize) -> Result<usize, AvroError> {
        self.count(1)?;
        match depth < MAX_DEPTH {
            true => Ok(depth + 1),
            false => Err(self.beyond(Reason::NotJson, format!("nested deeper than {MAX_DEPTH}"))),
        }
    }

    /// A value of few bytes may have a long text.
    fn within_limit(&mut self, text: &[u8]) -> Result<(), AvroError> {
        match text.len() < MAX_VALUE_BYTES {
            true => Ok(()),
            false => {
                let why = format!("as text it has {MAX_VALUE_BYTES} bytes and more");
                Err(self.beyond(Reason::TooLarge, why))
            }
        }
    }

    #[cold]
    fn beyond(&mut self, limit: Reason, why: AvroError) -> AvroError {
        self.beyond = Some(limit);
        why
    }

    fn count(&mut self, items: u64) -> Result<(), AvroError> {
        self.items = self.items.saturating_add(items);
        match self.items <= MAX_ITEMS {
            true => Ok(()),
            false => Err(format!("more than {MAX_ITEMS} items")),
        }
    }

    /// The number of items that follow, and their length in bytes, where that is given.
    fn block(&mut self) -> Result<(u64, Option<usize>), AvroError> {
        let count = self.long()?;
        let bytes = if count < 0 { Some(self.length()?) } else { None };
        let count = count.unsigned_abs();
        self.count(count)?;
        Ok((count, bytes))
    }

    fn choose<'c, T>(&mut self, choices: &'c [T], what: &str) -> Result<&'c T, AvroError> {
        let number = self.long()?;
        let choice = usize::try_from(number).ok().and_then(|number| choices.get(number));
        choice.ok_or_else(|| format!("there is no {what} {number}"))
    }

    /// Nothing may be left over.
    fn end(&self) -> Result<(), AvroError> {
        match self.rest.len() {
            0 => Ok(()),
            1 => Err("1 byte is left over after the value".to_owned()),
            left => Err(format!("{left} bytes are left over after the value")),
        }
    }

    fn boolean(&mut self) -> Result<bool, AvroError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("a boolean of {other}, which is neither 0 nor 1")),
        }
    }

    fn int(&mut self) -> Result<i64, AvroError> {
        let number = self.long()?;
        match i32::try_from(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(format!("an int of {number}, which has more than 32 bits")),
        }
    }

    fn time(&mut self, kind: TimeKind) -> Result<i64, AvroError> {
        if kind.is_int() { self.int() } else { self.long() }
    }

    fn text(&mut self) -> Result<&'b [u8], AvroError> {
        let text = self.sized()?;
        match str::from_utf8(text) {
            Ok(_) => Ok(text),
            Err(_) => Err("a string that is no UTF-8".to_owned()),
        }
    }

    fn sized(&mut self) -> Result<&'b [u8], AvroError> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, AvroError> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| format!("a length of {length}"))
    }

    /// A number in zigzag, seven bits a byte, the lowest first.
    #[inline]
    fn long(&mut self) -> Result<i64, AvroError> {
        let mut number = 0_u64;
        for (shift, (at, byte)) in (0..70).step_by(7).zip(self.rest.iter().enumerate()) {
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if shift == LAST_SHIFT && *byte > 1 {
                    return Err("a number beyond 64 bits".to_owned());
                }
                self.rest = &self.rest[at + 1..];
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(if self.rest.len() < 10 {
            self.ends()
        } else {
            "a number of more than ten bytes".to_owned()
        })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], AvroError> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(self.ends()),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'b [u8], AvroError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.ends()),
        }
    }

    #[cold]
    fn ends(&self) -> AvroError {
        format!("it ends after {} bytes, in the midst of a value", self.whole)
    }
}
