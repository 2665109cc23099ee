//! Cutting a batch into smaller ones: when PostgreSQL refuses it, is too slow for it, or would need
//! a lock too many.
//!
//! That is rare, so nothing is kept for it: ticks are read back from their encoded rows.

use super::ranges::Range;
use super::rows::Row;
use super::{Batch, RejectedMessage};
use crate::source::SourcePartition;
use common::{Extras, Reason, Reject, Tick, TimeBounds, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// UTC days that one transaction may write to. Each costs a lock on its partition and on each of
/// its indexes, and the server has room for 6,400 locks of all sessions unless it is told
/// otherwise. A message needs no more either.
pub const MAX_DAYS: usize = common::decode::MAX_DAYS;

/// The outcome for one message, or for one of its elements.
enum Entry<'a> {
    Row(Row<'a>),
    Reject(&'a RejectedMessage),
}

impl Entry<'_> {
    /// The place of its message.
    fn place(&self) -> (SourcePartition, i64) {
        match self {
            Self::Row(row) => (row.at, row.offset),
            Self::Reject(reject) => (reject.at, reject.offset),
        }
    }

    fn index(&self) -> u16 {
        match self {
            Self::Row(row) => row.index,
            Self::Reject(reject) => reject.index,
        }
    }

    fn day(&self) -> Option<Timestamp> {
        match self {
            Self::Row(row) => Some(row.timestamp.floor(Timestamp::DAY)),
            Self::Reject(_) => None,
        }
    }
}

impl Batch {
    /// Whether one transaction may write it, which takes `messages` at most.
    pub fn fits(&self, messages: u32) -> bool {
        self.messages <= messages && self.days.len() <= MAX_DAYS
    }

    /// Splits the messages into batches of at most `messages` each, and of [`MAX_DAYS`]. They are
    /// to be written in this order: each begins where the one before it ends. The ticks of one
    /// message stay together, as its offset is moved once.
    pub fn parts(&self, messages: u32) -> Vec<Batch> {
        self.cut(messages, messages, false)
    }

    /// A part with the first `messages`, and one with all others.
    pub fn first_apart(&self, messages: u32) -> Vec<Batch> {
        self.cut(messages, u32::MAX, false)
    }

    /// Splits the messages by partition, each in a part of its own, or in several if they have very
    /// many days.
    pub fn by_partition(&self) -> Vec<Batch> {
        self.cut(u32::MAX, u32::MAX, true)
    }

    /// The parts of [`Batch::by_partition`], partition by partition. The last part of each
    /// partition comes first, so that the next one can be popped.
    pub fn parts_by_partition_reversed(&self) -> Vec<Vec<Batch>> {
        let partition = |part: &Batch| part.ranges.iter().next().map(|range| range.at);
        let mut stacks: Vec<Vec<Batch>> = Vec::new();
        for part in self.by_partition().into_iter().rev() {
            match stacks.last_mut() {
                Some(stack) if stack.last().and_then(partition) == partition(&part) => {
                    stack.push(part);
                }
                _ => stacks.push(vec![part]),
            }
        }
        stacks.reverse();
        stacks
    }

    /// The first part has at most `first` messages, each other one `others`.
    fn cut(&self, first: u32, others: u32, by_partition: bool) -> Vec<Batch> {
        let entries = self.entries();
        let mut ends: BTreeMap<SourcePartition, Range> =
            self.ranges.iter().map(|range| (range.at, range)).collect();
        let mut parts = Vec::new();
        let mut part = Batch::default();
        let of_messages: Vec<&[Entry<'_>]> =
            entries.chunk_by(|one, next| one.place() == next.place()).collect();
        for (number, entries) in of_messages.iter().enumerate() {
            let Some((at, offset)) = entries.first().map(Entry::place) else {
                continue;
            };
            let is_of_another = by_partition && part.ranges.iter().any(|range| range.at != at);
            let messages = if parts.is_empty() { first } else { others };
            if part.messages >= messages || is_of_another || part.would_need_too_many_days(entries)
            {
                parts.push(std::mem::take(&mut part));
            }
            let Some(left) = ends.get_mut(&at) else {
                continue;
            };
            let next = of_messages.get(number + 1).and_then(|next| next.first());
            let is_last = next.is_none_or(|next| next.place().0 != at);
            let next = if is_last { left.next } else { offset + 1 };
            part.ranges.extend(at, left.start, next);
            left.start = next;
            part.messages += 1;
            entries.iter().for_each(|entry| part.take_in(entry));
        }
        // Partitions that moved without a message.
        for left in ends.values().filter(|range| range.start < range.next) {
            if by_partition && !part.ranges.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
            part.ranges.extend(left.at, left.start, left.next);
        }
        part.sent.clone_from(&self.sent);
        // Rows do not tell which it was of.
        part.with_unread = self.with_unread;
        parts.push(part);
        for gap in &self.gaps {
            let passes = |part: &&mut Batch| {
                part.ranges.iter().any(|range| {
                    range.at == gap.at && (range.start..range.next).contains(&gap.from)
                })
            };
            if let Some(part) = parts.iter_mut().find(passes) {
                part.gaps.push(gap.clone());
            }
        }
        parts
    }

    /// A batch of one message, which PostgreSQL refuses with these words, without what it refuses:
    /// its ticks become rejects, all of them, since nobody says which it was; of rejects
    /// only that they were there. `None` where there is nothing left to leave out.
    pub fn without_what_is_refused(&self, words: &str) -> Option<Batch> {
        // PostgreSQL takes no text with a null character.
        let words = words.replace('\0', "\u{fffd}");
        let reject = Reject { reason: Reason::RefusedByDatabase, detail: words };
        let has_rows = self.rows.count() > 0;
        if self.messages != 1 || !has_rows && self.rejects.iter().all(|known| known.value.is_none())
        {
            return None;
        }
        let of_row = |row: &Row<'_>| {
            let value = row.to_json();
            RejectedMessage {
                at: row.at,
                offset: row.offset,
                index: row.index,
                reject: reject.clone(),
                value_bytes: Some(value.len() as i64),
                value: Some(value.into_bytes()),
                value_sha256: None,
                kafka_timestamp: self.sent.first().map(|(sent, _)| *sent),
            }
        };
        let entries = self.entries();
        let rejects = entries.iter().map(|entry| match entry {
            Entry::Row(row) => of_row(row),
            Entry::Reject(known) if has_rows => (*known).clone(),
            Entry::Reject(known) => {
                RejectedMessage { reject: reject.clone(), value: None, ..(*known).clone() }
            }
        });
        let rejects: Vec<RejectedMessage> = rejects.collect();
        Some(Batch {
            messages: 1,
            rejects,
            ranges: self.ranges.clone(),
            gaps: self.gaps.clone(),
            sent: self.sent.clone(),
            with_unread: self.with_unread,
            ..Batch::default()
        })
    }

    /// All of all messages, by partition, offset and index.
    fn entries(&self) -> Vec<Entry<'_>> {
        let rows = self.rows.iter().map(Entry::Row);
        let mut entries: Vec<Entry<'_>> =
            rows.chain(self.rejects.iter().map(Entry::Reject)).collect();
        entries.sort_unstable_by_key(|entry| (entry.place(), entry.index()));
        entries
    }

    /// Whether a message's entries have no room here any more. A message alone always has.
    fn would_need_too_many_days(&self, entries: &[Entry<'_>]) -> bool {
        let is_new = |day: &Timestamp| !self.days.contains(day);
        let new: BTreeSet<Timestamp> =
            entries.iter().filter_map(Entry::day).filter(is_new).collect();
        self.days.len() + new.len() > MAX_DAYS
    }

    fn take_in(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Row(row) => {
                // It was valid when it was encoded.
                let mut buffer = String::new();
                if let Some(tick) = row.tick(&mut buffer) {
                    self.accept(&tick, row.at, row.offset, row.index);
                }
            }
            Entry::Reject(reject) => self.rejects.push((*reject).clone()),
        }
    }
}

