//! A message taken apart, for guessing: its members, and the ways to what may be several ticks.

use common::decode::Path;
use serde_json::{Map, Value};

/// The members of an object.
pub type Members = Map<String, Value>;

/// Objects and arrays inside one another that are looked into.
const DEEPEST: usize = 5;
/// Elements of an array that are looked at.
const ELEMENTS: usize = 3;

/// Names of types, by which Avro's JSON tells what a value is.
const TYPES: [&str; 5] = ["string", "double", "float", "long", "int"];

/// A member that is no object, and the names that lead to it.
#[derive(Debug)]
pub struct Leaf<'a> {
    pub path: Vec<&'a str>,
    pub value: &'a Value,
}

impl Leaf<'_> {
    /// The kind of the value itself, or for a value in Avro's JSON, `{"double":1.5}`, of the object
    /// around it.
    pub fn name(&self) -> &str {
        match self.path.as_slice() {
            [.., outer, own] if TYPES.contains(own) => outer,
            [.., own] => own,
            [] => "",
        }
    }
}

/// The part of a message that is read: the payload of Connect's envelope, or all of it.
pub fn parse(message: &[u8]) -> Option<Value> {
    first_value(message).map(|(value, _)| value)
}

/// The first value in a message, which alone is read, and whether objects or arrays follow it.
pub fn first_value(message: &[u8]) -> Option<(Value, bool)> {
    let text = message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message);
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let first = values.next()?.ok()?;
    let behind = text.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start();
    Some((without_envelope(first)?, behind.starts_with(b"{") || behind.starts_with(b"[")))
}

fn without_envelope(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut outer)
            if outer.contains_key("schema")
                && outer.get("payload").is_some_and(Value::is_object) =>
        {
            outer.remove("payload")
        }
        value @ (Value::Object(_) | Value::Array(_)) => Some(value),
        _ => None,
    }
}

/// The members of an object, and of those inside of it, that are no objects and hold none. A row's
/// old values before a change are no tick.
pub fn find_leaves(object: &Members) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    collect(object, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect<'a>(object: &'a Members, above: &mut Vec<&'a str>, leaves: &mut Vec<Leaf<'a>>) {
    for (name, value) in object.iter().filter(|(name, _)| *name != "before") {
        above.push(name);
        match value {
            Value::Object(inner) if above.len() < DEEPEST => collect(inner, above, leaves),
            Value::Object(_) | Value::Null => {}
            Value::Array(inner)
                if inner.iter().any(|value| value.is_object() || value.is_array()) => {}
            value => leaves.push(Leaf { path: above.clone(), value }),
        }
        above.pop();
    }
}

/// Shows the leaves of a message wherever they are, those of arrays' first elements as well.
pub fn each_leaf<'a>(value: &'a Value, take: &mut impl FnMut(&Leaf<'a>)) {
    each_object(value, DEEPEST, &mut |object| {
        let plain = find_leaves(object);
        plain.iter().for_each(&mut *take);
    });
}

/// The outermost objects, and those in the arrays of them.
fn each_object<'a>(value: &'a Value, deepest: usize, take: &mut impl FnMut(&'a Members)) {
    match value {
        Value::Array(elements) if deepest > 0 => {
            elements
                .iter()
                .take(ELEMENTS)
                .for_each(|element| each_object(element, deepest - 1, take));
        }
        Value::Object(object) => {
            take(object);
            each_array(object, deepest, take);
        }
        _ => {}
    }
}

fn each_array<'a>(object: &'a Members, deepest: usize, take: &mut impl FnMut(&'a Members)) {
    for (_, value) in object.iter().filter(|(name, _)| deepest > 0 && *name != "before") {
        match value {
            Value::Object(inner) => each_array(inner, deepest - 1, take),
            array => each_object_in_array(array, deepest, take),
        }
    }
}

fn each_object_in_array<'a>(value: &'a Value, deepest: usize, take: &mut impl FnMut(&'a Members)) {
    if value.is_array() {
        each_object(value, deepest - 1, take);
    }
}

/// The ways to arrays of objects, and to objects that are named as feeds name the array: what
/// `--each` may be.
pub fn find_ways(value: &Value) -> Vec<Path> {
    let mut ways = Vec::new();
    note_ways(value, &mut Vec::new(), &mut ways);
    let mut known: Vec<Path> = Vec::new();
    for way in ways.iter().filter_map(|names: &Vec<&str>| Path::new(names)) {
        if !known.contains(&way) {
            known.push(way);
        }
    }
    known
}

