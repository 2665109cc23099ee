//! What was sent and what was archived, as temporary tables beside the pipeline's own, so that SQL
//! can compare them.

use super::plain::{self, Plain};
use crate::simulate::Names;
use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use std::fmt::Write;
use tokio::sync::mpsc;

const TABLES: &str = include_str!("../../sql/prove/staged.sql");

const ARCHIVED_TICKS: &str = include_str!("../../sql/prove/archived_ticks.sql");

/// Portions on their way to a COPY; few, so that a fast reader waits for PostgreSQL.
const PORTIONS: usize = 4;
const PORTION_BYTES: usize = 256 * 1024;

/// A record or a line of the archive.
pub struct Entry<'a> {
    pub partition: i32,
    pub offset: i64,
    pub fate: Option<&'a str>,
    /// None is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Takes rows and passes them on in portions.
pub struct Rows {
    names: Names,
    portion: String,
    portions: mpsc::Sender<String>,
}

pub type Portions = mpsc::Receiver<String>;

/// A writer, for any thread, of values with these names, and what [`load`] reads.
pub fn rows(names: Names) -> (Rows, Portions) {
    let (sender, receiver) = mpsc::channel(PORTIONS);
    (Rows { names, portion: String::new(), portions: sender }, receiver)
}

impl Rows {
    ///
    /// # Errors
    /// [`load`] has ended; its own error says why.
    pub fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        write_row(&mut self.portion, entry, &self.names);
        if self.portion.len() >= PORTION_BYTES { self.flush() } else { Ok(()) }
    }

    /// # Errors
    /// As [`Rows::push`].
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.portions
            .blocking_send(std::mem::take(&mut self.portion))
            .context("PostgreSQL took no more rows")
    }
}

/// COPY's text format. The values of a record that must be rejected do not matter.
fn write_row(out: &mut String, entry: &Entry<'_>, names: &Names) {
    let null = "\\N";
    let Entry { partition, offset, fate, value } = entry;
    // Writing to a string cannot fail.
    let _ = write!(out, "{partition}\t{offset}\t{}\t", fate.unwrap_or(null));
    match value {
        Some(value) => {
            out.push_str("\\\\x");
            for byte in Sha256::digest(value) {
                let _ = write!(out, "{byte:02x}");
            }
        }
        None => out.push_str(null),
    }
    out.push('\t');
    let plain = value
        .filter(|_| fate.is_none_or(|fate| fate == "tick"))
        .and_then(|value| plain::read(value, names));
    let _ = match plain {
        Some(Plain { symbol, timestamp, open, high, low, close, volume }) => {
            let [high, low, volume] =
                [high, low, volume].map(|number| number.unwrap_or_else(|| null.to_owned()));
            writeln!(out, "{symbol}\t{timestamp}\t{open}\t{high}\t{low}\t{close}\t{volume}")
        }
        None => writeln!(out, "{}", [null; 7].join("\t")),
    };
}

pub async fn create(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(TABLES).execute(connection).await.map(drop)
}

/// Fills `table`, which is `sent` or `archived`, until the writer is dropped.
pub async fn load(
    connection: &mut PgConnection,
    table: &str,
    mut portions: Portions,
) -> sqlx::Result<()> {
    let mut copy = connection.copy_in_raw(&format!("copy {table} from stdin")).await?;
    while let Some(portion) = portions.recv().await {
        copy.send(portion.into_bytes()).await?;
    }
    copy.finish().await.map(drop)
}

/// To be called once both tables are full.
pub async fn finish(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(ARCHIVED_TICKS).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Shape;

    fn row(fate: Option<&str>, value: Option<&str>) -> String {
        let mut text = String::new();
        let entry = Entry { partition: 3, offset: 17, fate, value: value.map(str::as_bytes) };
        write_row(&mut text, &entry, &Shape::Bare.names());
        text
    }

    const TICK: &str = r#"{"symbol":"A","timestamp":0,"open":1,"close":2.50,"volume":7}"#;

    #[test]
    fn a_tick_has_its_values_and_what_must_be_rejected_only_its_hash() {
        let tick = row(Some("tick"), Some(TICK));
        assert!(tick.starts_with("3\t17\ttick\t\\\\x"), "{tick}");
        assert!(tick.ends_with("\tA\t1970-01-01T00:00:00Z\t1\t\\N\t\\N\t2.50\t7\n"), "{tick}");
        let rejected = row(Some("bad_price"), Some(TICK));
        assert!(rejected.ends_with("\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"), "{rejected}");
        assert_eq!(row(None, None), format!("3\t17\t\\N\t\\N{}\n", "\t\\N".repeat(7)));
    }
}
