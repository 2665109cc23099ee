//! Whether the messages that come first are ticks at all: a newcomer may have given flags for
//! others.

use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long messages are counted, from the first of them on.
const LENGTH: Duration = Duration::from_secs(60);
/// This many messages are enough to judge by at any time, and fewer are after a while.
const MANY: u64 = 100;
const WHILE: Duration = Duration::from_secs(10);

/// The messages that were read so far. The elements of messages that hold several count.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub rejected: u64,
    pub all: u64,
    pub messages: u64,
}

/// Says once where most of them are none, and ends with the first minute.
pub async fn run(counts: impl Fn() -> Counts, stop: CancellationToken) {
    let mut begun = None;
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await.is_some() {
        let Counts { rejected, all, messages } = counts();
        if all == 0 {
            continue;
        }
        let elapsed = begun.get_or_insert_with(Instant::now).elapsed();
        if are_most_rejected(rejected, all, elapsed) {
            let text = counted(rejected, all, messages);
            tracing::warn!(
                rejected,
                messages,
                "{text} are no ticks: speed-layer doctor, with the same flags, says why and \
                 proposes better ones (table rejected_ticks has each)"
            );
            return;
        }
        if elapsed >= LENGTH {
            return;
        }
    }
}

fn are_most_rejected(rejected: u64, all: u64, elapsed: Duration) -> bool {
    let is_enough = all >= MANY || elapsed >= WHILE;
    is_enough && rejected * 2 > all
}

fn counted(rejected: u64, all: u64, messages: u64) -> String {
    match messages < all {
        true => format!("{rejected} of {all} elements of the first {messages} messages"),
        false => format!("{rejected} of the first {all} messages"),
    }
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

    #[test]
    fn elements_are_not_called_messages() {
        assert_eq!(counted(2500, 3000, 50), "2500 of 3000 elements of the first 50 messages");
        assert_eq!(counted(60, 100, 100), "60 of the first 100 messages");
        assert_eq!(counted(60, 100, 140), "60 of the first 100 messages", "beside other kinds");
    }
}
