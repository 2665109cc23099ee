//! Sides of an hour that agree, differ, or are not over.

use super::*;
use common::{Price, Reason, Reject, Timestamp, Volume};
use hourly::checksum::TickContent;
use hourly::holdings::{Holdings, PresumedRange, common_in_blurred_blocks};
use hourly::scan::Runs;

/// One hour of partition 0: ticks by offset, each with its volume.
fn side(ticks: &[(u64, u64)]) -> HourHoldings {
    let mut holdings = Holdings::default();
    for (offset, volume) in ticks {
        let price = Price::from_nanos(1_500_000_000);
        let timestamp = Timestamp::from_micros(common::Place::offset_of(*offset).cast_signed());
        let volume = Volume::from_parts(volume.cast_signed(), 0);
        let extras = common::Extras::default();
        let content = TickContent {
            symbol: "A",
            timestamp,
            open: price,
            high: None,
            low: None,
            close: price,
            volume,
            extras,
        };
        holdings.add(0, Some(*offset), &content);
    }
    holdings.flush();
    holdings.hours.into_values().next().unwrap_or_default()
}

fn ticks(offsets: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    offsets.map(|offset| (offset, offset)).collect()
}

#[derive(Default)]
struct Case {
    lost: Lost,
    expired: OffsetsByHour,
    expired_ticks: Option<ExpiredTickCount>,
    expired_without_offsets: ExpiredWithoutOffsets,
    parsed_otherwise: OffsetsByHour,
    rejected_ticks: OffsetsByHour,
    rejected_unread: OffsetsByHour,
    non_ticks: NonTicks,
    is_kafka_asked: bool,
    kafka_end: Option<u64>,
    gaps: NonTickOffsets,
    unread: Option<&'static str>,
    is_purged: bool,
    /// What is read again, of either side; `None`: what it was when it was read first.
    blurred: Option<[Vec<(u64, u64)>; 2]>,
}

impl Case {
    /// Compares two sides; the speed layer has come to offset 100, the archive too.
    fn compare(&self, realtime: &[(u64, u64)], archive: &[(u64, u64)]) -> PartitionOutcome {
        let places = |ticks: &[(u64, u64)]| {
            ticks.iter().map(|(offset, _)| *offset).collect::<RoaringTreemap>()
        };
        let common = common_in_blurred_blocks(&places(realtime), &places(archive));
        let of_both = |ticks: &[(u64, u64)]| {
            let is_common = |(offset, _): &&(u64, u64)| common.contains(*offset);
            side(&ticks.iter().filter(is_common).copied().collect::<Vec<_>>())
        };
        let blurred = match &self.blurred {
            Some([ours, theirs]) => [side(ours), side(theirs)],
            None => [of_both(realtime), of_both(archive)],
        };
        self.compare_sides(&side(realtime), &side(archive), Some(&blurred))
    }

    fn compare_sides(
        &self,
        realtime: &HourHoldings,
        archive: &HourHoldings,
        blurred: Option<&[HourHoldings; 2]>,
    ) -> PartitionOutcome {
        let ends = archive
            .partitions
            .get(&0)
            .into_iter()
            .flat_map(|held| &held.presumed)
            .map(|presumed| presumed.end);
        let sides = HourComparison {
            hour: Hour::of(Timestamp::from_micros(0)),
            topic: "t",
            realtime: (!self.is_purged).then_some(realtime),
            archive,
            unread: self.unread,
            lost: &self.lost,
            gaps: &self.gaps,
            next_offsets: &[(0, 100)].into(),
            newest: &[(0, 99)].into(),
            kafka: BTreeMap::new(),
            expired: &self.expired,
            expired_ticks: self.expired_ticks.unwrap_or(ExpiredTickCount::None),
            expired_without_offsets: &self.expired_without_offsets,
            may_be_twice: false,
            parsed_otherwise: &self.parsed_otherwise,
            rejected_ticks: &self.rejected_ticks,
            rejected_unread: &self.rejected_unread,
            kafka_ends: self.kafka_end.map(|end| (0, end)).into_iter().collect(),
            blurred: blurred.map(<[HourHoldings; 2]>::each_ref),
            differing_values: None,
            presumed_ends: &ends.max().map(|end| (0, end)).into_iter().collect(),
            non_ticks: &self.non_ticks,
            is_kafka_asked: self.is_kafka_asked,
        };
        sides.compare().remove(0)
    }
}

