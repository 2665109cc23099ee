//! `cargo xtask chart`: the figures of docs/benchmarks.md as pictures, out of the table of runs
//! (docs/runs.md) and the newest lines of JSON that benches left (docs/runs); and the README's
//! badges, out of the workspace's manifest; and the drawing of how a tick travels.

use crate::files;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, iter};

/// The columns of the table that are drawn, each with its goal.
const DRAWN: [(&str, &str, f64); 2] =
    [("bare ticks", "#0969da", 0.98), ("enveloped ticks", "#bc4c00", 0.9)];
/// Ratios at the lower and the upper edge.
const EDGES: (f64, f64) = (0.7, 1.4);
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 60.0;

/// What `bench batch` says of an archive, and its goal as a multiple of the better peer.
const ARCHIVES: [(&str, &str, f64); 7] = [
    ("plain", "plain lines", 5.5),
    ("gzip", "gzip -6", 4.0),
    ("zstd", "zstd -3", 3.5),
    ("envelope", "enveloped", 9.0),
    ("s3_plain", "S3, plain", 4.0),
    ("s3_gzip", "S3, gzip", 4.0),
    ("small_objects", "S3, small objects", 10.0),
];
/// What `bench latency` says, by `--linger`, and its goals in milliseconds.
const LATENCIES: [(Option<&str>, &str, &str, f64); 4] = [
    (None, "p50_ms", "p50", 20.0),
    (None, "p99_ms", "p99", 40.0),
    (Some("5ms"), "p50_ms", "p50, --linger 5ms", 12.0),
    (Some("5ms"), "p99_ms", "p99, --linger 5ms", 20.0),
];
/// The key of the manifest, the label and the colour of a badge, and what follows the value.
const BADGES: [(&str, &str, &str, &str); 2] =
    [("rust-version", "rust", "#b7410e", "+"), ("license", "licence", "#0969da", "")];

/// How a tick travels, which measures nothing.
const DATAFLOW: &str = include_str!("dataflow.svg.in");
/// The ground of each picture: a page may be dark where the reader's system is light.
const PAPER: &str =
    ".paper { fill: #ffffff } @media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } }";

/// A ratio to the bare COPY with its extremes, which are the ratio itself where there was one
/// round.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

struct Run {
    name: String,
    ratios: Vec<Ratio>,
}

/// A figure beside its goal.
struct Figure {
    name: String,
    value: f64,
    goal: f64,
    /// Whether less is better.
    is_limit: bool,
}

/// Writes each picture that is drawn from what lies in the repository.
pub fn run() -> Result<ExitCode> {
    let pictures = files::workspace().join("docs/pictures");
    for (name, svg) in drawn()? {
        files::write(&pictures.join(name), &svg)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the pictures, and what stands in them.
fn drawn() -> Result<Vec<(String, String)>> {
    let folder = files::workspace().join("docs");
    let page = folder.join("runs.md");
    let runs = runs(&files::read(&page)?);
    ensure!(!runs.is_empty(), "{} has no table of runs", page.display());
    let lines = newest_lines(&folder.join("runs"))?;
    let batch = bars(
        "An hour of 20,000,000 ticks, as a multiple of the better peer (more is better)",
        "",
        &batch(&lines)?,
    );
    let latency = bars(
        "From sending to seeing at 10,000 ticks a second, in ms (less is better)",
        " ms",
        &latency(&lines)?,
    );
    let mut pictures = vec![
        ("speed.svg".to_owned(), svg(&runs)),
        ("batch.svg".to_owned(), batch),
        ("latency.svg".to_owned(), latency),
        ("dataflow.svg".to_owned(), DATAFLOW.replace("{PAPER}", PAPER)),
    ];
    let manifest = files::read(&files::workspace().join("Cargo.toml"))?;
    for (key, label, colour, suffix) in BADGES {
        let start = format!("{key} = \"");
        let value = manifest.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'));
        let value = value.with_context(|| format!("Cargo.toml has no {key}"))?;
        pictures.push((format!("{label}.svg"), badge(label, &format!("{value}{suffix}"), colour)));
    }
    Ok(pictures)
}

/// The lines of the newest file of the folder, whose names are days.
fn newest_lines(folder: &Path) -> Result<Vec<Value>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let newest = files.iter().filter(|file| file.extension().is_some_and(|end| end == "jsonl"));
    let newest = newest.max().with_context(|| format!("{} holds no run", folder.display()))?;
    let lines = files::read(newest)?;
    let lines = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    lines.with_context(|| format!("{} is no lines of JSON", newest.display()))
}

fn batch(lines: &[Value]) -> Result<Vec<Figure>> {
    let line = lines.iter().find(|line| line["bench"] == "batch").context("no line of batch")?;
    let figure = |(key, name, goal): (&str, &str, f64)| {
        let value =
            line[key].as_f64().with_context(|| format!("the line of batch has no {key}"))?;
        Ok(Figure { name: name.to_owned(), value, goal, is_limit: false })
    };
    ARCHIVES.into_iter().map(figure).collect()
}

fn latency(lines: &[Value]) -> Result<Vec<Figure>> {
    let figure = |(linger, key, name, goal): (Option<&str>, &str, &str, f64)| {
        let of_linger =
            |line: &&Value| line["bench"] == "latency" && line["linger"].as_str() == linger;
        let value = lines.iter().find(of_linger).and_then(|line| line[key].as_f64());
        let value = value.with_context(|| format!("no line of latency has {name}"))?;
        Ok(Figure { name: name.to_owned(), value, goal, is_limit: true })
    };
    LATENCIES.into_iter().map(figure).collect()
}

/// The rows `| 6, 2026-11-28 | A | 3 | 0.92 (0.87 to 0.97) | ...`.
fn runs(page: &str) -> Vec<Run> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let (number, _) = cells.first()?.split_once(", 20")?;
        number.parse::<u32>().ok()?;
        let ratios: Vec<Ratio> =
            cells.iter().skip(3).take(DRAWN.len()).filter_map(|cell| ratio(cell)).collect();
        (ratios.len() == DRAWN.len()).then(|| Run { name: cells[0].to_owned(), ratios })
    };
    page.lines().filter_map(row).collect()
}

