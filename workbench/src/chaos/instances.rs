//! Programs that are ended and started again. The speed layers: up to four, of which two run all
//! the time, and two more beside them.

use super::findings::Findings;
use super::instance_settings::MOST;
use crate::process::{self, Process};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ten seconds are promised; this machine may be slow.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// How one speed layer is started.
pub struct Setup {
    pub name: String,
    pub database_url: String,
    pub kafka_brokers: String,
    pub topic: String,
    pub group_id: String,
    /// Kafka's, where not all are the defaults.
    pub properties: Option<&'static str>,
    pub flags: Vec<String>,
    pub logs: PathBuf,
}

impl Setup {
    fn command(&self) -> anyhow::Result<Command> {
        let mut command = process::command("speed-layer")?;
        command
            .args(&self.flags)
            .env("DATABASE_URL", &self.database_url)
            .env("KAFKA_BROKERS", &self.kafka_brokers)
            .env("KAFKA_TOPIC", &self.topic)
            .env("KAFKA_GROUP_ID", &self.group_id)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .envs(self.properties.map(|properties| ("KAFKA_PROPERTIES", properties)));
        Ok(command)
    }
}

/// What a speed layer of the main topic is called here.
pub fn name(number: usize) -> String {
    format!("speed-layer-{number}")
}

/// Which of the speed layers of the main topic has told that its group knows it by this name.
pub fn number_of(client: &str, logs: &Path) -> Option<usize> {
    let says = format!("this instance is client \"{client}\"");
    (0..MOST).find(|number| text(logs, &name(*number)).contains(&says))
}

/// What a speed layer has said so far.
fn text(logs: &Path, name: &str) -> String {
    let text = std::fs::read(logs.join(format!("{name}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// A place for one program, a speed layer mostly.
pub struct Instance {
    pub(super) name: String,
    pub(super) logs: PathBuf,
    pub(super) command: Box<dyn Fn() -> anyhow::Result<Command> + Send + Sync>,
    pub(super) running: Option<Process>,
}

impl Instance {
    pub fn new(
        name: &str,
        logs: &Path,
        command: impl Fn() -> anyhow::Result<Command> + Send + Sync + 'static,
    ) -> Self {
        let (name, logs) = (name.to_owned(), logs.to_owned());
        Self { name, logs, command: Box::new(command), running: None }
    }

    pub fn speed_layer(setup: Setup) -> Self {
        Self::new(&setup.name.clone(), &setup.logs.clone(), move || setup.command())
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Of its process.
    pub fn id(&self) -> Option<i32> {
        self.running.as_ref().map(Process::id)
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.running.is_none() {
            self.running = Some(Process::spawn(&self.name, (self.command)()?, &self.logs)?);
        }
        Ok(())
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.running {
            process.signal(signal);
        }
    }

    /// Asks it to end, which it must do well and in time.
    pub async fn stop(&mut self, findings: &Findings) -> anyhow::Result<()> {
        let Some(mut process) = self.running.take() else { return Ok(()) };
        process.signal(Signal::TERM);
        match process.wait(ENDS_WITHIN).await? {
            Some(status) if status.success() => {}
            Some(status) => {
                findings.add(process.ending(format_args!("badly by SIGTERM ({status})")));
            }
            None => {
                findings.add(format!(
                    "{} did not end within {ENDS_WITHIN:?} of SIGTERM",
                    process.name()
                ));
                process.kill().await?;
            }
        }
        Ok(())
    }

    /// How often it was refused because another one had moved the offsets, by its log.
    pub fn fences(&self) -> usize {
        self.text().lines().filter(|line| line.contains("another instance has moved")).count()
    }

    /// Nobody else is in its group.
    pub fn look_for_strangers(&self, findings: &Findings) {
        if let Some(line) =
            self.text().lines().find(|line| line.contains("give each database a group of its own"))
        {
            findings.add(format!("{} takes another instance for a stranger: {line}", self.name));
        }
    }

    fn text(&self) -> String {
        text(&self.logs, &self.name)
    }

    /// Nothing that happens around it is a reason to end: where it has, that is a finding, and it
    /// is started again.
    pub fn look_after(&mut self, findings: &Findings) -> anyhow::Result<()> {
        self.start_again()?.into_iter().for_each(|ending| findings.add(ending));
        Ok(())
    }

    /// Where it has ended by itself, it is started again; says so then.
    pub fn start_again(&mut self) -> anyhow::Result<Option<String>> {
        let Some(process) = &mut self.running else { return Ok(None) };
        let Some(status) = process.ended()? else { return Ok(None) };
        let ending = process.ending(format_args!("by itself ({status})"));
        self.running = None;
        self.start()?;
        Ok(Some(ending))
    }
}
