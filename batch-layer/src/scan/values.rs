//! Several values in one line: objects were put together whose last lines had no newline, or a sink writes none.

/// Where the first object or array of a line ends, if another one follows it. Blanks may stand between them.
pub fn end_of_first(line: &[u8]) -> Option<usize> {
    let may_follow = |at: usize| matches!(line[..at].trim_ascii_end().last(), Some(b'}' | b']'));
    if !memchr::memchr2_iter(b'{', b'[', line).any(may_follow) {
        return None;
    }
    // That may stand in a text.
    end(line).filter(|end| matches!(line[*end..].trim_ascii_start().first(), Some(b'{' | b'[')))
}

/// Where a line's first object or array ends.
fn end(line: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if in_string => {
                in_string = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
            }
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line cut into its values.
    fn values(line: &str) -> Vec<&str> {
        let (mut values, mut rest) = (Vec::new(), line);
        while let Some(end) = end_of_first(rest.as_bytes()) {
            values.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        values.push(rest);
        values
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
            (r#"{"a":1} rest }{"#, vec![r#"{"a":1} rest }{"#]),
            ("}{", vec!["}{"]),
            ("", vec![""]),
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
