//! The local stack: services as processes on loopback, with data, logs, pid files and `env` in one
//! folder.

mod connect;
mod environment;
mod jars;
mod kafka;
mod kafka_topics;
mod minio;
mod owned;
pub mod ports;
pub mod postgres;
mod programs;
mod s3proxy;
mod service;
mod started;
mod store;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{files, setup};
pub use owned::OwnedStack;
use ports::{PortChoice, Ports};
pub use programs::Program;
pub use service::Service;
use started::Started;
pub use store::{StoreKind, store_or_default};
use tls::Certificates;

/// What was decided when the stack was made, kept in `stack.json` for every later command.
#[derive(Serialize, Deserialize)]
pub struct Stack {
    dir: PathBuf,
    ports: Ports,
    store: StoreKind,
    postgres_data: PathBuf,
    connect_plugin: Option<PathBuf>,
    #[serde(skip)]
    started: Started,
}

#[derive(Args, Default)]
pub struct UpOptions {
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    pub store: Option<StoreKind>,
    /// Which ports to take on loopback
    #[arg(long, value_enum, conflicts_with = "port_base")]
    pub ports: Option<PortChoice>,
    /// Take consecutive ports from here on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..65000))]
    pub port_base: Option<u16>,
    /// Folder of a sink connector plugin for the Connect worker
    #[arg(long, value_name = "DIR")]
    pub connect_plugin: Option<PathBuf>,
}

const SETTINGS: &str = "stack.json";

impl Stack {
    /// The stack of `dir`; made by `options` where there is none yet.
    pub fn open_or_create(dir: &Path, options: &UpOptions) -> Result<Self> {
        files::create_dir(dir)?;
        let dir =
            dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?;
        let stack = match Self::open(&dir)? {
            Some(stack) => stack.with(options)?,
            None => Self {
                ports: options.choose_ports(Ports::DEFAULT)?,
                store: store_or_default(options.store),
                postgres_data: postgres::data_dir(&dir)?,
                connect_plugin: options.plugin()?,
                started: Started::default(),
                dir,
            },
        };
        files::write(&stack.dir.join(SETTINGS), &serde_json::to_string_pretty(&stack)?)?;
        Ok(stack)
    }

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

    /// Takes options that differ from those that the stack was made with, unless it runs.
    fn with(mut self, options: &UpOptions) -> Result<Self> {
        let running = self.is_running();
        let store = options.store.unwrap_or(self.store);
        let plugin = options.plugin()?.or_else(|| self.connect_plugin.clone());
        let ports = match options.ports {
            // Those of a running stack are as good as any.
            Some(PortChoice::Private | PortChoice::Free) if running => self.ports,
            _ => options.choose_ports(self.ports)?,
        };
        if running && (ports, store, &plugin) != (self.ports, self.store, &self.connect_plugin) {
            bail!(
                "the stack in {} runs with other ports, another store or another plugin: stop it first by \
                 `cargo xtask stack down --dir {0}`",
                self.dir.display()
            );
        }
        (self.ports, self.store, self.connect_plugin) = (ports, store, plugin);
        Ok(self)
    }

    /// True where at least one service runs.
    pub fn is_running(&self) -> bool {
        Service::ALL.iter().any(|service| self.process(*service).is_some())
    }

