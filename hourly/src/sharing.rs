//! Several runs of one window at once (`--share`): each takes a stretch of hours after the other,
//! until none is left.
//!
//! No two of them are at work on stretches that touch, so that each indexes its folders alone. What
//! is wrong in the end is reported by one of them, which closes: it is an ordinary run of the whole
//! window, that finds little to do. A run that is silent loses its stretch to whoever asks next.

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::{self, End, Token, TransactionLock};
use crate::work::WindowRun;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Acquire;
use sqlx::postgres::PgTransaction;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Into so many stretches a window is cut, where they are neither too short nor too long then.
const STRETCHES: i64 = 16;
/// Shorter ones would have many folders read by two runs; longer ones would need more memory.
const HOURS: (i64, i64) = (12, 72);

/// Description, for errors, of taking and returning stretches.
const SHARING: &str = "sharing hours in";

/// Next step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Stretch(Range<Hour>),
    /// All stretches are done: the window is looked at once more.
    Closing,
    /// Others are at work on what is left.
    Wait,
    /// One of the runs has closed.
    Done,
}

/// How far a stretch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StretchState {
    Free,
    Busy,
    Done,
}

/// The window, cut up.
#[derive(Debug)]
pub struct Stretches {
    starts: Vec<Hour>,
    end: Hour,
}

impl Stretches {
    /// `reach`: how many hours on either side of a stretch its folders stand for at most.
    #[must_use]
    pub fn new(window: &Range<Hour>, reach: i64) -> Self {
        let hours = Hour::each(window.clone()).count() as i64;
        let length = (hours / STRETCHES).clamp(HOURS.0, HOURS.1).max(2 * reach);
        let starts = std::iter::successors(Some(window.start), |start| Some(start.plus(length)));
        Self { starts: starts.take_while(|start| *start < window.end).collect(), end: window.end }
    }

    /// What is left to do; `states`: by their starts, and of the end that of the closing run.
    fn next(&self, states: &BTreeMap<Hour, StretchState>) -> Next {
        let state = |start: &Hour| states.get(start).copied().unwrap_or(StretchState::Free);
        let all: Vec<StretchState> = self.starts.iter().map(state).collect();
        let is_busy = |number: Option<usize>| {
            number.and_then(|number| all.get(number)) == Some(&StretchState::Busy)
        };
        let is_free = |number: &usize| {
            all[*number] == StretchState::Free
                && !is_busy(number.checked_sub(1))
                && !is_busy(Some(number + 1))
        };
        if let Some(number) = (0..all.len()).find(is_free) {
            return Next::Stretch(
                self.starts[number]..self.starts.get(number + 1).copied().unwrap_or(self.end),
            );
        }
        match state(&self.end) {
            StretchState::Done => Next::Done,
            StretchState::Free if all.iter().all(|state| *state == StretchState::Done) => {
                Next::Closing
            }
            _ => Next::Wait,
        }
    }

    /// Returns what comes next, and notes that this run is at work on it. A run that was not heard
    /// of for `silence` is forgotten.
    ///
    /// # Errors
    /// Where the database fails, or the run has lost its lock.
    pub async fn take(&self, db: &mut BatchDb, silence: Duration) -> Result<Next, Failure> {
        let token = db.lock.clone();
        db.query(SHARING, async |connection| {
            lock::end_dead_transactions(connection, silence).await?;
            lock::within(
                connection,
                token.as_ref(),
                TransactionLock::Membership,
                async |transaction| {
                    let next = self.try_take(transaction, silence, token.as_ref()).await?;
                    Ok(End::Commit(next))
                },
            )
            .await
        })
        .await
    }

    async fn try_take(
        &self,
        transaction: &mut PgTransaction<'_>,
        silence: Duration,
        token: Option<&Token>,
    ) -> Result<Next, sqlx::Error> {
        lock::delete_dead_runs(transaction, silence, token).await?;
        let next = self.next(&states(transaction).await?);
        let start = match &next {
            Next::Stretch(hours) => Some(hours.start),
            Next::Closing => Some(self.end),
            Next::Wait | Next::Done => None,
        };
        pg::query(include_str!("../sql/sharing/take.sql"))
            .bind(start.map(|start| Timestamptz(start.start())))
            .bind(token.map(Token::as_str))
            .execute(transaction.acquire().await?)
            .await?;
        Ok(next)
    }

    /// Notes that the run has closed.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn close(&self, db: &mut BatchDb) -> Result<(), Failure> {
        finish(db, self.end).await
    }
}