/// Offsets of partition 0 that nothing accounts for.
fn unaccounted(run: Range<u64>) -> Lost {
    let holes = [((Hour::of(Timestamp::from_micros(0)), 0), std::iter::once(run).collect())];
    Lost { unaccounted: holes.into(), ..Lost::default() }
}

fn at_zero(offsets: impl IntoIterator<Item = u64>) -> OffsetsByHour {
    [((Hour::of(Timestamp::from_micros(0)), 0), offsets.into_iter().collect())].into()
}

#[test]
fn sides_that_hold_the_same_agree_whatever_the_order() {
    let mut shuffled = ticks(0..50);
    shuffled.reverse();
    let outcome = Case::default().compare(&ticks(0..50), &shuffled);
    assert_eq!((outcome.status, outcome.details.len()), (Status::Ok, 0), "{outcome:?}");
    assert_eq!(outcome.realtime_checksum.as_deref(), Some(&*outcome.archive_checksum));
}

#[test]
fn offsets_behind_the_end_of_kafkas_log_wait_for_no_sink() {
    let compare =
        |kafka_end| Case { kafka_end, ..Case::default() }.compare(&ticks(90..103), &ticks(90..100));
    for (end, expected) in
        [(None, Status::Open), (Some(103), Status::Open), (Some(102), Status::Mismatch)]
    {
        assert_eq!(compare(end).status, expected, "{end:?}");
    }
    let outcome = compare(Some(101));
    assert_eq!(outcome.missing_in_archive, 2);
    let said =
        "2 ticks of realtime_stock have offsets that Kafka does not have yet: offsets 101-102";
    assert!(outcome.details.iter().any(|detail| detail == said), "{:?}", outcome.details);
}

#[test]
fn rejects_that_are_ticks_by_these_flags_are_a_mismatch() {
    let case =
        Case { rejected_ticks: at_zero([3]), parsed_otherwise: at_zero([4]), ..Case::default() };
    let outcome = case.compare(&[&ticks(0..3)[..], &ticks(5..9)].concat(), &ticks(0..9));
    assert_eq!((outcome.status, outcome.missing_in_realtime), (Status::Mismatch, 0), "{outcome:?}");
    assert!(outcome.details[1].contains("is a tick by these flags"), "{:?}", outcome.details);
}

#[test]
fn ticks_whose_lines_the_archive_rejects_wait_for_no_sink() {
    let mut case = Case::default();
    for offset in [3, 105] {
        let reject =
            common::Reject { reason: common::Reason::OtherKind, detail: format!("line {offset}") };
        case.non_ticks.add(0, offset, &reject);
    }
    let archived = [&ticks(0..3)[..], &ticks(4..100)].concat();
    let outcome = case.compare(&[&ticks(0..100)[..], &ticks(105..107)].concat(), &archived);
    assert_eq!((outcome.status, outcome.missing_in_archive), (Status::Mismatch, 2), "{outcome:?}");
    let said = "2 ticks of realtime_stock are rejected in the archive, which has their lines: offsets 3, 105; the first for \
                other_kind: line 3: give speed-layer";
    assert!(outcome.details[0].starts_with(said), "{:?}", outcome.details);
    assert!(outcome.details[1].starts_with("1 tick of realtime_stock waits for the sink"));
}