    /// Starts whatever is not running, in parallel where one does not need the other, and waits
    /// until all is ready.
    pub fn up(&self) -> Result<()> {
        fetch(Some(self.store))?;
        let _one_at_a_time = self.lock()?;
        for service in Service::ALL {
            if self.process(service).is_none() {
                ports::check_free(service.title(), &service.ports(self))?;
            }
        }
        Certificates::of(self).ensure()?;
        files::create_dir(&self.logs())?;
        let started = Instant::now();
        std::thread::scope(|scope| {
            let threads =
                [&[Service::Kafka, Service::Connect][..], &[Service::Store], &[Service::Postgres]]
                    .map(|chain| {
                        scope.spawn(|| chain.iter().try_for_each(|service| self.start(*service)))
                    });
            threads.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
        .into_iter()
        .collect::<Result<()>>()?;
        environment::write_file(self)?;
        println!("the stack is up ({:.1} s)", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Held while services are started or stopped, so that two commands do not start one twice.
    fn lock(&self) -> Result<fs::File> {
        let path = self.dir.join("lock");
        let lock = fs::File::create(&path).and_then(|file| file.lock().map(|()| file));
        lock.with_context(|| format!("cannot lock {}", path.display()))
    }

    /// For people, a line each.
    pub fn addresses(&self) -> Vec<String> {
        let ports = &self.ports;
        vec![
            format!("psql {}", environment::database_url(self, postgres::DATABASE)),
            format!("Kafka 127.0.0.1:{}, topic stock_prices", ports.kafka),
            format!(
                "S3 http://127.0.0.1:{}, bucket {}, access key and secret {}",
                ports.store,
                store::BUCKET,
                store::ACCESS_KEY
            ),
            format!("all of it as shell variables: . {}", self.dir.join("env").display()),
            format!("logs: {}", self.logs().display()),
        ]
    }

    pub fn connect_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.connect)
    }

    /// Folder of everything that belongs to the stack.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

/// Installs and fetches what a stack runs, so that it is there when one is wanted.
pub fn fetch(store: Option<StoreKind>) -> Result<()> {
    let store = store_or_default(store);
    setup::ensure_services(store)?;
    jars::kafka()?;
    store::install(store)
}

impl UpOptions {
    fn choose_ports(&self, otherwise: Ports) -> Result<Ports> {
        match (self.port_base, self.ports) {
            (Some(base), _) => Ok(Ports::from_base(base)),
            (None, Some(PortChoice::Default)) => Ok(Ports::DEFAULT),
            (None, Some(PortChoice::Private)) => Ports::private(),
            (None, Some(PortChoice::Free)) => Ports::default_or_private(),
            (None, None) => Ok(otherwise),
        }
    }

    /// The worker runs in another folder than this process.
    fn plugin(&self) -> Result<Option<PathBuf>> {
        let absolute = |dir: &PathBuf| match dir.canonicalize() {
            Ok(dir) if holds_a_sink(&dir) => Ok(dir),
            Ok(dir) if dir.is_dir() => bail!(
                "--connect-plugin {}: no jar of an S3 sink lies in it or below it, such as kafka-connect-s3-10.6.6.jar: give \
                 the folder into which the plugin was unpacked",
                dir.display()
            ),
            _ => bail!("--connect-plugin {}: there is no such folder", dir.display()),
        };
        self.connect_plugin.as_ref().map(absolute).transpose()
    }
}

/// Whether any jar below a folder is one for S3.
fn holds_a_sink(dir: &Path) -> bool {
    let is_sink = |name: &str| name.contains("s3") && name.ends_with(".jar");
    let entries = dir.read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_a_sink(&entry.path()),
        _ => is_sink(&entry.file_name().to_string_lossy()),
    })
}

/// Stops the programs and services of `dir` in reverse order; with `purge`, deletes the data.
pub fn down(dir: &Path, purge: bool) -> Result<()> {
    let Some(stack) = Stack::open(dir)? else {
        return Ok(());
    };
    let _one_at_a_time = stack.lock()?;
    stack.stop_programs()?;
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
    let running = Service::ALL.iter().filter(|service| stack.print_status(**service)).count();
    Ok(if running == Service::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_a_folder_with_the_jar_of_a_sink_somewhere_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            UpOptions { connect_plugin: Some(folder.path().to_owned()), ..UpOptions::default() };
        let refused = options.plugin().unwrap_err().to_string();
        assert!(refused.contains("no jar of an S3 sink lies in it"), "{refused}");
        let lib = folder.path().join("confluentinc-kafka-connect-s3-10.6.6/lib");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::write(lib.join("guava.jar"), "").unwrap();
        assert!(options.plugin().is_err());
        std::fs::write(lib.join("kafka-connect-s3-10.6.6.jar"), "").unwrap();
        assert!(options.plugin().unwrap().is_some());
        let nowhere =
            UpOptions { connect_plugin: Some(lib.join("nowhere")), ..UpOptions::default() };
        assert!(nowhere.plugin().unwrap_err().to_string().contains("there is no such folder"));
    }
}
