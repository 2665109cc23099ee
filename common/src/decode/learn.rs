//! From a value that the strict path has accepted to its [`Shape`].
//!
//! Speed is no concern here: it runs for new layouts, and for values that no known one is read
//! from. Whatever is unusual (a name twice, or with escapes) has no shape, and stays with the
//! strict path.

use super::mapping::Field;
use super::rules::Rules;
use super::shape::{Part, Shape, Step};
use super::sources::{SymbolFrom, TimestampFrom};
use super::text::Literal;
use super::value_fields::ValueFields;
use super::values::{correction_of, is_number, parse_number, plain_text, unwrapped};
use crate::timestamp::EpochUnit;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// The layout of `value`; `None` where it is unusual.
pub(super) fn shape(value: &[u8], rules: &Rules) -> Option<Shape> {
    let text = str::from_utf8(value).ok()?;
    let chosen = Chosen::of(text, rules)?;
    let mut parts = Vec::new();
    chosen.cut_object(text, rules, &mut parts)?;
    let (steps, tail) = cut(text, &parts)?;
    let found = steps
        .iter()
        .filter(|step| !matches!(step.part, Part::OtherNumber | Part::OtherText))
        .count();
    (found == chosen.values.len()).then(|| Shape::new(steps, tail))
}

const EXTRAS: [(Field, Part); 4] = [
    (Field::Bid, Part::Bid),
    (Field::Ask, Part::Ask),
    (Field::Conditions, Part::Conditions),
    (Field::Sequence, Part::Sequence),
];

/// The values of an object that a tick is read from.
struct Chosen<'a> {
    /// The values that vary, each with its part of the tick.
    values: Vec<(Part, &'a RawValue)>,
    /// The values that tell the kind, which do not vary.
    kinds: Vec<&'a RawValue>,
}

impl<'a> Chosen<'a> {
    fn of(text: &'a str, rules: &Rules) -> Option<Self> {
        let found = ValueFields::of(text, rules).ok()?;
        let get = |field| found.fields.get(field).ok().flatten();
        let mut chosen = Vec::new();
        match rules.symbol_from {
            SymbolFrom::Value => chosen.push((Part::Symbol, get(Field::Symbol)?)),
            // Where it has none, neither has the like of it: the key is looked at.
            SymbolFrom::ValueOrKey => {
                let symbol = found.fields.get(Field::Symbol).ok()?;
                chosen.extend(symbol.map(|raw| (Part::Symbol, raw)));
            }
            SymbolFrom::Key | SymbolFrom::Topic => {}
        }
        match rules.timestamp_from {
            // It is made of two values.
            TimestampFrom::Value if !rules.mapping.paths(Field::TimeOfDay).is_empty() => {
                return None;
            }
            TimestampFrom::Value => {
                let raw = unwrapped(get(Field::Timestamp)?);
                chosen.push((timestamp_part(raw, rules), raw));
            }
            TimestampFrom::Record => {
                chosen.extend(found.record_time.map(|raw| (Part::Epoch(EpochUnit::Ms), raw)))
            }
        }
        let prices = found.fields.prices(&rules.mapping).ok()?;
        match std::ptr::eq(prices.open, prices.close) {
            true => chosen.push((Part::Price, prices.open)),
            false => chosen.extend([(Part::Open, prices.open), (Part::Close, prices.close)]),
        }
        chosen.extend(prices.high.map(|raw| (Part::High, raw)));
        chosen.extend(prices.low.map(|raw| (Part::Low, raw)));
        chosen.extend(found.fields.get(Field::Volume).ok()?.map(|raw| (Part::Volume, raw)));
        for (field, part) in EXTRAS {
            chosen.extend(found.fields.extra(field, &prices).ok()?.map(|raw| (part, raw)));
        }
        if found.provenance().is_some() {
            chosen.extend([(Part::Partition, found.partition?), (Part::Offset, found.offset?)]);
        }
        let kinds = rules.conditions.iter().map(|condition| condition.find(found.object).ok());
        let mut kinds: Vec<&RawValue> =
            kinds.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
        // That it corrects nothing is compared as it is; what corrects something is rare, and for
        // the strict path.
        let correction = found.fields.extra(Field::Correction, &prices).ok()?;
        if correction.is_some_and(|raw| correction_of(raw) != Ok(None)) {
            return None;
        }
        kinds.extend(correction);
        // A symbol that says the kind, say, is both: what varies cannot be fixed.
        let is_both = kinds.iter().any(|kind| chosen.iter().any(|(_, raw)| is_within(raw, kind)));
        (!is_both).then_some(Self { values: chosen, kinds })
    }

