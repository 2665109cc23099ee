//! What people see while things break: the report, the latest faults, and whether a tick was lost
//! or doubled.

use crate::prove::ProveArgs;
use crate::report;
use sqlx::{PgConnection, Row};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LATEST: usize = 6;
const REFRESH_TERMINAL: Duration = Duration::from_secs(2);
/// Without a terminal, frames go one below the other into some log.
const REFRESH_LOG: Duration = Duration::from_secs(15);

/// One moment of the tables: what lies before the stored offsets and is in no table, and what is in
/// one twice. The topic of a demo has lost nothing to retention, so each partition begins at zero.
const LOST_AND_DOUBLED: &str = include_str!("../../sql/chaos/lost_and_doubled.sql");

/// The faults so far.
pub struct Board {
    lines: Mutex<(usize, VecDeque<String>)>,
    in_frames: bool,
}

impl Board {
    /// With `in_frames`, lines are shown by [`show`] and not one by one.
    pub fn new(in_frames: bool) -> Self {
        Self { lines: Mutex::default(), in_frames }
    }

    pub fn say(&self, line: String) {
        if !self.in_frames {
            println!("{line}");
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.0 += 1;
        lines.1.push_back(line);
        if lines.1.len() > LATEST {
            lines.1.pop_front();
        }
    }

    fn count_and_latest(&self) -> (usize, String) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let latest: Vec<&str> = lines.1.iter().map(String::as_str).collect();
        (lines.0, latest.join("\n"))
    }
}

/// Draws until `stop`. PostgreSQL may be away: that is one of the faults.
pub async fn show(args: &ProveArgs, board: &Board, stop: &CancellationToken) {
    let mut seen = Seen { counts: "nothing seen yet".to_owned(), page: String::new() };
    while !stop.is_cancelled() {
        let away = match look(args).await {
            Ok(now) => {
                seen = now;
                ""
            }
            Err(_) => " (from before: PostgreSQL does not answer)",
        };
        let (count, latest) = board.count_and_latest();
        let Seen { counts, page } = &seen;
        // What is of most interest stands first: a screen may be too low for all.
        let frame = format!(
            "{count} faults so far · {counts}{away} · Ctrl-C ends it\n\nThe latest faults:\n{latest}\n\n{page}\n"
        );
        // Nobody is left to be told where standard output is closed.
        let _ = draw(&frame);
        let refresh = if std::io::stdout().is_terminal() { REFRESH_TERMINAL } else { REFRESH_LOG };
        let _ = tokio::time::timeout(refresh, stop.cancelled()).await;
    }
}

/// In place on a terminal, otherwise below the one before.
fn draw(frame: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        // What is higher than the screen would scroll, and be drawn below itself.
        let rows = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_row));
        let frame: String = match rows {
            0 => frame.to_owned(),
            rows => frame.split_inclusive('\n').take(rows - 1).collect(),
        };
        // Home, each line cleared to its end, then the rest of the screen: it does not flicker.
        write!(out, "\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\n"))?;
    } else {
        write!(out, "{frame}")?;
    }
    out.flush()
}

/// What the tables have shown.
struct Seen {
    counts: String,
    page: String,
}

async fn look(args: &ProveArgs) -> anyhow::Result<Seen> {
    let mut connection = args.database.parse("workbench")?.connect().await?;
    let (lost, doubled) = lost_and_doubled(&mut connection, args).await?;
    let page = report::look(&args.kafka, &args.group_id, &mut connection).await?;
    let counts = format!("ticks lost {lost} · ticks doubled {doubled}");
    Ok(Seen { counts, page: page.trim().to_owned() })
}

async fn lost_and_doubled(
    connection: &mut PgConnection,
    args: &ProveArgs,
) -> sqlx::Result<(i64, i64)> {
    let query = sqlx::query(LOST_AND_DOUBLED).bind(&args.group_id).bind(&args.kafka.topic);
    let row = query.fetch_one(connection).await?;
    Ok((row.get(0), row.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_counts_all_and_keeps_the_latest() {
        let board = Board::new(true);
        (0..10).for_each(|number| board.say(format!("fault {number}")));
        let (count, latest) = board.count_and_latest();
        assert_eq!(count, 10);
        assert_eq!(latest, "fault 4\nfault 5\nfault 6\nfault 7\nfault 8\nfault 9");
    }
}
