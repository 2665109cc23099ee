//! Flags of the detectors that hours were judged by, where those of a run are others.

use crate::hour::Hour;
use crate::index::BatchDb;
use anomalies::hindsight::DETECTOR;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::inflected;

/// The detector, its version and its flags, as `judged_hours` has them. `step`: of prices, in
/// billionths.
pub fn describe(step: i64, sessions: &str, conditions: &str) -> String {
    let (name, version) = (DETECTOR.name, DETECTOR.version);
    format!("{name} {version}, price step {step}, sessions {sessions}, conditions {conditions}")
}

/// Logs once a run that hours were judged by other flags just before: two `batch-layer` on one
/// database take back each other's verdicts, and have no end of it. `due`: hours that are about to
/// be judged by `detectors`.
///
/// # Errors
/// Where the database fails.
pub async fn report_others(db: &mut BatchDb, detectors: &str, due: &[Hour]) -> Result<(), Failure> {
    let hours = Timestamptz::all(due.iter().map(|hour| hour.start()));
    let statement = pg::query_as(include_str!("../../sql/judging/others.sql")).bind(hours);
    let others: Vec<(String, i64, Timestamptz)> =
        db.fetch_all("reading judged_hours in", statement).await?;
    let differing = others
        .iter()
        .find_map(|(of, count, first)| Some((differing(of, detectors)?, count, first)));
    if let Some((flags, count, first)) = differing {
        let first = Hour::from(*first);
        let what = "hour[s] [was|were] judged by other flags within a day";
        let text = inflected(count.cast_unsigned(), what);
        tracing::warn!(
            hours = count,
            first = %first,
            flags,
            "{text} ({flags}), the first {first}, and this run judges them again: where another \
             batch-layer works on this database, each takes back the verdicts of the other one in \
             every run, and the clean views change with them. Give all of a database the same \
             flags, or each stream a database of its own"
        );
    }
    Ok(())
}

/// The flags in which two descriptions differ; `None`: in none, or in the detector itself.
fn differing(one: &str, other: &str) -> Option<String> {
    let (one, other) = (parts(one)?, parts(other)?);
    if one[0] != other[0] {
        return None;
    }
    let flags = [
        "--price-step",
        "--trading-hours or --holiday",
        "--excluded-conditions, --cancel-conditions or --correction-conditions",
    ];
    let differ = |(number, flag)| (one[number] != other[number]).then_some(flag);
    let differing: Vec<&str> = (1..).zip(flags).filter_map(differ).collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

/// The detector, the price step, the sessions and the conditions of a description.
fn parts(text: &str) -> Option<[&str; 4]> {
    let (detector, flags) = text.split_once(", price step ")?;
    let (step, flags) = flags.split_once(", sessions ")?;
    let (sessions, conditions) = flags.split_once(", conditions ")?;
    Some([detector, step, sessions, conditions])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_in_which_two_sets_differ_are_named_and_another_version_is_none() {
        let describe = |step, conditions| describe(step, "always", conditions);
        let usual = describe(10_000_000, "C,H; cancel; correction");
        assert_eq!(differing(&usual, &usual), None);
        assert_eq!(
            differing(&usual, &describe(1, "C,H; cancel; correction")).unwrap(),
            "--price-step"
        );
        let conditions = differing(&usual, &describe(10_000_000, "2,7; 44; 46")).unwrap();
        assert!(conditions.starts_with("--excluded-conditions, "), "{conditions}");
        assert!(
            differing(&usual, &describe(1, "2,7; 44; 46"))
                .unwrap()
                .starts_with("--price-step; --excluded-")
        );
        let sessions = super::describe(1, "always without 2026-12-25", "C");
        assert_eq!(
            differing(&describe(1, "C"), &sessions).unwrap(),
            "--trading-hours or --holiday"
        );
        assert_eq!(
            differing(&describe(1, "C").replace("two_sided", "another"), &describe(2, "C")),
            None
        );
        assert_eq!(differing("something else", &usual), None);
    }
}
