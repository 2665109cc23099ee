//! `cargo xtask chart`: the runs of `bench speed`, as docs/benchmarks.md has them, as a picture.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::files;

/// The columns of the table that are drawn, each with its goal.
const DRAWN: [(&str, &str, f64); 2] =
    [("bare ticks", "#0969da", 0.98), ("enveloped ticks", "#bc4c00", 0.9)];
/// Ratios at the lower and the upper edge.
const EDGES: (f64, f64) = (0.7, 1.4);
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 60.0;

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

/// Reads the page and writes the picture.
pub fn run() -> Result<ExitCode> {
    let folder = files::workspace().join("docs");
    let page = folder.join("benchmarks.md");
    let text = files::read(&page)?;
    let runs = runs(&text);
    ensure!(!runs.is_empty(), "{} has no table of runs", page.display());
    files::write(&folder.join("pictures/speed.svg"), &svg(&runs))?;
    Ok(ExitCode::SUCCESS)
}

/// The rows `| 6, 2026-11-28 | 3 | 0.92 (0.87 to 0.97) | ...`.
fn runs(page: &str) -> Vec<Run> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let (number, _) = cells.first()?.split_once(", 20")?;
        number.parse::<u32>().ok()?;
        let ratios: Vec<Ratio> =
            cells.iter().skip(2).take(DRAWN.len()).filter_map(|cell| ratio(cell)).collect();
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
        let _ = writeln!(drawn, r#"<path class="grid" d="M{LEFT} {y:.1}H{WIDTH}"/>"#);
        let _ = writeln!(
            drawn,
            r#"<text x="20" y="{:.1}">{}.{}</text>"#,
            y + 4.0,
            tenths / 10,
            tenths % 10
        );
    }
    for (series, (name, colour, goal)) in DRAWN.iter().enumerate() {
        let (y, x) = (height_of(*goal), LEFT + 220.0 * series as f64);
        let _ = writeln!(
            drawn,
            r#"<path stroke="{colour}" stroke-dasharray="5 4" d="M{LEFT} {y:.1}H{WIDTH}"/>"#
        );
        let _ = writeln!(
            drawn,
            r#"<text x="{x}" y="16" style="fill:{colour}">{name} (goal {goal})</text>"#
        );
        for (number, run) in runs.iter().enumerate() {
            let x = LEFT + step * (number as f64 + 0.4 + 0.2 * series as f64);
            let [low, middle, high] =
                [run.ratios[series].least, run.ratios[series].median, run.ratios[series].most]
                    .map(height_of);
            let _ = writeln!(
                drawn,
                r#"<path stroke="{colour}" stroke-width="2" d="M{x:.1} {low:.1}V{high:.1}"/>"#
            );
            let _ = writeln!(
                drawn,
                r#"<circle fill="{colour}" r="4.5" cx="{x:.1}" cy="{middle:.1}"/>"#
            );
        }
    }
    for (number, run) in runs.iter().enumerate() {
        let x = LEFT + step * (number as f64 + 0.5);
        let (number, date) = run.name.split_once(", ").unwrap_or((&run.name, ""));
        let _ = writeln!(
            drawn,
            r#"<text x="{x:.1}" y="{}" text-anchor="middle">{number}</text>"#,
            HEIGHT - 28.0
        );
        let date = date.split_once('-').map_or(date, |(_, rest)| rest);
        let _ = writeln!(
            drawn,
            r#"<text x="{x:.1}" y="{}" text-anchor="middle">{date}</text>"#,
            HEIGHT - 10.0
        );
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">
<title id="title">Drain rate by run, as a multiple of a bare COPY: medians, least and most</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #57606a }}
.grid {{ stroke: #8c959f; stroke-width: 0.4 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #9ea7b3 }} }}
</style>
{drawn}</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_with_its_extremes_or_without() {
        let page = "| goal | | 0.98 | 0.9 |\n| 6, 2026-11-28 | 3 | 0.92 (0.87 to 0.97) | **0.9** | - |\n| 6 | 1 | 2 | 3 |\n";
        let [run] = &runs(page)[..] else { panic!("one run") };
        assert_eq!(run.name, "6, 2026-11-28");
        let plain = Ratio { median: 0.9, least: 0.9, most: 0.9 };
        assert_eq!(run.ratios, [Ratio { median: 0.92, least: 0.87, most: 0.97 }, plain]);
    }

    #[test]
    fn each_run_of_the_page_is_drawn() {
        let runs = runs(include_str!("../../docs/benchmarks.md"));
        assert!(runs.len() >= 8, "{} runs", runs.len());
        assert_eq!(svg(&runs).matches("<circle").count(), runs.len() * DRAWN.len());
    }
}
