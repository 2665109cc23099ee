//! What every service of the stack has in common: it is launched, gets ready, and is stopped.

use super::bucket::StoreKind;
use super::settings::Stack;
use super::{connect, kafka, postgres, store};
use crate::process::Process;
use crate::{files, interrupt};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    Kafka,
    Connect,
    Store,
    Postgres,
}

/// Generous, for a machine that builds and tests at the same time.
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(15);

impl Service {
    /// In the order in which they can start; stopping goes the other way.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Store, Self::Kafka, Self::Connect];

    pub fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Connect => "Kafka Connect",
            Self::Store => "the S3 store",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Of its log and pid file, as on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Ports that it listens on; the first is the one for clients.
    pub fn ports(self, stack: &Stack) -> Vec<u16> {
        let ports = &stack.ports;
        match self {
            Self::Kafka => vec![
                ports.kafka,
                ports.kafka_controller,
                ports.kafka_proxy_target,
                ports.kafka_secure,
            ],
            Self::Connect => vec![ports.connect],
            Self::Store => vec![ports.store],
            Self::Postgres => vec![ports.postgres],
        }
    }

    /// Writes its configuration and makes its data folder, and tells how it is run.
    fn prepare(self, stack: &Stack) -> Result<Command> {
        match self {
            Self::Kafka => kafka::prepare(stack),
            Self::Connect => connect::prepare(stack),
            Self::Store => store::prepare(stack),
            Self::Postgres => postgres::prepare(stack),
        }
    }

    /// True once it serves and has what programs expect to find in it (topics, bucket, database).
    fn is_ready(self, stack: &Stack) -> Result<bool> {
        match self {
            Self::Kafka => kafka::is_ready(stack),
            Self::Connect => Ok(connect::is_ready(stack)),
            Self::Store => store::is_ready(stack),
            Self::Postgres => postgres::is_ready(stack),
        }
    }

    /// Ends it at once. PostgreSQL's immediate stop keeps its backends from going on without it.
    fn crash_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::QUIT,
            _ => Signal::KILL,
        }
    }

    fn stop_signal(self) -> Signal {
        match self {
            // SIGTERM would wait for the clients to leave.
            Self::Postgres => Signal::INT,
            _ => Signal::TERM,
        }
    }
}

impl Stack {
    /// True where at least one service runs.
    pub fn is_running(&self) -> bool {
        Service::ALL.iter().any(|service| self.process(*service).is_some())
    }

    /// The service's process, if it runs.
    pub fn process(&self, service: Service) -> Option<Process> {
        Process::read(&self.pid_file(service))
    }

    fn pid_file(&self, service: Service) -> PathBuf {
        self.dir.join(format!("{}.pid", service.name()))
    }

    fn log(&self, service: Service) -> PathBuf {
        self.logs().join(format!("{}.log", service.name()))
    }

    fn label(&self, service: Service) -> String {
        match (service, self.store) {
            (Service::Store, StoreKind::Minio) => "S3 store (MinIO)".to_owned(),
            (Service::Store, StoreKind::S3proxy) => "S3 store (S3Proxy)".to_owned(),
            _ => service.title().to_owned(),
        }
    }

    fn address(&self, service: Service) -> String {
        format!("127.0.0.1:{}", service.ports(self)[0])
    }

    /// Starts the service unless it runs, and waits until it is ready.
    pub fn start(&self, service: Service) -> Result<()> {
        let begin = Instant::now();
        let label = self.label(service);
        let address = self.address(service);
        let (process, how) = match self.process(service) {
            Some(process) => (process, "ran already, "),
            None => (self.launch(service)?, ""),
        };
        self.wait_until_ready(service, process)?;
        println!(
            "  {label:<24} {address:<16} {how}ready after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn launch(&self, service: Service) -> Result<Process> {
        let mut command = service.prepare(self)?;
        // What it said before a crash is kept.
        let log = files::open_log(&self.log(service))?;
        let child = command
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .with_context(|| format!("cannot run {}", service.title()))?;
        let Some(process) = Process::find(child.id()) else {
            bail!("{}", self.death_notice(service));
        };
        self.started.add(service.title(), process, service.stop_signal());
        process.write(&self.pid_file(service))?;
        Ok(process)
    }

    fn wait_until_ready(&self, service: Service, process: Process) -> Result<()> {
        let mut last_error = None;
        let ready = interrupt::poll(READY_WITHIN, || {
            if !process.is_running() {
                bail!("{}", self.death_notice(service));
            }
            match service.is_ready(self) {
                Ok(ready) => Ok(ready),
                Err(error) => {
                    last_error = Some(error);
                    Ok(false)
                }
            }
        })?;
        if !ready {
            let why = last_error.map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!(
                "{} is not ready after {} s{why}; its log is {}",
                service.title(),
                READY_WITHIN.as_secs(),
                self.log(service).display()
            );
        }
        Ok(())
    }

    fn death_notice(&self, service: Service) -> String {
        format!(
            "{} ended while it was starting; {}",
            service.title(),
            files::tail(&self.log(service))
        )
    }

    pub fn stop(&self, service: Service) -> Result<()> {
        self.end(service, service.stop_signal())
    }

    /// Ends it without giving it time for anything.
    pub fn crash(&self, service: Service) -> Result<()> {
        self.end(service, service.crash_signal())
    }

    fn end(&self, service: Service, signal: Signal) -> Result<()> {
        let file = self.pid_file(service);
        if let Some(process) = Process::read(&file) {
            let begin = Instant::now();
            process
                .stop(signal, STOP_WITHIN)
                .with_context(|| format!("cannot stop {}", service.title()))?;
            println!(
                "  {:<24} stopped ({:.1} s)",
                self.label(service),
                begin.elapsed().as_secs_f64()
            );
        }
        files::remove_file(&file)
    }
}
