//! What a demo is asked to be.

use crate::build::{self, Binaries, Profile};
use crate::stack::{self, StoreKind};
use anyhow::Result;
use clap::Parser;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Messages as feeds send them, by the names that `simulate --shape` knows.
const SHAPES: [&str; 10] = [
    "trade",
    "finnhub",
    "binance",
    "coinbase",
    "kraken",
    "alpaca",
    "massive",
    "cryptofeed",
    "yfinance",
    "alpha-vantage",
];

/// Faults come to a market of their own.
const NOT_WITH_CHAOS: [&str; 8] =
    ["once", "hours", "ticks", "rate", "symbols", "shape", "programs", "connect_plugin"];

#[derive(Parser)]
pub struct Options {
    /// Go through everything once, prove that topic, tables and archive agree, and end with exit
    /// code 0 or 1
    #[arg(long)]
    pub(super) once: bool,
    /// End after this many minutes instead of by Ctrl-C
    #[arg(long, conflicts_with = "once")]
    pub(super) minutes: Option<u64>,
    /// Break the services and programs meanwhile, and count the ticks that are lost or doubled by
    /// it
    #[arg(long, conflicts_with_all = NOT_WITH_CHAOS)]
    pub(super) chaos: bool,
    /// Hours of market time before now to begin with; MACD needs 34 of them, a moving average of 50
    /// hours 50
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u64).range(1..=240))]
    pub(super) hours: u64,
    /// Messages in those hours
    #[arg(long, default_value_t = 300_000)]
    pub(super) ticks: u64,
    /// Messages a second from then on
    #[arg(long, default_value_t = 200)]
    pub(super) rate: u64,
    /// Symbols traded
    #[arg(long, default_value_t = 50)]
    pub(super) symbols: u64,
    /// What the messages look like; default: the pipeline's own form, bare and in Connect's
    /// envelope
    #[arg(long, value_parser = SHAPES)]
    pub(super) shape: Option<String>,
    /// How the binaries are compiled: `release` takes minutes more, and is many times as fast
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    pub(super) profile: Profile,
    /// Run the programs of this folder instead of compiling them
    #[arg(long, value_name = "DIR", conflicts_with = "profile")]
    pub(super) programs: Option<PathBuf>,
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    pub(super) store: Option<StoreKind>,
    /// Archive by the real sink connector, whose plugin is in this folder, instead of the stand-in
    #[arg(long, value_name = "DIR")]
    pub(super) connect_plugin: Option<PathBuf>,
}

impl Options {
    /// What `demo --once` does, with programs that are there already.
    pub fn once_with(programs: &Path) -> Result<Self> {
        let smaller =
            ["demo", "--once", "--hours=2", "--ticks=50000", "--symbols=25", "--programs"];
        let words = smaller.map(OsString::from).into_iter().chain([programs.into()]);
        Ok(Self::try_parse_from(words)?)
    }

    /// See [`Profile::caution`].
    pub(super) fn caution(&self) -> Option<&'static str> {
        self.profile.caution().filter(|_| self.programs.is_none())
    }

    pub(super) fn binaries(&self) -> Result<Binaries> {
        match &self.programs {
            Some(folder) => Ok(Binaries::of(folder)),
            None => {
                println!("compiling the binaries (the first time takes some minutes)");
                let services = || stack::fetch(self.store);
                build::binaries_while(services, self.profile)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_run_a_demo_that_goes_through_everything_once() {
        let options = Options::once_with(Path::new("target/a b")).unwrap();
        assert!(options.once && options.programs.as_deref() == Some(Path::new("target/a b")));
        assert_eq!((options.hours, options.ticks, options.symbols), (2, 50_000, 25));
    }

    #[test]
    fn what_the_market_of_faults_does_not_take_is_refused_beside_it() {
        for flag in ["--hours=2", "--ticks=5", "--symbols=2", "--programs=target/x"] {
            let error = Options::try_parse_from(["demo", "--chaos", flag]).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{flag}");
        }
        assert!(Options::try_parse_from(["demo", "--chaos", "--profile=dev"]).is_ok());
    }
}
