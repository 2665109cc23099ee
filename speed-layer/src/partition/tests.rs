//! Each state of a partition, and each event in it.

use super::stall_log::RECOVERED_AFTER;
use super::*;
use crate::handover::HELD_BACK_RETRY;

const WATERMARKS: Watermarks = Watermarks { low: 3, high: 9 };

fn partition(skips: bool) -> Partition {
    let mut partition = Partition::new(1, skips, Instant::now());
    assert_eq!(partition.take_due_action(Instant::now()), Some(Action::AskStore));
    partition
}

/// The action that the event asks for at once.
fn after(partition: &mut Partition, event: Event) -> Option<Action> {
    partition.handle(event, Instant::now());
    partition.take_due_action(Instant::now())
}

fn reading(skips: bool, next: i64) -> Partition {
    let mut partition = partition(skips);
    partition.handle(Event::Answered(StartResolution::At(next)), Instant::now());
    assert_eq!(after(&mut partition, Event::ClientAssigned), Some(Action::AskKafka));
    assert_eq!(partition.state, State::Reading);
    let all = Watermarks { low: 0, high: next };
    assert_eq!(after(&mut partition, measured(all)), None);
    assert!(partition.has_nothing_pending());
    partition
}

/// Kafka's answer to a question that was asked just now.
fn measured(watermarks: Watermarks) -> Event {
    Event::Measured(watermarks, Instant::now())
}

fn readable(from: i64, offset: i64) -> Event {
    Event::Readable { from, offset }
}

fn damaged() -> Event {
    Event::Damaged("CRC".into())
}

#[test]
fn a_partition_that_the_store_knows_is_read_without_asking_kafka() {
    let mut partition = partition(false);
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(5))), None);
    assert_eq!(
        (partition.state.clone(), partition.next, partition.written),
        (State::StartKnown, 5, 5)
    );
    partition.handle(Event::ClientAssigned, Instant::now());
    assert_eq!(partition.state, State::Reading);
}

#[test]
fn one_that_was_never_read_begins_where_kafka_and_then_the_store_say() {
    let mut partition = partition(false);
    assert_eq!(
        after(&mut partition, Event::Answered(StartResolution::NeverRead)),
        Some(Action::AskKafka)
    );
    assert_eq!(after(&mut partition, measured(WATERMARKS)), Some(Action::AskStore));
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(3))), None);
    assert_eq!((partition.state.clone(), partition.next), (State::StartKnown, 3));
}

#[test]
fn kafka_is_asked_again_where_it_did_not_answer() {
    let mut partition = partition(false);
    assert_eq!(
        after(&mut partition, Event::Answered(StartResolution::NeverRead)),
        Some(Action::AskKafka)
    );
    assert!(!partition.is_due(Instant::now()));
    assert!(partition.is_due(Instant::now() + STALL_RETRY));
    assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskKafka));
}

#[test]
fn a_partition_whose_last_owner_is_still_writing_is_asked_for_again_soon() {
    let mut partition = partition(false);
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::Locked)), None);
    assert_eq!(partition.take_due_action(Instant::now() + LOCKED_RETRY), Some(Action::AskStore));
    let late = Instant::now() + STALL_RETRY;
    assert!(partition.trouble(late).is_some_and(|why| why.contains("kafka_offsets is locked")));
    partition.handle(Event::Answered(StartResolution::NeverRead), Instant::now());
    assert!(partition.trouble(late).is_some_and(|why| !why.contains("locked")));
}

