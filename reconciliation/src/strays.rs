//! Whether the tables that follow from an hour's ticks say the same as these.

use super::minutes;
use super::recorded::RecordedHour;
use super::stretch::{Strays, Stretch};
use super::symbols::Named;
use super::tables::{self, ANEW, Derived, Sources};
use super::topic::TopicHoldings;
use super::verification::Verification;
use hourly::hour::Hour;
use service::Failure;

impl Verification {
    /// What the tables that follow from the ticks say otherwise.
    pub(super) async fn strays(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
        sources: Sources<'_>,
    ) -> Result<Strays, Failure> {
        let mut found = Strays::default();
        self.add_summary_strays(hour, stretch, &mut found).await?;
        if let Some(recorded) = RecordedHour::read(&mut self.index, hour).await? {
            found.others.extend(recorded.falsehoods());
            found.unsure = recorded.is_elsewhere(&self.archive.store.location());
            found.rules = recorded.is_read_otherwise(&self.archive.reader.describe_format());
        }
        match stretch.computed[&hour].is_purged() {
            true => self.add_purged_strays(hour, stretch, &mut found).await?,
            false => self.add_bar_strays(hour, stretch, sources, &mut found).await?,
        }
        Ok(found)
    }

    /// Adds what the summaries say otherwise than what was kept of the hour, or than the archive.
    async fn add_summary_strays(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
        found: &mut Strays,
    ) -> Result<(), Failure> {
        let (archive, computed) = (stretch.archive(hour), &stretch.computed[&hour]);
        let counted = [computed.summary_ticks.unwrap_or_default(), computed.summed.0];
        let is_counted = counted.contains(&archive.ticks);
        if let Some(kept) = stretch.kept.get(&hour) {
            note_strays(&mut found.others, Derived::Summary.name(), &kept.summary, ANEW);
        } else if stretch.is_archive_compared(hour) && is_counted {
            let symbols =
                tables::differing(&mut self.index, hour, Derived::Summary, archive.bars()).await?;
            note_strays(&mut found.others, Derived::Summary.name(), &symbols, ANEW);
        }
        Ok(())
    }

    /// Adds what bars say otherwise than the archive, or than each other, of an hour whose ticks
    /// retention has dropped.
    async fn add_purged_strays(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
        found: &mut Strays,
    ) -> Result<(), Failure> {
        let (archive, computed) = (stretch.archive(hour), &stretch.computed[&hour]);
        let is_all_there = stretch.is_archive_compared(hour) && !stretch.kept.contains_key(&hour);
        let unwritten = self.unwritten(hour, stretch);
        if is_all_there && computed.hour_bar_ticks + unwritten == archive.ticks {
            let has_places = |part: &TopicHoldings| {
                let there = part.archived.holdings.hours.get(&hour);
                there
                    .is_none_or(|held| held.shares.values().all(|share| share.without_offsets == 0))
            };
            let derived = Derived::Archived { is_ordered: stretch.parts.iter().all(has_places) };
            let symbols = tables::differing(&mut self.index, hour, derived, archive.bars()).await?;
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
            let symbols = tables::minutes_beside_hours(&mut self.index, hour).await?;
            note_strays(&mut found.others, "minute_bars", &symbols, "hour_bars say otherwise");
        }
        Ok(())
    }

    /// Adds what bars say otherwise than the ticks of `realtime_stock`.
    async fn add_bar_strays(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
        sources: Sources<'_>,
        found: &mut Strays,
    ) -> Result<(), Failure> {
        const WHY: &str = "they do not follow from realtime_stock";
        let (realtime, computed) = (stretch.realtime(hour), &stretch.computed[&hour]);
        if realtime.is_too_wide {
            return Ok(());
        }
        if computed.hour_bar_ticks > 0 || realtime.ticks > 0 {
            let symbols =
                tables::differing(&mut self.index, hour, Derived::HourBars, realtime.bars())
                    .await?;
            note_strays(&mut found.bars, Derived::HourBars.name(), &symbols, WHY);
        }
        // Minutes may be trimmed; the hours are kept.
        if computed.minute_bar_ticks > 0 {
            let symbols =
                minutes::differing(&mut self.index, (hour, sources), realtime.bars()).await?;
            note_strays(&mut found.bars, "minute_bars", &symbols, WHY);
        }
        Ok(())
    }

    /// How many ticks the speed layer never wrote of an hour whose ticks retention has dropped, for
    /// reasons that are known.
    fn unwritten(&self, hour: Hour, stretch: &Stretch) -> u64 {
        let topics = self.topics.iter().zip(&stretch.parts);
        let partitions =
            topics.flat_map(|(topic, part)| self.judge_topic((hour, topic), part, stretch));
        partitions.map(|partition| partition.unwritten).sum()
    }
}

fn note_strays(found: &mut Vec<String>, table: &str, symbols: &Named, what: &str) {
    if !symbols.is_empty() {
        found.push(symbols.describe_rows(table, what));
    }
}
