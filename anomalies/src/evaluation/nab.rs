//! The scoring of the Numenta Anomaly Benchmark, written from its paper (Lavin and Ahmad 2015,
//! "Evaluating Real-time Anomaly Detection Algorithms") and its published rules.
//!
//! Each labelled window counts once, by its earliest detection, and more the earlier that is. A
//! detection outside windows costs up to the profile's weight, less the closer it follows a window.
//! The first 15 % of a series (of 5,000 rows at most) are probation: nothing there counts. One
//! threshold serves all series: the one that scores best.

/// The worth of detections.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The worth of a window that is detected at its beginning.
    pub true_positive: f64,
    /// Against each detection outside windows.
    pub false_positive: f64,
    /// Against each window that is missed.
    pub false_negative: f64,
}

/// The benchmark's standard profile.
pub const STANDARD: Profile =
    Profile { true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 };

/// One file of the benchmark.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    /// Seconds since 1970 of each row.
    pub at: Vec<i64>,
    pub values: Vec<f64>,
    /// First and last row of each labelled window.
    pub windows: Vec<(usize, usize)>,
}

impl Series {
    /// How many rows at the beginning are not judged.
    #[must_use]
    pub fn probation(&self) -> usize {
        (self.values.len() * 15 / 100).min(750)
    }
}

/// The best that a detector's scores reach with one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// 100 for every window at its beginning and nothing else, 0 for no detection at all.
    pub score: f64,
    /// Rows with this score or a higher one are detections.
    pub threshold: f64,
    /// How many windows are detected.
    pub detected: usize,
    /// How many windows there are.
    pub windows: usize,
    /// How many rows outside windows are detections.
    pub false_alarms: usize,
}

/// Judges `scores`, which has one number in [0, 1] for each row of each series.
#[must_use]
pub fn score(series: &[Series], scores: &[Vec<f64>], profile: Profile) -> Outcome {
    let mut rows = Vec::new();
    let mut windows = 0;
    for (one, scores) in series.iter().zip(scores) {
        rows_of(one, scores, profile, windows, &mut rows);
        windows += one.windows.len();
    }
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    sweep(&rows, windows, profile)
}

/// The worth of one row as a detection.
struct Row {
    score: f64,
    worth: f64,
    /// The window that it lies in, by its number among those of all series.
    window: Option<usize>,
}

fn rows_of(
    series: &Series,
    scores: &[f64],
    profile: Profile,
    first_window: usize,
    rows: &mut Vec<Row>,
) {
    let mut windows = series.windows.iter().enumerate().peekable();
    let mut before: Option<(usize, usize)> = None;
    for (index, &score) in scores.iter().enumerate() {
        while let Some((_, window)) = windows.next_if(|(_, window)| window.1 < index) {
            before = Some(*window);
        }
        let inside = windows.peek().filter(|(_, window)| window.0 <= index);
        let (worth, window) = match inside {
            Some(&(number, &(first, last))) => {
                let place = -((last - index + 1) as f64) / (last - first + 1) as f64;
                (
                    profile.true_positive * falling(place) / falling(-1.0),
                    Some(first_window + number),
                )
            }
            None => (profile.false_positive * after(before, index), None),
        };
        if index >= series.probation() {
            rows.push(Row { score, worth, window });
        }
    }
}

/// The cost of a false alarm: nothing directly after a window, and 1 far from any.
fn after(window: Option<(usize, usize)>, index: usize) -> f64 {
    window.map_or(-1.0, |(first, last)| {
        falling((index - last) as f64 / ((last - first).max(1)) as f64)
    })
}

/// The worth of a detection: from almost 1 at the beginning of a window (-1) by 0 at its end (0) to
/// -1.
fn falling(place: f64) -> f64 {
    if place > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * place).exp()) - 1.0 }
}

fn sweep(rows: &[Row], windows: usize, profile: Profile) -> Outcome {
    let missed = -profile.false_negative * windows as f64;
    let span = profile.true_positive * windows as f64 - missed;
    let mut best: Vec<Option<f64>> = vec![None; windows];
    let (mut total, mut detected, mut false_alarms) = (missed, 0, 0);
    let mut top = Outcome { score: 0.0, threshold: f64::INFINITY, detected, windows, false_alarms };
    for (index, row) in rows.iter().enumerate() {
        if let Some(window) = row.window {
            let known = best[window].unwrap_or(-profile.false_negative);
            detected += usize::from(best[window].is_none());
            best[window] = Some(known.max(row.worth));
            total += known.max(row.worth) - known;
        } else {
            false_alarms += 1;
            total += row.worth;
        }
        let is_last_of_score = rows.get(index + 1).is_none_or(|next| next.score != row.score);
        let score = 100.0 * (total - missed) / span;
        if is_last_of_score && score > top.score {
            top = Outcome { score, threshold: row.score, detected, windows, false_alarms };
        }
    }
    top
}

