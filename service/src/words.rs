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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural_and_none_is_one() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "object")), ["0 objects", "1 object", "2 objects"]);
        assert_eq!([0, 1, 2].map(|count| one_or_more(count, "is", "are")), ["are", "is", "are"]);
    }
}