#[test]
fn one_that_the_store_holds_back_is_read_again_from_the_stored_offset() {
    let mut partition = reading(false, 5);
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(after(&mut partition, held_back_by("lock")), Some(Action::Pause));
    assert_eq!(partition.advance(6, 7), Accepted::No);
    assert_eq!(after(&mut partition, Event::Paused), None);
    assert_eq!(partition.take_due_action(Instant::now() + HELD_BACK_RETRY), Some(Action::AskStore));
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::Locked)), None);
    assert_eq!(partition.take_due_action(Instant::now() + HELD_BACK_RETRY), Some(Action::AskStore));
    assert!(partition.note_trouble("lock", Instant::now()));
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(5))), Some(Action::Seek));
    assert_eq!((partition.state.clone(), partition.resume_at()), (State::Reading, 5));
    // Nothing is known of the lock until something is written.
    assert!(partition.trouble(Instant::now()).is_some_and(|why| why.contains("lock")));
    assert!(partition.stalls.is_trouble_logged);
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: true }
    );
    partition.note_written(6);
    assert_eq!(
        (partition.trouble(Instant::now()), partition.stalls.is_trouble_logged),
        (None, false)
    );
}

#[test]
fn one_that_stands_for_a_schema_or_damage_is_held_back_all_the_same() {
    let at = |partition: &mut Partition, event, seconds| {
        partition.handle(event, Instant::now() + Duration::from_secs(seconds));
    };
    for (stalls, goes_on) in [
        (Event::LacksSchema(7), Event::SchemaKnown),
        (damaged(), readable(5, 8)),
        (damaged(), Event::Waited),
    ] {
        let mut partition = reading(true, 3);
        assert_eq!(
            partition.advance(4, 5),
            Accepted::Yes { expected: 3, has_loss_before: false, was_read_before: false }
        );
        at(&mut partition, stalls, 0);
        partition.note_trouble("it stands", Instant::now());
        partition.note_held_back_at(3);
        at(&mut partition, held_back_by("lock"), 1);
        let why = partition.trouble(Instant::now()).unwrap();
        assert!(why.contains("offset 3") && partition.note_trouble(&why, Instant::now()));
        assert_eq!(partition.take_due_action(after_all()), Some(Action::Pause));
        at(&mut partition, Event::Paused, 1);
        at(&mut partition, goes_on, 1);
        assert_eq!(partition.take_due_action(after_all()), Some(Action::AskStore));
        at(&mut partition, Event::Answered(StartResolution::At(3)), 5);
        assert_eq!((partition.next, partition.state), (3, State::Reading));
    }
}

#[test]
fn what_kafka_refused_before_a_partition_was_begun_anew_is_asked_of_nobody_again() {
    let mut partition = reading(true, 100);
    assert_eq!(after(&mut partition, Event::OutOfRange), Some(Action::Unassign));
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskKafka));
    let cut = Watermarks { low: 0, high: 90 };
    assert_eq!(after(&mut partition, measured(cut)), Some(Action::AskStore));
    assert_eq!((partition.refused, partition.log_end.truncated_end), (Some(100), Some(90)));
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(90))), None);
    assert_eq!(after(&mut partition, Event::ClientAssigned), Some(Action::AskKafka));
    for offset in 90..100 {
        assert!(matches!(partition.advance(offset, offset + 1), Accepted::Yes { .. }));
    }
    assert_eq!(after(&mut partition, Event::Unknown), Some(Action::Unassign));
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskStore));
    assert_eq!((partition.refused, partition.watermarks), (None, None));
}

#[test]
fn the_store_is_asked_again_only_once_it_has_answered() {
    let mut partition = partition(false);
    for _ in 0..3 {
        assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskKafka));
        let all = Watermarks { low: 0, high: 9 };
        assert_eq!(after(&mut partition, measured(all)), None);
    }
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::Locked)), None);
    assert_eq!(partition.take_due_action(after_all()), Some(Action::AskStore));
}

#[test]
fn a_partition_that_the_client_is_to_leave_is_left_before_anything_is_answered() {
    let mut partition = reading(true, 50);
    partition.handle(Event::OutOfRange, Instant::now());
    partition.handle(measured(Watermarks { low: 80, high: 200 }), Instant::now());
    partition.handle(Event::Answered(StartResolution::At(80)), Instant::now());
    assert_eq!(partition.take_due_action(Instant::now()), Some(Action::Unassign));
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskKafka));
}

