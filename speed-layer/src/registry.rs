//! [`Registry`]: the schemas of a registry, fetched once each by threads that ask until there is an
//! answer. So a partition waits for its schema, and nobody else does.

mod agenda;

use crate::health::Health;
use crate::outage::Outage;
use agenda::{Agenda, RegistryQuestion};
use anyhow::{Context as _, anyhow};
use common::decode::{Rules, Schema, Schemas};
use service::Failure;
use service::registry::{Client, Trouble};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A schema that the registry does not have is asked for again after this time: it may have been
/// registered since.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked what is to be forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The reason for a schema that is there and of no use.
const UNREADABLE: &str = "values cannot be read by it";

/// The asking end.
pub struct Registry {
    news: Sender<RegistryMessage>,
    fetched: Arc<Mutex<Fetched>>,
}

/// The schemas that are known so far.
#[derive(Default)]
struct Fetched {
    schemas: Schemas,
    /// How often they have changed.
    changes: u64,
    /// The registry does not let this user in, and never has.
    refusal: Option<String>,
}

/// How many changes somebody has seen.
#[derive(Debug, Default, Clone, Copy)]
pub struct SchemaCursor(Option<u64>);

impl Registry {
    /// Starts the thread that has others ask. They end with the process.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(
        client: Client,
        rules: Rules,
        health: Arc<Health>,
        outage: Outage,
    ) -> Result<Self, Failure> {
        let asker = RegistryThread::new(Asking { client, rules }, health, outage);
        let (news, fetched) = (asker.news.clone(), Arc::clone(&asker.fetched));
        std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || asker.run())
            .context("start the thread that asks the schema registry")
            .map_err(Failure::Infrastructure)?;
        Ok(Self { news, fetched })
    }

    pub fn ask(&self, id: u32) {
        // The thread lives as long as this end does, unless it was refused.
        let _ = self.news.send(RegistryMessage::Wanted(id));
    }

    /// All schemas that are known, if more are known than were seen.
    ///
    /// # Errors
    /// If the registry refuses this user, and always has.
    pub fn news(&self, seen: &mut SchemaCursor) -> Result<Option<Schemas>, Failure> {
        let fetched = lock(&self.fetched);
        if let Some(refusal) = &fetched.refusal {
            return Err(Failure::Configuration(anyhow!("schema registry: {refusal}")));
        }
        let is_new = seen.0.replace(fetched.changes) != Some(fetched.changes);
        Ok(is_new.then(|| fetched.schemas.clone()))
    }
}

fn lock(fetched: &Mutex<Fetched>) -> MutexGuard<'_, Fetched> {
    fetched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.news.send(RegistryMessage::NobodyAsks);
    }
}

/// A message to the asking thread.
enum RegistryMessage {
    /// A schema is needed.
    Wanted(u32),
    Answered(RegistryQuestion, Result<RegistryAnswer, Trouble>),
    NobodyAsks,
}

/// The answers of the registry.
enum RegistryAnswer {
    /// The schema is there.
    Present,
    /// How to read a schema's values, or why they cannot be read.
    Known(Result<Schema, String>),
    /// There is no such schema so far.
    None(String),
}

/// The state of one question.
struct Asking {
    client: Client,
    rules: Rules,
}

impl Asking {
    fn put(&self, question: RegistryQuestion) -> Result<RegistryAnswer, Trouble> {
        let RegistryQuestion::Schema(id) = question else {
            return self.client.probe().map(|()| RegistryAnswer::Present);
        };
        match self.client.schema(id) {
            Ok(text) => {
                let schema = Schema::parse(&text, Some(&self.rules));
                Ok(RegistryAnswer::Known(schema.map_err(|why| format!("{UNREADABLE}: {why}"))))
            }
            Err(Trouble::Unusable(why)) => Ok(RegistryAnswer::Known(Err(why))),
            Err(Trouble::None(why)) => Ok(RegistryAnswer::None(why)),
            Err(trouble) => Err(trouble),
        }
    }
}

struct RegistryThread {
    asking: Arc<Asking>,
    news: Sender<RegistryMessage>,
    heard: Receiver<RegistryMessage>,
    fetched: Arc<Mutex<Fetched>>,
    health: Arc<Health>,
    outage: Outage,
    agenda: Agenda,
    /// Why questions have no answer yet.
    troubles: BTreeMap<RegistryQuestion, String>,
    /// The schemas that the registry does not have, and since when.
    none: VecDeque<(u32, Instant)>,
    /// The registry has answered a question of this user's.
    was_let_in: bool,
}

impl RegistryThread {
    fn new(asking: Asking, health: Arc<Health>, outage: Outage) -> Self {
        let (news, heard) = mpsc::channel();
        Self {
            asking: Arc::new(asking),
            news,
            heard,
            fetched: Arc::default(),
            health,
            outage,
            agenda: Agenda::default(),
            troubles: BTreeMap::new(),
            none: VecDeque::new(),
            was_let_in: false,
        }
    }

