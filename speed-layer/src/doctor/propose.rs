//! Which flags would make more messages ticks: every choice of them is tried on samples.

use super::guess::guess;
use super::reading::Reading;
use super::sampling::Sample;
use clap::ValueEnum;
use common::Timestamp;
use common::cli::{MessageArgs, Oldest};
use common::decode::{MapEntries, Preset, SymbolFrom, TimestampFrom};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// How many samples each choice is tried on.
const TRIED: usize = 200;
/// Whose zone it is nobody but a person knows.
pub const SOME_ZONE: &str = "America/New_York";

/// Flags, and what they would reach.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub args: MessageArgs,
    /// Of all samples.
    pub reading: Reading,
}

/// The flags that make the most samples ticks, in place of `args`, whose choices they keep: of those that make as many
/// the fewest. `None` where none make more than `args` do.
pub fn propose(args: &MessageArgs, samples: &[Sample], now: Timestamp) -> Option<Proposal> {
    // Beside a file no flag may stand: what it says becomes flags.
    let args = args.message_file.as_deref().unwrap_or(args);
    let step = samples.len().div_ceil(TRIED).max(1);
    let some = || samples.iter().step_by(step);
    let mut best = (merit(args, args, some(), now), args.clone());
    for candidate in candidates(args, samples) {
        let merit = merit(args, &candidate, some(), now);
        if merit > best.0 {
            best = (merit, candidate);
        }
    }
    let ticks = Reading::of(args, samples, now).ticks;
    let reading = Reading::of(&best.1, samples, now);
    (reading.ticks > ticks).then_some(Proposal { args: best.1, reading })
}

/// Ticks, those of them that are surely meant, and how little had to be chosen for it.
type Merit = (usize, usize, usize, Reverse<usize>);

fn merit<'s>(
    before: &MessageArgs,
    args: &MessageArgs,
    samples: impl Iterator<Item = &'s Sample>,
    now: Timestamp,
) -> Merit {
    let reading = Reading::of(args, samples, now);
    // By the record's time whatever the message says of its own is passed over: so it comes last.
    let passes_over = usize::from(args.timestamp_from != before.timestamp_from);
    let cost = args.flags().len() + 2 * passes_over;
    (reading.ticks, reading.close, reading.ticks - reading.without_volume, Reverse(cost))
}

/// Every combination of choices that leaves alone what was chosen already. What is less of a guess stands in front.
fn candidates(args: &MessageArgs, samples: &[Sample]) -> Vec<MessageArgs> {
    let steps = [
        zones(args),
        record_time(args),
        symbols(args, samples),
        layouts(args, samples),
        older_days(args),
        any_prices(args),
    ];
    let mut all = vec![args.clone()];
    for choices in steps {
        let so_far = all.clone();
        for choice in choices {
            all.extend(so_far.iter().map(|made| choice.made_in(made)));
        }
    }
    all
}

fn zones(args: &MessageArgs) -> Vec<Choice> {
    let is_open = args.timestamp_zone.is_none() && args.timestamp_from == TimestampFrom::Value;
    if is_open { vec![Choice::Zone] } else { Vec::new() }
}

fn record_time(args: &MessageArgs) -> Vec<Choice> {
    if args.timestamp_from == TimestampFrom::Value { vec![Choice::RecordTime] } else { Vec::new() }
}

/// A key is a symbol only where it comes again and again; a topic only where it is one of several.
fn symbols(args: &MessageArgs, samples: &[Sample]) -> Vec<Choice> {
    if args.symbol_from != SymbolFrom::Value {
        return Vec::new();
    }
    let keys: HashSet<_> = samples.iter().filter_map(|sample| sample.key.as_deref()).collect();
    let topics: HashSet<_> = samples.iter().map(|sample| sample.topic.as_str()).collect();
    let come_again = samples.len() < 10 || keys.len() * 2 <= samples.len();
    let mut choices = Vec::new();
    if !keys.is_empty() && come_again {
        choices.push(Choice::Key);
    }
    if topics.len() > 1 {
        choices.push(Choice::Topic);
    }
    choices
}

