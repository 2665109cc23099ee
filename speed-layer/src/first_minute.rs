//! Whether the messages that come first are ticks at all: a newcomer may have given flags for
//! others.

use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long messages are counted, from the first of them on.
const LENGTH: Duration = Duration::from_secs(60);
/// So many say enough at any time, and fewer do after a while.
const MANY: u64 = 100;
const WHILE: Duration = Duration::from_secs(10);

/// Says once where most of them are none, and ends with the first minute. `counts`: how many were
/// rejected so far, and how many there were.
pub async fn watch(counts: impl Fn() -> (u64, u64), stop: CancellationToken) {
    let mut begun = None;
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await.is_some() {
        let (rejected, messages) = counts();
        if messages == 0 {
            continue;
        }
        let elapsed = begun.get_or_insert_with(Instant::now).elapsed();
        if are_most_rejected(rejected, messages, elapsed) {
            tracing::warn!(
                rejected,
                messages,
                "{rejected} of the first {messages} messages are no ticks: speed-layer doctor, with the same flags, \
                 says why and proposes better ones (table rejected_ticks has each)"
            );
            return;
        }
        if elapsed >= LENGTH {
            return;
        }
    }
}

fn are_most_rejected(rejected: u64, messages: u64, elapsed: Duration) -> bool {
    let is_enough = messages >= MANY || elapsed >= WHILE;
    is_enough && rejected * 2 > messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_messages_say_it_at_once_and_few_after_a_while() {
        assert!(are_most_rejected(51, 100, Duration::ZERO));
        assert!(!are_most_rejected(50, 100, Duration::ZERO), "half is not most");
        assert!(!are_most_rejected(3, 3, Duration::ZERO));
        assert!(are_most_rejected(3, 3, WHILE));
    }
}