    fn run(mut self) {
        self.agenda.note(RegistryQuestion::Probe, Instant::now());
        loop {
            while let Some(question) = self.agenda.next(Instant::now()) {
                self.send_off(question);
            }
            match self.heard.recv_timeout(self.agenda.rests(Instant::now()).min(LOOK_EVERY)) {
                Ok(RegistryMessage::Wanted(id)) => self.want(id),
                Ok(RegistryMessage::Answered(question, answer)) => {
                    if let Err(refusal) = self.take(question, answer) {
                        lock(&self.fetched).refusal = Some(refusal);
                        return;
                    }
                }
                Ok(RegistryMessage::NobodyAsks) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.forget_old(Instant::now());
        }
    }

    fn want(&mut self, id: u32) {
        if !lock(&self.fetched).schemas.knows(id) {
            self.agenda.note(RegistryQuestion::Schema(id), Instant::now());
        }
    }

    /// A thread of its own waits for the answer: it may take long, as may reading a schema.
    fn send_off(&self, question: RegistryQuestion) {
        let (asking, news) = (Arc::clone(&self.asking), self.news.clone());
        let ask = move || {
            let answer = catch_unwind(AssertUnwindSafe(|| asking.put(question)));
            let answer =
                answer.unwrap_or_else(|_| Ok(RegistryAnswer::Known(Err(UNREADABLE.to_owned()))));
            // Nobody may ask any more.
            let _ = news.send(RegistryMessage::Answered(question, answer));
        };
        if let Err(error) = std::thread::Builder::new().name("registry-asks".into()).spawn(ask) {
            let why = Trouble::Away(format!("there is no thread to ask it: {error}"));
            let _ = self.news.send(RegistryMessage::Answered(question, Err(why)));
        }
    }

    /// # Errors
    /// A login that no registry has ever taken: that is a mistake of the configuration's. One that
    /// is not taken later may be again, and a right that is missing for one schema says nothing of
    /// the others.
    fn take(
        &mut self,
        question: RegistryQuestion,
        answer: Result<RegistryAnswer, Trouble>,
    ) -> Result<(), String> {
        match answer {
            Ok(answer) => self.take_answer(question, answer),
            // It knows who asks.
            Err(Trouble::Forbidden(_)) if question == RegistryQuestion::Probe => {
                self.was_let_in = true;
                self.works(question);
            }
            Err(Trouble::Refused(why)) if !self.was_let_in => return Err(why),
            Err(trouble) => {
                let pause = self.outage.note(&trouble.why());
                self.agenda.failed(question, Instant::now(), pause);
                self.troubles.insert(question, trouble.why().to_owned());
                self.show_health();
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, question: RegistryQuestion, answer: RegistryAnswer) {
        self.was_let_in = true;
        self.works(question);
        let RegistryQuestion::Schema(id) = question else { return };
        let known = match answer {
            RegistryAnswer::Present => return,
            RegistryAnswer::Known(known) => known,
            RegistryAnswer::None(why) => {
                self.none.push_back((id, Instant::now()));
                Err(why)
            }
        };
        if let Err(why) = &known {
            tracing::debug!("schema {id}: {why}");
        }
        self.change(|schemas| schemas.insert(id, known));
    }

    fn works(&mut self, question: RegistryQuestion) {
        self.agenda.done(question);
        self.agenda.works();
        self.troubles.remove(&question);
        self.show_health();
    }

    fn show_health(&mut self) {
        match self.troubles.values().next() {
            Some(why) => self.health.registry.fails(format!("schema registry: {why}")),
            None => {
                self.health.registry.set(true);
                self.outage.over();
            }
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |(_, since): &mut (u32, Instant)| now.duration_since(*since) >= FORGET_AFTER;
        while let Some((id, _)) = self.none.pop_front_if(is_old) {
            self.change(|schemas| schemas.remove(id));
        }
        let unwanted = self.agenda.drop_unwanted(now);
        if !unwanted.is_empty() {
            unwanted.iter().for_each(|question| drop(self.troubles.remove(question)));
            self.show_health();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Schemas)) {
        let mut fetched = lock(&self.fetched);
        change(&mut fetched.schemas);
        fetched.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use tokio_util::sync::CancellationToken;

    fn asker() -> RegistryThread {
        let client = Client::new(&["http://127.0.0.1:1"], None, None).unwrap();
        let outage = Outage::new("registry", Counter::default(), CancellationToken::new());
        RegistryThread::new(Asking { client, rules: Rules::default() }, Arc::default(), outage)
    }

    #[test]
    fn what_a_registry_does_not_have_is_asked_for_again_after_a_minute() {
        let (mut asker, before) = (asker(), Instant::now());
        let none = RegistryAnswer::None("Schema not found".to_owned());
        asker.take(RegistryQuestion::Schema(7), Ok(none)).unwrap();
        let knows = |asker: &RegistryThread| lock(&asker.fetched).schemas.knows(7);
        asker.forget_old(before + Duration::from_secs(59));
        asker.want(7);
        assert!(knows(&asker) && asker.agenda.next(Instant::now()).is_none());
        let later = Instant::now() + Duration::from_secs(60);
        asker.forget_old(later);
        assert!(!knows(&asker));
        asker.want(7);
        assert_eq!(asker.agenda.next(Instant::now()), Some(RegistryQuestion::Schema(7)));
    }

    #[test]
    fn a_login_that_was_never_taken_ends_it_and_one_that_was_taken_once_is_waited_for() {
        let refused = || Err(Trouble::Refused("answers 401".to_owned()));
        assert_eq!(asker().take(RegistryQuestion::Probe, refused()), Err("answers 401".to_owned()));
        let mut known = asker();
        known.take(RegistryQuestion::Probe, Ok(RegistryAnswer::Present)).unwrap();
        assert_eq!(known.take(RegistryQuestion::Schema(7), refused()), Ok(()));
        let is_said = |asker: &RegistryThread| {
            asker.health.missing().iter().any(|missing| missing.contains("answers 401"))
        };
        assert!(is_said(&known));
        known.take(RegistryQuestion::Schema(7), Ok(RegistryAnswer::None(String::new()))).unwrap();
        assert!(!is_said(&known));
        // It knew who asks, though not for this.
        let mut forbidden = asker();
        let probed = Err(Trouble::Forbidden("answers 403".to_owned()));
        forbidden.take(RegistryQuestion::Probe, probed).unwrap();
        assert_eq!(forbidden.take(RegistryQuestion::Schema(7), refused()), Ok(()));
    }
}