#[test]
fn offsets_on_one_side_only_are_counted_and_named() {
    let outcome =
        Case::default().compare(&ticks(0..10), &[&ticks(0..4)[..], &ticks(6..12)].concat());
    assert_eq!(outcome.status, Status::Mismatch);
    assert_eq!((outcome.missing_in_archive, outcome.missing_in_realtime), (2, 2));
    assert_eq!(
        outcome.details,
        [
            "2 ticks of the archive are not in realtime_stock: offsets 10-11",
            "2 ticks of realtime_stock are not in the archive: offsets 4-5"
        ]
    );
}

#[test]
fn a_changed_value_is_found_though_all_counts_agree() {
    let mut changed = ticks(0..2000);
    changed[1500].1 += 1;
    let outcome = Case::default().compare(&ticks(0..2000), &changed);
    assert_eq!((outcome.status, outcome.differing_blocks), (Status::Mismatch, 1));
    assert!(outcome.details[0].contains("offsets 1024-1999"), "{outcome:?}");
}

#[test]
fn values_are_compared_beside_offsets_that_one_side_alone_has() {
    // Offset 7 is a gap: its block tells nothing.
    let realtime = [&ticks(0..7)[..], &ticks(8..50)].concat();
    let mut changed = ticks(0..50);
    changed[20].1 += 1;
    for (archive, blurred, status, differing_blocks) in [
        (ticks(0..50), None, Status::Ok, 0),
        (changed.clone(), None, Status::Mismatch, 1),
        // An object was replaced before it could be read again.
        (changed.clone(), Some([realtime.clone(), realtime[..30].to_vec()]), Status::Open, 0),
        (changed, Some([realtime.clone(), Vec::new()]), Status::Open, 0),
    ] {
        let case = Case {
            gaps: [(0, std::iter::once(7..8).collect())].into(),
            blurred,
            ..Case::default()
        };
        let outcome = case.compare(&realtime, &archive);
        assert_eq!(
            (outcome.status, outcome.differing_blocks),
            (status, differing_blocks),
            "{outcome:?}"
        );
        if status == Status::Open {
            assert!(
                outcome
                    .details
                    .iter()
                    .any(|detail| detail.starts_with("49 ticks of both sides could not be"))
            );
        }
    }
}

/// An archive whose lines have no offsets, but for where its object begins.
fn without_offsets(start: u64, ticks: u64) -> HourHoldings {
    let offsets: Vec<_> = (start..start + ticks).map(|offset| (offset, 1)).collect();
    let mut side = side(&offsets);
    side.offsets = hourly::scan::Offsets::default();
    let held = side.partitions.get_mut(&0).unwrap();
    held.without_offsets = ticks;
    held.presumed = vec![PresumedRange { start, end: start + ticks, ticks }];
    side
}

#[test]
fn without_offsets_what_one_side_has_not_come_to_is_no_difference() {
    let compare = |rows: std::ops::Range<u64>, archive: HourHoldings, case: Case| {
        case.compare_sides(&side(&ticks(rows)), &archive, None)
    };
    // The speed layer has come to offset 100.
    let behind = compare(50..100, without_offsets(50, 70), Case::default());
    assert_eq!((behind.status, behind.missing_in_realtime), (Status::Open, 0), "{behind:?}");
    assert!(behind.details[0].contains("20 ticks wait for the speed layer"), "{behind:?}");
    let lost = compare(50..90, without_offsets(50, 50), Case::default());
    assert_eq!((lost.status, lost.missing_in_realtime), (Status::Mismatch, 10), "{lost:?}");
    let pending = |count: u64| Lost { pending: at_zero(100..100 + count), ..Lost::default() };
    for (count, status) in [(20, Status::Open), (19, Status::Mismatch)] {
        let case = Case { lost: pending(count), kafka_end: Some(200), ..Case::default() };
        assert_eq!(compare(50..100, without_offsets(50, 70), case).status, status, "{count}");
    }
    // And the sink to offset 80.
    let ahead = compare(50..100, without_offsets(50, 30), Case::default());
    assert_eq!((ahead.status, ahead.missing_in_archive), (Status::Open, 0), "{ahead:?}");
    let lost = compare(40..100, without_offsets(50, 30), Case::default());
    assert_eq!((lost.status, lost.missing_in_archive), (Status::Mismatch, 30), "{lost:?}");
}

