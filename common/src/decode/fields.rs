//! One pass over a JSON object that notes the positions of a tick's fields, without judging their
//! values.

use super::json::not_json;
use super::mapping::{Field, Mapping, Member, Node, default_field};
use super::rules::{Rules, Special};
use super::values;
use crate::reject::{Reason, Reject};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Candidates for a tick's fields in an object.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// Candidates found at mapped paths; the last one of each path wins.
    mapped: Vec<Candidate<'a>>,
    /// Candidates found under usual names; the last one of each name wins, once the object is read.
    usual: Vec<Candidate<'a>>,
    pub partition: Option<&'a RawValue>,
    pub offset: Option<&'a RawValue>,
    pub record_time: Option<&'a RawValue>,
    pub payload: Option<&'a RawValue>,
    pub has_schema: bool,
}

/// A value that may be the field's. The lowest rank counts.
#[derive(Debug)]
struct Candidate<'a> {
    field: Field,
    rank: u8,
    name: Cow<'a, str>,
    raw: &'a RawValue,
}

/// The raw JSON of a tick's prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawPrices<'a> {
    pub open: &'a RawValue,
    pub high: Option<&'a RawValue>,
    pub low: Option<&'a RawValue>,
    pub close: &'a RawValue,
}

impl RawPrices<'_> {
    fn have(&self, raw: &RawValue) -> bool {
        let all = [Some(self.open), self.high, self.low, Some(self.close)];
        all.into_iter().flatten().any(|price| std::ptr::eq(price, raw))
    }
}

impl<'a> Fields<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// If `text` is not valid JSON, or no object.
    pub fn parse(text: &'a str, rules: &Rules) -> Result<Self, Reject> {
        if !text.trim_ascii_start().starts_with('{') {
            return Err(no_object(text));
        }
        let mut fields = Self { usual: Vec::with_capacity(Field::ALL.len()), ..Self::default() };
        fields
            .read(text, &ObjectPath { rules, node: rules.mapping.root(), is_outer: true })
            .map_err(not_json)?;
        fields.keep_last();
        Ok(fields)
    }

    fn read(&mut self, text: &'a str, place: &ObjectPath<'_>) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Object { fields: self, place })?;
        json.end()
    }

    /// Whether nothing was found that may be a field's.
    pub fn are_none(&self) -> bool {
        self.mapped.is_empty() && self.usual.is_empty()
    }

    /// Sorts the candidates, all at once: a message may have one field in tens of thousands of
    /// spellings. The last of two members with the same name counts. The first two of each field
    /// that are not null stay: they say which it is, or that it may be two, and are asked for once
    /// an element.
    fn keep_last(&mut self) {
        fn key<'c>(one: &'c Candidate<'_>) -> (Field, u8, &'c str) {
            (one.field, one.rank, &one.name)
        }
        self.usual.reverse();
        self.usual.sort_by(|one, other| key(one).cmp(&key(other)));
        self.usual.dedup_by(|one, kept| key(one) == key(kept));
        self.usual.retain(|one| one.raw.get() != "null");
        let mut before = [None; 2];
        self.usual.retain(|one| {
            let is_third = before == [Some(one.field); 2];
            before = [before[1], Some(one.field)];
            !is_third
        });
    }

    /// The paths of a mapping are few.
    fn note_mapped(&mut self, field: Field, rank: u8, raw: &'a RawValue) {
        match self.mapped.iter_mut().find(|known| (known.field, known.rank) == (field, rank)) {
            Some(known) => known.raw = raw,
            None => self.mapped.push(Candidate { field, rank, name: Cow::Borrowed(""), raw }),
        }
    }

    /// The field's value, if there is one that is not null.
    ///
    /// # Errors
    /// If two members may be the field.
    pub fn get(&self, field: Field) -> Result<Option<&'a RawValue>, Reject> {
        let all = || self.mapped.iter().chain(&self.usual);
        let found = || all().filter(|found| found.field == field && found.raw.get() != "null");
        let Some(rank) = found().map(|found| found.rank).min() else {
            return Ok(None);
        };
        let mut best = found().filter(|found| found.rank == rank);
        match (best.next(), best.next()) {
            (Some(one), Some(other)) => Err(ambiguous(field, one, other)),
            (one, _) => Ok(one.map(|one| one.raw)),
        }
    }

    /// Like [`Fields::get`], but never returns a member that already is one of the prices: Alpaca
    /// has a bar's close where a trade has its conditions.
    ///
    /// # Errors
    /// If two members may be the field.
    pub fn extra(
        &self,
        field: Field,
        prices: &RawPrices<'a>,
    ) -> Result<Option<&'a RawValue>, Reject> {
        Ok(self.get(field)?.filter(|raw| !prices.have(raw)))
    }

    /// The field's value, which must be there.
    ///
    /// # Errors
    /// If the field is absent, or two members may be it.
    pub fn require(&self, field: Field, mapping: &Mapping) -> Result<&'a RawValue, Reject> {
        self.get(field)?.ok_or_else(|| missing(field, mapping))
    }

    /// The prices of a bar where open and close are there, and otherwise the price of a trade. The
    /// open, high and low beside a trade's price are those of its day, unless they were mapped.
    ///
    /// # Errors
    /// If a price is absent, or two members may be it.
    pub fn prices(&self, mapping: &Mapping) -> Result<RawPrices<'a>, Reject> {
        if let (Some(open), Some(close)) = (self.get(Field::Open)?, self.get(Field::Close)?) {
            return Ok(RawPrices {
                open,
                high: self.get(Field::High)?,
                low: self.get(Field::Low)?,
                close,
            });
        }
        let Some(price) = self.get(Field::Price)? else {
            let is_bar = self.get(Field::Open)?.is_some() || self.get(Field::Close)?.is_some();
            return Err(match (is_bar, self.get(Field::Open)?) {
                (true, Some(_)) => missing(Field::Close, mapping),
                (true, None) => missing(Field::Open, mapping),
                (false, _) => missing(Field::Price, mapping),
            });
        };
        let mapped =
            |field| if mapping.paths(field).is_empty() { Ok(None) } else { self.get(field) };
        Ok(RawPrices {
            open: price,
            high: mapped(Field::High)?,
            low: mapped(Field::Low)?,
            close: price,
        })
    }
}

