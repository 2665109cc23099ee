//! The local stack: services as processes on loopback, with data, logs, pid files and `env` in one folder.

mod connect;
mod environment;
mod files;
mod jars;
mod kafka;
mod kafka_topics;
mod minio;
pub mod ports;
pub mod postgres;
mod s3;
mod s3proxy;
mod service;
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cli::UpOptions;
use crate::setup;
use ports::{PortChoice, Ports};
use service::Service;
pub use store::{StoreKind, store_or_default};

/// What was decided when the stack was made, kept in `stack.json` for every later command.
#[derive(Serialize, Deserialize)]
pub struct Stack {
    dir: PathBuf,
    ports: Ports,
    store: StoreKind,
    postgres_data: PathBuf,
    connect_plugin: Option<PathBuf>,
}

const SETTINGS: &str = "stack.json";

impl Stack {
    /// The stack of `dir`; made by `options` where there is none yet.
    pub fn open_or_create(dir: &Path, options: &UpOptions) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?;
        let stack = match Self::open(&dir)? {
            Some(stack) => stack.with(options)?,
            None => Self {
                ports: choose_ports(options)?.unwrap_or(Ports::DEFAULT),
                store: store_or_default(options.store),
                postgres_data: postgres::data_dir(&dir)?,
                connect_plugin: options.connect_plugin.clone(),
                dir,
            },
        };
        stack.save()?;
        Ok(stack)
    }

    /// The stack of `dir`, if `up` has made one there.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let file = dir.join(SETTINGS);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let stack = serde_json::from_slice(&text)
            .with_context(|| format!("{} is broken: delete the folder {}", file.display(), dir.display()))?;
        Ok(Some(stack))
    }

    /// Takes options that differ from those that the stack was made with; those of a running service cannot change.
    fn with(mut self, options: &UpOptions) -> Result<Self> {
        let running = Service::ALL.iter().any(|service| self.process(*service).is_some());
        let ports = choose_ports(options)?.unwrap_or(self.ports);
        let store = options.store.unwrap_or(self.store);
        let plugin = options.connect_plugin.clone().or_else(|| self.connect_plugin.clone());
        let same = (ports, store, &plugin) == (self.ports, self.store, &self.connect_plugin);
        if running && !same && options.ports != PortChoice::Private {
            bail!(
                "the stack in {} runs with other ports, store or plugin: `cargo xtask stack down` first",
                self.dir.display()
            );
        }
        if !running {
            (self.ports, self.store, self.connect_plugin) = (ports, store, plugin);
        }
        Ok(self)
    }

    fn save(&self) -> Result<()> {
        let file = self.dir.join(SETTINGS);
        fs::write(&file, serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Starts whatever is not running, in parallel where one does not need the other, and waits until all is ready.
    pub fn up(&self) -> Result<()> {
        let started = Instant::now();
        setup::ensure_services(self.store)?;
        for service in Service::ALL {
            if self.process(service).is_none() {
                ports::check_free(service.title(), &service.ports(self))?;
            }
        }
        jars::kafka()?;
        store::install(self.store)?;
        fs::create_dir_all(self.logs())?;
        // Threads only wait; a service must not be a child of a thread that ends before it.
        std::thread::scope(|scope| {
            let threads = [&[Service::Kafka, Service::Connect][..], &[Service::Store], &[Service::Postgres]]
                .map(|chain| scope.spawn(|| chain.iter().try_for_each(|service| self.start(*service))));
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        environment::write_file(self)?;
        println!("the stack is up ({:.1} s)", started.elapsed().as_secs_f64());
        Ok(())
    }

    pub fn print_addresses(&self) {
        println!("  psql {}", environment::database_url(self, "stocks"));
        println!("  names and addresses for programs: . {}", self.dir.join("env").display());
        println!("  logs: {}", self.logs().display());
    }

    fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

fn choose_ports(options: &UpOptions) -> Result<Option<Ports>> {
    match (options.port_base, options.ports) {
        (Some(base), _) => Ok(Some(Ports::from_base(base))),
        (None, PortChoice::Private) => Ports::private().map(Some),
        (None, PortChoice::Default) => Ok(None),
    }
}

/// Stops the services of `dir` in reverse order; with `purge`, deletes their data.
pub fn down(dir: &Path, purge: bool) -> Result<()> {
    let Some(stack) = Stack::open(dir)? else {
        println!("no stack in {}", dir.display());
        return Ok(());
    };
    for service in Service::ALL.iter().rev() {
        stack.stop(*service)?;
    }
    if purge {
        files::remove_dir(&stack.postgres_data)?;
        files::remove_dir(&stack.dir)?;
        println!("deleted {}", stack.dir.display());
    }
    Ok(())
}

/// Prints a table of the services. Exit code 0 when all run.
pub fn status(dir: &Path) -> Result<ExitCode> {
    let Some(stack) = Stack::open(dir)? else {
        println!("no stack in {}: `cargo xtask stack up` makes one", dir.display());
        return Ok(ExitCode::FAILURE);
    };
    println!("{:<24} {:<16} {:>8} {:>10}  state", "service", "address", "pid", "memory");
    let mut all_run = true;
    for service in Service::ALL {
        all_run &= stack.print_status(service);
    }
    Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
