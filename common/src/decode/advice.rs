//! Advice about a value that is no JSON object: most are text that one program or another writes
//! instead of one.

use crate::reject::{Reason, Reject};

/// Why a value is none, and what its producer must do, where that can be told.
#[cold]
pub(super) fn advised(value: &[u8], reject: Reject) -> Reject {
    let advice = || find_advice(str::from_utf8(value).ok()?);
    match (reject.reason == Reason::NotJson).then(advice).flatten() {
        Some(advice) => Reject::new(reject.reason, format!("{}: {advice}", reject.detail)),
        None => reject,
    }
}

fn find_advice(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with(['{', '[']) {
        return of_stranger(first_stranger(text)?);
    }
    let line = text.lines().next()?;
    let what = match line {
        _ if line.starts_with('<') => "XML",
        _ if line.contains([',', ';', '\t']) && !line.contains(['{', '"']) => {
            "a line of comma-separated values"
        }
        _ => return None,
    };
    Some(format!("it looks like {what}, and the producer must write each message as a JSON object"))
}

fn of_stranger(stranger: &str) -> Option<String> {
    match stranger {
        "'" | "None" | "True" | "False" => Some(format!(
            "{stranger} is Python's, and the producer must write JSON, as json.dumps does"
        )),
        "undefined" => Some("undefined is no JSON, and the producer must write null".to_owned()),
        word if matches!(&*word.to_ascii_lowercase(), "nan" | "inf" | "infinity") => {
            Some(format!("{word} is no JSON, and the producer must write null in its place"))
        }
        _ => None,
    }
}

/// The first word outside of texts that JSON does not have, or the quote of a text that is none.
fn first_stranger(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let at =
            rest.find(|next: char| next.is_ascii_alphabetic() || matches!(next, '"' | '\''))?;
        rest = &rest[at..];
        if rest.starts_with('\'') {
            return Some(&rest[..1]);
        }
        if let Some(inner) = rest.strip_prefix('"') {
            rest = &inner[end_of_text(inner)?..];
            continue;
        }
        let end = rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len());
        let word = &rest[..end];
        // An exponent is part of a number, too.
        if !matches!(word, "true" | "false" | "null" | "e" | "E") {
            return Some(word);
        }
        rest = &rest[end..];
    }
}

/// Where the text goes on after its closing quote.
fn end_of_text(inner: &str) -> Option<usize> {
    let mut escaped = false;
    let closes = |byte: &u8| {
        let is_end = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        is_end
    };
    inner.as_bytes().iter().position(closes).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use proptest::prelude::*;

    fn reject_of(value: &str) -> Reject {
        let mut decoder = Decoder::new(Rules::default(), Timestamp::from_micros(0));
        let read =
            decoder
                .decode_each(value.as_bytes(), &RecordContext::NOTHING, &mut |_: Element<'_>| ());
        read.unwrap_err()
    }

    #[test]
    fn what_is_no_json_is_said_with_what_its_producer_must_do() {
        for (value, said) in [
            (r#"{"a":"NaN 'x'","price":NaN}"#, "NaN is no JSON, and the producer must write null"),
            (r#"{"price":-Infinity}"#, "Infinity is no JSON"),
            (r#"[{"price":nan}]"#, "nan is no JSON"),
            (r#"{"price":undefined}"#, "undefined is no JSON"),
            ("{'symbol': 'AAPL', 'price': 201.5}", "' is Python's"),
            (r#"{"a":"\"'","b":1e5,"c":true,"volume":None}"#, "None is Python's"),
            ("AAPL,201.5,100,2025-06-06T14:00:01Z", "a line of comma-separated values"),
            ("1749218401;AAPL;201.5\n1749218402;AAPL;201.5", "a line of comma-separated values"),
            ("<tick symbol=\"AAPL\"/>", "looks like XML"),
        ] {
            let Reject { reason, detail } = reject_of(value);
            assert_eq!(reason, Reason::NotJson, "{value}");
            assert!(detail.contains(said) && detail.contains("column"), "{value}: {detail}");
            assert!(detail.contains("the producer must write"), "{value}: {detail}");
        }
        for value in ["hello", "{\"a\":1", "{\"a\":x}", "8=FIX.4.4|35=W", "{\"a\":\"'"] {
            let detail = reject_of(value).detail;
            assert!(!detail.contains("producer"), "{value}: {detail}");
        }
    }

    #[test]
    fn json_that_was_encoded_twice_is_said() {
        for value in [r#""{\"symbol\":\"AAPL\"}""#, r#"" [{\"symbol\":\"AAPL\"}]""#] {
            let Reject { reason, detail } = reject_of(value);
            assert_eq!(reason, Reason::NotObject);
            assert!(detail.contains("encoded twice"), "{detail}");
        }
        assert_eq!(reject_of("\"AAPL\"").detail, "the JSON value is not an object");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{\\[]?[a-zN'\"\\\\,é<{}\\[\\]:0-9 .-]{0,60}") {
            let _ = super::find_advice(&text);
        }
    }
}