/// Whatever is to be done later is due then.
fn after_all() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[test]
fn a_recovery_is_logged_once_when_the_partition_has_been_read_for_a_while() {
    let (mut partition, start) = (reading(false, 5), Instant::now());
    let second = |number| start + Duration::from_secs(number);
    assert_eq!(partition.take_recovery(start), None);
    let mut stand_and_be_written = |from: u64, next: i64| {
        partition.handle(held_back_by("row 17"), second(from));
        let trouble = partition.trouble(second(from)).unwrap();
        let is_news = partition.note_trouble(&trouble, second(from));
        partition.handle(Event::Answered(StartResolution::At(next)), second(from + 1));
        assert_eq!(partition.take_recovery(second(from + 1)), None);
        assert!(!partition.note_trouble(&trouble, second(from + 1)));
        partition.note_written(next + 1);
        assert_eq!(partition.trouble(second(from + 2)), None);
        assert_eq!(partition.take_recovery(second(from + 2)), None);
        is_news
    };
    assert!(stand_and_be_written(0, 5));
    // A repeated trouble before it counts as over is not logged again.
    assert!(!stand_and_be_written(4, 6));
    assert_eq!(partition.take_recovery(second(9)), Some(Duration::from_secs(6)));
    assert_eq!(partition.take_recovery(second(20)), None);
    assert!(partition.note_trouble("the same, hours later", second(9000)));
}

#[test]
fn a_damaged_partition_that_is_only_tried_again_does_not_go_on() {
    let (mut partition, start) = (reading(false, 5), Instant::now());
    partition.handle(Event::Damaged("a checksum".into()), start);
    assert!(partition.note_trouble("a checksum", start));
    let tried = start + STALL_RETRY;
    partition.handle(Event::Waited, tried);
    assert_eq!(partition.state, State::Reading);
    let later = [tried, tried + RECOVERED_AFTER, tried + RECOVERED_AFTER * 2];
    assert_eq!(later.map(|now| partition.take_recovery(now)), [None; 3]);
    // A replica has it whole.
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(partition.take_recovery(later[1]), None);
    assert_eq!(partition.take_recovery(later[2]), Some(later[1] - start));
}

#[test]
fn one_that_is_held_back_and_whose_offset_is_gone_is_begun_anew() {
    for answer in [StartResolution::NeverRead, StartResolution::GapNeedsDecision("gone".into())] {
        let mut partition = reading(false, 5);
        partition.handle(held_back_by("lock"), Instant::now());
        assert_eq!(after(&mut partition, Event::Answered(answer)), Some(Action::Unassign));
        assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskStore));
    }
}

#[test]
fn a_partition_where_the_client_cannot_seek_is_begun_again() {
    let mut partition = reading(false, 1);
    assert_eq!(after(&mut partition, Event::SeekFailed), Some(Action::Unassign));
    assert_eq!(partition.advance(1, 2), Accepted::No);
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskStore));
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(1))), None);
    assert_eq!(partition.state, State::StartKnown);
}

#[test]
fn after_words_that_are_no_message_the_client_is_told_again_where_to_read() {
    let mut partition = reading(false, 5);
    assert_eq!(after(&mut partition, Event::ClientError), Some(Action::Seek));
    assert!(partition.is_displaced);
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
}

#[test]
fn a_partition_that_may_not_be_read_stands_until_kafka_is_asked_and_allows_it() {
    let mut partition = reading(false, 5);
    assert_eq!(after(&mut partition, Event::Forbidden("no right".into())), Some(Action::Seek));
    let why = partition.trouble(Instant::now()).unwrap();
    assert!(why.contains("no right") && why.contains("grant READ"), "{why}");
    assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskAllowed));
    assert_eq!(after(&mut partition, Event::Allowed), Some(Action::Seek));
    assert_eq!(partition.trouble(Instant::now()), None);
    // Or a message comes before anybody has asked.
    partition.handle(Event::Forbidden("no right".into()), Instant::now());
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(partition.state, State::Reading);
}

