//! JSON to [`Tick`]: Kafka values and lines of the archive alike.
//!
//! The rules are in `docs/message-format.md`. They live in the strict path, which reads with
//! serde_json. A fast path runs before it, which has learned how the last values were laid out: it
//! takes a value or passes it on, and never decides differently. It does not allocate.
//!
//! A message that holds several ticks is taken apart first; each of its elements then goes the same
//! ways.

mod advice;
mod around;
mod elements;
mod fields;
mod json;
mod kinds;
mod learn;
mod mapping;
mod members;
mod minutes;
mod record;
mod rules;
mod schemas;
mod shape;
mod sources;
mod text;
mod value_fields;
mod values;

pub use elements::{MAX_DAYS, MAX_ELEMENTS};
pub use json::MAX_VALUE_BYTES;
pub use mapping::{Condition, Conditions, Field, MapEntries, Mapping, Path, Preset, usual_field};
pub use record::{DecodedTick, Element, Provenance, RecordContext};
pub use rules::{ProvenanceNames, Rules};
pub use schemas::{Reference, Schema, SchemaKind, SchemaText, Schemas, Scratch, schema_id};
pub use shape::{Layout, Part};
pub use sources::{SymbolFrom, TimestampFrom};
pub use values::is_an_id;

use crate::reject::{Reason, Reject};
use crate::tick::Prices;
use crate::{Extras, Symbol, Tick, TimeBounds, Timestamp};
use advice::advised;
use around::around;
use elements::{Days, Elements, Outside};
use fields::{Fields, RawPrices};
use record::Given;
use serde_json::value::RawValue;
use shape::Shapes;
use std::sync::Arc;
use value_fields::ValueFields;

/// A tick's timestamp may be this far ahead of the clock, for producers whose clocks are wrong.
pub const MAX_AHEAD: i64 = Timestamp::DAY;

/// 9999-12-31, the last day that a time of a message can name. Beyond it a record's own time is in
/// a wrong unit (brokers before Kafka 3.6 take any), and excuses nothing.
const LAST_DAY_OF_ALL: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

/// Decodes one value after the other.
#[derive(Debug)]
pub struct Decoder {
    rules: Arc<Rules>,
    bounds: TimeBounds,
    shapes: Shapes,
    /// For the elements of messages, by the kind that is given around them: see [`around::Around`].
    element_shapes: [Shapes; 2],
    buffers: Buffers,
    /// The schemas of a registry, where there is one.
    schemas: Option<Schemas>,
}

/// Buffers for text that differs from the value's bytes (escapes, letter case).
#[derive(Debug, Default)]
struct Buffers {
    /// A symbol that was written with escapes.
    unescaped: String,
    /// A symbol that was written in lower case.
    upper: String,
    /// Conditions that were not written plainly.
    conditions: String,
    /// The part of a value that is not JSON which Connect would read.
    reread: Vec<u8>,
    /// Whether nothing may follow a value.
    refuses_rest: bool,
}

impl Decoder {
    /// A decoder for values that were written at about `now` (a message: the clock; an archived
    /// object: the time it was stored): timestamps more than [`MAX_AHEAD`] later than that and than
    /// the record's own time are rejected.
    #[must_use]
    pub fn new(rules: impl Into<Arc<Rules>>, now: Timestamp) -> Self {
        let rules = rules.into();
        let bounds = TimeBounds { oldest: rules.times.oldest, latest: now.plus_micros(MAX_AHEAD) };
        let shapes = Shapes::new(&rules.times);
        let element_shapes = [Shapes::new(&rules.times), Shapes::new(&rules.times)];
        Self { rules, bounds, shapes, element_shapes, buffers: Buffers::default(), schemas: None }
    }

    /// Moves the clock on.
    pub fn set_now(&mut self, now: Timestamp) {
        self.bounds.latest = now.plus_micros(MAX_AHEAD);
    }

    /// Whether anything after a value makes it invalid. In a message it is ignored, as Kafka
    /// Connect does; in a line of the archive it is something else that was archived.
    pub fn refuse_rest(&mut self, refuses: bool) {
        self.buffers.refuses_rest = refuses;
    }