#[test]
fn ticks_of_an_hour_with_and_without_offsets_are_counted_whichever_of_them_have_expired() {
    let known = 70..100;
    let case = |unplaced| Case {
        expired: at_zero(known.clone()),
        expired_ticks: Some(unplaced),
        ..Case::default()
    };
    // Of 50 ticks 20 had no offsets, and those have expired.
    for (rows, unplaced, status, lacks) in [
        (50..100, ExpiredTickCount::AsMany, Status::Ok, 0),
        (50..100, ExpiredTickCount::Unknown, Status::Open, 0),
        (49..100, ExpiredTickCount::Otherwise(20), Status::Mismatch, 21),
        (50..99, ExpiredTickCount::AsMany, Status::Mismatch, 0),
        // Three more wait for the sink.
        (50..103, ExpiredTickCount::Otherwise(20), Status::Open, 0),
        (52..103, ExpiredTickCount::Otherwise(20), Status::Mismatch, 18),
    ] {
        let outcome = case(unplaced).compare(&ticks(rows), &ticks(70..100));
        assert_eq!((outcome.status, outcome.missing_in_archive), (status, lacks), "{outcome:?}");
    }
    let compare = |rows, archive: &HourHoldings, unplaced| {
        case(unplaced).compare_sides(&side(&ticks(rows)), archive, None)
    };
    // The others have.
    for (rows, status) in
        [(50..100, Status::Ok), (51..100, Status::Mismatch), (49..100, Status::Mismatch)]
    {
        let outcome = compare(rows, &without_offsets(50, 20), ExpiredTickCount::None);
        assert_eq!(outcome.status, status, "{outcome:?}");
    }
    // All have.
    let nothing = HourHoldings::default();
    for (rows, unplaced, status) in [
        (50..100, ExpiredTickCount::AsMany, Status::Ok),
        (51..100, ExpiredTickCount::Otherwise(20), Status::Mismatch),
        (49..100, ExpiredTickCount::Otherwise(20), Status::Mismatch),
    ] {
        let outcome = compare(rows, &nothing, unplaced);
        assert_eq!(outcome.status, status, "{outcome:?}");
    }
}

#[test]
fn of_lines_with_and_without_offsets_those_behind_the_speed_layer_wait_for_it() {
    let hour = Hour::of(Timestamp::from_micros(0));
    let holdings = |held| Holdings { hours: [(hour, held)].into(), ..Holdings::default() };
    let mut archive = holdings(side(&ticks(80..103)));
    assert!(archive.merge_part(holdings(without_offsets(103, 2))).is_empty());
    // The speed layer has come to offset 100.
    for (rows, status) in [(80..100, Status::Open), (81..100, Status::Mismatch)] {
        for kafka_end in [None, Some(200)] {
            let lost = Lost { pending: at_zero(103..105), ..Lost::default() };
            let case = Case { lost, kafka_end, ..Case::default() };
            let outcome =
                case.compare_sides(&side(&ticks(rows.clone())), &archive.hours[&hour], None);
            assert_eq!(outcome.status, status, "{rows:?} {kafka_end:?}: {outcome:?}");
        }
    }
}

