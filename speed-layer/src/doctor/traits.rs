//! A message's traits, whatever the rules: times, a volume, kinds, a zone. No proposal may pass
//! them over.

use super::anatomy::{Leaf, each_leaf, first_value, has, number, plain_name};
use super::books::book_member;
use super::sampling::Sample;
use super::times::{Member, Times, is_date, is_time_name};
use common::Timestamp;
use common::decode::{Field, Path, usual_field};
use common::timestamp::TimeZone;
use serde_json::Value;
use std::collections::HashSet;

/// Parts of names of volumes, and of those that are no tick's.
const VOLUMES: [&str; 4] = ["volume", "quantity", "qty", "size"];
const OTHER_VOLUMES: [&str; 17] = [
    "avg", "average", "24h", "usd", "quote", "bid", "ask", "min", "max", "total", "lot", "tick",
    "prev", "change", "page", "order", "step",
];

/// Names of members that tell kinds.
const KINDS: [&str; 28] = [
    "type",
    "topic",
    "op",
    "deleted",
    "isdeleted",
    "fivetrandeleted",
    "hoodieisdeleted",
    "action",
    "msgtype",
    "messagetype",
    "msg",
    "msgkind",
    "event",
    "eventtype",
    "eventname",
    "kind",
    "optype",
    "operation",
    "operationname",
    "operationtype",
    "rowkind",
    "changetype",
    "ev",
    "e",
    "channel",
    "mdentrytype",
    "mdupdateaction",
    "recordtype",
];
/// Members that orders have, and states of theirs.
const ORDERS: [&str; 8] = [
    "ordertype",
    "ordtype",
    "orderstatus",
    "ordstatus",
    "timeinforce",
    "limitprice",
    "filledqty",
    "remainingsize",
];
const STATES: [&str; 9] = [
    "new",
    "open",
    "pending",
    "accepted",
    "filled",
    "partiallyfilled",
    "canceled",
    "cancelled",
    "rejected",
];

/// The traits seen in a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traits {
    pub times: Times,
    pub volume: Option<String>,
    /// A member that has a volume's name, and none that is read.
    pub unread_volume: Option<Member>,
    /// Members that tell kinds, and which.
    pub kinds: Vec<(String, String)>,
    /// A price other than open and close.
    pub day_price: Option<String>,
    /// A member that orders have.
    pub order: Option<String>,
    /// One by which the message says that it is a book, quotes or orders.
    pub book: Option<String>,
    /// Whether other values follow the one that is read.
    pub has_more: bool,
    /// A day's quote by letters, as Finnhub's: its `o`, `h` and `l` are those of the day.
    pub is_day_quote: bool,
    /// A zone that the message names, or that the name of its time does.
    pub zone: Option<TimeZone>,
}

impl Traits {
    pub fn of(sample: &Sample) -> Self {
        let mut traits = Self::default();
        if let Some((value, has_more)) = first_value(&sample.value) {
            let mut prices = Prices::default();
            each_leaf(&value, &mut |leaf| {
                traits.note(leaf, sample.time);
                prices.note(leaf);
            });
            traits.is_day_quote = prices.is_day_quote();
            traits.day_price = prices.beside();
            traits.book = value.as_object().and_then(book_member);
            traits.has_more = has_more;
        }
        traits
    }

    fn note(&mut self, leaf: &Leaf<'_>, record_time: Option<Timestamp>) {
        let name = || Some(leaf.name().to_owned());
        self.times.note(leaf, record_time);
        if is_volume(leaf) {
            self.volume = self.volume.take().or_else(name);
        }
        if usual_field(leaf.name()) == Some(Field::Volume) && !is_volume(leaf) {
            self.unread_volume = self.unread_volume.take().or_else(|| Member::of(leaf));
        }
        if is_of_orders(leaf) {
            self.order = self.order.take().or_else(name);
        }
        self.kinds.extend(kind(leaf));
        self.zone = self.zone.take().or_else(|| zone(leaf));
    }
}

/// The prices of a message, and the letters in it.
#[derive(Default)]
struct Prices {
    open: Option<f64>,
    close: Option<f64>,
    latest: Option<(String, f64)>,
    letters: HashSet<String>,
}

impl Prices {
    fn note(&mut self, leaf: &Leaf<'_>) {
        if leaf.name().len() <= 2 {
            self.letters.insert(leaf.name().to_owned());
        }
        let Some(number) = number(leaf.value) else {
            return;
        };
        match usual_field(leaf.name()) {
            Some(Field::Open) => self.open = self.open.or(Some(number)),
            Some(Field::Close) => self.close = self.close.or(Some(number)),
            field if field == Some(Field::Price) || is_latest_price(leaf.name()) => {
                let name = Path::new(&leaf.path).map(|path| path.to_string());
                self.latest = self.latest.take().or_else(|| Some((name?, number)));
            }
            _ => {}
        }
    }

    fn beside(self) -> Option<String> {
        let (name, latest) = self.latest?;
        self.open.zip(self.close).filter(|(_, close)| *close != latest).map(|_| name)
    }

    /// `d` and `dp` are the change since yesterday's close, `pc`.
    fn is_day_quote(&self) -> bool {
        let has = |letters: &[&str]| letters.iter().all(|letter| self.letters.contains(*letter));
        has(&["c", "pc"]) || has(&["c", "d", "dp"])
    }
}

/// `ltp`, `latestPrice`: what was paid last.
pub fn is_latest_price(name: &str) -> bool {
    let name = plain_name(name);
    let is_word = ["last", "ltp", "lasttraded"].contains(&name.as_str());
    is_word || (name.contains("price") && has(&name, &["last", "latest"]))
}