    /// The tick that `value` is, a bare JSON object or one in Connect's envelope of `schema` and
    /// `payload`. For messages there is [`Decoder::decode_each`]: they may hold several.
    ///
    /// # Errors
    /// If the value is no tick; with the reason. Nothing in `value` can make this panic.
    #[inline]
    pub fn decode<'a>(
        &'a mut self,
        value: &'a [u8],
        context: &RecordContext<'a>,
    ) -> Result<DecodedTick<'a>, Reject> {
        let given = self.given(context);
        match self.shapes.decode(value, &given) {
            Some(record) => Ok(record),
            None => self.decode_and_learn(value, context),
        }
    }

    /// Shows `each` the ticks that `value` holds, and the elements of it that are none.
    ///
    /// # Errors
    /// Why the whole of it is no tick, and holds none; nothing was shown then. Nothing in `value`
    /// can make this panic.
    pub fn decode_each(
        &mut self,
        value: &[u8],
        context: &RecordContext<'_>,
        each: &mut impl FnMut(Element<'_>),
    ) -> Result<(), Reject> {
        self.each_by(value, context, Self::decode, Self::decode_element, each)
    }

    /// Like [`Decoder::decode_each`], but uses the strict path alone.
    ///
    /// # Errors
    /// See [`Decoder::decode_each`].
    pub fn decode_each_strictly(
        &mut self,
        value: &[u8],
        context: &RecordContext<'_>,
        each: &mut impl FnMut(Element<'_>),
    ) -> Result<(), Reject> {
        self.each_by(value, context, Self::decode_strictly, Self::decode_element_strictly, each)
    }

    /// The tick in `value` if the fast path takes it; else [`Decoder::decode_each`] must decide.
    /// For loops where the copy of a result that may hold either a tick or a reason counts.
    #[inline]
    pub fn decode_known<'a>(
        &mut self,
        value: &'a [u8],
        context: &RecordContext<'a>,
    ) -> Option<DecodedTick<'a>> {
        let given = self.given(context);
        self.shapes.decode(value, &given)
    }

    /// Like [`Decoder::decode_known`], for the line that `lines` begin with; gives its length, too,
    /// without the newline, which must be there. For loops where looking for the newline beforehand
    /// counts.
    #[inline]
    pub fn decode_known_line<'a>(
        &mut self,
        lines: &'a [u8],
        context: &RecordContext<'a>,
    ) -> Option<(DecodedTick<'a>, usize)> {
        let given = self.given(context);
        self.shapes.decode_line(lines, &given)
    }

    /// The context of a value, as far as the fast path needs it.
    #[inline(always)]
    fn given<'a>(&self, context: &RecordContext<'a>) -> Given<'a> {
        let mut given = Given {
            symbol: None,
            key: None,
            timestamp: None,
            bounds: narrow_bounds(self.bounds, context),
            lowest: self.rules.lowest_price(),
            is_upper: self.rules.uppercase_symbols,
        };
        if !self.rules.value_is_all() {
            self.add_given(context, &mut given);
        }
        given
    }

    fn add_given<'a>(&self, context: &RecordContext<'a>, given: &mut Given<'a>) {
        given.symbol = match self.rules.symbol_from {
            SymbolFrom::Value | SymbolFrom::ValueOrKey => None,
            // The strict path unescapes quoted text, and refuses other JSON.
            SymbolFrom::Key => {
                context.key.filter(|key| !values::may_be_json(key)).and_then(of_bytes)
            }
            SymbolFrom::Topic => context.topic.and_then(Symbol::new),
        };
        if self.rules.symbol_from == SymbolFrom::ValueOrKey {
            given.key = context.key;
        }
        if self.rules.timestamp_from == TimestampFrom::Record {
            given.timestamp = context.time;
        }
    }

    fn each_by(
        &mut self,
        value: &[u8],
        context: &RecordContext<'_>,
        whole: impl for<'a> Fn(
            &'a mut Self,
            &'a [u8],
            &RecordContext<'a>,
        ) -> Result<DecodedTick<'a>, Reject>,
        part: impl for<'a> Fn(
            &'a mut Self,
            &Elements<'a>,
            elements::Element<'a>,
            &RecordContext<'a>,
        ) -> Result<DecodedTick<'a>, Reject>,
        each: &mut impl FnMut(Element<'_>),
    ) -> Result<(), Reject> {
        let rules = Arc::clone(&self.rules);
        let mut reread = Vec::new();
        let refuses_rest = self.buffers.refuses_rest;
        let elements = match elements::may_have_several(value, &rules) {
            true => read_json(value, refuses_rest, &mut reread, |text| Elements::of(text, &rules))?,
            false => None,
        };
        let Some(elements) = elements else {
            let record = whole(self, value, context)?;
            each(Element { index: 0, value, read: Ok(record), provenance: record.provenance });
            return Ok(());
        };
        let mut days = Days::default();
        for (index, element) in (0..).zip(&elements.all) {
            let read = part(self, &elements, *element, context);
            let read = read.and_then(|record| days.admit(record.tick.timestamp()).map(|()| record));
            let value = element.raw.get().as_bytes();
            each(Element { index, value, read, provenance: elements.provenance });
        }
        Ok(())
    }

    fn decode_element<'a>(
        &'a mut self,
        elements: &Elements<'a>,
        element: elements::Element<'a>,
        context: &RecordContext<'a>,
    ) -> Result<DecodedTick<'a>, Reject> {
        let value = element.raw.get().as_bytes();
        let mut given = self.given(context);
        if self.rules.timestamp_from == TimestampFrom::Record {
            given.timestamp = given.timestamp.or(elements.time);
        }
        let Self { rules, bounds, element_shapes, buffers, .. } = self;
        let strict = Strict { rules, context, bounds: *bounds };
        let outside = Outside(Some((elements, element)));
        // A symbol around the element precedes the key.
        given.key = given.key.filter(|_| matches!(outside.get(Field::Symbol), Ok(None)));
        let Some(around) = around(outside, &rules.conditions) else {
            return strict.decode_element(elements, element, buffers);
        };
        let shapes = &mut element_shapes[around as usize];
        if let Some(record) = shapes.decode(value, &given) {
            return Ok(DecodedTick { provenance: elements.provenance, ..record });
        }
        let record = strict.decode_element(elements, element, buffers)?;
        shapes.learn(|| learn::shape(value, rules));
        Ok(record)
    }

    fn decode_element_strictly<'a>(
        &'a mut self,
        elements: &Elements<'a>,
        element: elements::Element<'a>,
        context: &RecordContext<'a>,
    ) -> Result<DecodedTick<'a>, Reject> {
        let Self { rules, bounds, buffers, .. } = self;
        Strict { rules, context, bounds: *bounds }.decode_element(elements, element, buffers)
    }

    #[cold]
    fn decode_and_learn<'a>(
        &'a mut self,
        value: &'a [u8],
        context: &RecordContext<'a>,
    ) -> Result<DecodedTick<'a>, Reject> {
        let Self { rules, bounds, shapes, buffers, .. } = self;
        let record = Strict { rules, context, bounds: *bounds }.decode(value, buffers)?;
        // The like of what is to be taken apart must not be taken as a whole.
        if !is_several(value, rules) {
            shapes.learn(|| learn::shape(value, rules));
        }
        Ok(record)
    }

    /// How `value` is laid out; `None` where it is no tick, holds several, or is unusual.
    #[must_use]
    pub fn layout(&mut self, value: &[u8]) -> Option<Layout> {
        self.decode_strictly(value, &RecordContext::NOTHING).ok()?;
        let shape = learn::shape(value, &self.rules)?;
        (!is_several(value, &self.rules)).then(|| shape.layout())?
    }

    /// Like [`Decoder::decode`], but uses the strict path alone: the reference that tests hold the
    /// fast path against.
    ///
    /// # Errors
    /// See [`Decoder::decode`].
    pub fn decode_strictly<'a>(
        &'a mut self,
        value: &'a [u8],
        context: &RecordContext<'a>,
    ) -> Result<DecodedTick<'a>, Reject> {
        let Self { rules, bounds, buffers, .. } = self;
        Strict { rules, context, bounds: *bounds }.decode(value, buffers)
    }
}