async fn states(
    transaction: &mut PgTransaction<'_>,
) -> Result<BTreeMap<Hour, StretchState>, sqlx::Error> {
    let rows: Vec<(Timestamptz, bool)> = pg::query_as(include_str!("../sql/sharing/stretches.sql"))
        .fetch_all(transaction.acquire().await?)
        .await?;
    let state = |is_done| if is_done { StretchState::Done } else { StretchState::Busy };
    Ok(rows.into_iter().map(|(start, is_done)| (Hour::from(start), state(is_done))).collect())
}

async fn finish(db: &mut BatchDb, start: Hour) -> Result<(), Failure> {
    let token = db.lock.clone();
    let update = pg::query(
        "update batch_stretches set is_done = true where first_hour = $1 and token = $2::uuid",
    )
    .bind(Timestamptz(start.start()))
    .bind(token.as_ref().map(Token::as_str));
    db.transact(SHARING, TransactionLock::Membership, async |transaction| {
        update.execute(transaction).await.map(drop)
    })
    .await
}

/// Does what others have left of the stretches. `judge`: what follows on a stretch. Gives whether
/// this run is the one to close.
///
/// # Errors
/// Where the run cannot go on or is stopped; what it was at is free then.
pub async fn work(
    work: &mut WindowRun,
    stretches: &Stretches,
    silence: Duration,
    mut judge: impl AsyncFnMut(&mut WindowRun, &Range<Hour>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    work.prepare().await?;
    let mut is_logged = false;
    loop {
        match stretches.take(work.db(), silence).await? {
            Next::Stretch(hours) => {
                work.run_stretch(&hours).await?;
                judge(work, &hours).await?;
                finish(work.db(), hours.start).await?;
            }
            Next::Closing => return Ok(true),
            Next::Done => return Ok(false),
            Next::Wait => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::info!("the hours that are left are other runs': waiting for them");
                }
                work.pause(lock::PAUSE).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    fn hour(number: i64) -> Hour {
        Hour::of(Timestamp::from_micros(0)).plus(number)
    }

    fn next(stretches: &Stretches, known: &[(i64, StretchState)]) -> Next {
        stretches.next(&known.iter().map(|(start, state)| (hour(*start), *state)).collect())
    }

    #[test]
    fn stretches_are_neither_short_nor_long_and_none_reaches_over_its_neighbour() {
        let lengths = |hours: i64, reach: i64| {
            let Stretches { starts, .. } = Stretches::new(&(hour(0)..hour(hours)), reach);
            (starts.len(), starts.get(1).map(|second| Hour::each(starts[0]..*second).count()))
        };
        assert_eq!(lengths(0, 2), (0, None));
        assert_eq!(lengths(5, 2), (1, None));
        assert_eq!(lengths(200, 2), (17, Some(12)));
        assert_eq!(lengths(8760, 2), (122, Some(72)));
        assert_eq!(lengths(200, 25), (4, Some(50)));
    }

    #[test]
    fn the_first_stretch_is_taken_of_which_nobody_is_at_work_on_a_neighbour() {
        let stretches = Stretches::new(&(hour(0)..hour(50)), 2);
        let (busy, done) = (StretchState::Busy, StretchState::Done);
        assert_eq!(next(&stretches, &[]), Next::Stretch(hour(0)..hour(12)));
        assert_eq!(next(&stretches, &[(0, busy)]), Next::Stretch(hour(24)..hour(36)));
        assert_eq!(next(&stretches, &[(0, busy), (24, busy)]), Next::Stretch(hour(48)..hour(50)));
        assert_eq!(next(&stretches, &[(0, done), (24, busy)]), Next::Stretch(hour(48)..hour(50)));
        assert_eq!(
            next(&stretches, &[(0, done), (24, done), (48, busy)]),
            Next::Stretch(hour(12)..hour(24))
        );
    }

    #[test]
    fn one_run_closes_when_all_stretches_are_done_and_the_others_wait_for_it() {
        let stretches = Stretches::new(&(hour(0)..hour(20)), 2);
        let (busy, done) = (StretchState::Busy, StretchState::Done);
        assert_eq!(next(&stretches, &[(0, done), (12, busy)]), Next::Wait);
        assert_eq!(next(&stretches, &[(0, done), (12, done)]), Next::Closing);
        assert_eq!(next(&stretches, &[(0, done), (12, done), (20, busy)]), Next::Wait);
        assert_eq!(next(&stretches, &[(0, done), (12, done), (20, done)]), Next::Done);
    }
}
