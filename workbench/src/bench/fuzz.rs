//! `bench fuzz`: the decoder's fast path against its strict path, on values that are nearly right.

use crate::simulate::Shape;
use crate::simulate::feed::{Feed, Pace, Plan, Volumes};
use anyhow::{Context, bail};
use clap::ValueEnum;
use common::decode::{Decoder, Element, RecordContext, Rules, SymbolFrom};
use common::timestamp::TimeRules;
use common::{Reject, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many values, and which.
#[derive(clap::Args, Clone)]
pub struct FuzzArgs {
    /// Values to decode both ways.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// The same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Bytes that mean something to the decoder are likelier to lead somewhere than others.
const TELLING: &[u8] = b"\"\\{}[]:,.-+eE0123456789TZz nulltrue\xff\xc3\x00\n";

/// Keys that are symbols, and those that are something else.
const KEYS: [&[u8]; 6] = [b"KEY", b"2330.TW", b"Key", b"\"QUOTED\"", b"17", b"2025-06-06"];

/// Errors: a value on which the two paths differ, with all that is needed to see it again.
pub fn run(args: &FuzzArgs) -> anyhow::Result<serde_json::Value> {
    let shapes = Shape::value_variants();
    let all = shapes.iter().flat_map(|shape| [(*shape, false), (*shape, true)]);
    let cases = args.cases.div_ceil(2 * shapes.len() as u64);
    let (mut accepted, mut by_shape) = (0, BTreeMap::new());
    for (shape, is_loose) in all {
        let ticks = compare((shape, is_loose), cases, args.seed);
        let ticks =
            ticks.with_context(|| format!("{shape:?}, loose: {is_loose}, seed {}", args.seed))?;
        accepted += ticks;
        *by_shape.entry(format!("{shape:?}")).or_insert(0) += ticks;
    }
    Ok(json!({
        "bench": "fuzz",
        "cases": args.cases,
        "seed": args.seed,
        "accepted": accepted,
        "accepted_by_shape": by_shape,
        "differences": 0,
    }))
}

/// The rules of a shape's preset, and an array to look for; loose ones let pass what the guards
/// keep out, and take from the record what the value has not.
fn rules(shape: Shape, is_loose: bool) -> Rules {
    let rules = shape.rules();
    let rules = Rules { each: rules.each.clone().or_else(|| "data".parse().ok()), ..rules };
    if !is_loose {
        return rules;
    }
    let times = TimeRules { oldest: Timestamp::from_micros(0), ..rules.times };
    Rules {
        times,
        symbol_from: SymbolFrom::ValueOrKey,
        allow_nonpositive_prices: true,
        uppercase_symbols: true,
        ..rules
    }
}

/// Reads values of a shape in both ways; gives how many were ticks.
fn compare((shape, is_loose): (Shape, bool), cases: u64, seed: u64) -> anyhow::Result<u64> {
    let pace = Pace::Spread { start: 1_749_216_600_000_000, span: 3_600_000_000, ticks: cases };
    let volumes = Volumes { fractional: 0.2, absent: 0.1, ..Volumes::default() };
    let mut feed = Feed::new(Plan {
        high_low: true,
        beside: true,
        volumes,
        late: 0.1,
        broken: 0.2,
        ..Plan::plain(seed, 50, shape, pace)
    })?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (rules, now) = (Arc::new(rules(shape, is_loose)), Timestamp::now());
    let (mut fast, mut strict) = (Decoder::new(Arc::clone(&rules), now), Decoder::new(rules, now));
    let (mut accepted, mut case, mut value) = (0, 0_u64, Vec::new());
    while let Some(message) = feed.next_message() {
        value.clear();
        let message = message.value.unwrap_or_default();
        // Some hold several.
        let (front, between, behind): (&[u8], &[u8], &[u8]) = match rng.random_range(0..6) {
            0 => (b"[", b",", b"]"),
            1 => (b"{\"data\":[", b" , ", b"]}"),
            _ => (b"", b"", b""),
        };
        value.extend_from_slice(front);
        value.extend_from_slice(message);
        if !between.is_empty() {
            value.extend_from_slice(between);
            value.extend_from_slice(message);
        }
        value.extend_from_slice(behind);
        // One in four stays as it is, so that the fast path goes on learning what is right.
        for _ in 0..rng.random_range(0..4) {
            mutate(&mut value, &mut rng);
        }
        let key = KEYS[rng.random_range(0..KEYS.len())];
        let beside = RecordContext { key: is_loose.then_some(key), ..RecordContext::NOTHING };
        let mut ticks = 0;
        let expected = Read::of(|read| {
            strict.decode_each_strictly(&value, &beside, &mut |element| {
                ticks += u64::from(element.read.is_ok());
                read.note(&element);
            })
        });
        accepted += u64::from(ticks > 0);
        let found =
            Read::of(|read| fast.decode_each(&value, &beside, &mut |element| read.note(&element)));
        if found != expected {
            let text = String::from_utf8_lossy(&value);
            bail!(
                "case {case}: {text:?} is {found:?} by the fast path, {expected:?} by the strict one"
            );
        }
        case += 1;
    }
    Ok(accepted)
}

/// What a decoder makes of a value.
#[derive(Debug, PartialEq)]
struct Read {
    elements: Vec<(u16, Vec<u8>, String)>,
    whole: Result<(), Reject>,
}

impl Read {
    fn of(read: impl FnOnce(&mut Self) -> Result<(), Reject>) -> Self {
        let mut found = Self { elements: Vec::new(), whole: Ok(()) };
        found.whole = read(&mut found);
        found
    }

    fn note(&mut self, element: &Element<'_>) {
        self.elements.push((element.index, element.value.to_vec(), format!("{:?}", element.read)));
    }
}

fn mutate(value: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if value.is_empty() {
        return;
    }
    let at = rng.random_range(0..value.len());
    let byte = TELLING[rng.random_range(0..TELLING.len())];
    match rng.random_range(0..5) {
        0 => value[at] = byte,
        1 => value.insert(at, byte),
        2 => drop(value.remove(at)),
        3 => value.truncate(at),
        // A piece of the value once more, somewhere else: doubled members, nested values.
        _ => {
            let end = (at + rng.random_range(1..20)).min(value.len());
            let piece = value[at..end].to_vec();
            let to = rng.random_range(0..=value.len());
            value.splice(to..to, piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoders_paths_agree_on_fifty_thousand_mutated_values() {
        let result = run(&FuzzArgs { cases: 50_000, seed: 42 }).unwrap();
        let accepted = result["accepted"].as_u64().unwrap();
        assert!(
            (1_000..49_000).contains(&accepted),
            "{accepted} accepted: the mutations are too mild or too wild"
        );
        let by_shape = result["accepted_by_shape"].as_object().unwrap();
        assert_eq!(
            by_shape.len(),
            Shape::value_variants().len(),
            "mapped, with text for numbers, and in arrays"
        );
        assert!(by_shape.values().all(|ticks| ticks.as_u64() > Some(200)), "{by_shape:?}");
    }
}