#[test]
fn a_message_is_taken_once_and_only_while_the_partition_is_read() {
    let mut partition = reading(false, 5);
    assert_eq!(partition.advance(4, 5), Accepted::No);
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(partition.advance(5, 6), Accepted::No);
    // Offsets 6 and 7 do not exist: a transaction's marker, or compaction.
    assert_eq!(
        partition.advance(8, 9),
        Accepted::Yes { expected: 6, has_loss_before: false, was_read_before: false }
    );
    partition.handle(Event::OutOfRange, Instant::now());
    assert_eq!(partition.advance(9, 10), Accepted::No);
}

#[test]
fn the_end_passes_over_markers_and_is_no_message() {
    let mut partition = reading(false, 5);
    assert_eq!(
        partition.advance(7, 7),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(partition.next, 7);
}

#[test]
fn an_offset_that_kafka_does_not_have_is_a_gap_only_when_the_store_says_so() {
    let mut partition = reading(false, 1);
    assert_eq!(after(&mut partition, Event::OutOfRange), Some(Action::Unassign));
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskKafka));
    assert!(!partition.is_in_client());
    assert_eq!(partition.refused, Some(1));
    assert_eq!(after(&mut partition, measured(WATERMARKS)), Some(Action::AskStore));
    // Another instance had written on meanwhile, or the gap was recorded.
    assert_eq!(after(&mut partition, Event::Answered(StartResolution::At(3))), None);
    assert_eq!((partition.state.clone(), partition.next), (State::StartKnown, 3));
    // The client must have forgotten it before it is told of it again.
    assert!(!partition.is_ready(Instant::now()));
    assert!(partition.is_ready(Instant::now() + REASSIGN_DELAY));
}

#[test]
fn a_gap_that_a_person_must_decide_on_stands_is_said_and_asked_again() {
    let mut partition = reading(false, 1);
    assert_eq!(after(&mut partition, Event::OutOfRange), Some(Action::Unassign));
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    partition.handle(
        Event::Answered(StartResolution::GapNeedsDecision("2 offsets are gone".into())),
        Instant::now(),
    );
    assert_eq!(partition.trouble(Instant::now()).as_deref(), Some("2 offsets are gone"));
    assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskKafka));
}

#[test]
fn damage_stops_the_partition_or_is_passed_over_as_the_user_wants() {
    let mut stopping = reading(false, 5);
    assert_eq!(after(&mut stopping, damaged()), Some(Action::Pause));
    assert_eq!(stopping.advance(8, 9), Accepted::No);
    assert!(stopping.trouble(Instant::now()).unwrap().contains("offset 5"));
    assert_eq!(after(&mut stopping, Event::Waited), Some(Action::Seek));

    let mut skipping = reading(true, 5);
    assert_eq!(after(&mut skipping, damaged()), Some(Action::Pause));
    assert_eq!(after(&mut skipping, Event::Paused), Some(Action::FindReadable));
    assert_eq!(skipping.advance(8, 9), Accepted::No);
    assert_eq!(after(&mut skipping, readable(5, 8)), Some(Action::Seek));
    assert_eq!((skipping.next, skipping.resume_at()), (5, 8));
    assert_eq!(
        skipping.advance(8, 9),
        Accepted::Yes { expected: 5, has_loss_before: true, was_read_before: false }
    );
    assert_eq!(skipping.take_damage().as_deref(), Some("CRC"));
    assert_eq!(skipping.resume_at(), 9);
}

#[test]
fn a_log_that_was_truncated_is_remembered_as_such_however_far_it_comes_again() {
    let mut partition = reading(false, 20);
    partition.handle(Event::OutOfRange, Instant::now());
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    partition.handle(
        Event::Answered(StartResolution::GapNeedsDecision("truncated".into())),
        Instant::now(),
    );
    partition.handle(Event::Waited, Instant::now());
    // It is stalled as long as nobody has decided, also while it is asked again.
    assert_eq!(partition.trouble(Instant::now()).as_deref(), Some("truncated"));
    partition.handle(measured(Watermarks { low: 3, high: 50 }), Instant::now());
    assert_eq!(partition.log_end.truncated_end, Some(9));
    partition.handle(Event::Answered(StartResolution::At(9)), Instant::now());
    assert_eq!((partition.log_end.truncated_end, partition.trouble(Instant::now())), (None, None));
}

