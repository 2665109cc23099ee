//! What was decided when a stack was made, and where it lies.

use super::bucket::StoreKind;
use super::ports::Ports;
use super::started::Started;
use crate::files;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What was decided when the stack was made, kept in `stack.json` for every later command.
#[derive(Serialize, Deserialize)]
pub struct Stack {
    pub(super) dir: PathBuf,
    pub(super) ports: Ports,
    pub(super) store: StoreKind,
    pub(super) postgres_data: PathBuf,
    pub(super) connect_plugin: Option<PathBuf>,
    #[serde(skip)]
    pub(super) started: Started,
}

const SETTINGS: &str = "stack.json";

impl Stack {
    /// The stack of `dir`, if `up` has made one there.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let file = dir.join(SETTINGS);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        let stack = serde_json::from_slice(&text).with_context(|| {
            format!("{} is broken: delete the folder {}", file.display(), dir.display())
        })?;
        Ok(Some(stack))
    }

    pub(super) fn save(&self) -> Result<()> {
        files::write(&self.dir.join(SETTINGS), &serde_json::to_string_pretty(self)?)
    }

    /// Folder of everything that belongs to the stack.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}