#[test]
fn what_kafka_alone_has_of_a_dropped_day_may_be_lines_without_offsets() {
    for (count, status) in [(8, Status::Purged), (9, Status::Mismatch)] {
        let lost = Lost { lost: at_zero(0..count), ..Lost::default() };
        let case = Case { lost, is_purged: true, ..Case::default() };
        let outcome = case.compare_sides(&HourHoldings::default(), &without_offsets(0, 8), None);
        assert_eq!(outcome.status, status, "{outcome:?}");
    }
    // Others than the names tell: there may have been messages in between that were not archived.
    let lost = Lost { lost: at_zero(4..9), ..Lost::default() };
    let case = Case { lost, is_purged: true, ..Case::default() };
    let outcome = case.compare_sides(&HourHoldings::default(), &without_offsets(0, 8), None);
    assert_eq!(outcome.status, Status::Open, "{outcome:?}");
}

#[test]
fn expired_objects_without_offsets_account_for_what_they_held_of_their_partition() {
    let hour = Hour::of(Timestamp::from_micros(0));
    let gone = |start: u64, end: u64| PresumedRange { start, end, ticks: end - start };
    let case = |unplaced, objects: &[PresumedRange]| Case {
        expired: at_zero(60..70),
        expired_ticks: Some(unplaced),
        expired_without_offsets: [((hour, 0), objects.to_vec()), ((hour, 1), vec![gone(0, 7)])]
            .into(),
        ..Case::default()
    };
    let of = |objects: &[PresumedRange]| case(ExpiredTickCount::ByPartition, objects);
    let (first, last) = ([gone(50, 60)], [gone(100, 110)]);
    // 60-69 have expired, too, and 70-99 are there. The speed layer has come to offset 100.
    for (objects, rows, without, status, lacks, lost) in [
        (&first, 50..100, None, Status::Ok, 0, 0),
        // Three more wait for the sink.
        (&first, 50..103, None, Status::Open, 0, 0),
        (&first, 52..103, None, Status::Open, 0, 0),
        (&first, 49..100, None, Status::Mismatch, 11, 0),
        (&first, 51..100, None, Status::Mismatch, 0, 1),
        (&last, 60..110, None, Status::Ok, 0, 0),
        (&last, 60..113, None, Status::Open, 0, 0),
        (&last, 60..113, Some(98), Status::Mismatch, 0, 1),
        // Behind by its name, and by nothing else.
        (&last, 60..107, None, Status::Open, 0, 0),
        (&last, 60..107, Some(98), Status::Mismatch, 0, 1),
    ] {
        let mut rows = ticks(rows);
        rows.retain(|(offset, _)| Some(*offset) != without);
        let outcome = of(objects).compare(&rows, &ticks(70..100));
        let found = (outcome.status, outcome.missing_in_archive, outcome.missing_in_realtime);
        assert_eq!(found, (status, lacks, lost), "{outcome:?}");
    }
    // Of the partition nothing is there.
    let nothing = HourHoldings::default();
    for (start, end, status) in [
        (60, 110, Status::Ok),
        (60, 112, Status::Open),
        (60, 107, Status::Open),
        (55, 110, Status::Mismatch),
    ] {
        let rows = [ticks(start..70), ticks(100..end)].concat();
        let outcome = of(&last).compare_sides(&side(&rows), &nothing, None);
        assert_eq!(outcome.status, status, "{start} {end}: {outcome:?}");
    }
    // Nor do other lines tell offsets.
    for (rows, status) in [(50..90, Status::Ok), (50..95, Status::Open), (51..90, Status::Mismatch)]
    {
        let outcome =
            of(&first).compare_sides(&side(&ticks(rows.clone())), &without_offsets(70, 20), None);
        assert_eq!(outcome.status, status, "{rows:?}: {outcome:?}");
    }
    // Where the index has other numbers than the sums, it is not known whose they were.
    let outcome =
        case(ExpiredTickCount::Otherwise(10), &first).compare(&ticks(50..103), &ticks(70..100));
    assert_eq!(outcome.status, Status::Open, "{outcome:?}");
}

#[test]
fn two_ticks_that_have_changed_places_are_found() {
    let swapped = [(0, 7), (1, 5)];
    let outcome = Case::default().compare(&[(0, 5), (1, 7)], &swapped);
    assert_eq!(outcome.status, Status::Mismatch);
}

