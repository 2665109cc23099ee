//! What agrees is proven, and what differs is named.

use super::*;

const NO_LAG: Lags = Lags { speed_layer: 0, archiver: 0 };

/// Ten records, of which offset 3 is a dead letter and 4 a tombstone.
fn topic() -> Topic {
    let archivable = (0..10).filter(|offset| !(3..5).contains(offset)).collect();
    let partition = Partition {
        low: 0,
        high: 10,
        records: (0..10).collect(),
        archivable,
        dead_letters: 1,
        ignored: 1,
    };
    Topic::from([(0, partition)])
}

fn rows(offsets: impl IntoIterator<Item = i64>) -> Rows {
    Rows { offsets: [(0, offsets.into_iter().collect())].into(), ticks: 8, rejected: 2 }
}

fn archive(offsets: impl IntoIterator<Item = i64>) -> Archive {
    Archive { objects: 1, offsets: [(0, offsets.into_iter().collect())].into() }
}

fn proven() -> Verdict {
    Verdict::new(&topic(), &rows(0..10), &archive([0, 1, 2, 5, 6, 7, 8, 9]), NO_LAG)
}

fn findings(rows: &Rows, archive: &Archive, lags: Lags) -> Vec<String> {
    Verdict::new(&topic(), rows, archive, lags).findings
}

#[test]
fn what_agrees_is_proven_though_the_archive_has_lines_twice_and_the_topic_goes_on() {
    let verdict =
        Verdict::new(&topic(), &rows(0..12), &archive([0, 1, 2, 2, 5, 6, 7, 7, 8, 9, 10]), NO_LAG);
    assert!(verdict.is_ok(), "{:?}", verdict.findings);
    assert_eq!((verdict.archived, verdict.archive_duplicates), (8, 2));
}

#[test]
fn every_kind_of_disagreement_is_found() {
    let (all, archived) = (|| rows(0..10), || archive([0, 1, 2, 5, 6, 7, 8, 9]));
    let found = |rows: &Rows, archive: &Archive, lags| findings(rows, archive, lags).join("; ");
    let without = |gone: i64| rows((0..10).filter(move |offset| *offset != gone));
    assert!(
        found(&without(7), &archived(), NO_LAG)
            .contains("1 records of the topic are in no table: offsets 7")
    );
    let twice = rows([0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9]);
    assert!(
        found(&twice, &archived(), NO_LAG)
            .contains("1 rows stand for a record that has a row already")
    );
    assert!(
        found(&all(), &archive([0, 1, 2]), NO_LAG)
            .contains("5 records of the topic are not in the archive: offsets 5-9")
    );
    let unexpected = archive(0..10);
    assert!(
        found(&all(), &unexpected, NO_LAG)
            .contains("2 records are in the archive but should not be: offsets 3-4")
    );
    let lags = Lags { speed_layer: 3, archiver: 0 };
    assert!(found(&all(), &archived(), lags).contains("the speed layer is 3 records behind"));
}

#[test]
fn nothing_is_proven_before_the_batch_layer_has_run() {
    let mut verdict = proven();
    for ticks in ["the ticks", "other ticks"] {
        verdict.judge_hours(ticks, Hours::default());
    }
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
    assert!(verdict.findings[0].contains("run of batch-layer"));
}

#[test]
fn a_summary_that_differs_is_named() {
    let differences = vec!["AAPL 2025-06-06 14:00: ticks 2, should be 3".into()];
    let mut verdict = proven();
    verdict
        .judge_hours("the ticks", Hours { batch_has_run: true, compared: 1, rows: 1, differences });
    assert!(!verdict.is_ok());
    assert!(
        verdict.text().contains(
            "FOUND  summary against the ticks: AAPL 2025-06-06 14:00: ticks 2, should be 3"
        )
    );
}

#[test]
fn an_offset_that_is_not_the_topic_s_end_is_found_on_either_side_of_it() {
    for (next, findings) in [(10, 0), (9, 1), (11, 1)] {
        let mut verdict = proven();
        verdict.judge_ends(&topic(), &BTreeMap::from([(0, next)]));
        assert_eq!(verdict.findings.len(), findings, "{next}: {:?}", verdict.findings);
    }
    let mut verdict = proven();
    verdict.judge_ends(&topic(), &BTreeMap::new());
    assert_eq!(verdict.findings, ["partition 0: no offset is stored"]);
}