/// Reads a file of the benchmark: a header, then rows of a time (UTC) and a value.
///
/// `windows` are the first and the last time of each window, as the labels give them.
#[must_use]
pub fn read(name: &str, csv: &str, windows: &[(String, String)]) -> Option<Series> {
    let (mut at, mut values) = (Vec::new(), Vec::new());
    for line in csv.lines().skip(1) {
        let (time, value) = line.split_once(',')?;
        at.push(seconds(time)?);
        values.push(value.trim().parse().ok()?);
    }
    let row = |time: &String| {
        let time = seconds(time)?;
        at.iter().position(|&at| at == time)
    };
    let windows = windows
        .iter()
        .map(|(first, last)| Some((row(first)?, row(last)?)))
        .collect::<Option<_>>()?;
    Some(Series { name: name.to_owned(), at, values, windows })
}

/// Seconds since 1970 of `2014-04-10 07:15:00`, with or without fractions, which are left out.
fn seconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Days of the civil calendar, counted from March so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred rows; window of the rows 50 to 59.
    fn series() -> Vec<Series> {
        vec![Series {
            name: "one".into(),
            at: (0..100).collect(),
            values: vec![0.0; 100],
            windows: vec![(50, 59)],
        }]
    }

    fn outcome(detections: &[usize]) -> Outcome {
        let mut scores = vec![0.0; 100];
        detections.iter().for_each(|&row| scores[row] = 1.0);
        score(&series(), &[scores], STANDARD)
    }

    #[test]
    fn a_detection_at_the_beginning_of_a_window_is_worth_all() {
        let outcome = outcome(&[50]);
        assert!((outcome.score - 100.0).abs() < 1e-9, "{outcome:?}");
        assert_eq!((outcome.detected, outcome.false_alarms), (1, 0));
    }

    #[test]
    fn a_detection_at_the_end_of_a_window_is_worth_a_quarter_of_the_way_up() {
        // One tenth of the window before its end: (2 / (1 + e^-0.5) - 1) / (2 / (1 + e^-5) - 1) =
        // 0.24823.
        let worth = (2.0 / (1.0 + (-0.5f64).exp()) - 1.0) / (2.0 / (1.0 + (-5.0f64).exp()) - 1.0);
        assert!((outcome(&[59]).score - 50.0 * (1.0 + worth)).abs() < 1e-9);
    }

    #[test]
    fn only_the_earliest_detection_of_a_window_counts() {
        assert_eq!(outcome(&[51, 52, 58]).score, outcome(&[51]).score);
    }

    #[test]
    fn a_false_alarm_costs_its_weight_and_less_directly_behind_a_window() {
        let far = outcome(&[20, 50]).score;
        assert!((far - (100.0 - 50.0 * 0.11)).abs() < 1e-9, "{far}");
        let behind = outcome(&[50, 61]).score;
        let cost = 0.11 * (1.0 - 2.0 / (1.0 + (5.0f64 * 2.0 / 9.0).exp()));
        assert!((behind - (100.0 - 50.0 * cost)).abs() < 1e-9, "{behind}");
    }

    #[test]
    fn detections_in_the_probation_count_neither_way() {
        assert_eq!(outcome(&[3, 14, 50]).score, outcome(&[50]).score);
        assert!(outcome(&[15, 50]).score < outcome(&[14, 50]).score);
    }

    #[test]
    fn the_threshold_is_the_one_that_scores_best_over_all_series() {
        let mut scores = vec![0.0; 100];
        (scores[20], scores[52], scores[30]) = (0.4, 0.7, 0.9);
        let outcome = score(&series(), &[scores], STANDARD);
        assert_eq!((outcome.threshold, outcome.detected, outcome.false_alarms), (0.7, 1, 1));
    }

    #[test]
    fn no_detection_is_worth_nothing() {
        assert_eq!(score(&series(), &[vec![0.0; 100]], STANDARD).score, 0.0);
    }

    #[test]
    fn a_file_is_read_with_its_windows() {
        let csv = "timestamp,value\n2014-02-28 23:55:00,1.5\n2014-03-01 00:00:00,2\n2014-03-01 \
            00:05:00,3\n";
        let window =
            ("2014-03-01 00:00:00.000000".to_owned(), "2014-03-01 00:05:00.000000".to_owned());
        let series = read("x.csv", csv, &[window]).unwrap();
        assert_eq!(series.at, [1_393_631_700, 1_393_632_000, 1_393_632_300]);
        assert_eq!((series.values, series.windows), (vec![1.5, 2.0, 3.0], vec![(1, 2)]));
        assert!(read("x.csv", "timestamp,value\nnot a row\n", &[]).is_none());
    }
}
