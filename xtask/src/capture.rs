//! `cargo xtask capture`: what a command prints, and when, as a picture of a terminal that moves
//! (CSS, no script).

use crate::files;
use anyhow::{Context, Result};
use clap::Args;
use std::fmt::Write;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const COLUMNS: usize = 104;
const ROWS: usize = 36;
const ROW_HEIGHT: usize = 17;
/// Nobody waits longer for the next line, however long the command took; the seconds beside it are
/// the command's.
const LONGEST_PAUSE: Duration = Duration::from_millis(700);
/// Lines that come closer to each other come at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
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

/// What a program writes that draws its screen again: the cursor goes to the first row ..
const HOME: &str = "\x1b[H";
/// .. and at the end of the drawing what is left below goes away.
const CLEAR_BELOW: &str = "\x1b[J";

/// What the lines of Cargo begin with, which nobody wants to see.
const CARGO: [&str; 4] = ["Building ", "Compiling ", "Finished ", "Running "];

struct Line {
    at: Duration,
    text: String,
    /// Without the seconds beside it.
    is_drawing: bool,
}

/// All lines of the command, each screen that it has drawn below the one before.
struct Recording {
    lines: Vec<Line>,
    /// Where the drawing that is being read begins.
    screen: Option<usize>,
}

/// Passes standard input on, and draws it when it ends.
pub fn run(options: &Options) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut recording = Recording::of(&options.command);
    for line in io::stdin().lock().lines() {
        let text = line.context("cannot read standard input")?;
        println!("{text}");
        recording.read(begin.elapsed(), &text);
    }
    files::write(&options.file, &svg(&recording.lines))?;
    Ok(ExitCode::SUCCESS)
}

impl Recording {
    fn of(command: &str) -> Self {
        let text = format!("$ {command}");
        Self { lines: vec![Line { at: Duration::ZERO, text, is_drawing: false }], screen: None }
    }

    fn read(&mut self, at: Duration, text: &str) {
        if text.contains(CLEAR_BELOW) {
            self.end_drawing();
        }
        let starts = text.contains(HOME);
        if starts {
            self.screen = Some(self.lines.len());
        }
        let is_drawing = self.screen.is_some() && !starts;
        let text = plain(text);
        if CARGO.iter().any(|word| text.trim_start().starts_with(word)) {
            return;
        }
        self.lines.extend(rows_of(&text).map(|text| Line { at, text, is_drawing }));
    }

    /// The rest of its screen is empty but for the row of the cursor.
    fn end_drawing(&mut self) {
        let (Some(begin), Some(last)) = (self.screen.take(), self.lines.last()) else { return };
        let (at, end) = (last.at, begin + ROWS - 1);
        while self.lines.len() < end {
            self.lines.push(Line { at, text: String::new(), is_drawing: true });
        }
    }
}

/// A line without a terminal's codes, and without what was written over.
fn plain(text: &str) -> String {
    let text = text.rsplit('\r').next().unwrap_or_default();
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
        let pause = line.at.saturating_sub(before);
        if pause >= SHORTEST_PAUSE {
            now += pause.min(LONGEST_PAUSE);
            before = line.at;
        }
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
        // Of lines that come at once the last one counts.
        if moments.get(count) != Some(moment) {
            let percent = 100.0 * moment.as_secs_f64() / total.as_secs_f64();
            let _ = write!(frames, "{percent:.2}%{{transform:translateY({}px)}}", shift(count));
        }
    }
    let end = shift(lines.len());
    let mut rows = String::new();
    for (row, line) in (1..).zip(lines) {
        let (y, at) = (row * ROW_HEIGHT, line.at.as_secs_f64());
        let text = escaped(&line.text);
        let at = if line.is_drawing { " ".repeat(10) } else { format!("{at:>6.1} s  ") };
        let _ = writeln!(rows, r#"<text y="{y}"><tspan class="at">{at}</tspan>{text}</text>"#);
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
        Line { at: Duration::from_millis(millis), text: plain(text), is_drawing: false }
    }

    #[test]
    fn lines_appear_in_the_commands_pace_but_for_long_pauses() {
        let lines =
            [line(0, "$ run"), line(500, "soon"), line(60_000, "late"), line(60_100, "later")];
        assert_eq!(
            moments(&lines).iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [0, 500, 1200, 1300]
        );
    }

    #[test]
    fn what_would_be_markup_or_colour_is_plain_text() {
        let svg = svg(&[line(0, "\x1b[1;31ma <b> & \x1b[0mc")]);
        assert!(svg.contains("</tspan>a &lt;b&gt; &amp; c</text>"), "{svg}");
    }

    #[test]
    fn a_screen_that_is_drawn_again_takes_the_place_of_the_one_before() {
        let mut recording = Recording::of("run");
        let second = Duration::from_secs(1);
        for (at, text) in [
            (second, "\x1b[Hfirst\x1b[K"),
            (second, "below\x1b[K"),
            (2 * second, "\x1b[J\x1b[Hsecond\x1b[K"),
            (3 * second, "\x1b[Jend"),
        ] {
            recording.read(at, text);
        }
        let lines = &recording.lines;
        let written: Vec<(usize, &str)> = (0..)
            .zip(lines.iter().map(|line| line.text.as_str()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let (first, screen) = (1, ROWS - 1);
        assert_eq!(
            written,
            [
                (0, "$ run"),
                (first, "first"),
                (first + 1, "below"),
                (first + screen, "second"),
                (first + 2 * screen, "end"),
            ]
        );
        // The rows that are empty come with their drawing.
        assert_eq!(lines[first + screen - 1].at, second);
    }

    #[test]
    fn what_cargo_says_is_left_out() {
        let mut recording = Recording::of("run");
        recording.read(Duration::ZERO, "\x1b[1m   Compiling\x1b[0m common v0.1.0");
        recording.read(Duration::ZERO, "starting the services");
        let texts: Vec<&str> = recording.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["$ run", "starting the services"]);
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_in_the_next_row() {
        let full = "x".repeat(COLUMNS);
        assert!(rows_of(&format!("{full}y")).eq([full, "y".to_owned()]));
        assert!(rows_of("").eq([""]));
    }

    #[test]
    fn a_picture_moves_once_for_lines_that_come_at_once() {
        let svg = svg(&[line(0, "$ run"), line(500, "a"), line(501, "b"), line(502, "c")]);
        assert_eq!(svg.matches("%{transform").count(), 3, "begin, all three, end: {svg}");
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