fn note_ways<'a>(value: &'a Value, above: &mut Vec<&'a str>, ways: &mut Vec<Vec<&'a str>>) {
    if above.len() == DEEPEST {
        return;
    }
    match value {
        Value::Array(elements) => {
            elements.iter().take(ELEMENTS).for_each(|element| note_ways(element, above, ways));
        }
        Value::Object(object) => {
            for (name, value) in object.iter().filter(|(name, _)| *name != "before") {
                above.push(name);
                let is_way = match value {
                    Value::Array(elements) => elements.iter().any(Value::is_object),
                    Value::Object(_) => name == "data",
                    _ => false,
                };
                if is_way {
                    ways.push(above.clone());
                }
                note_ways(value, above, ways);
                above.pop();
            }
        }
        _ => {}
    }
}

/// The first object that a way leads to, and the objects around it, the nearest first. Without a
/// way the message itself, or the first of its elements.
pub fn first_element<'a>(
    message: &'a Value,
    way: Option<&Path>,
) -> Option<(&'a Members, Vec<&'a Members>)> {
    let mut around = Vec::new();
    let mut at = first_object(message)?;
    for name in way.map(Path::names).unwrap_or_default() {
        around.insert(0, at);
        at = first_object(at.get(&**name)?)?;
    }
    Some((at, around))
}

pub fn first_object(value: &Value) -> Option<&Members> {
    match value {
        Value::Object(object) => Some(object),
        Value::Array(elements) => elements.iter().find_map(first_object),
        _ => None,
    }
}

pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Letters of a name, and its digits, in lower case.
pub fn plain_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

pub fn has(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(message: &str) -> Vec<String> {
        let value = parse(message.as_bytes()).unwrap();
        let mut names = Vec::new();
        each_leaf(&value, &mut |leaf| names.push(leaf.path.join(".")));
        names
    }

    #[test]
    fn leaves_are_found_in_objects_and_arrays_and_never_before_a_change() {
        assert_eq!(names(r#"{"a":1,"b":{"c":2,"d":null},"before":{"x":1}}"#), ["a", "b.c"]);
        assert_eq!(names(r#"{"t":1,"data":[{"a":1},{"b":{"c":[1,2]}}]}"#), ["t", "a", "b.c"]);
        assert_eq!(names(r#"[{"a":1}]"#), ["a"]);
        assert_eq!(names(r#"{"schema":{"x":1},"payload":{"after":{"a":1}}}"#), ["after.a"]);
        assert!(parse(b"5").is_none() && parse(b"x").is_none());
    }

    #[test]
    fn of_several_values_the_first_is_read() {
        let has_more = |message: &[u8]| first_value(message).map(|(_, has_more)| has_more);
        for message in ["{}", "{}\n", "{}\0", "\u{feff}{}", "[{},{}]", "{} x"] {
            assert_eq!(has_more(message.as_bytes()), Some(false), "{message:?}");
        }
        for message in ["{}\n{}", "{}{}", "[{}] [{}]", "{\"a\":1}\r\n{\"a\":2}"] {
            assert_eq!(has_more(message.as_bytes()), Some(true), "{message:?}");
        }
        assert_eq!(names("{\"a\":1}\n{\"b\":2}"), ["a"]);
    }

    #[test]
    fn a_way_leads_to_arrays_of_objects_through_objects_and_arrays() {
        let found = |message: &str| -> Vec<String> {
            find_ways(&parse(message.as_bytes()).unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(found(r#"{"stream":"s","data":{"e":"trade"}}"#), ["data"]);
        assert_eq!(
            found(r#"{"events":[{"trades":[{"p":1}]},{"trades":[{"p":2}]}]}"#),
            ["events", "events.trades"]
        );
        assert!(found(r#"{"a":{"b":1},"c":[1],"before":{"data":[{}]}}"#).is_empty());
    }

    #[test]
    fn an_element_comes_with_the_objects_around_it() {
        let value = parse(br#"{"s":1,"events":[{"e":2,"trades":[7,{"p":3}]}]}"#).unwrap();
        let (element, around) =
            first_element(&value, "events.trades".parse().ok().as_ref()).unwrap();
        assert!(
            element.contains_key("p") && around[0].contains_key("e") && around[1].contains_key("s")
        );
        assert!(first_element(&value, "data".parse().ok().as_ref()).is_none());
    }
}