    fn is_kind(&self, raw: &RawValue) -> bool {
        self.kinds.iter().any(|kind| std::ptr::eq(*kind, raw))
    }

    /// Notes the varying values of an object, in their order. `None` where it is unusual.
    fn cut_object(
        &self,
        text: &'a str,
        rules: &Rules,
        parts: &mut Vec<(Part, &'a RawValue)>,
    ) -> Option<()> {
        for (name, raw) in read_members(text)? {
            let own = self.values.iter().find(|(_, chosen)| std::ptr::eq(*chosen, raw));
            if let Some((part, _)) = own {
                is_readable(*part, raw).then(|| parts.push((*part, raw)))?;
            } else if self.is_kind(raw) {
                // Kinds do not vary: they are a part of the fixed text.
                continue;
            } else if self.values.iter().any(|(_, chosen)| is_within(chosen, raw)) {
                self.cut_object(raw.get(), rules, parts)?;
            } else if name == rules.names.partition
                || name == rules.names.offset
                || name == rules.names.record_time
            {
                // Values that the fast path does not read there must not be taken for absent.
                return None;
            } else {
                // Anything else is compared as it is: a null may mean an absent value.
                parts.extend(other(raw).map(|part| (part, raw)));
            }
        }
        Some(())
    }
}

fn is_within(inner: &RawValue, outer: &RawValue) -> bool {
    let range = |raw: &RawValue| raw.get().as_bytes().as_ptr_range();
    let (inner, outer) = (range(inner), range(outer));
    outer.start <= inner.start && inner.end <= outer.end
}

fn timestamp_part(raw: &RawValue, rules: &Rules) -> Part {
    match plain_text(raw).is_some_and(|text| !is_number(text)) {
        true => Part::TimestampText,
        false => Part::Epoch(rules.times.unit),
    }
}

/// Whether the value is of the kind that the fast path reads for the part: text for a symbol, a
/// number or its text for the others; a number alone for the archive's own members.
fn is_readable(part: Part, raw: &RawValue) -> bool {
    match part {
        Part::Symbol | Part::TimestampText => is_text(raw),
        Part::Partition | Part::Offset => is_plain_number(raw),
        Part::Price | Part::Open | Part::High | Part::Low | Part::Close | Part::Bid | Part::Ask => {
            is_json_number(raw) || is_text(raw)
        }
        Part::Conditions => is_plain_number(raw) || raw.get().starts_with(['"', '[']),
        _ => is_plain_number(raw) || is_text(raw),
    }
}

fn is_plain_number(raw: &RawValue) -> bool {
    raw.get().starts_with(|first: char| first.is_ascii_digit())
}

/// With a sign or without.
fn is_json_number(raw: &RawValue) -> bool {
    parse_number(raw).is_some()
}

fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

fn other(raw: &RawValue) -> Option<Part> {
    match raw.get() {
        _ if is_json_number(raw) => Some(Part::OtherNumber),
        text if is_text(raw) && !text.contains('\\') => Some(Part::OtherText),
        _ => None,
    }
}

/// Cuts the varying parts out of `text`. All `parts` are slices of it, in order. The literal is
/// what follows the last.
fn cut(text: &str, parts: &[(Part, &RawValue)]) -> Option<(Vec<Step>, Literal)> {
    let mut steps = Vec::new();
    let mut at = 0;
    for (part, raw) in parts.iter().map(|(part, raw)| (*part, raw.get())) {
        // Conditions may be a text in one message, and an array in the next.
        let quote = usize::from(raw.starts_with('"') && part != Part::Conditions);
        let begin = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let literal = text.as_bytes().get(at..begin + quote)?;
        steps.push(Step { literal: Literal::new(literal), part });
        at = begin + raw.len() - quote;
    }
    Some((steps, Literal::new(text.as_bytes().get(at..)?)))
}

/// The members of an object; `None` where a name is there twice or has escapes.
fn read_members(text: &str) -> Option<Vec<(&str, &RawValue)>> {
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
