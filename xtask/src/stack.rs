//! The local stack: services as processes on loopback, with data, logs, pid files and `env` in one
//! folder.

mod bucket;
mod connect;
mod environment;
mod jars;
mod kafka;
mod kafka_topics;
mod minio;
mod options;
pub mod owned;
pub mod ports;
pub mod postgres;
mod programs;
mod s3proxy;
mod service;
mod settings;
mod started;
mod store;
mod tls;

use crate::{files, setup};
use anyhow::{Context, Result};
pub use bucket::{StoreKind, store_or_default};
pub use options::UpOptions;
pub use programs::Program;
pub use service::Service;
pub use settings::Stack;
use std::fs;
use std::path::Path;
use std::time::Instant;
use tls::Certificates;

/// Installs and fetches what a stack runs, so that it is there when one is wanted.
pub fn fetch(store: Option<StoreKind>) -> Result<()> {
    let store = store_or_default(store);
    setup::ensure_services(store)?;
    jars::kafka()?;
    store::install(store)
}

impl Stack {
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