fn layouts(args: &MessageArgs, samples: &[Sample]) -> Vec<Choice> {
    if args.preset.is_some() || args.map.is_some() {
        return Vec::new();
    }
    let presets = Preset::value_variants().iter().copied().map(Choice::Preset);
    presets.chain(commonest_guess(samples).map(Choice::Map)).collect()
}

/// What is guessed of the most samples.
fn commonest_guess(samples: &[Sample]) -> Option<MapEntries> {
    let step = samples.len().div_ceil(TRIED).max(1);
    let mut guesses: BTreeMap<String, (usize, MapEntries)> = BTreeMap::new();
    for entries in samples.iter().step_by(step).filter_map(|sample| guess(&sample.value)) {
        guesses.entry(entries.to_string()).or_insert((0, entries)).0 += 1;
    }
    guesses.into_values().max_by_key(|(count, _)| *count).map(|(_, entries)| entries)
}

fn older_days(args: &MessageArgs) -> Vec<Choice> {
    if args.oldest == Oldest::default() { vec![Choice::OlderDays] } else { Vec::new() }
}

fn any_prices(args: &MessageArgs) -> Vec<Choice> {
    if args.allow_nonpositive_prices { Vec::new() } else { vec![Choice::AnyPrice] }
}

/// What can be chosen beside what was.
#[derive(Debug, Clone)]
enum Choice {
    Zone,
    RecordTime,
    Key,
    Topic,
    Preset(Preset),
    Map(MapEntries),
    OlderDays,
    AnyPrice,
}

