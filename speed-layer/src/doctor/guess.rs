//! Where the fields of a message may stand, by the names and kinds of its members: a guess, for a person to judge.

use common::decode::{Field, MapEntries, Path, usual_field};
use serde_json::{Map, Value};

/// Objects inside one another that are looked into.
const DEEPEST: usize = 4;

/// Parts of names that tell a field, where no usual name is there.
const STEMS: [(Field, &[&str]); 4] = [
    (Field::Symbol, &["symbol", "ticker", "coin", "pair", "instrument", "stockname", "stockcode", "security", "isin"]),
    (Field::Timestamp, &["time", "date", "epoch", "createdat"]),
    (Field::Price, &["price", "rate", "ltp"]),
    (Field::Volume, &["volume", "quantity", "qty", "shares"]),
];
/// Parts of names of other prices, times and volumes.
const OTHERS: [&str; 16] = [
    "change",
    "percent",
    "prev",
    "avg",
    "average",
    "open",
    "high",
    "low",
    "max",
    "min",
    "bid",
    "ask",
    "target",
    "24h",
    "volumeusd",
    "expir",
];

/// A member that is no object, and the names that lead to it.
struct Leaf<'a> {
    path: Vec<&'a str>,
    value: &'a Value,
}

/// The fields that have no usual name at the top of the message, each with its likeliest place; `None` where there is
/// none of them.
pub fn guess(message: &[u8]) -> Option<MapEntries> {
    let Ok(Value::Object(object)) = serde_json::from_slice(message) else {
        return None;
    };
    let mut leaves = Vec::new();
    collect(&object, &mut Vec::new(), &mut leaves);
    let place = |field| likeliest(field, &leaves);
    let is_bar = place(Field::Open).is_some() && place(Field::Close).is_some();
    let prices: &[Field] = match is_bar {
        true => &[Field::Open, Field::High, Field::Low, Field::Close],
        false => &[Field::Price],
    };
    let fields = std::iter::once(&Field::Symbol).chain(prices).chain(&[Field::Volume, Field::Timestamp]);
    let mapped = fields.filter_map(|field| {
        let leaf = place(*field)?;
        let is_found_anyway = only_usual(*field, &leaves).is_some_and(|usual| std::ptr::eq(usual, leaf));
        if is_found_anyway { None } else { Some((*field, Path::new(&leaf.path)?)) }
    });
    let entries: Vec<_> = mapped.collect();
    (!entries.is_empty()).then_some(MapEntries(entries))
}

fn collect<'a>(object: &'a Map<String, Value>, above: &mut Vec<&'a str>, leaves: &mut Vec<Leaf<'a>>) {
    for (name, value) in object {
        above.push(name);
        match value {
            Value::Object(inner) if above.len() < DEEPEST => collect(inner, above, leaves),
            Value::Object(_) | Value::Array(_) | Value::Null => {}
            value => leaves.push(Leaf { path: above.clone(), value }),
        }
        above.pop();
    }
}

/// The one member at the top that has a usual name of the field.
fn only_usual<'l, 'a>(field: Field, leaves: &'l [Leaf<'a>]) -> Option<&'l Leaf<'a>> {
    let at_top = || leaves.iter().filter(|leaf| leaf.path.len() == 1);
    let own = at_top().find(|leaf| leaf.path == [field.as_str()]);
    let mut usual = at_top().filter(|leaf| usual_field(leaf.path[0]) == Some(field));
    own.or_else(|| usual.next().filter(|_| usual.next().is_none()))
}

/// The member that fits best: by a usual name before a part of one, and the outer before the inner.
fn likeliest<'l, 'a>(field: Field, leaves: &'l [Leaf<'a>]) -> Option<&'l Leaf<'a>> {
    let fitting = leaves.iter().filter(|leaf| fits(field, leaf.value));
    let ranked = fitting.filter_map(|leaf| Some((rank(field, leaf.path.last()?)?, leaf.path.len(), leaf)));
    ranked.min_by_key(|(rank, depth, _)| (*rank, *depth)).map(|(_, _, leaf)| leaf)
}

fn rank(field: Field, name: &str) -> Option<u8> {
    if name == field.as_str() {
        return Some(0);
    }
    if usual_field(name) == Some(field) {
        return Some(1);
    }
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let (_, stems) = STEMS.into_iter().find(|(of, _)| *of == field)?;
    (has(stems) && !has(&OTHERS)).then_some(2)
}

/// Whether the value is of the field's kind.
fn fits(field: Field, value: &Value) -> bool {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let text = value.as_str().unwrap_or_default();
    match field {
        Field::Symbol => number.is_none() && (1..=64).contains(&text.len()) && !is_date(text),
        // Later than 1973 in seconds.
        Field::Timestamp => number.map_or_else(|| is_date(text), |number| number > 1e8),
        Field::Volume => number.is_some_and(|number| number >= 0.0),
        _ => number.is_some_and(|number| number != 0.0),
    }
}

/// `2025-06-06..`
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(message: &str) -> Option<String> {
        guess(message.as_bytes()).map(|entries| entries.to_string())
    }

    #[test]
    fn fields_inside_of_objects_are_found_by_their_usual_names() {
        let message = r#"{"type":"t","data":{"symbol":"A","price":"1.5","priceChange":2,"size":3,"ts":1749218401}}"#;
        let expected = "symbol=data.symbol,price=data.price,volume=data.size,timestamp=data.ts";
        assert_eq!(guessed(message).as_deref(), Some(expected));
        let bar = r#"{"symbol":"A","bar":{"open":1,"high":2,"low":1,"close":2,"vol.":5},"time":1749218401}"#;
        let expected = "open=bar.open,high=bar.high,low=bar.low,close=bar.close";
        assert_eq!(guessed(bar).as_deref(), Some(expected));
    }

    #[test]
    fn a_part_of_a_name_tells_where_the_whole_is_not_known() {
        let message = r#"{"coinName":"BTC","currentPrice":5,"prevPrice":4,"tradedVolume":1,"time_ms":1749218401123}"#;
        let expected = "symbol=coinName,price=currentPrice,volume=tradedVolume,timestamp=time_ms";
        assert_eq!(guessed(message).as_deref(), Some(expected));
    }

    #[test]
    fn one_of_two_usual_names_is_chosen() {
        let message = r#"{"symbol":"A","last":1.5,"last_price":2,"ts":1749218401}"#;
        assert_eq!(guessed(message).as_deref(), Some("price=last"));
    }

    #[test]
    fn what_is_found_without_a_flag_or_nowhere_is_not_mapped() {
        for message in [
            r#"{"symbol":"A","price":1,"qty":2,"ts":1749218401}"#,
            r#"{"a":1,"b":"x"}"#,
            r#"{"symbol":5,"price":"high","timestamp":"yesterday"}"#,
            "[]",
            "x",
        ] {
            assert_eq!(guessed(message), None, "{message}");
        }
    }
}
