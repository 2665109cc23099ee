//! Everything that faults can hit: the services, the links to them, and the programs between.

use super::archiver::{archiver, complete};
use super::batch::Batches;
use super::database::Administrator;
use super::delivery_counts::DeliveryCounts;
use super::findings::Findings;
use super::instance_settings::{ALWAYS, InstanceSettings, MOST};
use super::instances::{self, Instance, Setup};
use super::lake_scenario::LakeScenario;
use super::link::link;
use super::load::Skew;
use super::services::StackArgs;
use super::side_topics::SideTopics;
use crate::prove::ProveArgs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testing::{TcpProxy, stack};
use tokio::sync::Mutex;

/// The speed layers that reach Kafka through the link.
pub const KAFKA_LINKED: [usize; 2] = [1, 3];

/// Each mutex gives exclusive permission to break that service.
pub struct Environment {
    pub services: StackArgs,
    pub postgres: Mutex<Administrator>,
    pub kafka: Mutex<()>,
    pub store: Mutex<()>,
    /// One for each speed layer, and the last one for the batch layers.
    pub postgres_links: Vec<Mutex<TcpProxy>>,
    /// Of [`KAFKA_LINKED`].
    pub kafka_link: Mutex<TcpProxy>,
    /// Of the archiver and the batch layers.
    pub store_link: Mutex<TcpProxy>,
    pub instances: Vec<Mutex<Instance>>,
    pub archiver: Mutex<Instance>,
    pub batches: Arc<Batches>,
    pub producers: Mutex<Skew>,
    /// Where a fault is planned for it.
    pub beside: Option<Mutex<SideTopics>>,
    pub lake_scenario: Option<Mutex<LakeScenario>>,
    pub findings: Arc<Findings>,
    /// Where the programs' logs are.
    pub logs: PathBuf,
}

/// What a run needs beside the services.
pub struct Scenario<'a> {
    pub settings: &'a InstanceSettings,
    pub beside: Option<SideTopics>,
    /// A fault is planned for it.
    pub has_lake: bool,
}

impl Environment {
    /// Starts the links and the programs. Logs go to `logs`.
    pub async fn set_up(
        args: &ProveArgs,
        services: &StackArgs,
        logs: &Path,
        Scenario { settings, beside, has_lake }: Scenario<'_>,
    ) -> anyhow::Result<Self> {
        let (kafka_listen, kafka_target) =
            (stack("STACK_KAFKA_PROXY_LISTEN"), stack("STACK_KAFKA_PROXY_TARGET"));
        let kafka_link = TcpProxy::listen(&kafka_listen, &kafka_target).await;
        let (store_link, endpoint_url) = link(&args.store.endpoint_url).await?;
        let findings = Arc::new(Findings::default());
        let (mut postgres_links, mut instances) = (Vec::new(), Vec::new());
        for number in 0..MOST {
            let (proxy, database_url) = link(args.database.url()).await?;
            postgres_links.push(Mutex::new(proxy));
            let is_linked = KAFKA_LINKED.contains(&number);
            let kafka_brokers =
                if is_linked { kafka_listen.clone() } else { args.kafka.brokers.clone() };
            instances.push(Mutex::new(Instance::speed_layer(Setup {
                name: instances::name(number),
                database_url,
                kafka_brokers,
                topic: args.kafka.topic.clone(),
                group_id: args.group_id.clone(),
                properties: Some(settings.protocol.properties()),
                flags: vec!["--writers".to_owned(), settings.writers[number].to_string()],
                logs: logs.to_owned(),
            })));
        }
        let (proxy, database_url) = link(args.database.url()).await?;
        postgres_links.push(Mutex::new(proxy));
        let lake_scenario = match has_lake {
            true => Some(
                LakeScenario::set_up(
                    &args.kafka.brokers,
                    (&database_url, &endpoint_url),
                    logs,
                    &findings,
                )
                .await?,
            ),
            false => None,
        };
        let batches = Batches {
            database_url,
            endpoint_url: endpoint_url.clone(),
            topic: args.kafka.topic.clone(),
            // Producers' clocks go wrong by so much, and no hour waits to be over a little longer.
            flags: &["--grace", "0s", "--lookback", "12h", "--slack", "5h"],
            logs: logs.to_owned(),
            findings: Arc::clone(&findings),
        };
        let environment = Self {
            services: services.clone(),
            postgres: Mutex::new(Administrator::new(args.database.url())),
            kafka: Mutex::new(()),
            store: Mutex::new(()),
            postgres_links,
            kafka_link: Mutex::new(kafka_link),
            store_link: Mutex::new(store_link),
            instances,
            archiver: Mutex::new(archiver(endpoint_url, &["--rotate", "2s"], logs)),
            batches: Arc::new(batches),
            producers: Mutex::new(Skew::default()),
            beside: beside.map(Mutex::new),
            lake_scenario: lake_scenario.map(Mutex::new),
            findings,
            logs: logs.to_owned(),
        };
        for instance in &environment.instances[..ALWAYS] {
            instance.lock().await.start()?;
        }
        environment.archiver.lock().await.start()?;
        Ok(environment)
    }

    /// Programs that have ended without being asked to; those that a fault has in its hands are
    /// left to it.
    pub fn look_after(&self) -> anyhow::Result<()> {
        for instance in &self.instances {
            if let Ok(mut instance) = instance.try_lock() {
                instance.look_after(&self.findings)?;
            }
        }
        if let Some(Ok(mut beside)) = self.beside.as_ref().map(Mutex::try_lock) {
            beside.look_after(&self.findings)?;
        }
        if let Ok(mut archiver) = self.archiver.try_lock()
            && let Some(ending) = archiver.start_again()?
        {
            // It is no part of what is proven.
            tracing::warn!("{ending}; starting it again");
        }
        Ok(())
    }

    /// Ends the speed layers, and lets the archive and the summaries become complete.
    pub async fn come_to_rest(&self) -> anyhow::Result<()> {
        for instance in &self.instances {
            instance.lock().await.stop(&self.findings).await?;
        }
        complete(&mut *self.archiver.lock().await).await?;
        self.batches.run_well().await
    }

    /// What is beside the main topic, once it is at rest.
    pub async fn prove_beside(&self) -> anyhow::Result<DeliveryCounts> {
        let mut counts = DeliveryCounts::default();
        if let Some(beside) = &self.beside {
            counts += beside.lock().await.prove(&self.findings).await?;
        }
        if let Some(lake_scenario) = &self.lake_scenario {
            counts += lake_scenario.lock().await.prove().await?;
        }
        Ok(counts)
    }

    /// How often a speed layer was refused.
    pub async fn fences(&self) -> usize {
        let mut fences = 0;
        for instance in &self.instances {
            fences += instance.lock().await.fences();
        }
        match &self.beside {
            Some(beside) => fences + beside.lock().await.fences(),
            None => fences,
        }
    }

    /// All instances of a group write into its database: one that is called a stranger is called so
    /// by mistake.
    pub async fn look_for_strangers(&self) {
        for instance in &self.instances {
            instance.lock().await.look_for_strangers(&self.findings);
        }
        if let Some(beside) = &self.beside {
            beside.lock().await.look_for_strangers(&self.findings);
        }
    }

    /// The speed layers that come and go.
    pub fn extra(&self, target: usize) -> &Mutex<Instance> {
        &self.instances[ALWAYS + target % (MOST - ALWAYS)]
    }
}
