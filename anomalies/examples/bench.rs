//! Measures the detectors: `cargo xtask bench anomalies --nab ARCHIVE`. The last line is JSON.

use anomalies::bars::hours;
use anomalies::bars::{BarDetector, IsolationAlone, OddBar, SpectralAlone, WindowedGaussian};
use anomalies::causal::{Parameters, State, bad_print};
use anomalies::evaluation::count::Counts;
use anomalies::evaluation::hours as odd_hours;
use anomalies::evaluation::market::{HARD, Market, PLAIN, Shape, draw};
use anomalies::evaluation::nab::{self, STANDARD, Series};
use anomalies::evaluation::thin::{self, RIGHT};
use anomalies::{Tick, TickId, hindsight};
use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Measure the detectors of anomalies.
#[derive(Parser)]
struct Options {
    /// The Numenta Anomaly Benchmark's data and labels: a tar archive, or the folder that was in it
    #[arg(long)]
    nab: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let bars = options.nab.as_deref().map(bars).transpose()?;
    let ticks = ticks();
    seldom();
    odd_bars();
    let (nanos, megabytes) = (cost(), memory()?);
    println!(
        "{}",
        json!({
            "bench": "anomalies",
            "nab": bars.map(rounded),
            "precision": rounded(ticks.injected.precision()),
            "recall": rounded(ticks.injected.recall()),
            "f1_two_sided": rounded(ticks.two_sided.f1()),
            "f1_two_sided_quotes": rounded(ticks.two_sided_quotes.f1()),
            "ns_per_tick": rounded(nanos),
            "mb_per_10k_symbols": rounded(megabytes),
        })
    );
    Ok(ExitCode::SUCCESS)
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The score of the bars' detector, after the baseline has shown that scoring is right.
fn bars(path: &Path) -> Result<f64> {
    let series = read(path)?;
    let windows: usize = series.iter().map(|series| series.windows.len()).sum();
    println!(
        "Numenta Anomaly Benchmark: {} files, {windows} windows, standard profile",
        series.len()
    );
    let baseline = baseline(&series)?;
    println!("  windowed_gaussian 1      {baseline:6.2}   as published, with 12 digits: 39.6");
    show::<SpectralAlone>(&series);
    show::<IsolationAlone>(&series);
    let scores = scores::<OddBar>(&series);
    let outcome = nab::score(&series, &scores, STANDARD);
    print(OddBar::NAME, OddBar::VERSION, &outcome);
    for (name, first) in [("even", 0), ("odd", 1)] {
        let half: Vec<Series> = series.iter().skip(first).step_by(2).cloned().collect();
        let scores: Vec<Vec<f64>> = scores.iter().skip(first).step_by(2).cloned().collect();
        println!(
            "    of every second file, {name}: {:6.2}",
            nab::score(&half, &scores, STANDARD).score
        );
    }
    Ok(outcome.score)
}

/// The published results were written with 12 digits, which decides how many scores are exactly 1.
fn baseline(series: &[Series]) -> Result<f64> {
    let mut scores = scores::<WindowedGaussian>(series);
    scores.iter_mut().flatten().for_each(|score| *score = (*score * 1e12).round() / 1e12);
    let score = nab::score(series, &scores, STANDARD).score;
    if (score - 39.6).abs() > 0.1 {
        bail!(
            "the windowed Gaussian scores {score:.2}, and 39.6 as published: no score of this run \
             means anything"
        );
    }
    Ok(score)
}

fn show<D: BarDetector + Default>(series: &[Series]) {
    print(D::NAME, D::VERSION, &nab::score(series, &scores::<D>(series), STANDARD));
}

fn print(name: &str, version: u32, outcome: &nab::Outcome) {
    let nab::Outcome { score, threshold, detected, windows, false_alarms } = outcome;
    println!(
        "  {:<24} {score:6.2}   {detected} of {windows} windows, {false_alarms} false alarms, \
         threshold {threshold:.4}",
        format!("{name} {version}")
    );
}

fn scores<D: BarDetector + Default>(series: &[Series]) -> Vec<Vec<f64>> {
    let of = |series: &Series| {
        let mut detector = D::default();
        series
            .at
            .iter()
            .zip(&series.values)
            .map(|(&at, &value)| detector.score(at, value))
            .collect()
    };
    series.iter().map(of).collect()
}

fn read(path: &Path) -> Result<Vec<Series>> {
    if path.is_dir() {
        return read_folder(path);
    }
    let folder = tempfile::tempdir()?;
    let status = Command::new("tar").arg("-xf").arg(path).arg("-C").arg(folder.path()).status();
    if !status.context("cannot run tar, which unpacks --nab")?.success() {
        bail!("{} cannot be unpacked: see above", path.display());
    }
    read_folder(folder.path())
}

fn read_folder(folder: &Path) -> Result<Vec<Series>> {
    let text = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let labels: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text(folder.join("labels/combined_windows.json"))?)?;
    let one = |(name, windows): (&String, &Vec<(String, String)>)| {
        let csv = text(folder.join("data").join(name))?;
        nab::read(name, &csv, windows)
            .with_context(|| format!("{name} is no file of the benchmark"))
    };
    labels.iter().map(one).collect()
}

