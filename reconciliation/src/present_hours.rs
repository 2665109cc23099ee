//! [`PresentHours`]: which hours of a long window may hold anything.
//!
//! A window of centuries has a million hours, and of each of them several tables, folders and
//! Kafka are asked. Of a span that none of them has anything of nothing is found: it is passed
//! over, which three questions tell of decades.

use crate::topic::ComparedTopic;
use hourly::archive::PrefixTemplate;
use hourly::flags::HourPlan;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::lake::covered;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use std::collections::BTreeSet;
use std::ops::Range;

/// The folders on the first level below each prefix.
pub type Folders = Vec<(PrefixTemplate, BTreeSet<String>)>;

/// Hours of a window that have anything.
#[derive(Debug)]
pub struct PresentHours {
    folders: Folders,
    /// Hours of which there is something other than those.
    hours: BTreeSet<Hour>,
    plan: HourPlan,
    /// The first hour that tables have, after those that were asked for; the window's end where
    /// there is none.
    next_row: Option<Hour>,
}

impl PresentHours {
    pub fn new(folders: Folders, plan: HourPlan) -> Self {
        Self { folders, hours: BTreeSet::new(), plan, next_row: None }
    }

    /// Asks Kafka of all of the window, and which hours the lake alone has.
    ///
    /// # Errors
    /// Where the database or Kafka fails.
    pub async fn ask(&mut self, db: &mut BatchDb, topics: &[ComparedTopic]) -> Result<(), Failure> {
        for topic in topics {
            let held = topic.held(&self.plan.window).await?;
            self.add(held.into_iter().flat_map(Hour::each));
        }
        let covered = covered::hours(db, &self.plan.window).await?;
        self.add(covered);
        Ok(())
    }

    /// Notes hours of which something was found elsewhere.
    pub fn add(&mut self, hours: impl IntoIterator<Item = Hour>) {
        self.hours.extend(hours);
    }

    /// Whether no side has anything of some hours. They come in order of time.
    ///
    /// # Errors
    /// Where the database or Kafka fails.
    pub async fn is_empty(
        &mut self,
        db: &mut BatchDb,
        hours: &Range<Hour>,
    ) -> Result<bool, Failure> {
        if self.shows(hours) {
            return Ok(false);
        }
        let next = match self.next_row.filter(|next| *next >= hours.start) {
            Some(next) => next,
            None => self.find_row(db, hours.start).await?,
        };
        self.next_row = Some(next);
        Ok(next >= hours.end)
    }

    /// Whether a folder, Kafka or something else has some hours.
    fn shows(&self, hours: &Range<Hour>) -> bool {
        let has_folder = |hour: Hour| {
            let is_there = |(template, there): &(PrefixTemplate, BTreeSet<String>)| {
                there.contains(template.level(&template.prefix(hour)))
            };
            self.folders.iter().any(is_there)
        };
        self.hours.range(hours.clone()).next().is_some()
            || Hour::each(self.plan.around(hours)).any(has_folder)
    }

    /// The first hour from one on of which a table has a row; the window's end where there is none.
    async fn find_row(&self, db: &mut BatchDb, from: Hour) -> Result<Hour, Failure> {
        let mut next = self.plan.window.end;
        for statement in [include_str!("../sql/next_row.sql"), include_str!("../sql/next_tick.sql")]
        {
            let statement = pg::query_scalar(statement)
                .bind(Timestamptz(from.start()))
                .bind(Timestamptz(next.start()));
            let row: Option<Timestamptz> =
                db.fetch_one("looking for hours to compare in", statement).await?;
            next = row.map_or(next, Hour::from);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::VerifyArgs;
    use crate::hour_spans::HourSpans;
    use clap::Parser;
    use common::Timestamp;

    /// What the flags ask for, with folders of these hours.
    fn there(template: &str, flags: &[&str], hours: &[&str]) -> PresentHours {
        let database = ["verify", "--database-url", "postgres://u:p@h/d"];
        let args = VerifyArgs::try_parse_from([&database[..], flags].concat()).unwrap();
        let plan = args.hours.plan(Timestamp::now()).unwrap();
        let template = PrefixTemplate::parse(template).unwrap();
        let level = |text: &&str| template.level(&template.prefix(hour(text))).to_owned();
        PresentHours::new(vec![(template.clone(), hours.iter().map(level).collect())], plan)
    }

    /// The spans of a window that are not passed over, tables aside.
    fn looked_at(there: &PresentHours) -> Vec<Range<Hour>> {
        let mut spans = HourSpans::of(&[], there.plan.window.clone());
        let mut found = Vec::new();
        while let Some(hours) = spans.current() {
            if there.shows(&hours) {
                found.push(hours);
            }
            spans.advance();
        }
        found
    }

    fn hour(text: &str) -> Hour {
        Hour::parse(text).unwrap()
    }

    fn is_in(found: &[Range<Hour>], text: &str) -> bool {
        found.iter().any(|span| span.contains(&hour(text)))
    }

    const DECADES: [&str; 4] = ["--from", "1990-01-01T00", "--to", "2026-01-01T00"];

    #[test]
    fn of_decades_only_days_are_looked_at_of_which_something_is_there() {
        let hours = ["1990-01-01T00", "1995-12-31T23", "2000-02-29T12", "2025-12-31T23"];
        let mut there = there("raw/%Y-%m-%d-%H/", &DECADES, &hours);
        let found = looked_at(&there);
        assert!(hours.iter().all(|hour| is_in(&found, hour)), "{found:?}");
        // Within slack the neighbours may hold ticks of a folder, too.
        assert!(found.len() <= 2 * hours.len(), "{found:?}");
        there.add([hour("1997-05-05T05")]);
        there.add(Hour::each(hour("1998-01-01T10")..hour("1998-01-02T10")));
        let more = looked_at(&there);
        assert_eq!(more.len(), found.len() + 3, "{more:?}");
        for text in ["1997-05-05T05", "1998-01-01T10", "1998-01-02T09"] {
            assert!(is_in(&more, text), "{text}");
        }
    }

    #[test]
    fn stretches_begin_where_they_begin_without_passing_any_over() {
        let there = there("raw/%Y-%m-%d-%H/", &DECADES, &["2000-02-29T12"]);
        let mut spans = HourSpans::of(&[], there.plan.window.clone());
        let mut all = Vec::new();
        while let Some(hours) = spans.current() {
            all.push(hours);
            spans.advance();
        }
        assert!(looked_at(&there).iter().all(|hours| all.contains(hours)));
    }

    #[test]
    fn a_folder_of_a_year_stands_for_each_of_its_hours() {
        let there = there("raw/%Y/%m/%d/%H/", &DECADES, &["2000-02-29T12"]);
        let found = looked_at(&there);
        assert!((366..370).contains(&found.len()), "{}", found.len());
    }
}
