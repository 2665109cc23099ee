//! Whether what the archive shows are ticks at all: with a flag that is missing or wrong every line
//! is rejected.

use super::WindowRun;
use crate::hour::Hour;
use crate::index::{CommonReject, FolderLines};
use rustc_hash::FxHashMap;
use service::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So few lines without a tick among them say nothing about the flags.
const STRAY: u64 = 10;

/// What the lines of the folders that a run has looked at are.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ticks: u64,
    /// Lines, and elements of lines.
    pub rejected: u64,
    /// How many there are, and a sentence about the commonest reason; empty where most are ticks.
    pub words: String,
    /// Whether no line that was ever read by this run's rules is a tick. A quiet market has windows
    /// of nothing but pings.
    pub is_never_a_tick: bool,
    /// Hours in whose own folder nothing is a tick, with the number of its lines.
    pub hours: BTreeMap<Hour, u64>,
}

impl Lines {
    /// More than half: then it is logged.
    const fn are_mostly_rejected(&self) -> bool {
        self.rejected > self.ticks
    }

    /// A few may be stray lines, or a quiet feed's signs of life.
    pub const fn are_all_rejected(&self) -> bool {
        self.rejected >= STRAY && self.ticks == 0
    }
}

impl WindowRun {
    /// Looks at what is known of the folders that this run has listed around its window.
    pub(super) async fn check_lines(&mut self) -> Result<Lines, Failure> {
        let near: Vec<Arc<str>> = self.folders.window.iter().cloned().collect();
        let folders: Vec<&str> = near.iter().map(|folder| &**folder).collect();
        let known = self.db.lines_of(&folders).await?;
        let (all, rejected) =
            known.iter().fold((0, 0), |sum, of| (sum.0 + of.lines, sum.1 + of.rejected));
        // A line may hold several ticks, so that their number alone tells; it is seldom asked for.
        let may_be_asked =
            |of: &&FolderLines| of.rejected > 0 && (rejected > all / 2 || of.rejected >= of.lines);
        let asked: Vec<&str> = known.iter().filter(may_be_asked).map(|of| &*of.folder).collect();
        let ticks =
            if asked.is_empty() { FxHashMap::default() } else { self.db.ticks_of(&asked).await? };
        let mut lines = Lines { rejected, ..Lines::default() };
        for of in &known {
            let is_asked = may_be_asked(&of);
            let ticks = if is_asked {
                ticks.get(&of.folder).copied().unwrap_or(0)
            } else {
                of.lines - of.rejected
            };
            lines.ticks += ticks;
            if is_asked && ticks == 0 {
                let folder = self.folder_of(&of.folder.as_str().into());
                lines.hours.extend(Hour::each(folder.hours).map(|hour| (hour, of.lines)));
            }
        }
        if lines.are_mostly_rejected() {
            lines.words = self.describe(&lines, &folders).await?;
        }
        if lines.are_all_rejected() {
            let decode_rules = Arc::clone(&self.decode_rules);
            lines.is_never_a_tick = !self.db.has_ticks_of(&decode_rules).await?;
        }
        Ok(lines)
    }

    async fn describe(&mut self, lines: &Lines, folders: &[&str]) -> Result<String, Failure> {
        let (rejected, all) = (lines.rejected, lines.rejected + lines.ticks);
        let counted = format!("{rejected} of the {all} lines of the window are no ticks");
        let Some(common) = self.db.commonest_reject(folders).await? else {
            return Ok(counted);
        };
        let (location, CommonReject { key, line, reason, detail }) =
            (self.store.location(), common);
        Ok(format!(
            "{counted}; the commonest reason is {reason}: {detail} ({location}{key}, line {line}; \
             table rejected_lines): are the flags about messages right?"
        ))
    }
}
