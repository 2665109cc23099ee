//! Several values in one line: objects were put together whose last lines had no newline, or a sink
//! writes none. What stands between them is told apart from them, and lost with none of them.

/// What may stand between two values in addition to blanks: a comma, RFC 7464's separator and a
/// byte order mark.
const SEPARATORS: [&[u8]; 3] = [b",", b"\x1e", b"\xef\xbb\xbf"];

/// A line without the separators and blanks in front.
pub fn skip_separators(line: &[u8]) -> &[u8] {
    let mut rest = line.trim_ascii_start();
    while let Some(behind) = SEPARATORS.iter().find_map(|separator| rest.strip_prefix(*separator)) {
        rest = behind.trim_ascii_start();
    }
    rest
}

/// Where the object, the array or the text ends that a line begins with. A text is one only if
/// nothing else than another value follows it: a quote may be left of a value that was cut off.
pub fn end_of_value(line: &[u8]) -> Option<usize> {
    match line.first()? {
        b'{' | b'[' => end_of_first(line),
        b'"' => {
            let end = end_of_text(line)?;
            matches!(skip_separators(&line[end..]).first(), None | Some(b'{' | b'[' | b'"'))
                .then_some(end)
        }
        _ => None,
    }
}

/// How many bytes were looked through to find `end`, which [`end_of_value`] gives.
pub fn looked_through(line: &[u8], end: Option<usize>) -> usize {
    match line.first() {
        Some(b'{' | b'[') => end.unwrap_or(line.len()),
        Some(b'"') => end_of_text(line).unwrap_or(line.len()),
        _ => 0,
    }
}

/// The object that an array begins with.
pub fn first_of_array(value: &[u8]) -> Option<&[u8]> {
    let inside = value.trim_ascii_start().strip_prefix(b"[")?.trim_ascii_start();
    let end = end_of_value(inside).filter(|_| inside.starts_with(b"{"))?;
    Some(&inside[..end])
}

fn end_of_text(line: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let closes = |byte: &u8| {
        let is_end = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        is_end
    };
    line[1..].iter().position(closes).map(|at| at + 2)
}

/// Where a line's first object or array ends.
pub fn end_of_first(line: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if in_string => {
                in_string = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
            }
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line cut into its values; what is none is the last.
    fn values(line: &str) -> Vec<&str> {
        let (mut values, mut rest) = (Vec::new(), line);
        loop {
            rest = &rest[rest.len() - skip_separators(rest.as_bytes()).len()..];
            let end = end_of_value(rest.as_bytes()).unwrap_or(rest.len());
            values.extend(Some(&rest[..end]).filter(|value| !value.is_empty()));
            rest = &rest[end..];
            if rest.is_empty() {
                return values;
            }
        }
    }

    #[test]
    fn objects_that_follow_one_another_are_told_apart() {
        for (line, expected) in [
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"{"a":1}{"b":2}"#, vec![r#"{"a":1}"#, r#"{"b":2}"#]),
            ("{\"a\":1}\r{\"b\":{}} {}", vec![r#"{"a":1}"#, r#"{"b":{}}"#, "{}"]),
            (r#"{"a":"}{"}"#, vec![r#"{"a":"}{"}"#]),
            (r#"{"a":"\"}{"}{}"#, vec![r#"{"a":"\"}{"}"#, "{}"]),
            (r#"{"a":[{},{}]}"#, vec![r#"{"a":[{},{}]}"#]),
            ("[[1],[2]][3] {}[]", vec!["[[1],[2]]", "[3]", "{}", "[]"]),
            (r#"{"a":1} rest }{"#, vec![r#"{"a":1}"#, "rest }{"]),
            ("{},{}\u{1e}{}\u{feff}{} \u{1e} , [],", vec!["{}", "{}", "{}", "{}", "[]"]),
            (r#""{\"a\":1}" "\\"{}"x"#, vec![r#""{\"a\":1}""#, r#""\\""#, "{}", r#""x"#]),
            (r#"{}"{"symbol":1}"#, vec!["{}", r#""{"symbol":1}"#]),
            ("}{", vec!["}{"]),
            (" ,", vec![]),
        ] {
            assert_eq!(values(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_objects_are_cut_as_a_json_parser_would(texts in proptest::collection::vec("[a\\\\\"\\[\\],{}]{0,8}", 1..5)) {
            let objects: Vec<String> = texts.iter().map(|text| match text.len() % 2 {
                0 => serde_json::json!({ text: [text] }).to_string(),
                _ => serde_json::json!([text, [{ text: 1 }]]).to_string(),
            }).collect();
            let line = objects.concat();
            prop_assert_eq!(values(&line), objects.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
