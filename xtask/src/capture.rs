//! `cargo xtask capture`: what a command prints, and when, as a picture of a terminal that moves
//! (CSS, no script).

use std::fmt::Write;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::files;

const COLUMNS: usize = 104;
const ROWS: usize = 26;
const ROW_HEIGHT: usize = 17;
/// Nobody waits longer for the next line, however long the command took; the seconds beside it are
/// the command's.
const LONGEST_PAUSE: Duration = Duration::from_millis(900);
/// How long the last line stands before all begins again.
const HOLD: Duration = Duration::from_secs(8);

#[derive(Args)]
pub struct Options {
    /// The SVG that is written
    file: PathBuf,
    /// The command whose output comes on standard input
    #[arg(long)]
    command: String,
}

struct Line {
    at: Duration,
    text: String,
}

/// Passes standard input on, and draws it when it ends.
pub fn run(options: &Options) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut lines = vec![Line { at: Duration::ZERO, text: format!("$ {}", options.command) }];
    for line in io::stdin().lock().lines() {
        let text = line.context("cannot read standard input")?;
        println!("{text}");
        let at = begin.elapsed();
        lines.extend(rows_of(&plain(&text)).map(|text| Line { at, text }));
    }
    files::write(&options.file, &svg(&lines))?;
    Ok(ExitCode::SUCCESS)
}

/// A line without a terminal's codes.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.split_once(|end: char| end.is_ascii_alphabetic()).map_or("", |(_, rest)| rest),
        );
    }
    plain
}

/// As a terminal breaks a line that is longer than it is wide.
fn rows_of(line: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = line.chars().collect();
    let rows: Vec<String> = letters.chunks(COLUMNS).map(|row| row.iter().collect()).collect();
    rows.into_iter().chain(letters.is_empty().then(String::new))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// When each line appears in the picture.
fn moments(lines: &[Line]) -> Vec<Duration> {
    let (mut before, mut now) = (Duration::ZERO, Duration::ZERO);
    let mut moments = Vec::new();
    for line in lines {
        now += line.at.saturating_sub(before).min(LONGEST_PAUSE);
        before = line.at;
        moments.push(now);
    }
    moments
}

/// All lines stand below each other and move up by one when the next one appears at the bottom.
fn svg(lines: &[Line]) -> String {
    let moments = moments(lines);
    let total = moments.last().copied().unwrap_or_default() + HOLD;
    // What lies below is out of sight.
    let (width, sight) = (COLUMNS * 8 + 84, ROWS * ROW_HEIGHT + 5);
    let height = sight + 14;
    let shift = |count: usize| (ROWS as i64 - count as i64) * ROW_HEIGHT as i64;
    let mut frames = String::new();
    for (count, moment) in (1..).zip(&moments) {
        let percent = 100.0 * moment.as_secs_f64() / total.as_secs_f64();
        let _ = write!(frames, "{percent:.2}%{{transform:translateY({}px)}}", shift(count));
    }
    let end = shift(lines.len());
    let mut rows = String::new();
    for (row, line) in (1..).zip(lines) {
        let (y, at) = (row * ROW_HEIGHT, line.at.as_secs_f64());
        let text = escaped(&line.text);
        let _ =
            writeln!(rows, r#"<text y="{y}"><tspan class="at">{at:>6.1} s  </tspan>{text}</text>"#);
    }
    let seconds = total.as_secs_f64();
    let title = lines.first().map(|line| escaped(&line.text)).unwrap_or_default();
    format!(
        include_str!("capture.svg.in"),
        width = width,
        height = height,
        sight = sight,
        title = title,
        end = end,
        seconds = seconds,
        frames = frames,
        rows = rows,
        label = title.replace('"', "&quot;")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(millis: u64, text: &str) -> Line {
        Line { at: Duration::from_millis(millis), text: plain(text) }
    }

    #[test]
    fn lines_appear_in_the_commands_pace_but_for_long_pauses() {
        let lines =
            [line(0, "$ run"), line(500, "soon"), line(60_000, "late"), line(60_100, "later")];
        assert_eq!(
            moments(&lines).iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [0, 500, 1400, 1500]
        );
    }

    #[test]
    fn what_would_be_markup_or_colour_is_plain_text() {
        let svg = svg(&[line(0, "\x1b[1;31ma <b> & \x1b[0mc")]);
        assert!(svg.contains("</tspan>a &lt;b&gt; &amp; c</text>"), "{svg}");
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_in_the_next_row() {
        let full = "x".repeat(COLUMNS);
        assert!(rows_of(&format!("{full}y")).eq([full, "y".to_owned()]));
        assert!(rows_of("").eq([""]));
    }

    #[test]
    fn the_picture_ends_with_its_last_line_at_the_bottom() {
        let lines: Vec<Line> = (0..100).map(|number| line(number, "x")).collect();
        let end = (ROWS as i64 - 100) * ROW_HEIGHT as i64;
        let svg = svg(&lines);
        assert!(svg.contains(&format!("g {{ transform: translateY({end}px);")), "{svg}");
        assert!(
            svg.contains(&format!("100%{{transform:translateY({end}px)}}"))
                && !svg.contains("script"),
            "{svg}"
        );
    }
}
