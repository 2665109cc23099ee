//! Which flags would make more messages ticks: every choice of them is tried on samples.
//!
//! Nothing that a message has is passed over: the record's time is tried only where no message
//! could have one of its own, a message that already is a tick stays the same tick, and a feed's
//! preset that loses a volume is for other messages. And only ticks that may be meant are a reason
//! for flags: see [`super::trial::Facts::is_implausible`].

mod doubts;
mod search;
#[cfg(test)]
mod tests;

use super::notes::{self, Grounds};
use super::reading::Reading;
use super::sampling::Sample;
use super::zones::{ZoneFinding, find_zone};
use common::Timestamp;
use common::decode::ProvenanceNames;
use search::{GOOD_SHARE, Search};
use service::cli::MessageArgs;

/// Flags, and what they would reach.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub args: MessageArgs,
    /// The advice for all samples.
    pub reading: Reading,
    /// Notes for a person to look at.
    pub notes: Vec<String>,
}

/// Doubts about the flags.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// Notes about the ticks as they are.
    pub notes: Vec<String>,
    pub proposal: Option<Proposal>,
    /// Fields of which two members may be meant, where they keep messages from being ticks.
    pub doubts: Vec<String>,
}

/// The flags that make the most samples ticks, in place of `args`, whose choices they keep: of
/// those that make as many the fewest. None where none do better than `args`.
pub fn advise(args: &MessageArgs, samples: &[Sample], now: Timestamp) -> Advice {
    // Next to a file there may be no flags: its entries become flags.
    let args = args.message_file.as_deref().unwrap_or(args);
    let search = Search::new(args, samples, now);
    let found = search.best();
    let found = search.trades_alone(found.as_ref().unwrap_or(args)).or(found);
    let reading = Reading::of(args, samples, now);
    let of_ticks =
        |args: &MessageArgs| notes::of_ticks(args, &search.outcomes(args), &search.tried);
    let mut advice = Advice { notes: of_ticks(args), ..Advice::default() };
    let Checked { found, is_zone_told, doubts } = search.checked(found);
    if let Some(found) = found {
        let proposed = Reading::of(&found, samples, now);
        if proposed.ticks > reading.ticks || search.tally(&found).other_kinds > 0 {
            let is_by_key = search.is_by_key(&found.rules(ProvenanceNames::default()));
            let grounds = Grounds { is_by_key, is_zone_told };
            let notes = [notes::of_flags(&found, args, grounds), of_ticks(&found)].concat();
            advice.proposal = Some(Proposal { notes, args: found, reading: proposed });
        }
    }
    let is_good = reading.understood() * GOOD_SHARE >= samples.len() * (GOOD_SHARE - 1);
    if !is_good && advice.proposal.is_none() {
        advice.doubts = search.doubts();
        advice.doubts.extend(search.books());
        advice.doubts.extend(search.unread_volume());
        if doubts.is_empty() && advice.doubts.is_empty() {
            advice.doubts.extend(search.doubtful_time());
        }
        advice.doubts.extend(search.propose_without_flags(&reading));
        if doubts.is_empty() && advice.doubts.is_empty() {
            advice.doubts.extend(search.describe_partial_guess());
        }
    }
    advice.doubts.extend(doubts);
    advice
}

/// The best choice, once what it leaves open was looked at.
#[derive(Default)]
struct Checked {
    /// `None` if a person must answer what is open.
    found: Option<MessageArgs>,
    is_zone_told: bool,
    /// Questions that are left open.
    doubts: Vec<String>,
}

impl Search<'_> {
    fn checked(&self, found: Option<MessageArgs>) -> Checked {
        let Some(found) = found else {
            return Checked::default();
        };
        if let Some(doubt) = self.describe_runner_up(&found) {
            return Checked { doubts: vec![doubt], ..Checked::default() };
        }
        match find_zone(&found, self.args, &self.tried, self.now) {
            ZoneFinding::Found(found) => {
                Checked { found: Some(*found), is_zone_told: true, ..Checked::default() }
            }
            ZoneFinding::NotNeeded => Checked { found: Some(found), ..Checked::default() },
            ZoneFinding::Unknown(doubt) => Checked { doubts: vec![doubt], ..Checked::default() },
        }
    }
}