#[test]
fn what_the_speed_layer_or_the_sink_has_not_come_to_is_no_difference() {
    let behind = Case::default().compare(&ticks(90..100), &ticks(90..105));
    assert_eq!((behind.status, behind.missing_in_realtime), (Status::Open, 0), "{behind:?}");
    let ahead = Case::default().compare(&ticks(90..103), &ticks(90..100));
    assert_eq!((ahead.status, ahead.missing_in_archive), (Status::Open, 0), "{ahead:?}");
}

#[test]
fn recorded_gaps_excuse_the_speed_layer() {
    let case = Case { gaps: [(0, std::iter::once(3..6).collect())].into(), ..Case::default() };
    let outcome = case.compare(&[&ticks(0..3)[..], &ticks(6..9)].concat(), &ticks(0..9));
    assert_eq!((outcome.status, outcome.skipped), (Status::Ok, 3), "{outcome:?}");
}

#[test]
fn ticks_whose_objects_have_expired_are_asked_of_the_speed_layer_alone() {
    let place =
        |offset: i64, index: u16| common::Place { partition: 0, offset, index }.number().unwrap();
    let expired = at_zero([place(7, 0), place(7, 1), place(7, 2), place(8, 0)]);
    let case = Case { expired, ..Case::default() };
    let whole = case.compare(
        &[place(7, 0), place(7, 1), place(7, 2), place(8, 0), 9].map(|at| (at, 1)),
        &[(9, 1)],
    );
    assert_eq!(
        (whole.status, whole.missing_in_realtime, whole.missing_in_archive),
        (Status::Ok, 0, 0),
        "{whole:?}"
    );
    let short = case.compare(&[place(7, 0), place(7, 2), 9].map(|at| (at, 1)), &[(9, 1), (10, 1)]);
    assert_eq!(
        (short.status, short.missing_in_realtime, short.missing_in_archive),
        (Status::Mismatch, 3, 0)
    );
    assert_eq!(
        short.details,
        [
            "1 tick of the archive is not in realtime_stock: offsets 10",
            "2 ticks of objects that have expired are not in realtime_stock: offsets 8, 7[1]"
        ]
    );
    assert_eq!(
        case.compare(&[], &[]).missing_in_realtime,
        4,
        "where no side has anything of the partition, too"
    );
}

#[test]
fn a_purged_day_and_an_unreadable_object_raise_no_alarm_about_missing_ticks() {
    let purged = Case { is_purged: true, ..Case::default() }.compare(&[], &ticks(0..9));
    assert_eq!((purged.status, purged.realtime_ticks), (Status::Purged, None));
    let unread = Case { unread: Some("s3://b/k: truncated"), ..Case::default() }
        .compare(&ticks(0..9), &ticks(0..5));
    assert_eq!((unread.status, unread.missing_in_archive), (Status::Open, 0));
    assert!(unread.details[0].contains("truncated"), "{unread:?}");
}

#[test]
fn rows_that_stand_twice_and_records_that_stand_nowhere_are_differences() {
    let twice = Case::default().compare(&[(0, 1), (0, 1)], &[(0, 1)]);
    assert_eq!((twice.status, twice.realtime_duplicates), (Status::Mismatch, 1));
    let archived_twice = Case::default().compare(&[(0, 1)], &[(0, 1), (0, 1)]);
    assert_eq!((archived_twice.status, archived_twice.archive_duplicates), (Status::Ok, 1));
    let lost = Case { lost: Lost { lost: at_zero([5, 6]), ..Lost::default() }, ..Case::default() };
    let lost = lost.compare(&ticks(0..5), &ticks(0..5));
    assert_eq!((lost.status, lost.missing_everywhere), (Status::Mismatch, 2));
    let perhaps = Case { lost: unaccounted(5..7), ..Case::default() };
    assert_eq!(perhaps.compare(&ticks(0..5), &ticks(0..5)).status, Status::Open);
}

