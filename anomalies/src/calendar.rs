//! When an exchange trades.

use crate::pack::pack;
use serde::{Deserialize, Serialize};

/// One session of continuous trading, in nanoseconds since 1970: from `opens` until before
/// `closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub opens: i64,
    pub closes: i64,
}

pack!(Session { opens, closes });

impl Session {
    #[must_use]
    pub fn contains(&self, at: i64) -> bool {
        (self.opens..self.closes).contains(&at)
    }
}

/// The sessions of an exchange, in order. The caller, who knows time zones, holidays and half days,
/// makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    sessions: Vec<Session>,
}

impl Calendar {
    /// Sorts `sessions`, which do not overlap.
    #[must_use]
    pub fn of(mut sessions: Vec<Session>) -> Self {
        sessions.sort_by_key(|session| session.opens);
        Self { sessions }
    }

    /// The session that is open at `at`.
    #[must_use]
    pub fn at(&self, at: i64) -> Option<Session> {
        let (session, is_open) = self.session_or_break_at(at);
        is_open.then_some(session)
    }

    /// The session that is open at `at`, or the pause between two, and whether it is a session.
    #[must_use]
    pub fn session_or_break_at(&self, at: i64) -> (Session, bool) {
        let after = self.sessions.partition_point(|session| session.opens <= at);
        match self.sessions[..after].last() {
            Some(session) if session.contains(at) => (*session, true),
            before => {
                let opens = before.map_or(i64::MIN, |session| session.closes);
                let closes = self.sessions.get(after).map_or(i64::MAX, |session| session.opens);
                (Session { opens, closes }, false)
            }
        }
    }

    /// The nanoseconds of trading in [from, until).
    #[must_use]
    pub fn trading_between(&self, from: i64, until: i64) -> i64 {
        let first = self.sessions.partition_point(|session| session.closes <= from);
        let overlap = |session: &Session| session.closes.min(until) - session.opens.max(from);
        self.sessions[first..].iter().take_while(|session| session.opens < until).map(overlap).sum()
    }

    /// The instant that lies `trading` nanoseconds of trading before `until`; `None`: there were
    /// not so many.
    #[must_use]
    pub fn before(&self, until: i64, trading: i64) -> Option<i64> {
        let before = self.sessions.partition_point(|session| session.opens < until);
        let mut left = trading;
        for session in self.sessions[..before].iter().rev() {
            let closes = session.closes.min(until);
            if closes - session.opens >= left {
                return Some(closes - left);
            }
            left -= closes - session.opens;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_a_session_or_the_break_between_two() {
        let found = |at| {
            let (Session { opens, closes }, is_open) = calendar().session_or_break_at(at);
            (opens, closes, is_open)
        };
        assert_eq!([found(9), found(10)], [(i64::MIN, 10, false), (10, 60, true)]);
        assert_eq!([found(60), found(99)], [(60, 100, false); 2]);
        assert_eq!(found(150), (150, i64::MAX, false));
    }

    fn calendar() -> Calendar {
        Calendar::of(vec![Session { opens: 100, closes: 150 }, Session { opens: 10, closes: 60 }])
    }

    #[test]
    fn a_session_is_open_from_its_opening_until_before_its_close() {
        let opens = |at| calendar().at(at).map(|session| session.opens);
        assert_eq!(
            [9, 10, 59, 60, 99, 100, 150].map(opens),
            [None, Some(10), Some(10), None, None, Some(100), None]
        );
    }

    #[test]
    fn nights_are_no_time_of_trading() {
        assert_eq!(calendar().trading_between(50, 110), 20);
        assert_eq!(calendar().trading_between(60, 100), 0);
        assert_eq!(calendar().trading_between(0, 1000), 100);
        assert_eq!(calendar().trading_between(20, 30), 10);
    }

    #[test]
    fn how_far_back_so_much_trading_reaches() {
        let before = |until, trading| calendar().before(until, trading);
        assert_eq!(
            [before(30, 10), before(80, 10), before(105, 10)],
            [Some(20), Some(50), Some(55)]
        );
        assert_eq!([before(1000, 100), before(1000, 101), before(5, 1)], [Some(10), None, None]);
    }
}