fn ambiguous(field: Field, one: &Candidate<'_>, other: &Candidate<'_>) -> Reject {
    let time = [one, other].into_iter().find(|candidate| values::is_time_of_day(candidate.raw));
    let date = [one, other].into_iter().find(|candidate| values::is_date(candidate.raw));
    let (one, other) = (&one.name, &other.name);
    let detail = match (field, date, time) {
        (
            Field::Timestamp,
            Some(Candidate { name: date, .. }),
            Some(Candidate { name: time, .. }),
        ) => format!(
            "timestamp may be two members, {date:?} and {time:?}: say so with \
             --map timestamp={date:?},time_of_day={time:?}"
        ),
        _ => format!("{field} may be {one:?} or {other:?}: say which, as --map {field}={one:?}"),
    };
    Reject::new(Reason::MissingField, detail)
}

fn missing(field: Field, mapping: &Mapping) -> Reject {
    let paths: Vec<String> = mapping.paths(field).iter().map(ToString::to_string).collect();
    let detail = match (field, paths.is_empty()) {
        (_, false) => format!(
            "{field} is missing: there is no {} (--map, --preset)",
            paths.join(
                " \
            and no "
            )
        ),
        (Field::Price, true) => {
            "open and close are missing, and there is no price: name them with --map price=NAME, \
             or open=NAME,close=NAME"
                .to_owned()
        }
        (Field::Symbol, true) => {
            "symbol is missing: name its member with --map symbol=NAME, take it from elsewhere \
             with --symbol-from, or name the array of ticks with --each"
                .to_owned()
        }
        (Field::Timestamp, true) => {
            "timestamp is missing: name its member with --map timestamp=NAME, name the array of \
             ticks with --each, or, where messages have no time at all, take the record's own with \
             --timestamp-from record"
                .to_owned()
        }
        (_, true) => format!("{field} is missing: name its member with --map {field}=NAME"),
    };
    Reject::new(Reason::MissingField, detail)
}

fn no_object(text: &str) -> Reject {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) if holds_json(text) => Reject::new(
            Reason::NotObject,
            "the JSON value is a text that holds JSON: it was encoded twice, and the producer must \
             send what is in it",
        ),
        Ok(_) => Reject::new(Reason::NotObject, "the JSON value is not an object"),
        Err(error) => not_json(error),
    }
}

/// Whether a JSON value is a text, and this an object or an array.
fn holds_json(text: &str) -> bool {
    let inner = serde_json::from_str::<String>(text);
    inner.is_ok_and(|inner| {
        inner.trim_start().starts_with(['{', '['])
            && serde_json::from_str::<IgnoredAny>(&inner).is_ok()
    })
}

/// Where in a value an object is.
#[derive(Clone, Copy)]
struct ObjectPath<'r> {
    rules: &'r Rules,
    /// The names that are looked for in it.
    node: &'r Node,
    /// Whether it is the value itself.
    is_outer: bool,
}

struct Object<'f, 'a, 'r> {
    fields: &'f mut Fields<'a>,
    place: &'r ObjectPath<'r>,
}