struct Ticks {
    injected: Counts,
    two_sided: Counts,
    two_sided_quotes: Counts,
}

/// Seeds 0 to 23 are those that parameters were chosen on.
fn markets(shape: &Shape) -> Vec<Market> {
    (100..116).map(|seed| draw(shape, seed)).collect()
}

fn ticks() -> Ticks {
    println!("\nWrong prints of a simulated market       precision  recall  F1     wrong prints");
    let plain = markets(&PLAIN);
    let injected =
        count("plain, causal, prices alone", &plain, Market::without_conditions, as_they_come);
    let hard = markets(&HARD);
    count("hard, causal, prices alone", &hard, Market::without_conditions, as_they_come);
    count("hard, causal, conditions", &hard, Market::without_quotes, as_they_come);
    count("hard, causal, conditions and quotes", &hard, Market::clone, as_they_come);
    let two_sided =
        count("hard, two-sided, prices alone", &hard, Market::without_conditions, with_hindsight);
    count("hard, two-sided, conditions", &hard, Market::without_quotes, with_hindsight);
    let two_sided_quotes =
        count("hard, two-sided, conditions and quotes", &hard, Market::clone, with_hindsight);
    Ticks { injected, two_sided, two_sided_quotes }
}

fn count(
    name: &str,
    markets: &[Market],
    view: fn(&Market) -> Market,
    find: fn(&[Tick]) -> HashSet<TickId>,
) -> Counts {
    let mut counts = Counts::default();
    markets.iter().for_each(|market| counts.add(&market.wrong, &find(&view(market).ticks)));
    let (precision, recall, f1) = (counts.precision(), counts.recall(), counts.f1());
    println!(
        "  {name:<38} {precision:.3}      {recall:.3}   {f1:.3}  {}",
        counts.hits + counts.missed
    );
    counts
}

fn as_they_come(ticks: &[Tick]) -> HashSet<TickId> {
    let (mut state, mut found, parameters) =
        (bad_print::State::default(), Vec::new(), bad_print::Parameters::default());
    ticks.iter().for_each(|tick| state.observe(tick, &parameters, &mut found));
    found.iter().map(|finding| finding.place).collect()
}

fn with_hindsight(ticks: &[Tick]) -> HashSet<TickId> {
    let found = hindsight::judge(ticks, 0..ticks.len(), &hindsight::Parameters::default());
    found.iter().map(|finding| finding.place).collect()
}

/// The findings for symbols that trade seldom: at right prints, and at those that come late.
fn seldom() {
    println!("\nTicks some minutes apart      of 100,000 right ones: with hindsight  as they come");
    for (name, move_of_minute) in [("usual", RIGHT.move_of_minute), ("wild", 0.003)] {
        for pause in [0.5, 2.0, 5.0, 10.0] {
            let of = |late| {
                let shape = thin::Shape { pause, move_of_minute, late, ..RIGHT };
                (100..120).map(move |seed| thin::draw(&shape, seed))
            };
            let parameters = hindsight::Parameters::default();
            let confirmed: usize =
                of(0.0).map(|market| thin::judge_hours(&market.ticks, &parameters).len()).sum();
            let said = |late| {
                let of_market = |mut market: Market| {
                    market.ticks.sort_unstable_by_key(|tick| tick.place);
                    as_they_come(&market.ticks).len()
                };
                of(late).map(of_market).sum::<usize>()
            };
            println!(
                "  {name:<5} moves, {pause:>4} minutes apart {confirmed:>24} {:>18}, {} with 1 % \
                 late ones",
                said(0.0),
                said(0.01)
            );
        }
    }
}

