//! [`Elements`]: where a message that holds several ticks has them.

use super::fields::Fields;
use super::json::not_json;
use super::mapping::{Condition, Field, Path};
use super::members::any_member;
use super::record::Provenance;
use super::rules::{PAYLOAD, Rules};
use super::value_fields::ValueFields;
use super::values;
use crate::Timestamp;
use crate::reject::{Reason, Reject};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A message with more elements is none: each of them may become a row, and all of a message's are
/// written at once.
pub const MAX_ELEMENTS: usize = 10_000;

/// UTC days that the ticks of one message may lie on. Each needs a partition of its table, and all
/// of a message's ticks are written in one transaction, which has no room for more locks.
pub const MAX_DAYS: usize = 256;

/// A message taken apart.
#[derive(Debug, Default)]
pub(super) struct Elements<'a> {
    /// The elements, in the message's order.
    pub all: Vec<Element<'a>>,
    around: Vec<Around<'a>>,
    pub provenance: Option<Provenance>,
    /// The record's own time, as the archive has it next to them.
    pub time: Option<Timestamp>,
}

/// An element that may be a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub raw: &'a RawValue,
    /// The object that contains it.
    around: Option<usize>,
}

/// An object that the way to the elements leads through.
#[derive(Debug)]
struct Around<'a> {
    fields: Fields<'a>,
    /// The value of the object at each condition's path.
    condition_values: Vec<Option<&'a RawValue>>,
    /// The object that directly contains it.
    around: Option<usize>,
}

/// Whether the value may have to be taken apart: most have not, and are read by shorter ways.
pub(super) fn may_have_several(value: &[u8], rules: &Rules) -> bool {
    let value = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
    rules.each.is_some() || value.trim_ascii_start().starts_with(b"[")
}

impl<'a> Around<'a> {
    fn new(
        object: &'a str,
        fields: Fields<'a>,
        around: Option<usize>,
        rules: &Rules,
    ) -> Result<Self, Reject> {
        let find = |condition: &Condition| condition.find(object);
        let condition_values = rules.conditions.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { fields, condition_values, around })
    }
}

/// The first step to a message's elements.
struct Way<'a, 'n> {
    /// The object that it is a member of.
    object: &'a str,
    inner: &'a RawValue,
    /// The names after the first.
    rest: &'n [Box<str>],
}

impl<'a, 'n> Way<'a, 'n> {
    /// Out of what counts of a message; or out of the whole of it, where that looks like an
    /// envelope and `--each` begins with its payload. `None` where it leads nowhere.
    fn of(
        text: &'a str,
        found: &ValueFields<'a>,
        names: &'n [Box<str>],
    ) -> Result<Option<Self>, Reject> {
        let Some((first, rest)) = names.split_first() else {
            return Ok(None);
        };
        let object = found.object;
        if let Some(inner) = member(object, first)? {
            return Ok(Some(Self { object, inner, rest }));
        }
        if &**first != PAYLOAD || std::ptr::eq(object, text) {
            return Ok(None);
        }
        let inner = member(text, first)?;
        Ok(inner.map(|inner| Self { object: text, inner, rest }))
    }
}

impl<'a> Elements<'a> {
    /// The elements of a message; `None` where the message is itself what may be a tick.
    ///
    /// # Errors
    /// If the message is no array of elements where the rules say so.
    pub fn of(text: &'a str, rules: &Rules) -> Result<Option<Self>, Reject> {
        let names = rules.each.as_ref().map(Path::names).unwrap_or_default();
        let mut elements = Self::default();
        if text.trim_ascii_start().starts_with('[') {
            let raw: &RawValue = serde_json::from_str(text).map_err(not_json)?;
            elements.add_value(raw, names, None, rules)?;
        } else {
            // It may be an array all the same, after a byte order mark, that is no JSON as it is.
            let found = ValueFields::of(text, rules)?;
            let Some(way) = Way::of(text, &found, names)? else {
                return Ok(None);
            };
            (elements.provenance, elements.time) =
                (found.provenance(), found.record_time.and_then(values::record_time));
            let fields = match std::ptr::eq(way.object, found.object) {
                true => found.fields,
                false => Fields::parse(way.object, rules)?,
            };
            elements.around.push(Around::new(way.object, fields, None, rules)?);
            elements.add_value(way.inner, way.rest, Some(0), rules)?;
        }
        match elements.all.iter().any(|element| element.raw.get().starts_with('{')) {
            true => Ok(Some(elements)),
            false => Err(Reject::new(Reason::NotObject, "the array holds no object")),
        }
    }

