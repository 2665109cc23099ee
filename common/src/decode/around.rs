//! [`Around`]: the kind that is given around an element.

use super::elements::Outside;
use super::mapping::Condition;

/// The kind that is given around an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// Nothing is around it: the element says it itself.
    Nothing = 0,
    /// Every condition holds.
    Fits = 1,
}

/// The kinds that are asked for and given around an element; `None` where the strict path has to
/// weigh it.
pub(super) fn around(outside: Outside<'_, '_>, conditions: &[Condition]) -> Option<Around> {
    let (mut unsaid, mut holding) = (0, 0);
    for (at, condition) in conditions.iter().enumerate() {
        match outside.condition_value(at) {
            None => unsaid += 1,
            Some(value) if condition.holds(value) => holding += 1,
            Some(_) => return None,
        }
    }
    match (unsaid, holding) {
        (_, 0) => Some(Around::Nothing),
        (0, _) => Some(Around::Fits),
        _ => None,
    }
}