fn ratio(cell: &str) -> Option<Ratio> {
    let plain = cell.replace(['*', '(', ')'], "");
    let numbers: Vec<f64> = plain.split(' ').filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [median] => Some(Ratio { median, least: median, most: median }),
        [median, least, most] => Some(Ratio { median, least, most }),
        _ => None,
    }
}

/// From the top.
fn height_of(ratio: f64) -> f64 {
    let (least, most) = EDGES;
    30.0 + (most - ratio.clamp(least, most)) / (most - least) * (HEIGHT - 80.0)
}

fn svg(runs: &[Run]) -> String {
    let step = (WIDTH - LEFT - 20.0) / runs.len() as f64;
    let mut drawn = String::new();
    for tenths in 7..=14 {
        let y = height_of(f64::from(tenths) / 10.0);
        drawn += &path(r#"class="grid""#, &format!("M{LEFT} {y:.1}H{WIDTH}"));
        let mark = format!("{}.{}", tenths / 10, tenths % 10);
        drawn += &text("20", &format!("{:.1}", y + 4.0), "", &mark);
    }
    for (series, (name, colour, goal)) in DRAWN.iter().enumerate() {
        let (y, x) = (height_of(*goal), LEFT + 220.0 * series as f64);
        let dashed = format!(r#"stroke="{colour}" stroke-dasharray="5 4""#);
        drawn += &path(&dashed, &format!("M{LEFT} {y:.1}H{WIDTH}"));
        let style = format!(r#" style="fill:{colour}""#);
        drawn += &text(&x.to_string(), "16", &style, &format!("{name} (goal {goal})"));
        for (number, run) in runs.iter().enumerate() {
            let x = LEFT + step * (number as f64 + 0.4 + 0.2 * series as f64);
            let Ratio { median, least, most } = run.ratios[series];
            let [low, middle, high] = [least, median, most].map(height_of);
            let thick = format!(r#"stroke="{colour}" stroke-width="2""#);
            drawn += &path(&thick, &format!("M{x:.1} {low:.1}V{high:.1}"));
            drawn += &format!(
                "<circle fill=\"{colour}\" r=\"4.5\" cx=\"{x:.1}\" cy=\"{middle:.1}\"/>\n"
            );
        }
    }
    for (number, run) in runs.iter().enumerate() {
        let x = format!("{:.1}", LEFT + step * (number as f64 + 0.5));
        let (number, date) = run.name.split_once(", ").unwrap_or((&run.name, ""));
        let date = date.split_once('-').map_or(date, |(_, rest)| rest);
        for (said, above) in [(number, 28.0), (date, 10.0)] {
            let y = (HEIGHT - above).to_string();
            drawn += &text(&x, &y, r#" text-anchor="middle""#, said);
        }
    }
    let title = "Drain rate by run, as a multiple of a bare COPY: medians, least and most";
    framed(title, HEIGHT, &drawn)
}

fn text(x: &str, y: &str, more: &str, said: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\"{more}>{said}</text>\n")
}

fn path(look: &str, way: &str) -> String {
    format!("<path {look} d=\"{way}\"/>\n")
}

/// A bar for each figure, and a line where its goal is.
fn bars(title: &str, unit: &str, figures: &[Figure]) -> String {
    const NAMES: f64 = 150.0;
    const ROW: f64 = 26.0;
    let most = figures.iter().flat_map(|figure| [figure.value, figure.goal]).fold(1.0, f64::max);
    let x = |value: f64| NAMES + value / most * (WIDTH - NAMES - 170.0);
    let mut drawn = text("10", "18", "", title);
    for (figure, row) in iter::zip(figures, 0..) {
        let y = 30.0 + ROW * f64::from(row);
        let Figure { name, value, goal, is_limit } = figure;
        let is_met = if *is_limit { value <= goal } else { value >= goal };
        let (colour, said) = if is_met { ("#1a7f37", "met") } else { ("#bc4c00", "missed") };
        let (text_y, width) = ((y + 13.0).to_string(), x(*value) - NAMES);
        drawn += &text("10", &text_y, "", name);
        drawn += &format!(
            "<rect x=\"{NAMES}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>\n"
        );
        let way = format!("M{:.1} {}V{}", x(*goal), y - 3.0, y + 21.0);
        drawn += &path(r#"class="goal""#, &way);
        let beside = format!("{:.1}", x(value.max(*goal)) + 6.0);
        let said = format!("{value:.1}{unit} (goal {goal}, {said})");
        drawn += &text(&beside, &text_y, "", &said);
    }
    framed(title, 40.0 + ROW * figures.len() as f64, &drawn)
}

fn framed(title: &str, height: f64, drawn: &str) -> String {
    format!(
        include_str!("chart.svg.in"),
        paper = PAPER,
        width = WIDTH,
        height = height,
        title = title,
        drawn = drawn,
    )
}

fn badge(label: &str, value: &str, colour: &str) -> String {
    // Wide enough for letters of 11 pixels.
    let width_of = |text: &str| 10 + 6 * text.len();
    let (left, right) = (width_of(label), width_of(value));
    let width = left + right;
    let (inner, first, second) = (right - 3, left / 2, left + right / 2);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {value}">
  <title>{label}: {value}</title>
  <rect width="{width}" height="20" rx="3" fill="#555"/>
  <path d="M{left} 0h{inner}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
    <text x="{first}" y="14">{label}</text>
    <text x="{second}" y="14">{value}</text>
  </g>
</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_with_its_extremes_or_without() {
        let page = "| goal | | | 0.98 | 0.9 |\n| 6, 2026-11-28 | A | 3 | 0.92 (0.87 to 0.97) | **0.9** | - |\n| 6 | 1 | 2 | 3 |\n";
        let [run] = &runs(page)[..] else { panic!("one run") };
        assert_eq!(run.name, "6, 2026-11-28");
        let plain = Ratio { median: 0.9, least: 0.9, most: 0.9 };
        assert_eq!(run.ratios, [Ratio { median: 0.92, least: 0.87, most: 0.97 }, plain]);
    }

    #[test]
    fn each_run_of_the_page_is_drawn() {
        let page = files::workspace().join("docs/runs.md");
        let runs = runs(&files::read(&page).expect("the page of runs"));
        assert!(runs.len() >= 17, "{} runs", runs.len());
        assert_eq!(svg(&runs).matches("<circle").count(), runs.len() * DRAWN.len());
    }

    #[test]
    fn the_pictures_are_what_is_drawn_from_the_repository() {
        for (name, svg) in drawn().expect("what is drawn") {
            let file = files::workspace().join("docs/pictures").join(&name);
            let there = files::read(&file).expect("a picture");
            assert!(there == svg, "{name} is not what `cargo xtask chart` draws");
        }
    }

    #[test]
    fn a_goal_is_met_from_its_own_side() {
        let figure = |is_limit| Figure { name: "a".to_owned(), value: 2.0, goal: 1.0, is_limit };
        assert!(bars("t", "", &[figure(false)]).contains("(goal 1, met)"));
        assert!(bars("t", "", &[figure(true)]).contains("(goal 1, missed)"));
    }
}
