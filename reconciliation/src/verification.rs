//! [`Verification`]: goes through the hours, span by span.

use crate::archive::Archive;
use crate::hour_span::HourSpan;
use crate::hour_spans::HourSpans;
use crate::indicators::{self, IndicatorComparison};
use crate::late::LateFinds;
use crate::nothing;
use crate::outcome::{HourOutcome, Status};
use crate::present_hours::PresentHours;
use crate::repair::{self, Repair};
use crate::report::Printer;
use crate::stop::stopped_comparing;
use crate::store::{self, Unwritten};
use crate::topic::{ComparedTopic, TopicHoldings};
use hourly::flags::HourPlan;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::words::inflected;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// State of a comparison of many hours.
pub struct Verification {
    pub topics: Vec<ComparedTopic>,
    pub archive: Archive,
    pub db: BatchDb,
    /// Hours before the window that are compared, too.
    pub before: Vec<Hour>,
    /// Hours of the window that may have ticks; `None`: each of them is looked at.
    pub there: Option<PresentHours>,
    /// Objects that some hours were compared without.
    pub late: LateFinds,
    /// An object of the hours whose lines are no ticks.
    pub tickless: Option<Arc<str>>,
    pub stop: CancellationToken,
    /// Why what is found is no longer written. It is printed nevertheless.
    pub unwritten: Option<Unwritten>,
    /// Whether bars are brought in line with the ticks.
    pub is_repairing: bool,
}

/// Outcomes of the repairs of each hour.
type Repaired = BTreeMap<Hour, Vec<Repair>>;

impl Verification {
    /// # Errors
    /// The first failure to write what was found, else why not all of it was compared.
    pub async fn compare_all(
        &mut self,
        plan: &HourPlan,
        report: &mut Printer,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let compared = self.compare_spans(plan, report, stop).await;
        self.unwritten.take().map_or(compared, |unwritten| Err(unwritten.failure))
    }

    async fn compare_spans(
        &mut self,
        plan: &HourPlan,
        report: &mut Printer,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let indicators = indicators::strays(&mut self.db, &plan.window);
        let indicators =
            stop.run_until_cancelled(indicators).await.ok_or_else(stopped_comparing)??;
        let mut spans = HourSpans::of(&self.before, plan.window.clone());
        let mut repaired = Repaired::new();
        self.there.iter_mut().for_each(|there| there.add(indicators.strays.keys().copied()));
        while let Some(hours) = spans.current() {
            if spans.are_apart() {
                self.topics.iter_mut().for_each(ComparedTopic::begin_anew);
            }
            if self.is_empty(&hours).await? {
                spans.advance();
                continue;
            }
            let Some(span) = self.read_and_repair(&hours, &mut repaired, stop).await? else {
                spans.shorten();
                continue;
            };
            self.note_findings_for_other_hours(plan, &span, report).await;
            for hour in Hour::each(hours.clone()) {
                let repairs = repaired.remove(&hour).unwrap_or_default();
                let outcome = self.judge(hour, &span, &indicators, &repairs);
                // What cannot be written is to be read all the same.
                if !outcome.is_empty() {
                    report.add(&outcome).map_err(Failure::Infrastructure)?;
                }
                if self.unwritten.is_none() {
                    self.unwritten = store::write(&mut self.db, &outcome, span.read_at).await.err();
                }
            }
            if self.unwritten.as_ref().is_some_and(|unwritten| !unwritten.is_refused) {
                // The connection is of no use any more.
                return Ok(());
            }
            spans.advance();
        }
        Ok(())
    }

    /// The outcome of an hour, with what is known of its indicators and repairs.
    fn judge(
        &self,
        hour: Hour,
        span: &HourSpan,
        indicators: &IndicatorComparison,
        repairs: &[Repair],
    ) -> HourOutcome {
        let mut outcome = self.compare(hour, span, repairs);
        if let Some(stray) = indicators.strays.get(&hour) {
            outcome.find(Status::Mismatch, stray.describe());
        }
        let waiting = indicators.waiting(hour);
        if !waiting.is_empty() && !outcome.is_empty() {
            let what = "batch-layer has still to compute indicators, which were not compared";
            outcome.find(Status::Open, format!("{what}: of {waiting}"));
        }
        repairs.iter().for_each(|repair| outcome.find(Status::Ok, repair.describe()));
        outcome
    }

    /// Notes of hours what was found before that they are compared without: the archive is not read
    /// whole.
    pub(super) fn note_late(&self, hours: &Range<Hour>, parts: &mut [TopicHoldings]) {
        for hour in Hour::each(hours.clone()) {
            let Some(object) = self.late.of(&self.archive.plan, hour, hours) else { continue };
            for (topic, part) in self.topics.iter().zip(&mut *parts) {
                if topic.of_objects().is_none_or(|topic| self.archive.is_of(&object.key, topic)) {
                    part.archived.note_unread([hour], &object.describe());
                }
            }
        }
    }

