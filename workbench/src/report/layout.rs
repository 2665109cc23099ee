//! The figures as a page of at most 100 columns.

use super::figures::{Close, Figures, Overview, Reject, Run, Summary};

const WIDTH: usize = 100;

/// `watermarks`: low and high of each partition, or why they are not known.
pub fn report(figures: &Figures, watermarks: &anyhow::Result<Vec<(i64, i64)>>) -> String {
    let mut page = Page::default();
    page.totals(&figures.totals, &lag(figures, watermarks));
    page.closes(&figures.closes);
    page.summaries(&figures.summaries, &figures.totals, figures.last_run.as_ref());
    page.rejects(&figures.rejects, figures.totals.rejected);
    page.text
}

fn lag(figures: &Figures, watermarks: &anyhow::Result<Vec<(i64, i64)>>) -> String {
    let watermarks = match watermarks {
        Ok(watermarks) => watermarks,
        Err(error) => return format!("lag unknown: {}", error.root_cause()),
    };
    let behind = (0..).zip(watermarks).map(|(partition, (low, high))| {
        let written = figures
            .next_offsets
            .iter()
            .find(|(id, _)| *id == partition)
            .map_or(*low, |(_, next)| *next);
        (high - written.max(*low)).max(0)
    });
    let (behind, partitions) = (grouped(behind.sum()), watermarks.len());
    format!("{behind} behind the topic's {partitions} partitions")
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        let shown: String = line.chars().take(WIDTH).collect();
        self.text.push_str(shown.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, name: &str, note: &str) {
        self.line("");
        self.line(&format!("{name}  {note}"));
    }

    fn totals(&mut self, totals: &Overview, lag: &str) {
        let rate = totals.ticks_last_minute as f64 / 60.0;
        let newest =
            totals.age.map_or_else(|| "none yet".to_owned(), |age| format!("{} ago", ago(age)));
        let (ticks, symbols) = (grouped(totals.ticks), grouped(totals.symbols));
        self.line(&format!(
            "TICKS  {ticks} written of {symbols} symbols · newest {newest} · {lag}"
        ));
        self.line(&format!("       {rate:.1} a second in the last full minute"));
    }

    fn closes(&mut self, closes: &[Close]) {
        self.heading(
            "LATEST CLOSES",
            "the busiest symbols of the newest hour of ticks; change within that hour",
        );
        if closes.is_empty() {
            self.line("  no ticks yet");
            return;
        }
        self.line(&format!(
            "  {:<16} {:>12} {:>9} {:>18} {:>10}  {:<19}",
            "symbol", "close", "change %", "volume", "ticks", "last tick (UTC)"
        ));
        for close in closes {
            let Close { symbol, close, change, volume, ticks, last_tick } = close;
            let symbol = cut(symbol, 16);
            self.line(&format!(
                "  {symbol:<16} {close:>12} {change:>9} {volume:>18} {:>10}  {last_tick:<19}",
                grouped(*ticks)
            ));
        }
    }

    fn summaries(&mut self, summaries: &[Summary], totals: &Overview, run: Option<&Run>) {
        let (rows, hours) = (grouped(totals.summaries), grouped(totals.summary_hours));
        self.heading(
            "HOURLY SUMMARIES",
            &format!("{rows} of {hours} hours; of the newest ones those with most volume"),
        );
        if summaries.is_empty() {
            self.line("  none yet: the batch layer computes an hour once it is over");
        } else {
            self.line(&format!(
                "  {:<16} {:<12} {:>11} {:>11} {:>9} {:>9} {:>9} {:>13}",
                "hour (UTC)", "symbol", "avg close", "vwap", "high", "low", "close", "volume"
            ));
        }
        for summary in summaries {
            let Summary { hour, symbol, avg_close, vwap, high, low, close, volume } = summary;
            let (symbol, vwap) = (cut(symbol, 12), vwap.as_deref().unwrap_or("-"));
            self.line(&format!(
                "  {hour:<16} {symbol:<12} {avg_close:>11} {vwap:>11} {high:>9} {low:>9} {close:>9} {volume:>13}"
            ));
        }
        if let Some(run) = run {
            let Run { run_id, status, started, hours_computed, objects_read, ticks, duplicates } =
                run;
            self.line(&format!(
                "  last run: no. {run_id} at {started} UTC, {status}; {hours_computed} hours computed from {} objects, {} ticks, {} duplicates dropped",
                grouped(*objects_read),
                grouped(*ticks),
                grouped(*duplicates)
            ));
        }
    }

    fn rejects(&mut self, rejects: &[Reject], count: i64) {
        self.heading("REJECTED MESSAGES", &format!("{}, kept in rejected_ticks", grouped(count)));
        for Reject { reason, count, example } in rejects {
            self.line(&format!("  {reason:<24} {:>9}  {example}", grouped(*count)));
        }
    }
}

/// `1,234,567`.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

fn ago(seconds: f64) -> String {
    match seconds {
        ..60.0 => format!("{:.1} s", seconds.max(0.0)),
        ..3600.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            totals: Overview {
                ticks: 1_234_567,
                symbols: 50,
                ticks_last_minute: 18_000,
                age: Some(0.42),
                rejected: 1234,
                summaries: 0,
                summary_hours: 0,
            },
            next_offsets: vec![(0, 90), (1, 100)],
            closes: vec![Close {
                symbol: "A-VERY-LONG-SYMBOL-OF-32-LETTERS".into(),
                close: "201.5".into(),
                change: "+0.12".into(),
                volume: "1,000".into(),
                ticks: 12_000,
                last_tick: "2025-06-06 14:00:00".into(),
            }],
            rejects: vec![Reject {
                reason: "bad_price".into(),
                count: 1234,
                example: "x".repeat(200),
            }],
            ..Figures::default()
        }
    }

    #[test]
    fn no_line_is_longer_than_a_terminal() {
        let page = report(&figures(), &Ok(vec![(0, 100), (0, 100)]));
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        assert!(page.contains("A-VERY-LONG-SYM…"), "{page}");
    }

    #[test]
    fn the_lag_counts_from_what_is_written_and_a_missing_broker_is_said() {
        assert_eq!(
            lag(&figures(), &Ok(vec![(0, 100), (0, 130), (5, 7)])),
            "42 behind the topic's 3 partitions"
        );
        let unknown = lag(&figures(), &Err(anyhow::anyhow!("no broker").context("ask")));
        assert_eq!(unknown, "lag unknown: no broker");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
    }
}
