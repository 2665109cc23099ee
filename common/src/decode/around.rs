//! [`Around`]: what stands around an element, said of its kind.

use super::elements::Outside;
use super::mapping::Condition;

/// What stands around an element, said of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// Nothing: the element says it itself.
    Nothing = 0,
    /// That every condition holds.
    Fits = 1,
}

/// What is said around an element of the kinds that are asked for; `None` where the strict path has
/// to weigh it.
pub(super) fn around(outside: Outside<'_, '_>, conditions: &[Condition]) -> Option<Around> {
    let mut said = conditions
        .iter()
        .enumerate()
        .map(|(at, condition)| Some(condition.holds(outside.said(at)?)));
    match said.next() {
        None | Some(None) => said.all(|said| said.is_none()).then_some(Around::Nothing),
        Some(Some(true)) => said.all(|said| said == Some(true)).then_some(Around::Fits),
        Some(Some(false)) => None,
    }
}