#[test]
fn a_log_that_ends_before_the_offset_that_it_is_begun_with_was_truncated_however_it_grows_then() {
    let mut partition = partition(false);
    partition.handle(Event::Answered(StartResolution::At(20)), Instant::now());
    assert_eq!(after(&mut partition, Event::ClientAssigned), Some(Action::AskKafka));
    // Nobody has answered.
    assert!(!partition.has_nothing_pending() && partition.is_due(Instant::now() + STALL_RETRY));
    assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskKafka));
    assert_eq!(after(&mut partition, measured(WATERMARKS)), Some(Action::Unassign));
    assert_eq!(partition.advance(20, 21), Accepted::No);
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskKafka));
    let grown = Watermarks { low: 3, high: 50 };
    assert_eq!(after(&mut partition, measured(grown)), Some(Action::AskStore));
    assert_eq!((partition.refused, partition.log_end.truncated_end), (Some(20), Some(9)));
}

#[test]
fn a_log_that_was_cut_while_no_leader_was_found_is_seen_as_well() {
    let mut partition = reading(false, 20);
    assert_eq!(after(&mut partition, Event::Leaderless), None);
    assert_eq!(after(&mut partition, measured(WATERMARKS)), Some(Action::Unassign));
    assert_eq!(partition.log_end.truncated_end, Some(9));
    let mut partition = reading(false, 9);
    partition.handle(Event::Leaderless, Instant::now());
    assert_eq!(after(&mut partition, measured(WATERMARKS)), None);
    assert_eq!(
        (partition.has_nothing_pending(), partition.advance(9, 10)),
        (true, Accepted::Yes { expected: 9, has_loss_before: false, was_read_before: false })
    );
}

#[test]
fn a_silent_partition_is_told_again_where_to_read_and_its_next_message_is_taken() {
    let mut partition = reading(false, 5);
    assert_eq!(after(&mut partition, Event::NothingComes), Some(Action::Seek));
    assert!(partition.trouble(Instant::now()).is_some());
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(partition.state, State::Reading);
}

#[test]
fn one_of_which_nobody_says_where_to_begin_is_a_trouble_after_a_while_unless_nobody_can_be_asked() {
    let mut partition = partition(false);
    let late = Instant::now() + STALL_RETRY;
    partition.handle(Event::Answered(StartResolution::NeverRead), Instant::now());
    assert_eq!(partition.trouble(Instant::now()), None);
    assert!(partition.trouble(late).is_some_and(|why| why.contains("is unknown")));
    partition.restart_wait(late);
    assert_eq!(partition.trouble(late), None);
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut partition = reading(false, 5);
    for event in [
        Event::Answered(StartResolution::At(1)),
        measured(WATERMARKS),
        Event::ClientAssigned,
        Event::Waited,
    ] {
        assert_eq!(after(&mut partition, event), None);
        assert_eq!((partition.state.clone(), partition.next), (State::Reading, 5));
    }
}

#[test]
fn a_partition_waits_for_the_schema_of_its_next_message_and_goes_on_with_it() {
    let mut partition = reading(false, 5);
    assert_eq!(after(&mut partition, Event::LacksSchema(7)), Some(Action::Pause));
    assert_eq!(after(&mut partition, Event::Paused), None);
    assert_eq!(partition.advance(5, 6), Accepted::No);
    // Messages that were fetched with it lack the same schema, or another one.
    assert_eq!(after(&mut partition, Event::LacksSchema(8)), None);
    assert_eq!(partition.state, State::Stalled(Stall::Schema(7)));
    assert_eq!(partition.trouble(Instant::now()), None, "a registry answers in no time");
    let trouble = partition.trouble(Instant::now() + SCHEMA_TIMEOUT).unwrap();
    assert!(trouble.contains("schema 7") && trouble.contains("offset 5"), "{trouble}");
    assert!(partition.is_due(Instant::now() + STALL_RETRY));
    assert_eq!(after(&mut partition, Event::Waited), Some(Action::AskSchema(7)));
    assert_eq!(after(&mut partition, Event::SchemaKnown), Some(Action::Seek));
    assert_eq!(partition.resume_at(), 5);
    assert_eq!(
        partition.advance(5, 6),
        Accepted::Yes { expected: 5, has_loss_before: false, was_read_before: false }
    );
    assert_eq!(after(&mut partition, Event::SchemaKnown), None, "it is of no more concern");
}

