//! [`LateFinds`]: objects with ticks of hours that are compared without them, as their folders lie
//! beyond slack: no run has read them, or they cannot be read.
//!
//! What hours an object has ticks of is known when it is read, with the hours of its folder. The
//! hours themselves may have been compared by then, or have their turn later.

use hourly::archive::Folder;
use hourly::flags::HourPlan;
use hourly::hour::Hour;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

/// An object with ticks of an hour that is compared without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarObject {
    pub key: Arc<str>,
    /// Why it cannot be read, with its name; `None`: it can, and no run has.
    pub why: Option<Arc<str>>,
}

impl FarObject {
    /// Describes the finding.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.why {
            None => format!(
                "an object that no run has read yet, and whose folder is beyond --slack, holds \
                 ticks of it: {}; run batch-layer, and verify again",
                self.key
            ),
            Some(why) => {
                format!("an object whose folder is beyond --slack holds ticks of it: {why}")
            }
        }
    }
}

/// Such an object, and the hours of its folder.
#[derive(Debug, Clone)]
struct FarObjectFolder {
    object: FarObject,
    folder: Range<Hour>,
}

/// Of each hour the object whose folder is farthest from it, of those on one side.
#[derive(Debug, Default)]
pub struct FarObjects(BTreeMap<Hour, FarObjectFolder>);

impl FarObjects {
    /// Notes an object that has ticks of an hour other than those that are looked at.
    pub fn note(&mut self, hour: Hour, (object, folder): (&FarObject, &Folder), looked_at: Hour) {
        let new = || FarObjectFolder { object: object.clone(), folder: folder.hours.clone() };
        let known = self.0.entry(hour).or_insert_with(new);
        let is_farther = if hour < looked_at {
            folder.hours.start > known.folder.start
        } else {
            folder.hours.end < known.folder.end
        };
        if is_farther {
            *known = new();
        }
    }
}

/// Late objects that are known so far.
#[derive(Debug, Default)]
pub struct LateFinds {
    /// Of hours that are still to be compared.
    of_coming: BTreeMap<Hour, FarObjectFolder>,
    /// Of hours that were compared without.
    of_compared: BTreeMap<Hour, FarObject>,
    /// Hours that were compared together, in order of time.
    compared: Vec<Range<Hour>>,
}

impl LateFinds {
    /// Notes what was found while `hours` were read; gives the hours that had been compared
    /// before. `is_asked`: whether an hour is one of those that are compared.
    pub fn note(
        &mut self,
        (plan, hours): (&HourPlan, &Range<Hour>),
        found: &FarObjects,
        is_asked: impl Fn(Hour) -> bool,
    ) -> Vec<(Hour, FarObject)> {
        let mut new = Vec::new();
        for (hour, far) in found.0.iter().filter(|(hour, _)| is_asked(**hour)) {
            if *hour >= hours.end {
                let known = self.of_coming.entry(*hour).or_insert_with(|| far.clone());
                if far.folder.end < known.folder.end {
                    *known = far.clone();
                }
            } else if !self.has_read(plan, *hour, &far.folder)
                && let Entry::Vacant(unknown) = self.of_compared.entry(*hour)
            {
                unknown.insert(far.object.clone());
                new.push((*hour, far.object.clone()));
            }
        }
        new
    }

    /// Notes hours as compared.
    pub fn note_compared(&mut self, hours: Range<Hour>) {
        self.of_coming.retain(|hour, _| !hours.contains(hour));
        self.compared.push(hours);
    }

    /// The hours still to be compared.
    pub fn of_coming(&self) -> impl Iterator<Item = Hour> {
        self.of_coming.keys().copied()
    }

    /// The object that an hour is compared without. `hours`: those that are read with it.
    #[must_use]
    pub fn of(&self, plan: &HourPlan, hour: Hour, hours: &Range<Hour>) -> Option<&FarObject> {
        let far = self.of_coming.get(&hour)?;
        (far.folder.end <= plan.around(hours).start).then_some(&far.object)
    }

    /// The hours that had been compared before something of them was found.
    pub const fn of_compared(&self) -> &BTreeMap<Hour, FarObject> {
        &self.of_compared
    }

    /// Whether a folder was read when an hour was compared.
    fn has_read(&self, plan: &HourPlan, hour: Hour, folder: &Range<Hour>) -> bool {
        let number = self.compared.partition_point(|hours| hours.end <= hour);
        let hours = self.compared.get(number).filter(|hours| hours.contains(&hour));
        hours.is_some_and(|hours| folder.start < plan.around(hours).end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::VerifyArgs;
    use clap::Parser;
    use common::Timestamp;

    fn hour(number: i64) -> Hour {
        Hour::parse("2025-06-02T00").unwrap().plus(number)
    }

    fn plan() -> HourPlan {
        let flags = ["verify", "--database-url", "postgres://u:p@h/d", "--hour", "2025-06-02T00"];
        let args = VerifyArgs::try_parse_from(flags).unwrap();
        args.hours.plan(Timestamp::now()).unwrap()
    }

    /// What is found in a span that begins at `start`: ticks of hours in folders of an hour.
    fn found(start: i64, ticks: &[(i64, i64)]) -> FarObjects {
        let mut found = FarObjects::default();
        for (of, folder) in ticks {
            let key: Arc<str> = format!("{folder:02}").into();
            let object = FarObject { key: Arc::clone(&key), why: None };
            let folder = Folder { prefix: key, hours: hour(*folder)..hour(folder + 1) };
            found.note(hour(*of), (&object, &folder), hour(start));
        }
        found
    }

    #[test]
    fn of_hours_that_have_their_turn_later_the_farthest_object_counts() {
        let (plan, mut late) = (plan(), LateFinds::default());
        let first = hour(0)..hour(24);
        let ticks = [(30, 24), (30, 5), (31, 24), (90, 5), (-9, 5)];
        late.note((&plan, &first), &found(0, &ticks), |of| of < hour(48));
        late.note_compared(first);
        let key_of = |hour_of: i64, hours: &Range<Hour>| {
            late.of(&plan, hour(hour_of), hours).map(|object| &*object.key)
        };
        assert_eq!(late.of_coming().collect::<Vec<_>>(), [hour(30), hour(31)]);
        // The second day reads the folder of its first hour itself.
        let next = hour(24)..hour(48);
        // It may be read more than once.
        for _ in 0..2 {
            assert_eq!([30, 31, 32].map(|of| key_of(of, &next)), [Some("05"), None, None]);
        }
        assert!(late.of_compared().keys().eq([&hour(-9)]), "nobody has compared it");
    }

    #[test]
    fn of_hours_that_were_compared_only_what_was_not_read_with_them_counts() {
        let (plan, mut late) = (plan(), LateFinds::default());
        late.note_compared(hour(0)..hour(24));
        let second = hour(24)..hour(48);
        // Within slack the first day has read the folder of the second one's first hour.
        let found = found(24, &[(5, 24), (6, 24), (6, 30)]);
        let new = late.note((&plan, &second), &found, |_| true);
        let keys = |(of, object): &(Hour, FarObject)| (*of, object.key.to_string());
        assert_eq!(new.iter().map(keys).collect::<Vec<_>>(), [(hour(6), "30".to_owned())]);
        assert!(late.of_compared().keys().eq([&hour(6)]));
        assert_eq!(late.note((&plan, &second), &found, |_| true), [], "it is told once");
    }
}
