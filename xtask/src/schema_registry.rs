//! A schema registry for tests, built by Go into the cache: franz-go's, which nobody of this
//! project wrote.

use crate::{cache, go};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// To be changed with the files.
const KEY: &str = "schema-registry-1";
const FILES: [(&str, &str); 3] = [
    ("main.go", include_str!("schema_registry/main.go")),
    ("go.mod", include_str!("schema_registry/go.mod")),
    ("go.sum", include_str!("schema_registry/go.sum")),
];
/// Of Go 1, what the module needs.
const OLDEST_GO: u32 = 24;

/// The program, built on first use. `None` where there is no Go that can build it, or Go cannot
/// fetch what it is built of: this says so, and tests that need it do.
pub fn program() -> Result<Option<PathBuf>> {
    if !go::is_at_least(OLDEST_GO) {
        println!(
            "no Go 1.{OLDEST_GO} or newer on the PATH: tests with a schema registry are left out"
        );
        return Ok(None);
    }
    match cache::entry(KEY, build) {
        Ok(folder) => Ok(Some(folder.join("schema-registry"))),
        Err(error) => {
            println!("{error:#}: tests with a schema registry are left out");
            Ok(None)
        }
    }
}

fn build(into: &Path) -> Result<()> {
    println!("building a schema registry for tests by Go ...");
    let mut go = go::building("schema-registry", &FILES, into)?;
    go::build("the schema registry", go.env("GOTOOLCHAIN", "local"))
}
