//! What happens in the demo, in order.

use super::options::Options;
use super::view::View;
use super::{binaries, connector, grafana, prometheus, reader};
use crate::build::Binaries;
use crate::interrupt;
use crate::stack::{Program, Stack, ports};
use anyhow::{Result, bail};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where `speed-layer` serves its metrics by default.
const METRICS_PORT: u16 = 9464;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// `--once` sends live ticks for this long.
const LIVE_SECONDS: u64 = 10;
/// How long `--once` waits for an archive that a real connector writes on its own schedule.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(90);
/// How long `--once` waits until Prometheus has scraped what every panel needs.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

pub struct Play<'a> {
    options: &'a Options,
    stack: &'a Stack,
    binaries: Binaries,
    metrics: String,
    /// Addresses, where these are installed.
    prometheus: Option<String>,
    grafana: Option<String>,
    /// None where the real connector archives.
    archive: Option<Program>,
    /// Everything that must go on running.
    running: Vec<Program>,
    /// What looks on, and is not missed where it ends.
    watching: Vec<Program>,
}

impl<'a> Play<'a> {
    /// Starts what runs all the time: the speed layer, the archive, and Prometheus and Grafana
    /// where they are installed.
    pub fn begin(options: &'a Options, stack: &'a Stack, binaries: Binaries) -> Result<Self> {
        reader::create(stack)?;
        let http = ports::usual_or_free(METRICS_PORT)?.to_string();
        let speed_layer =
            stack.start_program("speed-layer", binaries::speed_layer(&binaries, options, &http))?;
        let mut play = Self {
            options,
            stack,
            binaries,
            metrics: format!("http://{http}/metrics"),
            prometheus: None,
            grafana: None,
            archive: None,
            running: vec![speed_layer],
            watching: Vec::new(),
        };
        play.wait_for_speed_layer(&http)?;
        println!("the speed layer is ready");
        if options.connect_plugin.is_some() {
            connector::register(stack)?;
            println!("the sink connector runs");
        } else {
            play.archive = Some(stack.start_program("archive", binaries::archive(&play.binaries))?);
            println!("the archive's stand-in runs");
        }
        play.start_monitoring(&http)?;
        Ok(play)
    }

    fn start_monitoring(&mut self, metrics: &str) -> Result<()> {
        if let Some((program, url)) = prometheus::start(self.stack, metrics)? {
            self.watching.push(program);
            self.prometheus = Some(url);
        }
        match grafana::start(self.stack, self.prometheus.as_deref()) {
            Ok(Some((program, url))) => {
                self.watching.push(program);
                self.grafana = Some(url);
            }
            Ok(None) => {}
            Err(error) => {
                println!("Grafana does not start: {error:#}\nthe demo goes on without it")
            }
        }
        Ok(())
    }

    /// Goes through the demo; false where the proof failed.
    pub fn go(mut self) -> Result<bool> {
        self.backfill()?;
        if self.options.once {
            return self.once();
        }
        let live = binaries::live(&self.binaries, self.options, None);
        self.running.push(self.stack.start_program("simulate", live)?);
        self.show()?;
        Ok(true)
    }

    fn backfill(&self) -> Result<()> {
        let Options { hours, symbols, .. } = self.options;
        println!("simulating the last {hours} hours of a market of {symbols} symbols");
        self.simulate("backfill", binaries::backfill(&self.binaries, self.options))
    }

    fn simulate(&self, name: &str, command: Command) -> Result<()> {
        let output = self.run(name, command)?;
        let totals: Value = serde_json::from_str(&output).unwrap_or_default();
        println!(
            "  sent {} messages, {} of them late and {} broken, in {:.1} s",
            totals["messages"],
            totals["late"],
            totals["broken"],
            totals["seconds"].as_f64().unwrap_or_default()
        );
        Ok(())
    }

    fn once(&mut self) -> Result<bool> {
        println!("going on live for {LIVE_SECONDS} s");
        self.simulate(
            "simulate",
            binaries::live(&self.binaries, self.options, Some(LIVE_SECONDS)),
        )?;
        self.complete_archive()?;
        let agrees = self.prove()? & self.dashboards_show()?;
        print!("{}", self.run("report", binaries::report(&self.binaries))?);
        println!("{}", if agrees { "all is well" } else { "not all is well: see above" });
        Ok(agrees)
    }

