//! [`LineLayout`]: how a line of an object is laid out, for who reads lines like it elsewhere.

use super::ScanOptions;
use super::envelope::Envelope;
use common::decode::{Decoder, Layout, Part, RecordContext};
use serde_json::value::RawValue;
use std::sync::Arc;

/// How a line is laid out that holds one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineLayout {
    pub layout: Layout,
    /// The tick is a value among other parts of its record.
    pub is_wrapped: bool,
}

impl LineLayout {
    /// That of `line`; `None` where it is no tick, or may be read in two ways.
    #[must_use]
    pub fn of(line: &[u8], options: &ScanOptions) -> Option<Self> {
        let mut decoder = Decoder::new(Arc::clone(&options.rules), options.stored_at);
        decoder.refuse_rest(true);
        let mut envelope = Envelope::new(options.csv.as_ref(), options.origin.partition);
        let content = envelope.open(line);
        match (decoder.layout(line), content) {
            (Some(layout), None) => Some(Self { layout, is_wrapped: false }),
            (None, Some(content))
                if decoder.decode_strictly(line, &RecordContext::NOTHING).is_err() =>
            {
                decoder.refuse_rest(false);
                let inner = decoder.layout(content.value)?;
                Some(Self { layout: wrapped(line, content.value, inner)?, is_wrapped: true })
            }
            _ => None,
        }
    }

    /// Whether each such line tells its offset.
    #[must_use]
    pub fn has_offset(&self) -> bool {
        self.layout.steps.iter().any(|(_, part)| *part == Part::Offset)
    }
}

/// The layout of a line in which the value has the layout `inner`.
fn wrapped(line: &[u8], value: &[u8], inner: Layout) -> Option<Layout> {
    let line = str::from_utf8(line).ok()?;
    let members = read_members(line)?;
    let (mut steps, mut literal) = (Vec::new(), String::new());
    let mut at = 0;
    let mut inner = Some(inner);
    for (name, raw) in &members {
        let begin = (raw.get().as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
        literal.push_str(line.get(at..begin)?);
        at = begin + raw.get().len();
        if *name == "value" {
            // What is in quotes is another text than the value.
            let inner = inner.take().filter(|_| raw.get().as_bytes() == value)?;
            for (fixed, part) in inner.steps {
                // What the value says of its place is not what the sink says.
                let part = if matches!(part, Part::Partition | Part::Offset) {
                    Part::OtherNumber
                } else {
                    part
                };
                steps.push((std::mem::take(&mut literal) + &fixed, part));
            }
            literal.push_str(&inner.tail);
            continue;
        }
        let (quote, part) = outer_part(name, raw.get())?;
        literal.push_str(quote);
        let Some(part) = part else {
            continue;
        };
        steps.push((std::mem::replace(&mut literal, quote_behind(raw.get())), part));
    }
    literal.push_str(line.get(at..)?);
    let has_offset = steps.iter().any(|(_, part)| *part == Part::Offset);
    (inner.is_none() && has_offset).then_some(Layout { steps, tail: literal })
}

/// What of a part other than the value stays, and what varies. `None` where it is none of a sink's.
fn outer_part<'r>(name: &str, raw: &'r str) -> Option<(&'r str, Option<Part>)> {
    let is_number = raw.starts_with(|first: char| first.is_ascii_digit());
    match (name, raw) {
        ("key" | "timestamp", "null") => Some((raw, None)),
        ("key" | "timestamp", _) if raw.starts_with('"') => {
            Some((&raw[..1], Some(Part::OtherText)))
        }
        ("timestamp", _) if is_number => Some(("", Some(Part::OtherNumber))),
        ("offset", _) if is_number => Some(("", Some(Part::Offset))),
        ("partition", _) if is_number => Some(("", Some(Part::Partition))),
        _ => None,
    }
}

fn quote_behind(raw: &str) -> String {
    if raw.starts_with('"') { "\"".to_owned() } else { String::new() }
}

/// The members of an object, each once.
fn read_members(line: &str) -> Option<Vec<(String, &RawValue)>> {
    let members = serde_json::from_str::<Members<'_>>(line).ok()?.0;
    let is_once = |(at, (name, _)): (usize, &(String, &RawValue))| {
        members[..at].iter().all(|(other, _)| other != name)
    };
    members.iter().enumerate().all(is_once).then_some(members)
}

/// In their order, which a map of serde_json's would not keep.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