#[test]
fn a_partition_that_waits_for_a_schema_and_whose_topic_is_gone_is_begun_anew() {
    let mut partition = reading(false, 5);
    partition.handle(Event::LacksSchema(7), Instant::now());
    assert_eq!(after(&mut partition, Event::Unknown), Some(Action::Unassign));
    assert_eq!(partition.state, State::Assigned);
}

fn held_back_by(why: &str) -> Event {
    Event::HeldBack(HeldBackReason { why: why.to_owned(), retry_after: HELD_BACK_RETRY })
}

fn held_back() -> Event {
    held_back_by("lock")
}

#[test]
fn what_was_to_be_measured_before_a_partition_was_held_back_says_nothing_of_where_it_goes_on() {
    let mut partition = reading(true, 100);
    for offset in 100..120 {
        assert!(matches!(partition.advance(offset, offset + 1), Accepted::Yes { .. }));
    }
    partition.handle(Event::Leaderless, Instant::now());
    let asked = Instant::now();
    partition.note_held_back_at(100);
    partition.handle(held_back(), Instant::now());
    partition.handle(Event::Answered(StartResolution::At(100)), Instant::now());
    // The log ends after the stored offset: nothing is lost.
    let end = Watermarks { low: 0, high: 110 };
    partition.handle(Event::Measured(end, asked), Instant::now());
    partition.handle(measured(end), Instant::now());
    assert_eq!((partition.state, partition.log_end.truncated_end), (State::Reading, None));
}

#[test]
fn a_log_that_is_cut_while_a_partition_stands_is_seen_however_it_grows_then() {
    for stall in [held_back(), Event::LacksSchema(7), damaged()] {
        let mut partition = reading(false, 20);
        partition.handle(stall, Instant::now());
        partition.handle(Event::Leaderless, Instant::now());
        partition.handle(measured(WATERMARKS), Instant::now());
        assert_eq!(partition.state, State::Stalled(Stall::OutOfRange));
        assert_eq!((partition.refused, partition.log_end.truncated_end), (Some(20), Some(9)));
    }
}

#[test]
fn a_log_that_was_cut_before_what_was_held_back_meanwhile_is_asked_about_again() {
    let mut partition = reading(true, 20);
    assert!(matches!(partition.advance(20, 25), Accepted::Yes { .. }));
    partition.handle(Event::Leaderless, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    assert_eq!(partition.refused, Some(25));
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    assert_eq!(
        after(&mut partition, Event::Answered(StartResolution::At(20))),
        Some(Action::AskStore)
    );
    assert_eq!((partition.refused, partition.log_end.truncated_end), (Some(20), Some(9)));
    partition.handle(Event::Answered(StartResolution::At(9)), Instant::now());
    assert_eq!((partition.state, partition.next), (State::StartKnown, 9));
}

/// The store was busy meanwhile, and answers what it was asked before.
#[test]
fn a_log_that_is_cut_while_the_store_is_being_asked_is_not_forgotten_by_its_answer() {
    for is_measured in [true, false] {
        let mut partition = reading(false, 20);
        partition.handle(held_back(), Instant::now());
        partition.handle(Event::Waited, Instant::now());
        assert_eq!(partition.take_due_action(Instant::now()), Some(Action::AskStore));
        partition.handle(Event::Leaderless, Instant::now());
        assert_eq!(after(&mut partition, measured(WATERMARKS)), Some(Action::Unassign));
        assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskKafka));
        if is_measured {
            partition.handle(measured(Watermarks { low: 3, high: 50 }), Instant::now());
        }
        let asked = after(&mut partition, Event::Answered(StartResolution::At(20)));
        assert_eq!(asked, Some(if is_measured { Action::AskStore } else { Action::AskKafka }));
        assert_eq!((partition.refused, partition.log_end.truncated_end), (Some(20), Some(9)));
    }
}