/// Symbols whose ticks take turns, so that states have to come from memory as they do with a whole
/// market.
const SYMBOLS: usize = 1000;

/// How many hours of markets without any odd one are said, and how many odd ones are.
fn odd_bars() {
    println!("\nHours of a simulated market                    said of 100,000   found of the odd");
    for (name, shape) in [("regular", odd_hours::PLAIN), ("hard", odd_hours::HARD)] {
        let (mut said, mut all) = (0, 0);
        let (mut found, mut odd) = (0, 0);
        for seed in 100..200 {
            let market = odd_hours::draw(&shape, seed);
            said += find_odd_hours(&market).len();
            all += market.hours.len() - FIRST_HOURS;
            let market = odd_hours::draw(&odd_hours::Shape { odd: 0.002, ..shape }, seed);
            let places = find_odd_hours(&market);
            let late: Vec<i64> =
                market.hours.iter().skip(FIRST_HOURS).map(|hour| hour.at).collect();
            let is_odd = |at: &&i64| market.odd.contains(at);
            odd += late.iter().filter(is_odd).count();
            found += late.iter().filter(is_odd).filter(|at| places.contains(at)).count();
        }
        let share = 100_000.0 * said as f64 / all as f64;
        println!("  {name:<46} {share:6.1}            {found} of {odd}");
    }
    let market = odd_hours::draw(&odd_hours::Shape { weeks: 9, ..odd_hours::PLAIN }, 1);
    let last = market.hours[market.hours.len() - 1].at;
    let start = Instant::now();
    let mut said = 0;
    for symbol in 0..1000 {
        said += hours::find_odd(symbol, &market.hours, (last, last)).len();
    }
    let micros = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "  a new hour behind {} others: {micros:.1} us a symbol ({said} said)",
        market.hours.len() - 1
    );
}

/// Hours at the beginning without findings: little is known before.
const FIRST_HOURS: usize = 70;

/// The starts of the hours that are said.
fn find_odd_hours(market: &odd_hours::Market) -> HashSet<i64> {
    let (first, last) = (market.hours[0].at, market.hours[market.hours.len() - 1].at);
    let found = hours::find_odd(1, &market.hours, (first, last));
    found.iter().map(|odd| odd.at).filter(|at| *at >= market.hours[FIRST_HOURS].at).collect()
}

/// Nanoseconds that all causal detectors take for a tick: the best of five rounds.
fn cost() -> f64 {
    let (market, parameters) = (draw(&HARD, 100), Parameters::default());
    let rounds = (0..5).map(|_| {
        let (mut states, mut found) = (vec![State::default(); SYMBOLS], Vec::new());
        let start = Instant::now();
        for tick in &market.ticks[..2000] {
            for state in &mut states {
                state.observe(tick, Some(tick.at), &parameters, &market.calendar, &mut found);
            }
            found.clear();
        }
        start.elapsed().as_nanos() as f64 / (2000 * SYMBOLS) as f64
    });
    let nanos = rounds.fold(f64::INFINITY, f64::min);
    println!("\nAll causal detectors: {nanos:.1} ns a tick, {SYMBOLS} symbols");
    nanos
}

/// Megabytes that the process grows by, for what is known of 10,000 symbols after a day of each.
fn memory() -> Result<f64> {
    let (market, parameters) = (draw(&HARD, 100), Parameters::default());
    let (mut found, before) = (Vec::new(), resident()?);
    let day = |_| {
        let mut state = State::default();
        for tick in market.ticks.iter().step_by(20) {
            state.observe(tick, Some(tick.at), &parameters, &market.calendar, &mut found);
            found.clear();
        }
        state
    };
    let states: Vec<State> = (0..10 * SYMBOLS).map(day).collect();
    let megabytes = resident()? - before;
    println!("{megabytes:.1} MB for what they know of {} symbols", states.len());
    Ok(megabytes)
}

fn resident() -> Result<f64> {
    let status =
        fs::read_to_string("/proc/self/status").context("memory is measured on Linux alone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .context("/proc/self/status has no VmRSS")?;
    Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
}
