//! The decoder's fast path against its strict path, on values that are nearly right.

use clap::ValueEnum;
use common::decode::{Decoder, Element, RecordContext, Rules, SymbolFrom};
use common::timestamp::TimeRules;
use common::{Reject, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use workbench::simulate::Shape;
use workbench::simulate::feed::{Feed, Pace, Plan, Volumes};

/// Bytes that mean something to the decoder are likelier to lead somewhere than others.
const TELLING: &[u8] = b"\"\\{}[]:,.-+eE0123456789TZz nulltrue\xff\xc3\x00\n";

/// Keys that are symbols, and those that are something else.
const KEYS: [&[u8]; 6] = [b"KEY", b"2330.TW", b"Key", b"\"QUOTED\"", b"17", b"2025-06-06"];

/// `FUZZ_CASES` says how many values; the same `FUZZ_SEED` gives the same ones.
#[test]
fn the_decoders_paths_agree_on_mutated_values() {
    let number = |name, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("FUZZ_* are numbers"))
    };
    let (all, seed) = (number("FUZZ_CASES", 50_000), number("FUZZ_SEED", 42));
    let shapes = Shape::value_variants();
    let cases = all.div_ceil(2 * shapes.len() as u64);
    let mut accepted = 0;
    for shape in shapes {
        let ticks = [false, true].map(|is_loose| compare((*shape, is_loose), cases, seed));
        let ticks: u64 = ticks.iter().sum();
        assert!(ticks > all / 250, "{shape:?}: {ticks} accepted");
        accepted += ticks;
    }
    println!("{all} values of seed {seed}, {accepted} accepted, no differences");
    assert!(
        (all / 50..all / 50 * 49).contains(&accepted),
        "{accepted} accepted: the mutations are too mild or too wild"
    );
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
fn compare((shape, is_loose): (Shape, bool), cases: u64, seed: u64) -> u64 {
    let pace = Pace::Spread { start: 1_749_216_600_000_000, span: 3_600_000_000, ticks: cases };
    let volumes = Volumes { fractional: 0.2, absent: 0.1, ..Volumes::default() };
    let mut feed = Feed::new(Plan {
        high_low: true,
        beside: true,
        volumes,
        late: 0.1,
        broken: 0.2,
        ..Plan::plain(seed, 50, shape, pace)
    })
    .expect("a market");
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
        assert_eq!(
            found,
            expected,
            "case {case} of {shape:?}, loose: {is_loose}, seed {seed}: {:?} by the fast path and by the strict one",
            String::from_utf8_lossy(&value)
        );
        case += 1;
    }
    accepted
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
