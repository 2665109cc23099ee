//! From a value that the strict path has accepted to its [`Shape`].
//!
//! Speed is no concern here: it runs once for each new layout. Whatever is unusual (a name twice, or with escapes) has
//! no shape, and stays with the strict path.

use super::ProvenanceNames;
use super::shape::{Part, Shape, Step};
use super::text::Literal;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// The layout of `value`; `None` where it is unusual.
pub(super) fn shape(value: &[u8], names: &ProvenanceNames) -> Option<Shape> {
    let text = str::from_utf8(value).ok()?;
    let outer = members(text)?;
    let has = |name: &str| outer.iter().any(|(known, _)| *known == name);
    if outer.iter().any(|member| is_odd_provenance(member, names)) {
        return None;
    }
    let mut parts = Vec::new();
    if has("schema") && has("payload") {
        for (name, raw) in &outer {
            match *name {
                "schema" => {}
                "payload" => {
                    let inner = members(raw.get())?;
                    if inner.iter().any(|member| is_odd_provenance(member, names)) {
                        return None;
                    }
                    parts.extend(inner.iter().map(|(name, raw)| (part(name, raw, names), *raw)));
                }
                // Beside the payload only the provenance counts: a `close` there is not the tick's.
                name => parts.push((beside_payload(name, raw, names), *raw)),
            }
        }
    } else {
        parts.extend(outer.iter().map(|(name, raw)| (part(name, raw, names), *raw)));
    }
    let (steps, tail) = cut(text, &parts)?;
    let parts: Vec<Part> = steps.iter().map(|step| step.part).collect();
    is_usual(&parts).then(|| Shape::new(steps, tail))
}

/// Provenance in a form that the fast path does not read must not be taken for none.
fn is_odd_provenance((name, raw): &(&str, &RawValue), names: &ProvenanceNames) -> bool {
    (*name == names.partition || *name == names.offset) && !is_number(raw)
}

fn is_number(raw: &RawValue) -> bool {
    raw.get().starts_with(|first: char| first.is_ascii_digit())
}

fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

/// Every part of a tick once, and the provenance whole and once or not at all.
fn is_usual(parts: &[Part]) -> bool {
    let count = |wanted: &[Part]| parts.iter().filter(|part| wanted.contains(part)).count();
    let required = [&[Part::Symbol][..], &[Part::Open], &[Part::Close], &[Part::Volume]];
    required.iter().all(|part| count(part) == 1)
        && count(&[Part::TimestampText, Part::TimestampMillis]) == 1
        && count(&[Part::High]) <= 1
        && count(&[Part::Low]) <= 1
        && matches!((count(&[Part::Partition]), count(&[Part::Offset])), (0, 0) | (1, 1))
}

/// What varies in the value of a member; `None` where it is compared as it is.
fn part(name: &str, raw: &RawValue, names: &ProvenanceNames) -> Option<Part> {
    match name {
        "symbol" if is_text(raw) => Some(Part::Symbol),
        "timestamp" if is_text(raw) => Some(Part::TimestampText),
        "timestamp" if is_number(raw) => Some(Part::TimestampMillis),
        "open" if is_number(raw) => Some(Part::Open),
        "high" if is_number(raw) => Some(Part::High),
        "low" if is_number(raw) => Some(Part::Low),
        "close" if is_number(raw) => Some(Part::Close),
        "volume" if is_number(raw) => Some(Part::Volume),
        name => beside_payload(name, raw, names),
    }
}

fn beside_payload(name: &str, raw: &RawValue, names: &ProvenanceNames) -> Option<Part> {
    match name {
        name if name == names.partition && is_number(raw) => Some(Part::Partition),
        name if name == names.offset && is_number(raw) => Some(Part::Offset),
        // Compared as they are: a null may stand for an absent value.
        "payload" | "schema" => None,
        _ if is_number(raw) => Some(Part::OtherNumber),
        _ if is_text(raw) && !raw.get().contains('\\') => Some(Part::OtherText),
        _ => None,
    }
}

/// Cuts the varying parts out of `text`. All `parts` are slices of it, in order. The literal is what follows the last.
fn cut(text: &str, parts: &[(Option<Part>, &RawValue)]) -> Option<(Vec<Step>, Literal)> {
    let mut steps = Vec::new();
    let mut at = 0;
    for (part, raw) in parts.iter().filter_map(|(part, raw)| part.map(|part| (part, raw.get()))) {
        let quote = usize::from(raw.starts_with('"'));
        let begin = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let literal = text.as_bytes().get(at..begin + quote)?;
        steps.push(Step { literal: Literal::new(literal), part });
        at = begin + raw.len() - quote;
    }
    Some((steps, Literal::new(text.as_bytes().get(at..)?)))
}

/// The members of an object; `None` where a name is there twice or has escapes.
fn members(text: &str) -> Option<Vec<(&str, &RawValue)>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members).ok()?;
    let mut names = HashSet::new();
    members.iter().all(|(name, _)| names.insert(*name)).then_some(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose names have no escapes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
