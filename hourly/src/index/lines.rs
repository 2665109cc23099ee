//! How many lines of folders are no ticks.

use super::batch_db::BatchDb;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;

/// What the known objects of a folder hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderLines {
    pub folder: String,
    pub lines: u64,
    /// Lines, and elements of lines.
    pub rejected: u64,
}

/// A rejected line that stands for many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonReject {
    pub key: String,
    pub line: i64,
    pub reason: String,
    pub detail: String,
}

/// Rejected lines that are looked at for the commonest reason.
const LOOKED_AT: i64 = 10_000;

impl BatchDb {
    /// The lines of those of some folders below which objects are known.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lines_of(&mut self, folders: &[&str]) -> Result<Vec<FolderLines>, Failure> {
        let statement =
            pg::query_as(include_str!("../../sql/index/lines_of_folders.sql")).bind(folders);
        let rows: Vec<(String, i64, i64)> =
            self.fetch_all("reading the index in", statement).await?;
        let of = |(folder, lines, rejected): (String, i64, i64)| FolderLines {
            folder,
            lines: lines.cast_unsigned(),
            rejected: rejected.cast_unsigned(),
        };
        Ok(rows.into_iter().map(of).collect())
    }

    /// How many ticks the known objects below some folders hold, without those that hold none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn ticks_of(&mut self, folders: &[&str]) -> Result<FxHashMap<String, u64>, Failure> {
        let statement =
            pg::query_as(include_str!("../../sql/index/ticks_of_folders.sql")).bind(folders);
        let rows: Vec<(String, i64)> = self.fetch_all("reading the index in", statement).await?;
        Ok(rows.into_iter().map(|(folder, ticks)| (folder, ticks.cast_unsigned())).collect())
    }

    /// Whether any known object that was read so holds a tick.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn has_ticks_of(&mut self, decode_rules: &str) -> Result<bool, Failure> {
        let statement =
            pg::query_scalar(include_str!("../../sql/index/has_ticks_of.sql")).bind(decode_rules);
        self.fetch_one("reading the index in", statement).await
    }

    /// A line that is rejected for the commonest reason in some folders.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn commonest_reject(
        &mut self,
        folders: &[&str],
    ) -> Result<Option<CommonReject>, Failure> {
        let statement = pg::query_as(include_str!("../../sql/index/commonest_reject.sql"))
            .bind(folders)
            .bind(LOOKED_AT);
        let row: Option<(String, i64, String, String)> =
            self.fetch_optional("reading rejected_lines in", statement).await?;
        Ok(row.map(|(key, line, reason, detail)| CommonReject { key, line, reason, detail }))
    }
}
