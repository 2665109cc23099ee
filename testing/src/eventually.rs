//! [`eventually`]: waiting for a condition, never for a time.

use std::fmt::{Debug, Display};
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(50);

/// What one look at a condition says: `true`, `Some(found)` or `Ok(found)` end the wait; anything
/// else is shown when time is up.
pub trait Outcome {
    type Found;

    /// # Errors
    /// What was seen instead.
    fn found(self) -> Result<Self::Found, String>;
}

impl Outcome for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_owned())
    }
}

impl<T> Outcome for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display + Debug> Outcome for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:#}"))
    }
}

/// Looks again and again until `look` finds what is awaited, and gives it.
///
/// # Panics
/// When `timeout` has passed, naming `what` and what was seen last. A look that hangs is cut off as
/// well.
pub async fn eventually<O, F>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> F,
) -> O::Found
where
    O: Outcome,
    F: Future<Output = O>,
{
    let deadline = Instant::now() + timeout;
    let mut last = "no look at it came back".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, look()).await.map(O::found) {
            Ok(Ok(found)) => return found,
            Ok(Err(seen)) => last = seen,
            Err(_) => panic!("waited {timeout:?} for {what}; last seen: {last}"),
        }
        if Instant::now() + PAUSE >= deadline {
            panic!("waited {timeout:?} for {what}; last seen: {last}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_is_found_once_it_is_there() {
        let mut looks = 0;
        let found = eventually("the third look", Duration::from_secs(5), || {
            looks += 1;
            let seen = looks;
            async move { (seen == 3).then_some(seen) }
        })
        .await;
        assert_eq!(found, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for seven rows; last seen: 6 rows")]
    async fn names_what_was_awaited_and_what_was_seen_last() {
        eventually("seven rows", Duration::from_millis(120), || async { Err::<(), _>("6 rows") })
            .await;
    }

    #[tokio::test]
    #[should_panic(expected = "no look at it came back")]
    async fn cuts_off_a_look_that_hangs() {
        eventually("anything", Duration::from_millis(50), || async {
            std::future::pending::<bool>().await
        })
        .await;
    }
}
