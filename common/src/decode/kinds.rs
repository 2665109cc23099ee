//! Of which kind a message is: what its own members, or those around it, say where a condition asks.

use super::elements::{Outside, any_member};
use super::mapping::Condition;
use super::values::plain_text;
use crate::reject::{Reason, Reject, excerpt};
use serde_json::value::RawValue;

/// What stands around an element, said of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// Nothing: the element says it itself.
    Nothing = 0,
    /// That every condition holds.
    Fits = 1,
}

impl Condition {
    /// The member that it asks, in this object; `None` where there is none, or null.
    pub(super) fn find<'a>(&self, object: &'a str) -> Result<Option<&'a RawValue>, Reject> {
        let (mut text, mut found) = (object, None);
        for name in self.path.names() {
            if !text.trim_ascii_start().starts_with('{') {
                return Ok(None);
            }
            let Some(raw) = any_member(text, name)? else {
                return Ok(None);
            };
            (text, found) = (raw.get(), Some(raw));
        }
        Ok(found.filter(|raw| raw.get() != "null"))
    }

    /// Whether a message of which `said` is known is meant.
    pub(super) fn check(&self, said: Option<&RawValue>) -> Result<(), Reject> {
        let reject = |detail| Err(Reject::new(Reason::OtherKind, detail));
        match said {
            Some(raw) if self.holds(raw) => Ok(()),
            None if self.is_optional => Ok(()),
            None => reject(format!("there is no {}: taken are messages with {self} (--where)", self.path)),
            Some(raw) => {
                let (path, value) = (&self.path, excerpt(raw.get()));
                reject(format!("{path} is {value}: taken are messages with {self} (--where, --preset)"))
            }
        }
    }

    fn holds(&self, raw: &RawValue) -> bool {
        let is_one = |text: &str| self.values.iter().any(|value| value == text);
        match plain_text(raw) {
            Some(text) => is_one(text),
            None if raw.get().starts_with('"') => serde_json::from_str::<String>(raw.get()).is_ok_and(|text| is_one(&text)),
            None => is_one(raw.get()),
        }
    }
}

/// What is said around an element of the kinds that are asked for; `None` where the strict path has to weigh it.
pub(super) fn around(outside: Outside<'_, '_>, conditions: &[Condition]) -> Option<Around> {
    let mut said = conditions.iter().enumerate().map(|(at, condition)| Some(condition.holds(outside.said(at)?)));
    match said.next() {
        None | Some(None) => said.all(|said| said.is_none()).then_some(Around::Nothing),
        Some(Some(true)) => said.all(|said| said == Some(true)).then_some(Around::Fits),
        Some(Some(false)) => None,
    }
}