#[test]
fn of_an_offset_that_kafka_has_dropped_no_flag_is_asked_for() {
    let said = |is_kafka_asked| {
        let case = Case { lost: unaccounted(5..7), is_kafka_asked, ..Case::default() };
        case.compare(&ticks(0..5), &ticks(0..5)).details.concat()
    };
    let (asked, not_asked) = (said(true), said(false));
    assert!(
        asked.contains("Kafka no longer has them: nobody can tell whether of ticks"),
        "{asked}"
    );
    assert!(!asked.contains("--kafka-brokers") && not_asked.contains("--kafka-brokers"), "{asked}");
}

#[test]
fn an_offset_of_an_archived_line_that_is_no_tick_is_accounted_for() {
    let mut lines = NonTicks::default();
    let reject = Reject { reason: Reason::OtherKind, detail: String::new() };
    for (partition, offset) in [(0, 5), (0, 6), (1, 8)] {
        lines.add(partition, offset, &reject);
    }
    let mut lost = unaccounted(5..9);
    lost.explain(&lines);
    let left: Vec<_> = lost.unaccounted.values().flat_map(Runs::iter).collect();
    assert!(left.iter().cloned().eq(std::iter::once(7..9)), "{left:?}");
    let mut lost = unaccounted(5..7);
    lost.explain(&lines);
    let case = Case { lost, ..Case::default() };
    assert_eq!(case.compare(&ticks(0..5), &ticks(0..5)).status, Status::Ok);
}

#[test]
fn holes_are_told_by_their_true_width() {
    for far in [1_u64 << 36, 1 << 40, 1 << 44] {
        let case = Case { lost: unaccounted(1..far), ..Case::default() };
        let outcome = case.compare(&[(0, 1)], &[(0, 1)]);
        let (count, last) = (far - 1, far - 1);
        let (begin, end) = (format!("{count} offsets are in no"), format!(": offsets 1-{last}"));
        let is_it = |said: &&String| said.starts_with(&begin) && said.ends_with(&end);
        assert_eq!(outcome.details.iter().filter(is_it).count(), 1, "{:?}", outcome.details);
    }
}

#[test]
fn many_ranges_are_named_by_the_first_and_their_number() {
    let offsets = (0..20).filter(|offset| offset % 3 < 2).collect();
    assert_eq!(ranges(&offsets), "offsets 0-1, 3-4, 6-7, 9-10, 12-13 and 2 more ranges");
}

#[test]
fn later_elements_of_messages_are_named_by_their_index_and_stand_where_their_messages_do() {
    let place =
        |offset: i64, index: u16| common::Place { partition: 0, offset, index }.number().unwrap();
    let realtime: Vec<_> = [place(1, 0), place(1, 1), place(2, 0)].map(|at| (at, 1)).into();
    let archive: Vec<_> = [place(1, 0), place(1, 2), place(2, 0), place(3, 1), place(101, 4)]
        .map(|at| (at, 1))
        .into();
    let gaps = NonTickOffsets::from([(0, std::iter::once(3..4).collect())]);
    let outcome = Case { gaps, ..Case::default() }.compare(&realtime, &archive);
    assert_eq!(outcome.status, Status::Mismatch);
    assert_eq!(
        (outcome.missing_in_realtime, outcome.missing_in_archive, outcome.skipped),
        (1, 1, 1)
    );
    for word in [
        "1 tick of the archive is not in realtime_stock: offsets 1[2]",
        "1 tick of realtime_stock is not in the archive: offsets 1[1]",
        "1 tick of the archive waits for the speed layer: offsets 101[4]",
    ] {
        assert!(
            outcome.details.iter().any(|detail| detail.contains(word)),
            "{word}: {:?}",
            outcome.details
        );
    }
}