impl<'a> Row<'a> {
    fn tick<'b>(&self, buffer: &'b mut String) -> Option<Tick<'b>>
    where
        'a: 'b,
    {
        let bounds = TimeBounds::only(self.timestamp);
        let tick =
            Tick::new(self.symbol, self.timestamp, self.prices?, self.volume, bounds).ok()?;
        Some(tick.with_extras(self.extras(buffer)))
    }

    /// The tick as a message would say it: the message's own bytes are not kept.
    fn to_json(self) -> String {
        let mut json = format!(
            r#"{{"symbol":{},"timestamp":"{}""#,
            serde_json::json!(self.symbol),
            self.timestamp
        );
        if let Some(prices) = self.prices {
            json += &format!(r#","open":{}"#, prices.open);
            json += &prices.high.map(|high| format!(r#","high":{high}"#)).unwrap_or_default();
            json += &prices.low.map(|low| format!(r#","low":{low}"#)).unwrap_or_default();
            json += &format!(r#","close":{}"#, prices.close);
        }
        json += &self.volume.map(|volume| format!(r#","volume":{volume}"#)).unwrap_or_default();
        let mut buffer = String::new();
        json += &extras_json(&self.extras(&mut buffer));
        json + "}"
    }
}

fn extras_json(extras: &Extras<'_>) -> String {
    let mut json = extras.bid().map(|bid| format!(r#","bid":{bid}"#)).unwrap_or_default();
    json += &extras.ask().map(|ask| format!(r#","ask":{ask}"#)).unwrap_or_default();
    json += &extras.sequence().map(|number| format!(r#","sequence":{number}"#)).unwrap_or_default();
    match extras.conditions().iter().collect::<Vec<_>>() {
        codes if codes.is_empty() => json,
        codes => json + &format!(r#","conditions":{}"#, serde_json::json!(codes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Gap, Message};
    use common::decode::{Decoder, Rules};
    use proptest::prelude::*;

    fn at(partition: i32) -> SourcePartition {
        SourcePartition { source: 1, partition }
    }

    fn batch(messages: &[(i32, Option<i64>)]) -> Batch {
        let mut decoder = Decoder::new(Rules::default(), Timestamp::from_micros(i64::MAX / 2));
        let mut batch = Batch::default();
        let mut next = [100_i64; 3];
        for (partition, day) in messages {
            let expected = next[*partition as usize];
            // Every third offset does not exist: a transaction's marker, or compaction.
            let offset = expected + i64::from(expected % 3 == 0);
            next[*partition as usize] = offset + 1;
            let volume = match offset % 5 {
                0 => format!(r#","volume":{offset}"#),
                1 => String::new(),
                _ => format!(r#","volume":{offset}.000000001"#),
            };
            let value = match day {
                Some(day) => format!(
                    r#"{{"symbol":"S{}","timestamp":{},"open":1.5,"high":2,"close":{}{volume}}}"#,
                    day % 3,
                    // From 2025-06-06 on.
                    1_749_168_000_000 + day * 86_400_000,
                    1 + offset % 2
                ),
                None => "x".to_owned(),
            };
            let value = Some(value.as_bytes());
            let message = Message {
                topic: "t",
                partition: *partition,
                offset,
                timestamp: None,
                key: None,
                value,
            };
            batch.push(&mut decoder, &message, at(*partition), expected, |_, _, _| ());
        }
        batch
    }

    proptest! {
        #[test]
        fn parts_hold_every_message_once_and_each_begins_where_those_before_it_end(
            messages in proptest::collection::vec((0_i32..3, proptest::option::weighted(0.8, 0_i64..400)), 1..60),
            limit in 1_u32..9,
        ) {
            let whole = batch(&messages);
            let mut next: BTreeMap<SourcePartition, i64> = whole.ranges.iter().map(|range| (range.at, range.start)).collect();
            let mut bars: BTreeMap<(String, Timestamp), common::Bar> = BTreeMap::new();
            let (mut rows, mut rejects) = (0, 0);
            for part in whole.parts(limit) {
                prop_assert!(part.fits(limit));
                for range in part.ranges.iter() {
                    prop_assert_eq!(next.insert(range.at, range.next), Some(range.start));
                }
                rows += part.rows.count();
                rejects += part.rejects.len();
                prop_assert_eq!(part.messages, part.rows.count() + part.rejects.len() as u32);
                for (symbol, minute, bar) in part.sorted_bars() {
                    bars.entry((symbol.to_owned(), minute)).and_modify(|sum| sum.merge(&bar)).or_insert(bar);
                }
            }
            prop_assert_eq!((rows, rejects), (whole.rows.count(), whole.rejects.len()));
            let ends: BTreeMap<SourcePartition, i64> = whole.ranges.iter().map(|range| (range.at, range.next)).collect();
            prop_assert_eq!(next, ends);
            let expected = whole.sorted_bars().map(|(s, minute, bar)| ((s.to_owned(), minute), bar));
            prop_assert_eq!(bars, expected.collect::<BTreeMap<_, _>>());
        }
    }

    #[test]
    fn the_parts_of_a_partition_with_very_many_days_stay_together_the_next_one_last() {
        let messages: Vec<_> = (0..600).map(|day| (0, Some(day))).chain([(1, Some(1))]).collect();
        let stacks = batch(&messages).parts_by_partition_reversed();
        assert_eq!(
            stacks.iter().map(Vec::len).collect::<Vec<_>>(),
            [600_usize.div_ceil(MAX_DAYS), 1]
        );
        let starts: Vec<_> = stacks[0]
            .iter()
            .rev()
            .filter_map(|part| Some(part.ranges.iter().next()?.start))
            .collect();
        assert!(starts.is_sorted() && starts[0] == 100, "{starts:?}");
    }

    #[test]
    fn each_partition_may_have_parts_of_its_own_also_where_it_only_moved() {
        let mut whole = batch(&[(0, Some(1)), (1, Some(2)), (0, None), (1, Some(1)), (0, Some(3))]);
        whole.pass(at(2), 100, 107);
        let parts = whole.by_partition();
        let of = |part: &Batch| {
            let ranges: Vec<_> =
                part.ranges.iter().map(|range| (range.at.partition, range.start)).collect();
            (ranges, part.rows.count(), part.rejects.len())
        };
        let expected = [(vec![(0, 100)], 2, 1), (vec![(1, 100)], 2, 0), (vec![(2, 100)], 0, 0)];
        assert_eq!(parts.iter().map(of).collect::<Vec<_>>(), expected);
        let ends = |batch: &Batch| {
            batch.ranges.iter().map(|range| (range.at, range.next)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(parts.iter().flat_map(ends).collect::<BTreeMap<_, _>>(), ends(&whole));
    }

    #[test]
    fn a_gap_is_recorded_with_the_part_that_passes_it() {
        let mut whole = batch(&[(0, Some(1)), (0, Some(1)), (0, Some(1))]);
        whole.gaps.push(Gap::damaged(at(0), 101, 102, "spoiled"));
        let gaps: Vec<usize> = whole.parts(1).iter().map(|part| part.gaps.len()).collect();
        assert_eq!(gaps, [0, 1, 0]);
    }

    #[test]
    fn no_part_needs_more_days_than_a_transaction_may_lock() {
        let messages: Vec<_> = (0..1000).map(|day| (0, Some(day))).collect();
        let whole = batch(&messages);
        assert!(!whole.fits(u32::MAX));
        let parts = whole.parts(u32::MAX);
        assert_eq!(
            parts.iter().map(|part| part.days.len()).collect::<Vec<_>>(),
            [256, 256, 256, 232]
        );
    }

    #[test]
    fn a_refused_tick_becomes_a_reject_with_the_databases_words_and_the_tick() {
        let kept = batch(&[(1, Some(2))]).without_what_is_refused("too\0 big").unwrap();
        let rejected = &kept.rejects[0];
        assert_eq!((rejected.at, rejected.offset, kept.rows.count()), (at(1), 100, 0));
        assert_eq!(rejected.reject.to_string(), "refused_by_database: too\u{fffd} big");
        let value = String::from_utf8(rejected.value.clone().unwrap()).unwrap();
        assert_eq!(
            value,
            r#"{"symbol":"S2","timestamp":"2025-06-08T00:00:00Z","open":1.5,"high":2,"close":1,"volume":100}"#
        );
    }

    #[test]
    fn a_part_has_all_that_its_ticks_say() {
        let map: common::decode::MapEntries = "sequence=n".parse().unwrap();
        let rules = Rules { mapping: common::decode::Mapping::new(&map.paths), ..Rules::default() };
        let mut decoder = Decoder::new(rules, Timestamp::from_micros(i64::MAX / 2));
        let mut whole = Batch::default();
        let all = [
            r#","bid":1.25,"ask":1.75,"sequence":7,"conditions":["@","Odd Lot"]"#,
            r#","ask":20000.123456789"#,
            "",
            r#","sequence":0"#,
            r#","conditions":["é","37"]"#,
        ];
        for (offset, members) in (0..).zip(all) {
            let written = members.replace("sequence", "n");
            let value = format!(
                r#"[{{}},{{"symbol":"S","timestamp":1749168000000,"price":1.5{written}}}]"#
            );
            let value = Some(value.as_bytes());
            let message =
                Message { topic: "t", partition: 0, offset, timestamp: None, key: None, value };
            whole.push(&mut decoder, &message, at(0), offset, |_, _, _| ());
        }
        let parts = whole.parts(1);
        assert_eq!(parts.len(), all.len());
        for (part, members) in parts.iter().zip(all) {
            let rows: Vec<(u16, String)> =
                part.rows.iter().map(|row| (row.index, row.to_json())).collect();
            let json = r#"{"symbol":"S","timestamp":"2025-06-06T00:00:00Z","open":1.5,"close":1.5"#;
            assert_eq!(rows, [(1, format!("{json}{members}}}"))]);
        }
    }

    #[test]
    fn a_refused_reject_is_kept_without_its_value_and_then_not_at_all() {
        let kept = batch(&[(0, None)]).without_what_is_refused("no").unwrap();
        assert_eq!((kept.rejects[0].value.clone(), kept.rejects[0].value_bytes), (None, Some(1)));
        assert!(kept.without_what_is_refused("no").is_none());
    }

    /// Messages of one partition that hold several ticks each, on these days, and after those one
    /// that is none.
    fn batch_of_several(days: &[std::ops::Range<i64>]) -> Batch {
        let mut decoder = Decoder::new(Rules::default(), Timestamp::from_micros(i64::MAX / 2));
        let mut batch = Batch::default();
        let tick = |day: i64| {
            format!(
                r#"{{"symbol":"S","timestamp":{},"price":1}}"#,
                1_749_168_000_000 + day * 86_400_000
            )
        };
        for (offset, days) in (0..).zip(days) {
            let value = format!("[{},5]", days.clone().map(tick).collect::<Vec<_>>().join(","));
            let value = Some(value.as_bytes());
            let message =
                Message { topic: "t", partition: 0, offset, timestamp: None, key: None, value };
            batch.push(&mut decoder, &message, at(0), offset, |_, _, _| ());
        }
        batch
    }

    #[test]
    fn the_ticks_of_a_message_stay_together() {
        let parts = batch_of_several(&[0..2, 1..3, 2..4]).parts(1);
        let indices = |part: &Batch| part.rows.iter().map(|row| row.index).collect::<Vec<_>>();
        for (offset, part) in (0..).zip(&parts) {
            assert_eq!((part.messages, indices(part), part.rejects[0].index), (1, vec![0, 1], 2));
            assert_eq!(
                part.ranges.iter().collect::<Vec<_>>(),
                [Range { at: at(0), start: offset, next: offset + 1 }]
            );
        }
        assert_eq!(parts.len(), 3);
        let days = batch_of_several(&[0..200, 100..250, 200..300]).parts(u32::MAX);
        assert_eq!(days.iter().map(|part| part.days.len()).collect::<Vec<_>>(), [250, 100]);
    }

    #[test]
    fn the_ticks_of_a_message_are_refused_together_and_its_rejects_stay() {
        let whole = batch_of_several(std::slice::from_ref(&(0..2)));
        let reasons = |batch: &Batch| {
            batch.rejects.iter().map(|kept| (kept.index, kept.reject.reason)).collect::<Vec<_>>()
        };
        let kept = whole.without_what_is_refused("no").unwrap();
        let refused = Reason::RefusedByDatabase;
        assert_eq!(reasons(&kept), [(0, refused), (1, refused), (2, Reason::NotObject)]);
        assert!(kept.rejects.iter().all(|kept| kept.value.is_some()) && kept.rows.count() == 0);
        let kept = kept.without_what_is_refused("no").unwrap();
        assert_eq!(reasons(&kept), [(0, refused), (1, refused), (2, refused)]);
        assert!(kept.without_what_is_refused("no").is_none());
    }
}