/// Whether a value that may be a tick as a whole holds elements all the same.
fn is_several(value: &[u8], rules: &Rules) -> bool {
    let elements = || json::check(value).and_then(|text| Elements::of(text, rules));
    rules.each.is_some() && !matches!(elements(), Ok(None))
}

fn of_bytes(text: &[u8]) -> Option<Symbol<'_>> {
    Symbol::new(str::from_utf8(text).ok()?)
}

/// A clock that is late must not reject what Kafka itself has already taken: the later of the two
/// counts.
#[inline(always)]
fn narrow_bounds(bounds: TimeBounds, context: &RecordContext<'_>) -> TimeBounds {
    let latest = match context.time {
        Some(time) if time <= LAST_DAY_OF_ALL => bounds.latest.max(time.plus_micros(MAX_AHEAD)),
        Some(_) | None => bounds.latest,
    };
    TimeBounds { latest, ..bounds }
}

/// The strict path.
struct Strict<'r, 'a> {
    rules: &'r Rules,
    context: &'r RecordContext<'a>,
    bounds: TimeBounds,
}

impl<'a> Strict<'_, 'a> {
    fn decode(&self, value: &'a [u8], buffers: &'a mut Buffers) -> Result<DecodedTick<'a>, Reject> {
        let Buffers { unescaped, upper, conditions, reread, refuses_rest } = buffers;
        let found =
            read_json(value, *refuses_rest, reread, |text| ValueFields::of(text, self.rules))?;
        self.check_kind(&found, Outside::NOTHING)?;
        found.check_payload()?;
        let tick = self.tick(&found, Outside::NOTHING, unescaped, upper, conditions)?;
        Ok(DecodedTick { tick, provenance: found.provenance() })
    }

    /// The place of an element is that of its message.
    fn decode_element(
        &self,
        elements: &Elements<'a>,
        element: elements::Element<'a>,
        buffers: &'a mut Buffers,
    ) -> Result<DecodedTick<'a>, Reject> {
        let Buffers { unescaped, upper, conditions, .. } = buffers;
        let found = ValueFields::of(element.raw.get(), self.rules)?;
        let outside = Outside(Some((elements, element)));
        self.check_kind(&found, outside)?;
        found.check_payload()?;
        let tick = self.tick(&found, outside, unescaped, upper, conditions)?;
        Ok(DecodedTick { tick, provenance: elements.provenance })
    }

    /// A tick's kind may be given outside the element, as symbol and time may.
    fn check_kind(&self, found: &ValueFields<'a>, outside: Outside<'_, 'a>) -> Result<(), Reject> {
        self.rules.conditions.iter().enumerate().try_for_each(|(at, condition)| {
            let inside = condition.find(found.object)?;
            condition.check(inside.or_else(|| outside.condition_value(at)))
        })
    }

    /// Symbol and time may be given outside: they apply to all elements. A price outside is none of
    /// theirs.
    fn tick(
        &self,
        found: &ValueFields<'a>,
        outside: Outside<'_, 'a>,
        unescaped: &'a mut String,
        upper: &'a mut String,
        conditions: &'a mut String,
    ) -> Result<Tick<'a>, Reject> {
        let mapping = &self.rules.mapping;
        let symbol = match self.rules.symbol_from {
            SymbolFrom::Value => {
                values::symbol(self.require(Field::Symbol, found, outside)?, unescaped)?
            }
            SymbolFrom::Key => values::key_symbol(self.context.key, unescaped)?,
            SymbolFrom::ValueOrKey => match self.find(Field::Symbol, found, outside)? {
                Some(raw) => values::symbol(raw, unescaped)?,
                None => self.key_in_place(found, unescaped)?,
            },
            SymbolFrom::Topic => self.context.topic.ok_or_else(no_topic)?,
        };
        let symbol = if self.rules.uppercase_symbols {
            values::in_upper_case(symbol, upper)
        } else {
            symbol
        };
        let timestamp = self.timestamp(found, outside)?;
        let raw = found.fields.prices(mapping)?;
        let price = |raw, name| values::price(raw, name, self.rules);
        // A trade has one price, which its message calls by another name than these.
        let open = if std::ptr::eq(raw.open, raw.close) { "price" } else { "open" };
        let prices = Prices {
            open: price(raw.open, open)?,
            high: raw.high.map(|raw| price(raw, "high")).transpose()?,
            low: raw.low.map(|raw| price(raw, "low")).transpose()?,
            close: price(raw.close, "close")?,
        };
        let volume = found.fields.get(Field::Volume)?.map(values::volume).transpose()?;
        let bounds = narrow_bounds(self.bounds, self.context);
        let tick = Tick::new(symbol, timestamp, prices, volume, bounds);
        let tick = tick.map(|tick| tick.with_extras(read_extras(&found.fields, &raw, conditions)));
        tick.map_err(|reject| match self.written_time(found, outside) {
            Some(written) if reject.reason == Reason::TimestampOutOfRange => {
                values::out_of_range(written, timestamp, &bounds)
            }
            _ => reject,
        })
    }

    /// The one member that the time is in.
    fn written_time(
        &self,
        found: &ValueFields<'a>,
        outside: Outside<'_, 'a>,
    ) -> Option<&'a RawValue> {
        let is_one = self.rules.timestamp_from == TimestampFrom::Value
            && self.rules.mapping.paths(Field::TimeOfDay).is_empty();
        if is_one { self.require(Field::Timestamp, found, outside).ok() } else { None }
    }

    fn require(
        &self,
        field: Field,
        found: &ValueFields<'a>,
        outside: Outside<'_, 'a>,
    ) -> Result<&'a RawValue, Reject> {
        match self.find(field, found, outside)? {
            Some(raw) => Ok(raw),
            None => found.fields.require(field, &self.rules.mapping),
        }
    }

    fn find(
        &self,
        field: Field,
        found: &ValueFields<'a>,
        outside: Outside<'_, 'a>,
    ) -> Result<Option<&'a RawValue>, Reject> {
        let inside = found.fields.get(field)?;
        inside.map_or_else(|| outside.get(field), |raw| Ok(Some(raw)))
    }

    /// The key as the symbol of a message that has none.
    fn key_in_place(
        &self,
        found: &ValueFields<'a>,
        buffer: &'a mut String,
    ) -> Result<&'a str, Reject> {
        match self.context.key {
            Some(key) if !key.is_empty() => values::key_symbol_in_place(key, buffer),
            _ => {
                found.fields.require(Field::Symbol, &self.rules.mapping).map(RawValue::get).map_err(
                    |reject| {
                        let detail = format!("{}; and the record has no key", reject.detail);
                        Reject::new(reject.reason, detail)
                    },
                )
            }
        }
    }

    fn timestamp(
        &self,
        found: &ValueFields<'a>,
        outside: Outside<'_, 'a>,
    ) -> Result<Timestamp, Reject> {
        if self.rules.timestamp_from == TimestampFrom::Value {
            let written = self.require(Field::Timestamp, found, outside)?;
            if self.rules.mapping.paths(Field::TimeOfDay).is_empty() {
                return values::timestamp(
                    written,
                    self.rules,
                    narrow_bounds(self.bounds, self.context),
                );
            }
            let time_of_day = self.require(Field::TimeOfDay, found, outside)?;
            return values::date_and_time(written, time_of_day, self.rules);
        }
        let in_line = || outside.time().or_else(|| values::record_time(found.record_time?));
        self.context.time.or_else(in_line).ok_or_else(|| {
            let name = &self.rules.names.record_time;
            let detail = format!(
                "the record's own time is not known, and the line has no {name} \
                    (--timestamp-from record)"
            );
            Reject::new(Reason::MissingField, detail)
        })
    }
}

