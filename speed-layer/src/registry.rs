//! [`Registry`]: the schemas of a registry, fetched once each by a thread that asks until there is an answer. So a partition
//! waits for its schema, and nobody else does.

mod args;
mod client;

pub use args::RegistryArgs;
pub use client::{Client, Trouble};

use crate::health::Health;
use crate::outage::Outage;
use anyhow::{Context as _, anyhow};
use common::decode::{Rules, Schema, Schemas};
use service::Failure;
use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the registry does not have is asked for again after this time: it may have been registered since.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked what is to be forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The asking end.
pub struct Registry {
    asked: Sender<u32>,
    found: Arc<Mutex<Found>>,
}

/// What is known so far.
#[derive(Default)]
struct Found {
    schemas: Schemas,
    /// How often they have changed.
    changes: u64,
    /// The registry does not let this user in, and never has.
    refusal: Option<String>,
}

/// How many changes somebody has seen.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen(Option<u64>);

impl Registry {
    /// Starts the thread. It ends with the process.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub fn start(client: Client, rules: Rules, health: Arc<Health>, outage: Outage) -> Result<Self, Failure> {
        let (asked, questions) = mpsc::channel();
        let found = Arc::new(Mutex::new(Found::default()));
        let asker = Asker {
            client,
            rules,
            questions,
            found: Arc::clone(&found),
            health,
            outage,
            pending: VecDeque::from([Question::Probe]),
            none: VecDeque::new(),
            was_let_in: false,
        };
        std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || asker.run())
            .context("start the thread that asks the schema registry")
            .map_err(Failure::Infrastructure)?;
        Ok(Self { asked, found })
    }

    pub fn ask(&self, id: u32) {
        // The thread lives as long as this end does, unless it was refused.
        let _ = self.asked.send(id);
    }

    /// All that is known, where that is more than was seen.
    ///
    /// # Errors
    /// A registry that does not let this user in, and never has.
    pub fn news(&self, seen: &mut Seen) -> Result<Option<Schemas>, Failure> {
        let found = lock(&self.found);
        if let Some(refusal) = &found.refusal {
            return Err(Failure::Configuration(anyhow!("schema registry: {refusal}")));
        }
        let is_new = seen.0.replace(found.changes) != Some(found.changes);
        Ok(is_new.then(|| found.schemas.clone()))
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Is it there, and does it let us in?
    Probe,
    Schema(u32),
}

struct Asker {
    client: Client,
    rules: Rules,
    questions: Receiver<u32>,
    found: Arc<Mutex<Found>>,
    health: Arc<Health>,
    outage: Outage,
    pending: VecDeque<Question>,
    /// What the registry does not have, and since when.
    none: VecDeque<(u32, Instant)>,
    /// It has answered a question of this user's.
    was_let_in: bool,
}

impl Asker {
    fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            if !self.wait(pause) {
                return;
            }
            self.forget();
            pause = Duration::ZERO;
            let Some(question) = self.pending.pop_front() else {
                continue;
            };
            match self.put(question) {
                Ok(()) => {
                    self.health.registry.set(true);
                    self.outage.over();
                }
                // A login that was never taken is a mistake of the configuration's. One that is not taken later may be again,
                // and a right that is missing for one schema says nothing of the others.
                Err(Trouble::Refused(why)) if !self.was_let_in => {
                    lock(&self.found).refusal = Some(why);
                    return;
                }
                Err(Trouble::None(why) | Trouble::Refused(why) | Trouble::Forbidden(why) | Trouble::Away(why)) => {
                    // Another schema's turn is next.
                    self.pending.push_back(question);
                    pause = self.outage.note(&why);
                    self.health.registry.fails(format!("schema registry: {why}"));
                }
            }
        }
    }

    /// Takes in questions for this long, or until there is one. `false` where nobody will ask any more.
    fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + if self.pending.is_empty() { LOOK_EVERY } else { pause };
        loop {
            match self.questions.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(id) => self.note(id),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if pause.is_zero() && !self.pending.is_empty() {
                return true;
            }
        }
    }

    fn note(&mut self, id: u32) {
        let question = Question::Schema(id);
        if !lock(&self.found).schemas.knows(id) && !self.pending.contains(&question) {
            self.pending.push_back(question);
        }
    }

    fn put(&mut self, question: Question) -> Result<(), Trouble> {
        let Question::Schema(id) = question else {
            return self.probe();
        };
        let known = match self.client.schema(id) {
            Ok(text) => Schema::parse(&text, Some(&self.rules)).map_err(|why| format!("it cannot be read by: {why}")),
            Err(Trouble::None(why)) => {
                self.none.push_back((id, Instant::now()));
                Err(why)
            }
            Err(trouble) => return Err(trouble),
        };
        self.was_let_in = true;
        if let Err(why) = &known {
            tracing::debug!("schema {id}: {why}");
        }
        self.change(|schemas| schemas.insert(id, known));
        Ok(())
    }

    /// That this user may not see one schema says nothing of the others.
    fn probe(&mut self) -> Result<(), Trouble> {
        match self.client.probe() {
            Err(Trouble::Forbidden(_)) => Ok(()),
            answer => {
                self.was_let_in |= answer.is_ok();
                answer
            }
        }
    }

    fn forget(&mut self) {
        while let Some((id, _)) = self.none.pop_front_if(|(_, since)| since.elapsed() >= FORGET_AFTER) {
            self.change(|schemas| schemas.remove(id));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Schemas)) {
        let mut found = lock(&self.found);
        change(&mut found.schemas);
        found.changes += 1;
    }
}
