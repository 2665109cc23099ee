//! [`PrefixTemplate`]: which folder of the archive stands for which hour.

use crate::hour::Hour;
use common::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use std::ops::Range;
use std::sync::Arc;

/// A key prefix with strftime fields, such as `raw/stock_prices/%Y-%m-%d-%H/`; always in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixTemplate(String);

/// A folder of the archive and the hours that it stands for: one, or more where the template is
/// coarser.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Folder {
    pub prefix: Arc<str>,
    pub hours: Range<Hour>,
}

impl PrefixTemplate {
    /// # Errors
    /// A sentence for clap to show, where the template would miss objects or take those of other
    /// hours.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('/') {
            return Err("must end with `/`, or it would match other folders' names too".into());
        }
        if text.contains(',') {
            return Err("is one template, without commas: `verify` alone takes a list".into());
        }
        if text.starts_with('/') {
            return Err("must not begin with `/`: keys do not".into());
        }
        let template = Self(text.to_owned());
        // Two instants of one hour, in which every field has another value than its smallest.
        let (early, late) = (1_765_543_500_000_000, 1_765_544_399_000_000);
        let early = template
            .render_at(early)
            .map_err(|error| format!("is not a strftime template: {error}"))?;
        let late = template
            .render_at(late)
            .map_err(|error| format!("is not a strftime template: {error}"))?;
        if early != late {
            return Err(
                "must not go below the hour: objects in deeper folders are found anyway".into()
            );
        }
        if !template.owns(&early) {
            return Err("needs year, month and day, such as %Y-%m-%d-%H".into());
        }
        if let Some(hour) = template.first_ambiguous() {
            let prefix = template.prefix(hour);
            return Err(format!(
                "does not tell which hours a folder stands for: that of {hour} would be \
                 `{prefix}`, also of other hours than those beside it, or of a date that cannot be \
                 read back; take %Y, %m, %d and %H"
            ));
        }
        Ok(template)
    }

    /// An hour whose folder also stands for hours that are not next to it, or does not tell its
    /// date: of a turn of the year, by the calendar and by weeks, each.
    fn first_ambiguous(&self) -> Option<Hour> {
        let turns = [1_483_056_000_000_000, 1_767_052_800_000_000];
        let days = turns.map(|at| Hour::of(Timestamp::from_micros(at)));
        days.into_iter().flat_map(|first| Hour::each(first..first.plus(96))).find(|hour| {
            let prefix = self.prefix(*hour);
            !self.hour_of(&prefix).is_some_and(|first| {
                first <= *hour && Hour::each(first..*hour).all(|hour| self.prefix(hour) == prefix)
            })
        })
    }

    /// The template itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Common beginning of all folders.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.split('%').next().unwrap_or_default()
    }

    /// What a listing of [`PrefixTemplate::stem`] by folders shows of a folder: all of it, or that
    /// of its year.
    #[must_use]
    pub fn level<'p>(&self, prefix: &'p str) -> &'p str {
        let end = prefix.get(self.stem().len()..).and_then(|rest| rest.find('/'));
        end.map_or(prefix, |end| &prefix[..=self.stem().len() + end])
    }

    /// The folder of an hour.
    #[must_use]
    pub fn prefix(&self, hour: Hour) -> Arc<str> {
        // `parse` has rendered it before: only a year beyond 9999 fails, and no folder stands for
        // that.
        self.render_at(hour.start().micros()).unwrap_or_default().into()
    }

    /// The folders of a range of hours, in order of time, each with all of its hours.
    #[must_use]
    pub fn folders(&self, hours: Range<Hour>) -> Vec<Folder> {
        self.folders_of(Hour::each(hours))
    }

    /// The folders of some hours, which come in order of time.
    #[must_use]
    pub fn folders_of(&self, hours: impl IntoIterator<Item = Hour>) -> Vec<Folder> {
        let mut folders: Vec<Folder> = Vec::new();
        for hour in hours {
            let prefix = self.prefix(hour);
            match folders.last_mut() {
                _ if prefix.is_empty() => {}
                Some(folder) if folder.prefix == prefix => {}
                _ => folders.push(Folder { hours: self.hours(hour, &prefix), prefix }),
            }
        }
        folders
    }

    /// The hours of the folder that `hour` lies in: what cannot be read of a day's folder is
    /// wanting in each of them.
    fn hours(&self, hour: Hour, prefix: &str) -> Range<Hour> {
        let is_same = |hour: &Hour| *self.prefix(*hour) == *prefix;
        let before = (1..).map(|back| hour.plus(-back)).take_while(is_same).count();
        let after = (1..).map(|on| hour.plus(on)).take_while(is_same).count();
        hour.plus(-(before as i64))..hour.plus(1 + after as i64)
    }

    /// Whether a folder is one that this template makes. The index may know folders of an earlier
    /// template.
    #[must_use]
    pub fn owns(&self, prefix: &str) -> bool {
        let parsed = BrokenDownTime::parse(&self.0, prefix);
        parsed.is_ok_and(|fields| fields.to_date().is_ok())
    }

    /// Whether keys that begin so may lie in one of its folders.
    #[must_use]
    pub fn holds(&self, beginning: &str) -> bool {
        let folders = beginning.match_indices('/').map(|(end, _)| &beginning[..=end]);
        (!self.stem().is_empty() && beginning.starts_with(self.stem()))
            || folders.into_iter().any(|folder| self.owns(folder))
    }

    /// An hour that a folder stands for; `None` for a folder that this template does not make.
    #[must_use]
    pub fn hour_of(&self, prefix: &str) -> Option<Hour> {
        let fields = BrokenDownTime::parse(&self.0, prefix).ok()?;
        let date = fields.to_date().ok()?;
        let hour = fields.hour().map_or(0, i64::from);
        let start = jiff::tz::TimeZone::UTC.to_timestamp(date.into()).ok()?.as_microsecond();
        let hour = Hour::of(Timestamp::from_micros(start)).plus(hour);
        (*self.prefix(hour) == *prefix).then_some(hour)
    }

    fn render_at(&self, micros: i64) -> Result<String, jiff::Error> {
        let instant =
            jiff::Timestamp::from_microsecond(micros)?.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        jiff::fmt::strtime::format(&self.0, &instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Hour {
        Hour::parse(text).unwrap()
    }

    #[test]
    fn folders_are_listed_by_what_follows_their_common_beginning() {
        for (template, stem, level) in [
            (
                "raw/stock_prices/%Y-%m-%d-%H/",
                "raw/stock_prices/",
                "raw/stock_prices/2025-12-31-23/",
            ),
            ("raw/year=%Y/month=%m/day=%d/hour=%H/", "raw/year=", "raw/year=2025/"),
            ("%Y/%m/%d/", "", "2025/"),
        ] {
            let template = PrefixTemplate::parse(template).unwrap();
            assert_eq!(
                (template.stem(), template.level(&template.prefix(hour("2025-12-31T23")))),
                (stem, level)
            );
        }
    }

    #[test]
    fn each_hour_has_its_folder() {
        let template = PrefixTemplate::parse("raw/stock_prices/%Y-%m-%d-%H/").unwrap();
        let folders = template.folders(hour("2025-12-31T23")..hour("2026-01-01T01"));
        let prefixes: Vec<_> = folders.iter().map(|folder| &*folder.prefix).collect();
        assert_eq!(
            prefixes,
            ["raw/stock_prices/2025-12-31-23/", "raw/stock_prices/2026-01-01-00/"]
        );
    }

    #[test]
    fn a_coarser_template_has_one_folder_for_many_hours() {
        let template = PrefixTemplate::parse("raw/%Y/%m/%d/").unwrap();
        let folders = template.folders(hour("2025-06-02T22")..hour("2025-06-03T02"));
        assert_eq!(folders.len(), 2);
        assert_eq!(
            folders[0].hours,
            hour("2025-06-02T00")..hour("2025-06-03T00"),
            "all of its hours"
        );
    }

    #[test]
    fn the_layouts_of_common_sinks_are_taken() {
        for text in [
            "%Y-%m-%d-%H/",
            "year=%Y/month=%m/day=%d/hour=%H/",
            "t/%Y/%m/%d/%H/",
            "t/%Y%m%d%H/",
            "a/%F/%H/",
            "t/%Y-%j-%H/",
            "t/%y%m%d/",
            "t/%Y-%b-%d/%H/",
            "t/%G-W%V-%u/%H/",
            "t/%Y-%m-%d/%I%p/",
        ] {
            let template = PrefixTemplate::parse(text).unwrap();
            assert!(template.owns(&template.prefix(hour("2025-06-02T13"))), "{text}");
        }
    }

    #[test]
    fn a_template_that_would_miss_or_mix_objects_is_refused() {
        for text in [
            "",
            "raw/%Y-%m-%d-%H",
            "/%Y-%m-%d-%H/",
            "raw/",
            "%m-%d-%H/",
            "%Y-%m-%d-%H-%M/",
            "%Y-%m-%d-%!/",
            "%s/",
            // Twelve hours, centuries, years of weeks: a folder of hours that are not next to one
            // another, or of none.
            "%Y-%m-%d-%I/",
            "%Y%j%I/",
            "%C-%m-%d-%H/",
            "%G-%m-%d-%H/",
            // What verify takes for two of them.
            "a/%Y-%m-%d-%H/,b/%Y-%m-%d-%H/",
        ] {
            assert!(PrefixTemplate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_that_would_lie_among_the_ticks_are_told() {
        let template = PrefixTemplate::parse("raw/stock_prices/%Y-%m-%d-%H/").unwrap();
        assert!(
            template.holds("raw/stock_prices/2025-06-02-10/")
                && template.holds("raw/stock_prices/lake/")
        );
        assert!(!template.holds("lake/") && !template.holds("raw/lake/"));
        let bare = PrefixTemplate::parse("%Y/%m/%d/").unwrap();
        assert!(bare.holds("2025/06/02/lake/") && !bare.holds("lake/"));
    }

    #[test]
    fn the_hour_of_a_folder_is_read_from_its_prefix() {
        for text in ["raw/%Y-%m-%d-%H/", "year=%Y/month=%m/day=%d/hour=%H/", "t/%Y%m%d%H/"] {
            let template = PrefixTemplate::parse(text).unwrap();
            let there = hour("2025-06-02T13");
            assert_eq!(template.hour_of(&template.prefix(there)), Some(there), "{text}");
        }
        let daily = PrefixTemplate::parse("raw/%Y/%m/%d/").unwrap();
        assert_eq!(daily.hour_of("raw/2025/06/02/"), Some(hour("2025-06-02T00")));
        for other in ["raw/2025/6/2/", "raw/57389/01/01/", "raw/2025/06/02/x/", "raw/"] {
            assert_eq!(daily.hour_of(other), None, "{other}");
        }
    }

    #[test]
    fn folders_of_another_template_are_known_as_such() {
        let template = PrefixTemplate::parse("raw/stock_prices/%Y-%m-%d-%H/").unwrap();
        assert!(template.owns("raw/stock_prices/2025-06-02-13/"));
        for other in [
            "raw/other/2025-06-02-13/",
            "raw/stock_prices/2025-06-02/",
            "raw/stock_prices/2025-06-02-13/x/",
        ] {
            assert!(!template.owns(other), "{other}");
        }
    }
}
