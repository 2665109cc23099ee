//! [`Conditions`]: what the sale conditions of a trade say of its price. Which codes these are is a
//! matter of the feed.

use crate::tick::Revision;

/// The prefix of a code that comes from a member of its own.
const CORRECTION: &str = "correction=";

/// Codes of sale conditions, by what they say. Letters may be written small or large.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    excluded: Vec<Box<str>>,
    cancels: Vec<Box<str>>,
    corrections: Vec<Box<str>>,
}

/// The meaning of one trade's conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sale {
    /// The price is not of its time, or not of the open market.
    pub is_excluded: bool,
    pub revision: Option<Revision>,
}

impl Conditions {
    #[must_use]
    pub fn new(excluded: &[String], cancels: &[String], corrections: &[String]) -> Self {
        let all = |codes: &[String]| codes.iter().map(|code| code.trim().into()).collect();
        Self { excluded: all(excluded), cancels: all(cancels), corrections: all(corrections) }
    }

    /// Reads the codes of one trade. A cancelled one is no correction.
    #[must_use]
    pub fn of<'a>(&self, codes: impl Iterator<Item = &'a str>) -> Sale {
        let mut sale = Sale::default();
        for code in codes {
            sale.is_excluded |= is_among(&self.excluded, code);
            // Numbers mean something else there, and words the same.
            let word = code
                .strip_prefix(CORRECTION)
                .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()));
            let is_one_of = |known: &[Box<str>]| {
                is_among(known, code) || word.is_some_and(|word| is_among(known, word))
            };
            if is_one_of(&self.cancels) {
                sale.revision = Some(Revision::Cancel);
            } else if is_one_of(&self.corrections) {
                sale.revision = sale.revision.or(Some(Revision::Correction));
            }
        }
        sale
    }
}

fn is_among(known: &[Box<str>], code: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(codes: &[&str]) -> (bool, Option<Revision>) {
        let all = |codes: &[&str]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let conditions = Conditions::new(
            &all(&["U", " Z "]),
            &all(&["cancelled", "correction=8"]),
            &all(&["corrected"]),
        );
        let Sale { is_excluded, revision } = conditions.of(codes.iter().copied());
        (is_excluded, revision)
    }

    #[test]
    fn a_word_of_the_correction_field_may_be_named_with_it_or_alone() {
        let conditions = Conditions::new(&[], &["correction=C".into()], &["amended".into()]);
        let of = |code: &str| conditions.of([code].into_iter()).revision;
        assert_eq!(of("correction=C"), Some(Revision::Cancel));
        assert_eq!(of("C"), None, "a cash sale");
        assert_eq!(of("correction=amended"), Some(Revision::Correction));
    }

    #[test]
    fn codes_are_excluded_cancels_or_corrections_and_most_are_nothing() {
        assert_eq!(of(&[]), (false, None));
        assert_eq!(of(&["@", "I"]), (false, None));
        assert_eq!(of(&["@", "z"]), (true, None));
        assert_eq!(of(&["correction=Z", "correction=cancelled"]), (false, Some(Revision::Cancel)));
        assert_eq!(of(&["correction=8"]), (false, Some(Revision::Cancel)));
        assert_eq!(of(&["8"]), (false, None));
        assert_eq!(of(&["Corrected", "U"]), (true, Some(Revision::Correction)));
    }

    #[test]
    fn what_was_corrected_and_then_cancelled_is_cancelled() {
        assert_eq!(of(&["corrected", "CANCELLED"]).1, Some(Revision::Cancel));
        assert_eq!(of(&["CANCELLED", "corrected"]).1, Some(Revision::Cancel));
    }
}
