//! [`DeliveryCounts`]: what was sent against what is found, message by message.

use serde::Serialize;
use std::collections::BTreeMap;

/// How many messages were sent, and what is not with them as it must be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeliveryCounts {
    pub messages: u64,
    pub lost: u64,
    pub doubled: u64,
    pub wrong: u64,
}

impl std::ops::AddAssign for DeliveryCounts {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.wrong += other.wrong;
    }
}

/// Every message that was sent must be found once, as what it is, and nothing else.
pub fn count_differences<P: Ord, C: PartialEq>(
    sent: &BTreeMap<P, C>,
    found: impl IntoIterator<Item = (P, C)>,
) -> DeliveryCounts {
    let mut copies: BTreeMap<P, u64> = BTreeMap::new();
    let mut counts = DeliveryCounts { messages: sent.len() as u64, ..DeliveryCounts::default() };
    for (place, content) in found {
        counts.wrong += u64::from(sent.get(&place) != Some(&content));
        *copies.entry(place).or_default() += 1;
    }
    counts.lost = sent.keys().filter(|place| !copies.contains_key(place)).count() as u64;
    counts.doubled = copies.values().map(|copies| copies - 1).sum();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topic's name, how often it was made anew before, a partition of it, and an offset.
    type MessageId = (&'static str, i64, i32, i64);
    type SentTick = Option<i64>;

    fn message(edition: i64, offset: i64, content: SentTick) -> (MessageId, SentTick) {
        (("t", edition, 0, offset), content)
    }

    #[test]
    fn what_is_lost_doubled_or_another_is_counted_and_editions_of_a_topic_are_told_apart() {
        let all = [message(0, 0, Some(1)), message(0, 1, None), message(1, 0, Some(2))];
        let sent = BTreeMap::from(all);
        assert_eq!(
            count_differences(&sent, all),
            DeliveryCounts { messages: 3, ..DeliveryCounts::default() }
        );
        let [tick, reject, _] = all;
        let found = [tick, tick, reject, message(1, 1, Some(2)), message(0, 1, Some(7))];
        assert_eq!(
            count_differences(&sent, found),
            DeliveryCounts { messages: 3, lost: 1, doubled: 2, wrong: 2 }
        );
    }
}