impl<'de> Visitor<'de> for Object<'_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Name(self.place))? {
            match wanted {
                Some(wanted) => {
                    let raw = map.next_value()?;
                    self.fields.take(wanted, raw, self.place).map_err(serde::de::Error::custom)?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn take(
        &mut self,
        wanted: WantedPath<'a, '_>,
        raw: &'a RawValue,
        place: &ObjectPath<'_>,
    ) -> Result<(), serde_json::Error> {
        if let Some((field, rank)) = wanted.default {
            self.usual.push(Candidate { field, rank, name: wanted.name, raw });
        }
        match wanted.special {
            Some(Special::Partition) => self.partition = Some(raw),
            Some(Special::Offset) => self.offset = Some(raw),
            Some(Special::RecordTime) => self.record_time = Some(raw),
            Some(Special::Payload) => self.payload = Some(raw),
            Some(Special::Schema) => self.has_schema = true,
            None => {}
        }
        let Some(Member { ends, below, .. }) = wanted.mapped else {
            return Ok(());
        };
        for (field, rank) in ends {
            self.note_mapped(*field, *rank, raw);
        }
        // The last of two members with the same name counts, with all that it holds.
        below.each_end(&mut |end| {
            self.mapped.retain(|known| (known.field, known.rank) != end);
        });
        if raw.get().starts_with('{') && !below.is_empty() {
            self.read(raw.get(), &ObjectPath { node: below, is_outer: false, ..*place })?;
        }
        Ok(())
    }
}

/// The uses that a member may have.
struct WantedPath<'a, 'r> {
    name: Cow<'a, str>,
    special: Option<Special>,
    default: Option<(Field, u8)>,
    mapped: Option<&'r Member>,
}

/// Reads a member's name; `None` for one that is not ours.
#[derive(Clone, Copy)]
struct Name<'r>(&'r ObjectPath<'r>);

impl<'de, 'r> DeserializeSeed<'de> for Name<'r> {
    type Value = Option<WantedPath<'de, 'r>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, 'r> Visitor<'de> for Name<'r> {
    type Value = Option<WantedPath<'de, 'r>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(self.wanted(name, || Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.wanted(name, || Cow::Owned(name.to_owned())))
    }
}

impl<'r> Name<'r> {
    fn wanted<'de>(
        self,
        name: &str,
        own: impl Fn() -> Cow<'de, str>,
    ) -> Option<WantedPath<'de, 'r>> {
        let ObjectPath { rules, node, is_outer } = *self.0;
        let default =
            default_field(name).filter(|(field, _)| is_outer && rules.mapping.has_defaults(*field));
        let special = if is_outer { rules.special(name) } else { None };
        let mapped = node.member(name);
        let is_wanted = default.is_some() || special.is_some() || mapped.is_some();
        is_wanted.then(|| WantedPath { name: own(), special, default, mapped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that all are the symbol's.
    fn spellings(count: usize) -> Vec<String> {
        let letters = "tickersymbol";
        let spelled = |at: usize| {
            let is_upper = |place: usize| (at >> place) & 1 == 1;
            let spell = |(place, letter): (usize, char)| match is_upper(place) {
                true => letter.to_ascii_uppercase(),
                false => letter,
            };
            letters.chars().enumerate().map(spell).collect()
        };
        (0..count).map(spelled).collect()
    }

    fn get(text: &str) -> Result<Option<String>, String> {
        let fields = Fields::parse(text, &Rules::default()).unwrap();
        let found = fields.get(Field::Symbol).map_err(|reject| reject.detail)?;
        Ok(found.map(|raw| raw.get().to_owned()))
    }

    #[test]
    fn of_a_field_in_many_spellings_two_are_kept() {
        let members: Vec<String> =
            spellings(200).iter().map(|name| format!("\"{name}\":\"A\"")).collect();
        let many = members.join(",");
        let text = format!("{{{many},\"price\":1,\"ts\":2,\"last\":3}}");
        let fields = Fields::parse(&text, &Rules::default()).unwrap();
        let of = |field| fields.usual.iter().filter(|one| one.field == field).count();
        assert_eq!(
            [Field::Symbol, Field::Price, Field::Timestamp].map(of),
            [2, 2, 1],
            "{:?}",
            fields.usual
        );
        assert!(get(&text).unwrap_err().starts_with("symbol may be"));
        let with_own_name = format!("{{{many},\"symbol\":\"B\"}}");
        assert_eq!(get(&with_own_name), Ok(Some("\"B\"".to_owned())));
    }

    #[test]
    fn nulls_are_none_of_the_two() {
        let all_null = r#""a":1,"Ticker":null,"TICKER":null,"ticker":null,"symbol":null"#;
        assert_eq!(get(&format!("{{{all_null}}}")), Ok(None));
        let one = format!("{{{all_null},\"sym\":\"A\"}}");
        assert_eq!(get(&one), Ok(Some("\"A\"".to_owned())));
        // The last of one name counts, though it is null.
        assert_eq!(get(r#"{"ticker":"A","ticker":null}"#), Ok(None));
    }
}