impl Choice {
    fn made_in(&self, args: &MessageArgs) -> MessageArgs {
        let mut args = args.clone();
        match self {
            Self::Zone => args.timestamp_zone = SOME_ZONE.parse().ok(),
            Self::RecordTime => args.timestamp_from = TimestampFrom::Record,
            Self::Key => args.symbol_from = SymbolFrom::Key,
            Self::Topic => args.symbol_from = SymbolFrom::Topic,
            Self::Preset(preset) => args.preset = Some(*preset),
            Self::Map(entries) => args.map = Some(entries.clone()),
            Self::OlderDays => args.oldest = Oldest(Timestamp::from_micros(0)),
            Self::AnyPrice => args.allow_nonpositive_prices = true,
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::command_line;
    use super::*;
    use serde_json::Value;

    const NOW: Timestamp = Timestamp::from_micros(1_749_218_405_000_000);

    fn sample(value: &str, key: Option<&str>) -> Sample {
        Sample {
            topic: "stock_prices".to_owned(),
            time: Some(NOW),
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.as_bytes().to_vec(),
            ..Sample::default()
        }
    }

    fn proposed(samples: &[Sample]) -> Option<(String, usize)> {
        let proposal = propose(&MessageArgs::default(), samples, NOW)?;
        Some((command_line(&proposal.args), proposal.reading.ticks))
    }

    #[test]
    fn what_is_a_tick_already_needs_no_flag_and_what_no_flag_helps_gets_none() {
        assert_eq!(proposed(&[sample(r#"{"symbol":"A","price":1,"ts":1749218401}"#, None)]), None);
        assert_eq!(proposed(&[sample("x", None)]), None);
        assert_eq!(proposed(&[]), None);
    }

    #[test]
    fn the_fewest_flags_that_reach_the_most_are_proposed() {
        for (value, key, flags) in [
            (r#"{"symbol":"A","price":1}"#, None, "--timestamp-from record"),
            (r#"{"symbol":"A","price":1,"date":"2025-06-06"}"#, None, "--timestamp-zone America/New_York"),
            (r#"{"price":1}"#, Some("A"), "--symbol-from key --timestamp-from record"),
            (r#"{"s":"A","p":1,"v":1,"t":1749218401123}"#, None, "--preset finnhub"),
            // Its `t` would be a time for another preset.
            (r#"{"e":"trade","s":"A","p":"1","q":"0.5","t":1499218401,"T":1749218401123}"#, None, "--preset binance"),
            (r#"{"symbol":"CL","price":-37.63,"ts":1749218401}"#, None, "--allow-nonpositive-prices"),
            (
                r#"{"symbol":"HSI","price":1,"date":"1986-12-31"}"#,
                None,
                "--timestamp-zone America/New_York --oldest 1970-01-01",
            ),
            (
                r#"{"data":{"ticker":"A","price":1,"time":"2025-06-06 10:00"}}"#,
                None,
                "--map symbol=data.ticker,price=data.price,timestamp=data.time --timestamp-zone America/New_York",
            ),
        ] {
            assert_eq!(proposed(&[sample(value, key)]), Some((flags.to_owned(), 1)), "{value}");
        }
    }

    #[test]
    fn a_key_that_never_comes_again_is_no_symbol() {
        let with_keys = |key: fn(usize) -> String| -> Vec<Sample> {
            (0..20).map(|number| sample(r#"{"price":1,"ts":1749218401}"#, Some(&key(number)))).collect()
        };
        assert_eq!(proposed(&with_keys(|number| format!("id-{number}"))), None);
        let expected = Some(("--symbol-from key".to_owned(), 20));
        assert_eq!(proposed(&with_keys(|number| format!("S{}", number % 3))), expected);
    }

    #[test]
    fn what_was_chosen_already_stays_also_where_a_file_said_it() {
        let chosen = MessageArgs { timestamp_from: TimestampFrom::Record, ..MessageArgs::default() };
        let file = MessageArgs { message_file: Some(Box::new(chosen.clone())), ..MessageArgs::default() };
        for args in [chosen, file] {
            let proposal = propose(&args, &[sample(r#"{"price":1}"#, Some("A"))], NOW).unwrap();
            assert_eq!(command_line(&proposal.args), "--symbol-from key --timestamp-from record");
        }
    }

    /// Of 30 shapes that need flags, those of 28 are found: the others have names in another language, or single letters.
    #[test]
    fn the_flags_of_most_public_shapes_are_found() {
        let lines = include_str!("../../../common/src/cli/messages/shapes.jsonl").lines();
        let shapes = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut missed = Vec::new();
        for shape in shapes.filter(|shape| shape["tick"].is_string() && shape["flags"].is_array()) {
            let (value, key) = (shape["value"].as_str().unwrap(), shape["key"].as_str());
            let flags = shape["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned());
            let flags: Vec<String> = flags.collect();
            let of = |topic: &str| Sample { topic: topic.to_owned(), ..sample(value, key) };
            let samples = match shape["topic"].as_str() {
                Some(topic) => vec![of(topic), of("MSFT")],
                None => vec![of("stock_prices")],
            };
            let Some(proposal) = propose(&MessageArgs::default(), &samples, NOW) else {
                missed.push(flags.join(" "));
                continue;
            };
            // Whose zone it is nobody but a person knows.
            let names = |flags: Vec<String>| -> HashSet<String> {
                let name = |flag: &String| flag.trim_start_matches("--").split(['=', ' ']).next().map(str::to_owned);
                flags.iter().filter_map(name).collect()
            };
            let found = proposal.args.flags().into_iter().map(|(name, _)| name.to_owned()).collect();
            assert_eq!(names(found), names(flags), "{value}");
        }
        assert_eq!(
            missed,
            // It looks for no array of its own.
            [
                "--each=tickers --map=symbol=name --timestamp-from=record",
                "--map=price=preco,volume=quantidade --timestamp-from=record",
                "--map=price=c,timestamp=t"
            ]
        );
    }
}