    /// Asks what the dashboards ask, until every query finds something.
    fn dashboards_show(&mut self) -> Result<bool> {
        println!("asking what the dashboards ask");
        let begin = Instant::now();
        loop {
            let mut ask = binaries::dashboards(&self.binaries, self.prometheus.as_deref());
            ask.args(["--database-url", &reader::url(self.stack)]);
            let asked = self.stack.capture_program("dashboards", ask)?;
            let shows = asked.status.success();
            if shows || begin.elapsed() > SHOWN_WITHIN {
                let said = match shows {
                    true => "every panel has something to show",
                    false => "panels are EMPTY, or their queries fail",
                };
                println!("{}{said}", asked.output);
                return Ok(shows);
            }
            interrupt::check()?;
            self.check()?;
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Lets the stand-in end as a service does, and archives what came after its last look.
    fn complete_archive(&mut self) -> Result<()> {
        let Some(mut archive) = self.archive.take() else { return Ok(()) };
        archive.check()?;
        let status = archive.stop()?;
        if !status.success() {
            bail!("the archive's stand-in did not end well by SIGTERM: {status}");
        }
        let mut rest = binaries::archive(&self.binaries);
        rest.arg("--until-caught-up");
        self.run("archive", rest)?;
        Ok(())
    }

    /// Runs the batch layer and then the proof; again while a real connector may still be writing.
    fn prove(&mut self) -> Result<bool> {
        let begin = Instant::now();
        loop {
            println!("running the batch layer");
            self.run("batch-layer", binaries::batch_layer(&self.binaries, self.options))?;
            println!("comparing topic, tables and archive");
            let proof = self
                .stack
                .capture_program("prove", binaries::prove(&self.binaries, self.options))?;
            let agrees = proof.status.success();
            let may_change =
                self.options.connect_plugin.is_some() && begin.elapsed() < ARCHIVED_WITHIN;
            if agrees || !may_change {
                let agree = if agrees { "agree" } else { "DISAGREE" };
                println!("{}topic, tables and archive {agree}", proof.output);
                self.check()?;
                return Ok(agrees);
            }
        }
    }

    /// Shows the view until an interrupt or the end of `--minutes`.
    fn show(&mut self) -> Result<()> {
        let end =
            self.options.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
        let mut view = View::new(self.stack, &self.binaries, self.options, self.places());
        self.options.caution().into_iter().for_each(|caution| view.note(caution.to_owned()));
        while end.is_none_or(|end| Instant::now() < end) {
            interrupt::check()?;
            // Printed beside the view, it would be gone with the next frame.
            lost(&mut self.watching).into_iter().for_each(|note| view.note(note));
            self.running.iter_mut().try_for_each(Program::check)?;
            self.archive.iter_mut().try_for_each(Program::check)?;
            view.update()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Where to look for oneself, a line each.
    fn places(&self) -> Vec<String> {
        let mut places = self.stack.addresses();
        places.push(format!("metrics of the speed layer: {}", self.metrics));
        places.extend(self.prometheus.as_ref().map(|url| format!("Prometheus: {url}")));
        places.push(match &self.grafana {
            Some(url) => format!("Grafana: {url}"),
            None => "Grafana with the dashboards: docs/dashboards.md, To have a Grafana".to_owned(),
        });
        places
    }

    /// Runs a program to its end and gives what it printed.
    fn run(&self, name: &str, command: Command) -> Result<String> {
        self.stack.capture_program(name, command)?.well()
    }

    fn check(&mut self) -> Result<()> {
        lost(&mut self.watching).iter().for_each(|note| println!("{note}"));
        self.running.iter_mut().try_for_each(Program::check)
    }

    fn wait_for_speed_layer(&mut self, http: &str) -> Result<()> {
        let url = format!("http://{http}/readyz");
        let ready = interrupt::poll(READY_WITHIN, || {
            self.check()?;
            Ok(ureq::get(&url).call().is_ok())
        })?;
        if !ready {
            bail!("the speed layer is not ready after {} s: {url}", READY_WITHIN.as_secs());
        }
        Ok(())
    }
}

/// Lets go of those of `watching` that have ended, and says so.
fn lost(watching: &mut Vec<Program>) -> Vec<String> {
    let mut notes = Vec::new();
    watching.retain_mut(|program| match program.check() {
        Ok(()) => true,
        Err(ended) => {
            notes.push(format!("{ended}\nthe demo goes on without it"));
            false
        }
    });
    notes
}