/// The store is away, or busy with others.
#[test]
fn where_a_log_ends_before_the_store_says_where_to_begin_is_told_to_the_store() {
    let mut partition = partition(true);
    assert!(partition.is_start_long_unknown(Instant::now() + START_LONG_UNKNOWN));
    for high in [9, 50] {
        assert_eq!(after(&mut partition, measured(Watermarks { low: 3, high })), None);
    }
    assert_eq!(partition.log_end.earliest_end.map(|seen| seen.offset), Some(9));
    // It was asked before.
    assert_eq!(
        after(&mut partition, Event::Answered(StartResolution::At(20))),
        Some(Action::AskStore)
    );
    // That Kafka's log ended there once does not mean that it refuses the offset.
    assert_eq!(partition.refused, None);
    // It has been told, and says that somebody has moved the offset since.
    partition.handle(Event::Answered(StartResolution::At(20)), Instant::now());
    assert_eq!(
        (partition.state.clone(), partition.log_end.earliest_end),
        (State::StartKnown, None)
    );
    assert!(!partition.is_start_long_unknown(Instant::now() + START_LONG_UNKNOWN));
}

#[test]
fn a_log_that_ends_at_the_stored_offset_or_behind_it_is_no_question() {
    for next in [4, 9] {
        let mut partition = partition(true);
        partition.handle(measured(WATERMARKS), Instant::now());
        partition.handle(Event::Answered(StartResolution::At(next)), Instant::now());
        assert_eq!(
            (partition.state.clone(), partition.log_end.earliest_end),
            (State::StartKnown, None)
        );
    }
}

#[test]
fn kafka_being_asked_for_an_end_asks_the_store_no_earlier_than_it_has_said() {
    let mut partition = partition(true);
    let failed =
        StartResolution::Failed { why: "a trigger".into(), retry_after: Duration::from_secs(30) };
    partition.handle(Event::Answered(failed), Instant::now());
    assert_eq!(after(&mut partition, measured(WATERMARKS)), None);
    let later = Instant::now() + Duration::from_secs(30);
    assert_eq!(partition.take_due_action(later), Some(Action::AskStore));
}

#[test]
fn where_to_begin_behind_a_recorded_gap_is_not_asked_again() {
    let mut partition = reading(true, 20);
    partition.handle(Event::OutOfRange, Instant::now());
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    // Retention has removed the messages after the end.
    partition.handle(measured(Watermarks { low: 15, high: 50 }), Instant::now());
    partition.handle(Event::Answered(StartResolution::AfterGap(15)), Instant::now());
    assert_eq!((partition.state.clone(), partition.next), (State::StartKnown, 15));
    assert_eq!((partition.refused, partition.log_end.truncated_end), (None, None));
}

#[test]
fn what_could_not_be_written_is_no_trouble_once_it_has_been_passed_over() {
    for (next, is_trouble) in [(5, true), (6, false)] {
        let mut partition = reading(false, 5);
        partition.handle(held_back(), Instant::now());
        partition.handle(Event::Answered(StartResolution::At(next)), Instant::now());
        assert_eq!(partition.trouble(Instant::now()).is_some(), is_trouble);
    }
}

/// Its messages in a batch are gone with the batch.
#[test]
fn the_start_of_a_damaged_partition_whose_batch_is_dropped_is_resolved_again() {
    let mut partition = reading(true, 100);
    assert!(matches!(partition.advance(104, 105), Accepted::Yes { .. }));
    partition.handle(damaged(), Instant::now());
    assert_eq!(after(&mut partition, Event::BatchDropped), Some(Action::Unassign));
    assert_eq!(after(&mut partition, Event::ClientUnassigned), Some(Action::AskStore));
}

