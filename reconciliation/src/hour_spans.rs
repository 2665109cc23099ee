//! [`HourSpans`]: hours in pieces that fit into memory.

use hourly::hour::Hour;
use std::ops::Range;

/// Hours that are compared at a time; the neighbouring folders of a span are read twice.
const LONGEST: i64 = 24;

/// One span of hours after the other.
#[derive(Debug)]
pub struct HourSpans {
    rest: Range<Hour>,
    /// Behind those, the last one first.
    later: Vec<Range<Hour>>,
    length: i64,
    /// The current ones do not follow those that were looked at before.
    are_apart: bool,
}

impl HourSpans {
    /// The spans of some hours, in order of time, and of a window after them.
    #[must_use]
    pub fn of(before: &[Hour], window: Range<Hour>) -> Self {
        let neighbours = before.chunk_by(|one, next| one.plus(1) == *next);
        let ranges = neighbours.filter_map(|hours| Some(*hours.first()?..hours.last()?.plus(1)));
        let mut later: Vec<_> = ranges.chain([window.clone()]).rev().collect();
        let rest = later.pop().unwrap_or(window);
        Self { rest, later, length: LONGEST, are_apart: true }
    }

    /// The hours that are to be looked at now; `None` after the last.
    #[must_use]
    pub fn current(&self) -> Option<Range<Hour>> {
        let end = self.rest.start.plus(self.length).min(self.rest.end);
        (self.rest.start < end).then_some(self.rest.start..end)
    }

    /// Whether hours that are not looked at lie between the current ones and those before.
    #[must_use]
    pub const fn are_apart(&self) -> bool {
        self.are_apart
    }

    /// They hold more than fits: fewer are taken.
    pub fn shorten(&mut self) {
        self.length = (self.length / 2).max(1);
    }

    /// They are done: after one that holds much there may be many that hold little.
    pub fn advance(&mut self) {
        self.rest.start = self.rest.start.plus(self.length).min(self.rest.end);
        self.length = (self.length * 2).min(LONGEST);
        self.are_apart = false;
        if self.rest.is_empty()
            && let Some(next) = self.later.pop()
        {
            self.are_apart = next.start != self.rest.end;
            self.rest = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    /// The spans that are looked at to the end, where hours before `wide` fit only one at a
    /// time.
    fn lengths(hours: i64, wide: i64) -> Vec<usize> {
        let first = Hour::of(Timestamp::from_micros(0));
        let (mut spans, mut lengths) = (HourSpans::of(&[], first..first.plus(hours)), Vec::new());
        let mut next = first;
        while let Some(span) = spans.current() {
            assert_eq!(span.start, next, "none is left out");
            let length = Hour::each(span.clone()).count();
            if length > 1 && span.start < first.plus(wide) {
                spans.shorten();
                continue;
            }
            next = span.end;
            lengths.push(length);
            spans.advance();
        }
        assert_eq!(next, first.plus(hours));
        lengths
    }

    #[test]
    fn a_window_is_cut_into_days() {
        assert!(lengths(0, 0).is_empty());
        assert_eq!(lengths(48, 0), [24, 24]);
        assert_eq!(lengths(30, 0), [24, 6]);
    }

    #[test]
    fn hours_before_the_window_come_first_and_those_that_follow_one_another_together() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let before = [hour(1), hour(2), hour(9), hour(39)];
        let mut spans = HourSpans::of(&before, hour(40)..hour(70));
        let mut found = Vec::new();
        while let Some(span) = spans.current() {
            found.push((span, spans.are_apart()));
            spans.advance();
        }
        let expected =
            [(1, 3, true), (9, 10, true), (39, 40, true), (40, 64, false), (64, 70, false)];
        let expected = expected.map(|(start, end, apart)| (hour(start)..hour(end), apart));
        assert_eq!(found, expected);
    }

    #[test]
    fn hours_that_are_taken_in_smaller_stretches_follow_one_another() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let mut spans = HourSpans::of(&[hour(1)], hour(40)..hour(70));
        spans.advance();
        spans.shorten();
        assert!(spans.are_apart(), "the first ones were not looked at yet");
        spans.advance();
        spans.shorten();
        assert!(!spans.are_apart());
    }

    #[test]
    fn behind_hours_that_are_too_much_at_once_stretches_grow_again() {
        assert_eq!(lengths(100, 1), [1, 2, 4, 8, 16, 24, 24, 21]);
        assert_eq!(lengths(10, 3), [1, 1, 1, 2, 4, 1]);
    }
}
