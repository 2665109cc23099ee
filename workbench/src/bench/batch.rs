//! `bench batch`: batch-layer's hour next to the same aggregation by general engines, over the same
//! objects.

mod archive;
mod beside;
mod data;
mod lake;
mod ours;
mod peers;

use crate::figures::{median, rounded};
use archive::Source;
use clap::Args;
use data::{Archives, Size};
pub use lake::LakeArgs;
pub use lake::run as run_lake;
use peers::{Peer, Peers};
use serde_json::json;
use std::path::PathBuf;

const ENGINES: &[Peer] = &[Peer::DuckDb, Peer::ClickHouse];

/// What is read, and how often.
#[derive(Args, Clone)]
pub struct BatchArgs {
    #[command(flatten)]
    size: Size,
    /// Rounds; each runs all sides one after the other.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only this case, or these: an archive's name as in the last line, late, idle_720.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Where the archives (5 GB) and the peers are kept.
    #[arg(long, default_value = "target/bench-data", value_name = "DIRECTORY")]
    data: PathBuf,
}

/// One archive, read by us and by its peers.
struct Case {
    name: &'static str,
    source: Source,
    peers: &'static [Peer],
    /// Seconds of the better peer in units of ours, a round each.
    ratios: Vec<f64>,
    /// CPU seconds of ours, a round each.
    cpu_seconds: Vec<f64>,
}

/// What counts over all cases.
#[derive(Default)]
struct Worst {
    megabytes: f64,
    mismatches: i64,
}

/// # Errors
/// Services that are not there, a full disk, or a binary that is not built.
pub async fn run(args: &BatchArgs) -> anyhow::Result<serde_json::Value> {
    let archives = Archives::make(&args.data, args.size)?;
    let mut cases = args.cases(&archives).await?;
    let mut worst = Worst::default();
    if !cases.is_empty() {
        let peers = Peers::install(&args.data)?;
        for round in 1..=args.rounds {
            for case in &mut cases {
                case.measure(round, &peers, &mut worst).await?;
            }
        }
    }
    let mut result = json!({ "bench": "batch", "rss_mb": worst.megabytes.round(), "mismatches": worst.mismatches });
    for case in &cases {
        let (min, max) = case
            .ratios
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(min, max), r| (min.min(*r), max.max(*r)));
        println!("{}: {:.2} (min {min:.2}, max {max:.2})", case.name, median(&case.ratios));
        result[case.name] = rounded(median(&case.ratios)).into();
        if case.name == SMALL {
            let an_object = 1000.0 * median(&case.cpu_seconds) / args.size.small_objects as f64;
            result["small_objects_cpu_ms"] = rounded(an_object).into();
        }
    }
    if args.has("late") {
        // Its archive has something more from now on.
        let stored = cases.into_iter().find(|case| case.name == "s3_plain").map(|case| case.source);
        let stored = match stored {
            Some(stored) => stored,
            None => Source::stored(&archives.plain).await?,
        };
        result["late_s"] = rounded(beside::late(&stored).await?).into();
    }
    if args.has("idle_720") {
        result["idle_720_s"] = rounded(beside::idle().await?).into();
    }
    Ok(result)
}

const SMALL: &str = "small_objects";

impl BatchArgs {
    /// Whether a case is asked for.
    fn has(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    async fn cases(&self, archives: &Archives) -> anyhow::Result<Vec<Case>> {
        let mut cases = Vec::new();
        for (name, folder, peers) in [
            ("plain", &archives.plain, ENGINES),
            ("gzip", &archives.gzip, ENGINES),
            ("zstd", &archives.zstd, ENGINES),
            ("envelope", &archives.envelope, ENGINES),
            ("s3_plain", &archives.plain, ENGINES),
            ("s3_gzip", &archives.gzip, ENGINES),
            (SMALL, &archives.small, &[Peer::Sequential]),
        ] {
            if !self.has(name) {
                continue;
            }
            let source = match name {
                "envelope" => Source::local(folder)?.enveloped(),
                "plain" | "gzip" | "zstd" => Source::local(folder)?,
                _ => {
                    eprintln!("putting {} into the store", folder.display());
                    Source::stored(folder).await?
                }
            };
            cases.push(Case { name, source, peers, ratios: Vec::new(), cpu_seconds: Vec::new() });
        }
        Ok(cases)
    }
}

impl Case {
    async fn measure(
        &mut self,
        round: u32,
        peers: &Peers,
        worst: &mut Worst,
    ) -> anyhow::Result<()> {
        self.source.warm().await?;
        let run = ours::run(&self.source).await?;
        let mut line = format!("round {round}, {}: batch-layer {:.2} s", self.name, run.seconds);
        let mut best = f64::INFINITY;
        for peer in self.peers {
            let answer = peers.ask(*peer, &self.source)?;
            let mismatches = ours::mismatches(&run, &answer.rows).await?;
            line += &format!(
                ", {} {:.2} s ({:.2})",
                peer.name(),
                answer.seconds,
                answer.seconds / run.seconds
            );
            if mismatches > 0 {
                line += &format!(" with {mismatches} other rows");
            }
            worst.mismatches += mismatches;
            best = best.min(answer.seconds);
        }
        println!("{line}; {:.0} MB, {:.2} CPU s", run.usage.peak_megabytes, run.usage.cpu_seconds);
        worst.megabytes = worst.megabytes.max(run.usage.peak_megabytes);
        self.ratios.push(best / run.seconds);
        self.cpu_seconds.push(run.usage.cpu_seconds);
        Ok(())
    }
}
