//! [`LeaderWatch`]: which partitions wait for a leader, while the others are read.

use crate::source::TopicPartition;
use std::time::{Duration, Instant};

/// Shorter absences are ordinary: a broker restarts, a leader moves.
pub const ABSENCE_TO_LOG: Duration = Duration::from_secs(3);

/// A change that is worth a log line.
#[derive(Debug, PartialEq, Eq)]
pub enum LeaderNews {
    /// Partitions that had a leader at the last line, or at the beginning, have none.
    Away,
    /// All partitions have a leader again, after so long.
    Back(Duration),
}

/// Logs when leaders go and when all of them are there again, however often it is asked in between.
#[derive(Debug, Default)]
pub struct LeaderWatch {
    away_since: Option<Instant>,
    logged: Vec<TopicPartition>,
}

impl LeaderWatch {
    /// `away`: the partitions of this instance that have no leader at this moment.
    pub fn note(&mut self, away: &[TopicPartition], now: Instant) -> Option<LeaderNews> {
        if away.is_empty() {
            let since = self.away_since.take()?;
            let was_logged = !std::mem::take(&mut self.logged).is_empty();
            return was_logged.then(|| LeaderNews::Back(now.saturating_duration_since(since)));
        }
        let since = *self.away_since.get_or_insert(now);
        let lasts = now.saturating_duration_since(since) >= ABSENCE_TO_LOG;
        let is_new = away.iter().any(|partition| !self.logged.contains(partition));
        if lasts && is_new {
            self.logged = away.to_vec();
            return Some(LeaderNews::Away);
        }
        None
    }

    /// Whether a leader has been away for long enough to be logged.
    pub fn are_missed(&self) -> bool {
        !self.logged.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(partitions: &[i32]) -> Vec<TopicPartition> {
        partitions
            .iter()
            .map(|partition| TopicPartition { topic: "t".into(), partition: *partition })
            .collect()
    }

    #[test]
    fn a_leader_that_moves_is_not_worth_a_line() {
        let (mut leaders, start) = (LeaderWatch::default(), Instant::now());
        assert_eq!(leaders.note(&at(&[1]), start), None);
        assert_eq!(leaders.note(&at(&[1]), start + 2 * SECOND), None);
        assert!(!leaders.are_missed());
        assert_eq!(leaders.note(&at(&[]), start + 3 * SECOND), None);
        // The next absence has its own beginning.
        assert_eq!(leaders.note(&at(&[1]), start + 4 * SECOND), None);
    }

    #[test]
    fn a_leader_that_stays_away_is_logged_once_and_so_is_its_return() {
        let (mut leaders, start) = (LeaderWatch::default(), Instant::now());
        leaders.note(&at(&[1]), start);
        assert_eq!(leaders.note(&at(&[1]), start + ABSENCE_TO_LOG), Some(LeaderNews::Away));
        assert_eq!(leaders.note(&at(&[1]), start + 2 * ABSENCE_TO_LOG), None);
        assert!(leaders.are_missed());
        assert_eq!(
            leaders.note(&at(&[]), start + 3 * ABSENCE_TO_LOG),
            Some(LeaderNews::Back(3 * ABSENCE_TO_LOG))
        );
        assert_eq!(leaders.note(&at(&[]), start + 4 * ABSENCE_TO_LOG), None);
        assert!(!leaders.are_missed());
    }

    #[test]
    fn another_partition_that_loses_its_leader_meanwhile_is_logged_as_well() {
        let (mut leaders, start) = (LeaderWatch::default(), Instant::now());
        leaders.note(&at(&[1]), start);
        leaders.note(&at(&[1]), start + ABSENCE_TO_LOG);
        assert_eq!(leaders.note(&at(&[1, 3]), start + 2 * ABSENCE_TO_LOG), Some(LeaderNews::Away));
        assert_eq!(leaders.note(&at(&[3]), start + 3 * ABSENCE_TO_LOG), None);
    }
}
