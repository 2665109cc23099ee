//! Whether the tables that follow from an hour's ticks say the same as these.

use crate::hour_span::{HourSpan, TableDifferences};
use crate::minutes;
use crate::recorded::RecordedHour;
use crate::symbols::NamedSymbols;
use crate::tables::{self, ANEW, Derived, Sources};
use crate::topic::TopicHoldings;
use crate::verification::Verification;
use hourly::hour::Hour;
use service::Failure;

impl Verification {
    /// Differences of the tables that follow from the ticks.
    pub(super) async fn strays(
        &mut self,
        hour: Hour,
        span: &HourSpan,
        sources: Sources<'_>,
    ) -> Result<TableDifferences, Failure> {
        let mut found = TableDifferences::default();
        self.add_summary_strays(hour, span, &mut found).await?;
        if let Some(recorded) = RecordedHour::read(&mut self.db, hour).await? {
            found.others.extend(recorded.contradictions());
            found.unsure = recorded.is_elsewhere(&self.archive.store.location());
            found.rules = recorded.is_read_otherwise(&self.archive.reader.describe_format());
        }
        if span.computed[&hour].is_purged() {
            self.add_purged_strays(hour, span, &mut found).await?
        } else {
            self.add_bar_strays(hour, span, sources, &mut found).await?
        }
        Ok(found)
    }

    /// Adds what the summaries say otherwise than what was kept of the hour, or than the archive.
    async fn add_summary_strays(
        &mut self,
        hour: Hour,
        span: &HourSpan,
        found: &mut TableDifferences,
    ) -> Result<(), Failure> {
        let (archive, computed) = (span.archive(hour), &span.computed[&hour]);
        let counted = [computed.summary_ticks.unwrap_or_default(), computed.summed.0];
        let is_counted = counted.contains(&archive.ticks);
        if let Some(kept) = span.kept.get(&hour) {
            note_strays(&mut found.others, Derived::Summary.name(), &kept.summary, ANEW);
        } else if span.is_archive_compared(hour) && is_counted {
            let symbols =
                tables::find_differing(&mut self.db, hour, Derived::Summary, archive.bars())
                    .await?;
            note_strays(&mut found.others, Derived::Summary.name(), &symbols, ANEW);
        }
        Ok(())
    }

    /// Adds what bars say otherwise than the archive, or than each other, of an hour whose ticks
    /// retention has dropped.
    async fn add_purged_strays(
        &mut self,
        hour: Hour,
        span: &HourSpan,
        found: &mut TableDifferences,
    ) -> Result<(), Failure> {
        let (archive, computed) = (span.archive(hour), &span.computed[&hour]);
        let is_all_there = span.is_archive_compared(hour) && !span.kept.contains_key(&hour);
        let unwritten = self.unwritten(hour, span);
        if is_all_there && computed.hour_bar_ticks + unwritten == archive.ticks {
            let has_places = |part: &TopicHoldings| {
                let there = part.archived.holdings.hours.get(&hour);
                there.is_none_or(|held| {
                    held.partitions.values().all(|held| held.without_offsets == 0)
                })
            };
            let derived = Derived::Archived { is_ordered: span.parts.iter().all(has_places) };
            let symbols =
                tables::find_differing(&mut self.db, hour, derived, archive.bars()).await?;
            // Each tick that was never written makes its symbol's bar another one.
            if symbols.len() as u64 > unwritten {
                note_strays(
                    &mut found.others,
                    derived.name(),
                    &symbols,
                    "the archive says otherwise",
                );
            }
        }
        if computed.minute_bar_ticks > 0 {
            let symbols = tables::minutes_beside_hours(&mut self.db, hour).await?;
            note_strays(&mut found.others, "minute_bars", &symbols, "hour_bars say otherwise");
        }
        Ok(())
    }

    /// Adds what bars say otherwise than the ticks of `realtime_stock`.
    async fn add_bar_strays(
        &mut self,
        hour: Hour,
        span: &HourSpan,
        sources: Sources<'_>,
        found: &mut TableDifferences,
    ) -> Result<(), Failure> {
        const WHY: &str = "they do not follow from realtime_stock";
        let (realtime, computed) = (span.realtime(hour), &span.computed[&hour]);
        if realtime.is_too_wide {
            return Ok(());
        }
        if computed.hour_bar_ticks > 0 || realtime.ticks > 0 {
            let symbols =
                tables::find_differing(&mut self.db, hour, Derived::HourBars, realtime.bars())
                    .await?;
            note_strays(&mut found.bars, Derived::HourBars.name(), &symbols, WHY);
        }
        // Minutes may be trimmed; the hours are kept.
        if computed.minute_bar_ticks > 0 {
            let symbols =
                minutes::find_differing_minutes(&mut self.db, (hour, sources), realtime.bars())
                    .await?;
            note_strays(&mut found.bars, "minute_bars", &symbols, WHY);
        }
        Ok(())
    }

    /// How many ticks the speed layer never wrote of an hour whose ticks retention has dropped, for
    /// reasons that are known.
    fn unwritten(&self, hour: Hour, span: &HourSpan) -> u64 {
        let topics = self.topics.iter().zip(&span.parts);
        let partitions =
            topics.flat_map(|(topic, part)| self.compare_topic((hour, topic), part, span));
        partitions.map(|partition| partition.unwritten).sum()
    }
}

fn note_strays(found: &mut Vec<String>, table: &str, symbols: &NamedSymbols, what: &str) {
    if !symbols.is_empty() {
        found.push(symbols.describe_rows(table, what));
    }
}