/// A member that tells kinds of messages, or what was done to a row.
fn kind(leaf: &Leaf<'_>) -> Option<(String, String)> {
    let value = match leaf.value {
        Value::String(text) if (1..=32).contains(&text.len()) && !is_date(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        _ => return None,
    };
    let is_kind = KINDS.contains(&plain_name(leaf.name()).as_str()) || leaf.name() == "T";
    let path = Path::new(&leaf.path).filter(|_| is_kind)?;
    Some((path.to_string(), value))
}

fn is_of_orders(leaf: &Leaf<'_>) -> bool {
    let name = plain_name(leaf.name());
    let text = leaf.value.as_str().map(plain_name).unwrap_or_default();
    ORDERS.contains(&name.as_str()) || (name == "status" && STATES.contains(&text.as_str()))
}

/// `"timezone":"Asia/Kolkata"`, or UTC of a member that is called `timestamp_utc`.
fn zone(leaf: &Leaf<'_>) -> Option<TimeZone> {
    let (name, text) = (plain_name(leaf.name()), leaf.value.as_str()?);
    if ["timezone", "tz", "zone", "exchangetimezone"].contains(&name.as_str()) {
        return text.parse().ok();
    }
    let is_utc = is_time_name(leaf) && (name.ends_with("utc") || name.ends_with("gmt"));
    if is_utc { "UTC".parse().ok() } else { None }
}

/// Whether a member is named as a tick's volume is, and may be one.
pub fn is_volume(leaf: &Leaf<'_>) -> bool {
    let name = plain_name(leaf.name());
    let is_letter = matches!(leaf.name(), "v" | "q" | "sz");
    let is_named = usual_field(leaf.name()) == Some(Field::Volume) || has(&name, &VOLUMES);
    let is_amount = match leaf.value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number >= 0.0),
        Value::String(text) => text.parse::<f64>().is_ok_and(|number| number >= 0.0),
        _ => false,
    };
    is_amount && (is_letter || (is_named && !has(&name, &OTHER_VOLUMES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(value: &str) -> Traits {
        let time = Some(Timestamp::from_micros(1_749_218_405_000_000));
        Traits::of(&Sample { value: value.as_bytes().to_vec(), time, ..Sample::default() })
    }

    #[test]
    fn the_members_that_the_manual_lists_tell_kinds() {
        let manual = include_str!("../../../docs/message-format.md");
        let (_, list) = manual.split_once("several kinds that all are ticks (").unwrap();
        let (list, _) = list.split_once(')').unwrap();
        let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let tells = |name: &&str| KINDS.contains(&plain_name(name).as_str());
        assert!(names.len() > 4 && names.iter().all(tells), "{names:?}");
    }

    #[test]
    fn a_time_is_seen_whether_it_is_read_or_not() {
        for value in [
            r#"{"timestamp":"06/07/2025 10:00:01"}"#,
            r#"{"timestamp":"10:00:01"}"#,
            r#"{"timestamp":[2025,6,6,10,0,1,123000000]}"#,
            r#"{"time":"Fri Jun 06 2025 10:00:01 GMT-0400 (Eastern Daylight Time)"}"#,
            r#"{"x":1749218401123}"#,
            r#"{"data":[{"t":1749218401123}]}"#,
            r#"{"at":{"$date":"2025-06-06T10:00:01Z"}}"#,
            r#"{"day":"2025-06-06"}"#,
            r#"{"executedAt":"1149218401"}"#,
            r#"{"s":1649218400000,"e":1649218460000}"#,
            r#"{"hd":{"ts_event":"1649218401123000000"}}"#,
            r#"{"time":50401000}"#,
            r#"{"Timestamp":"20250606140001"}"#,
            r#"{"ts":45814.583345}"#,
        ] {
            assert!(traits(value).times.first.is_some(), "{value}");
        }
        for value in [
            r#"{"timestamp":"n/a"}"#,
            r#"{"timestamp":null}"#,
            r#"{"price":1749.5,"market_cap":3100000000000.0}"#,
            r#"{"expirationDate":"2025-09-19"}"#,
            r#"{"before":{"ts":1749218401123}}"#,
            "x",
        ] {
            assert_eq!(traits(value).times.first, None, "{value}");
        }
    }

    #[test]
    fn a_volume_and_a_time_of_day_are_seen_by_their_names() {
        let seen = |value: &str| {
            let Traits { volume, times, .. } = traits(value);
            (volume, times.of_day.map(|member| member.name().to_owned()))
        };
        assert_eq!(
            seen(r#"{"tradedVolume":"5","minute":"09:30"}"#),
            (Some("tradedVolume".into()), Some("minute".into()))
        );
        assert_eq!(seen(r#"{"q":"0.5","openTime":"09:30"}"#), (Some("q".into()), None));
        assert_eq!(seen(r#"{"bidSize":5,"volumeUsd":1,"volume":"n/a"}"#), (None, None));
    }

    #[test]
    fn a_zone_is_named_by_a_member_or_by_the_name_of_the_time() {
        let zone = |value: &str| traits(value).zone.map(|zone| zone.name().to_owned());
        assert_eq!(zone(r#"{"timezone":"Asia/Kolkata"}"#).as_deref(), Some("Asia/Kolkata"));
        let utc = r#"{"timestamp_utc":"2025-06-06 14:00:01"}"#;
        assert_eq!(zone(utc).as_deref(), Some("UTC"));
        assert_eq!(zone(r#"{"timezone":"here","ts":"2025-06-06 14:00:01"}"#), None);
    }
}