    fn add_value(
        &mut self,
        raw: &'a RawValue,
        names: &[Box<str>],
        around: Option<usize>,
        rules: &Rules,
    ) -> Result<(), Reject> {
        if !raw.get().starts_with('[') {
            return self.add_object(raw, names, around, rules);
        }
        // How deep arrays may lie in one another is limited for the whole message.
        let inner: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(not_json)?;
        inner.into_iter().try_for_each(|raw| self.add_value(raw, names, around, rules))
    }

    fn add_object(
        &mut self,
        raw: &'a RawValue,
        names: &[Box<str>],
        around: Option<usize>,
        rules: &Rules,
    ) -> Result<(), Reject> {
        let inner = match names.split_first() {
            Some((first, rest)) if raw.get().starts_with('{') => {
                member(raw.get(), first)?.map(|inner| (inner, rest))
            }
            _ => None,
        };
        if let Some((inner, rest)) = inner {
            let fields = Fields::parse(raw.get(), rules)?;
            self.around.push(Around::new(raw.get(), fields, around, rules)?);
            return self.add_value(inner, rest, Some(self.around.len() - 1), rules);
        }
        if self.all.len() == MAX_ELEMENTS {
            let detail = format!("the message holds more than {MAX_ELEMENTS} elements");
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        self.all.push(Element { raw, around });
        Ok(())
    }
}

/// The surroundings of an element.
#[derive(Clone, Copy)]
pub(super) struct Outside<'e, 'a>(pub Option<(&'e Elements<'a>, Element<'a>)>);

impl<'a> Outside<'_, 'a> {
    /// The outside of a message that is a tick itself.
    pub const NOTHING: Self = Self(None);

    /// A field that is not in the element, out of the nearest object around it.
    ///
    /// # Errors
    /// If two members may be the field.
    pub fn get(&self, field: Field) -> Result<Option<&'a RawValue>, Reject> {
        self.nearest_first()
            .map(|around| around.fields.get(field))
            .find_map(Result::transpose)
            .transpose()
    }

    /// The value for the condition at this index, from the nearest object that has one.
    pub fn condition_value(&self, condition: usize) -> Option<&'a RawValue> {
        self.nearest_first().find_map(|around| *around.condition_values.get(condition)?)
    }

    fn nearest_first(&self) -> impl Iterator<Item = &Around<'a>> {
        let elements = self.0.map(|(elements, _)| elements);
        let of = move |number: Option<usize>| elements?.around.get(number?);
        let first = of(self.0.and_then(|(_, element)| element.around));
        std::iter::successors(first, move |around| of(around.around))
    }

    pub fn time(&self) -> Option<Timestamp> {
        self.0.and_then(|(elements, _)| elements.time)
    }
}

/// The days that the ticks of a message have been on.
#[derive(Debug, Default)]
pub(super) struct Days {
    known: BTreeSet<i64>,
    last: Option<i64>,
}

impl Days {
    /// Whether a tick's day is one of them, or may become one.
    ///
    /// # Errors
    /// If the message has ticks of more days than a message may have.
    pub fn admit(&mut self, timestamp: Timestamp) -> Result<(), Reject> {
        let day = timestamp.floor(Timestamp::DAY).micros();
        if self.last != Some(day) && !self.known.contains(&day) {
            if self.known.len() == MAX_DAYS {
                let detail = format!(
                    "the ticks before it in its message lie on {MAX_DAYS} other days already"
                );
                return Err(Reject::new(Reason::TooLarge, detail));
            }
            self.known.insert(day);
        }
        self.last = Some(day);
        Ok(())
    }
}

/// A member of an object, if it is an array or an object.
fn member<'a>(object: &'a str, name: &str) -> Result<Option<&'a RawValue>, Reject> {
    Ok(any_member(object, name)?.filter(|raw| raw.get().starts_with(['[', '{'])))
}