    /// Notes what a span tells about hours that are compared later. Those that were before are
    /// open after all.
    async fn note_findings_for_other_hours(
        &mut self,
        plan: &HourPlan,
        span: &HourSpan,
        report: &mut Printer,
    ) {
        for (topic, part) in self.topics.iter_mut().zip(&span.parts) {
            topic.note_messages(&span.hours, part);
        }
        let before: BTreeSet<Hour> = self.before.iter().copied().collect();
        let is_asked = |hour: Hour| plan.window.contains(&hour) || before.contains(&hour);
        for part in &span.parts {
            self.tickless = self.tickless.take().or_else(|| part.archived.tickless.clone());
            let of_compared = self.late.note((plan, &span.hours), &part.archived.far, is_asked);
            for (hour, object) in of_compared {
                if self.unwritten.is_none() {
                    self.unwritten =
                        store::open(&mut self.db, hour, &object.describe()).await.err();
                }
                report.open(hour);
            }
        }
        self.late.note_compared(span.hours.clone());
        if let Some(there) = &mut self.there {
            there.add(self.late.of_coming());
        }
    }

    /// Explains why nothing was compared.
    pub async fn explain(&mut self, asked: &nothing::RequestedHours) -> Result<(), Failure> {
        match &self.tickless {
            Some(key) => {
                let example = format!("{}{key}", self.archive.store.location());
                asked.explain_lines(&mut self.db, &example).await
            }
            None => asked.explain(&mut self.db).await,
        }
    }

    /// Logs that hours are open of which an object was read too late: their lines stand already.
    pub fn log_late(&self) {
        if let Some((hour, object)) = self.late.of_compared().first_key_value() {
            let hours = self.late.of_compared().len();
            let what = "hour[s] [was|were] compared without all of [its|their] ticks";
            let (text, why) = (inflected(hours as u64, what), object.describe());
            tracing::warn!(
                hours,
                %hour,
                key = &*object.key,
                error = why,
                "{text}, {hour} the first: {why}"
            );
        }
    }

    /// Whether it is known that no side has anything of some hours.
    async fn is_empty(&mut self, hours: &Range<Hour>) -> Result<bool, Failure> {
        match &mut self.there {
            Some(_) if self.stop.is_cancelled() => Err(stopped_comparing()),
            Some(there) => there.is_empty(&mut self.db, hours).await,
            None => Ok(false),
        }
    }

    /// Reads a span, after its bars were repaired if that is asked for; `None` if it
    /// is too much at once. What was repaired stays so, and is in `repaired`, either way.
    async fn read_and_repair(
        &mut self,
        hours: &Range<Hour>,
        repaired: &mut Repaired,
        stop: &CancellationToken,
    ) -> Result<Option<HourSpan>, Failure> {
        let Some(span) = stop
            .run_until_cancelled(self.read(hours.clone()))
            .await
            .ok_or_else(stopped_comparing)??
        else {
            return Ok(None);
        };
        if !self.repair(&span, repaired, stop).await? {
            return Ok(Some(span));
        }
        drop(span);
        stop.run_until_cancelled(self.read(hours.clone())).await.ok_or_else(stopped_comparing)?
    }

    /// Repairs the hours of a span whose bars do not follow from the ticks, if that is asked
    /// for. Whether any were tried.
    async fn repair(
        &mut self,
        span: &HourSpan,
        repaired: &mut Repaired,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        let mut is_tried = false;
        let wrong =
            span.strays.iter().filter(|(_, strays)| self.is_repairing && !strays.bars.is_empty());
        for (hour, _) in wrong {
            if stop.is_cancelled() {
                return Err(stopped_comparing());
            }
            let has_ticks = span.realtime(*hour).ticks > 0;
            let repair = match span.reason_not_repaired(&self.compare(*hour, span, &[])) {
                Some(why) if has_ticks => Repair::Left(why),
                _ => {
                    is_tried = true;
                    // Minutes that are missing altogether were trimmed, as long as the hours are
                    // there.
                    let computed = &span.computed[hour];
                    let with_minutes =
                        computed.minute_bar_ticks > 0 || computed.hour_bar_ticks == 0;
                    let repair = repair::repair(&mut self.db, *hour, with_minutes).await?;
                    let outcome = repair.describe();
                    if matches!(repair, Repair::Busy | Repair::Locked(_)) {
                        tracing::warn!(%hour, outcome, "hour {hour}: {outcome}");
                    } else {
                        tracing::info!(%hour, outcome, "hour {hour}: {outcome}");
                    }
                    repair
                }
            };
            // Of an hour that is looked at again only what is new is logged.
            let known = repaired.entry(*hour).or_default();
            if known.last() != Some(&repair) {
                known.push(repair);
            }
        }
        Ok(is_tried)
    }
}