/// A tick's fields other than prices and volume. None of them can make the message invalid.
fn read_extras<'a>(
    fields: &Fields<'a>,
    prices: &RawPrices<'a>,
    buffer: &'a mut String,
) -> Extras<'a> {
    let mut extras = Extras::default();
    for field in [Field::Bid, Field::Ask, Field::Sequence] {
        match fields.extra(field, prices) {
            Ok(Some(raw)) => values::extra(raw, field, &mut extras),
            Ok(None) => {}
            Err(_) => extras.note_unread(),
        }
    }
    let mut get = |field| {
        let found = fields.extra(field, prices);
        found.unwrap_or_else(|_| {
            extras.note_unread();
            None
        })
    };
    let (conditions, correction) = (get(Field::Conditions), get(Field::Correction));
    let correction = correction.and_then(|raw| {
        values::correction_of(raw).unwrap_or_else(|()| {
            extras.note_unread();
            None
        })
    });
    values::conditions(conditions, correction, buffer, &mut extras);
    extras
}

/// Decodes a value by `read`. A value that is not JSON is read once more as Connect would read it;
/// with `refuses_rest` only if nothing follows it.
fn read_json<'a, T>(
    value: &'a [u8],
    refuses_rest: bool,
    reread: &'a mut Vec<u8>,
    read: impl Fn(&'a str) -> Result<T, Reject>,
) -> Result<T, Reject> {
    let reject = match json::check(value).and_then(&read) {
        Err(reject) if matches!(reject.reason, Reason::NotJson | Reason::NotUtf8) => reject,
        found => return found,
    };
    *reread = match json::as_connect(value, refuses_rest) {
        Some(reread) => reread,
        None => return Err(advised(value, reject)),
    };
    match json::check(reread).and_then(read) {
        // The first reason speaks of the value as it is.
        Err(again) if matches!(again.reason, Reason::NotJson | Reason::NotUtf8) => {
            Err(advised(value, reject))
        }
        found => found,
    }
}

fn no_topic() -> Reject {
    Reject::new(Reason::MissingField, "the topic is not known (--symbol-from topic)")
}

#[cfg(test)]
mod several;
#[cfg(test)]
mod tests;
