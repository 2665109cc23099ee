//! Numbers in sentences.

/// `1 object`, `2 objects`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", one_or_more(count, "", "s"))
}

/// The word that goes with so many.
#[must_use]
pub const fn one_or_more<'w>(count: u64, one: &'w str, more: &'w str) -> &'w str {
    if count == 1 { one } else { more }
}

/// A sentence that begins with a number, and has `[one|more]` where its words go by that, or
/// `[more]`: `3 tick[s] [is|are] missing`.
#[must_use]
pub fn inflected(count: u64, sentence: &str) -> String {
    let mut text = count.to_string() + " ";
    let mut parts = sentence.split(['[', ']']);
    // Text in brackets follows the text before it.
    while let Some(plain) = parts.next() {
        text.push_str(plain);
        let (one, more) =
            parts.next().map_or(("", ""), |forms| forms.split_once('|').unwrap_or(("", forms)));
        text.push_str(one_or_more(count, one, more));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_sentence_go_by_its_number() {
        let sentence = "tick[s] of the archive [is|are] missing";
        assert_eq!(inflected(1, sentence), "1 tick of the archive is missing");
        assert_eq!(inflected(2, sentence), "2 ticks of the archive are missing");
        assert_eq!(inflected(2, "are missing"), "2 are missing");
    }

    #[test]
    fn one_is_no_plural_and_none_is_one() {
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "object")),
            ["0 objects", "1 object", "2 objects"]
        );
        assert_eq!([0, 1, 2].map(|count| one_or_more(count, "is", "are")), ["are", "is", "are"]);
    }
}