#[test]
fn what_kafka_was_asked_before_counts_for_nothing() {
    let early = Instant::now();
    let mut reading = reading(false, 160);
    reading.handle(Event::Leaderless, Instant::now());
    reading.handle(Event::Measured(Watermarks { low: 0, high: 150 }, early), Instant::now());
    assert_eq!((reading.state.clone(), reading.log_end.truncated_end), (State::Reading, None));
    // It is still to be found out.
    assert!(!reading.has_nothing_pending());
    reading.handle(Event::OutOfRange, Instant::now());
    assert_eq!(after(&mut reading, Event::ClientUnassigned), Some(Action::AskKafka));
    let old = Event::Measured(Watermarks { low: 0, high: 150 }, early);
    assert_eq!(after(&mut reading, old), Some(Action::AskKafka));
    assert_eq!((reading.log_end.truncated_end, reading.watermarks), (None, None));
}

#[test]
fn where_damage_ends_is_an_answer_to_the_question_that_was_last_asked() {
    let mut partition = reading(true, 105);
    assert!(matches!(partition.advance(119, 120), Accepted::Yes { .. }));
    partition.handle(damaged(), Instant::now());
    partition.note_held_back_at(105);
    partition.handle(held_back(), Instant::now());
    partition.handle(Event::Answered(StartResolution::At(105)), Instant::now());
    partition.handle(damaged(), Instant::now());
    partition.handle(readable(120, 150), Instant::now());
    assert_eq!(partition.state, State::Stalled(Stall::Damaged("CRC".into())));
    partition.handle(readable(105, 110), Instant::now());
    assert_eq!((partition.state.clone(), partition.resume_at()), (State::Reading, 110));
}

#[test]
fn a_partition_whose_offset_is_gone_while_it_stands_at_a_gap_is_begun_as_one_that_was_never_read() {
    let mut partition = reading(false, 1);
    partition.handle(Event::OutOfRange, Instant::now());
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    assert_eq!(
        after(&mut partition, Event::Answered(StartResolution::NeverRead)),
        Some(Action::AskKafka)
    );
    assert_eq!((partition.refused, partition.log_end.truncated_end), (None, None));
}

#[test]
fn what_was_held_back_is_known_when_it_comes_again() {
    let mut partition = reading(false, 5);
    assert!(matches!(partition.advance(7, 8), Accepted::Yes { was_read_before: false, .. }));
    partition.note_held_back_at(5);
    partition.handle(held_back(), Instant::now());
    partition.handle(Event::Answered(StartResolution::At(5)), Instant::now());
    let was_read_before = |taken| matches!(taken, Accepted::Yes { was_read_before: true, .. });
    assert_eq!(
        [5, 7, 8].map(|at| was_read_before(partition.advance(at, at + 1))),
        [true, true, false]
    );
}

#[test]
fn a_gap_is_said_although_something_else_was_said_before() {
    let mut partition = reading(false, 5);
    partition.handle(held_back(), Instant::now());
    assert!(partition.note_trouble("a lock", Instant::now()));
    partition.handle(
        Event::Answered(StartResolution::GapNeedsDecision("its row is gone".into())),
        Instant::now(),
    );
    partition.handle(Event::ClientUnassigned, Instant::now());
    partition.handle(
        Event::Answered(StartResolution::GapNeedsDecision("its row is gone".into())),
        Instant::now(),
    );
    assert!(partition.note_trouble("its row is gone", Instant::now()));
    partition.handle(Event::Waited, Instant::now());
    partition.handle(measured(WATERMARKS), Instant::now());
    partition.handle(
        Event::Answered(StartResolution::GapNeedsDecision("its row is gone".into())),
        Instant::now(),
    );
    assert!(!partition.note_trouble("its row is gone", Instant::now()));
}
