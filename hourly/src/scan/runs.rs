//! Runs of neighbouring offsets, one after the other: each is the range that it is.

use std::ops::Range;

/// From the first to after the last of some runs.
pub fn bounding_range(runs: impl Iterator<Item = Range<u64>>) -> Option<Range<u64>> {
    runs.reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
}

/// Runs in whatever order, as those from neighbour to neighbour.
#[must_use]
pub fn sorted(mut runs: Vec<Range<u64>>) -> Vec<Range<u64>> {
    runs.retain(|run| !run.is_empty());
    runs.sort_unstable_by_key(|run| run.start);
    joined(runs.into_iter()).collect()
}

/// Runs in the order of their starts, those that touch as one.
pub fn joined(runs: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    let mut runs = runs.peekable();
    std::iter::from_fn(move || {
        let mut run = runs.next()?;
        while let Some(next) = runs.next_if(|next| next.start <= run.end) {
            run.end = run.end.max(next.end);
        }
        Some(run)
    })
}

/// All of two, each of them in the order of their starts.
pub fn in_order(
    one: impl Iterator<Item = Range<u64>>,
    other: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = Range<u64>> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if first.start < second.start => one.next(),
        (_, Some(_)) => other.next(),
        (_, None) => one.next(),
    })
}

/// What of some runs is not in others, from neighbour to neighbour. Each of them are in the order
/// of their starts.
pub fn missing(
    runs: impl Iterator<Item = Range<u64>>,
    others: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = Range<u64>> {
    let (mut runs, mut others) = (runs, others.peekable());
    // Of the run that is looked through: what is left.
    let mut left = 0..0;
    std::iter::from_fn(move || {
        loop {
            while left.is_empty() {
                left = runs.next()?;
            }
            while others.next_if(|other| other.end <= left.start).is_some() {}
            let next = others.peek().filter(|other| other.start < left.end);
            let there = next.cloned().unwrap_or(left.end..left.end);
            let gap = left.start..there.start;
            left.start = there.end;
            if !gap.is_empty() {
                return Some(gap);
            }
        }
    })
}

/// What two have in common. Each of them are in order.
pub fn common(
    one: impl Iterator<Item = Range<u64>>,
    other: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = Range<u64>> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || {
        loop {
            let (first, second) = (one.peek()?, other.peek()?);
            let both = first.start.max(second.start)..first.end.min(second.end);
            if first.end <= second.end {
                one.next()
            } else {
                other.next()
            };
            if !both.is_empty() {
                return Some(both);
            }
        }
    })
}
