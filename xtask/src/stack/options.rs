//! The options that a stack is made with, or started with otherwise.

use super::bucket::{StoreKind, store_or_default};
use super::ports::{PortChoice, Ports};
use super::postgres;
use super::settings::Stack;
use super::started::Started;
use crate::files;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};

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
        stack.save()?;
        Ok(stack)
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
