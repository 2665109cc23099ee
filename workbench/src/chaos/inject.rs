//! Carrying out a fault, and mending it when its time is over.

use super::environment::{Environment, KAFKA_LINKED};
use super::fault::Fault;
use super::instances::Instance;
use super::plan::Planned;
use rustix::process::Signal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testing::TcpProxy;
use tokio::sync::Mutex;
use tokio::time::sleep;

const MINUTE: f64 = 60.0 * 1e6;
/// In which a zombie-to-be reads what it cannot write.
const UNWRITTEN: Duration = Duration::from_millis(500);

/// Lets the fault happen and ends it. Gives what exactly was done; a fault that finds nothing to
/// break says so.
///
/// # Errors
/// A service or program that cannot be started again: then nothing can be proven any more.
pub async fn inject(environment: &Environment, planned: &Planned) -> anyhow::Result<String> {
    let Planned { fault, lasts, target, severity, .. } = *planned;
    match fault {
        Fault::InstanceKill | Fault::InstanceFreeze | Fault::InstanceScale | Fault::Zombie => {
            instance(environment, planned).await
        }
        Fault::PostgresRestart | Fault::BackendTerminate | Fault::Lock | Fault::Connections => {
            postgres(environment, planned).await
        }
        Fault::KafkaRestart => {
            let _held = environment.kafka.lock().await;
            restart(environment, "kafka", lasts).await
        }
        Fault::StoreRestart => {
            let _held = environment.store.lock().await;
            restart(environment, "store", lasts).await
        }
        Fault::PostgresCut | Fault::PostgresHalfOpen | Fault::PostgresSlow => {
            let number = target % environment.postgres_links.len();
            Ok(format!(
                "link {number}: {}",
                link(&environment.postgres_links[number], planned).await
            ))
        }
        Fault::KafkaCut | Fault::KafkaHalfOpen | Fault::KafkaSlow => {
            Ok(link(&environment.kafka_link, planned).await)
        }
        Fault::StoreCut | Fault::StoreHalfOpen | Fault::StoreSlow => {
            Ok(link(&environment.store_link, planned).await)
        }
        Fault::Leaderless | Fault::TopicAnew | Fault::FrozenCopy | Fault::LargeLetter => {
            match &environment.beside {
                Some(beside) => {
                    beside
                        .lock()
                        .await
                        .inject(planned, &environment.kafka, &environment.findings)
                        .await
                }
                None => Ok("there is nothing beside the main topic".to_owned()),
            }
        }
        Fault::HangingClose => hanging_close(environment, planned).await,
        Fault::ArchiverKill => {
            let mut archiver = environment.archiver.lock().await;
            archiver.kill().await?;
            sleep(lasts).await;
            archiver.start()?;
            Ok(away(lasts))
        }
        Fault::BatchKill => Ok(match environment.batches.run_and_kill(lasts).await? {
            true => format!("after {lasts:.1?}"),
            false => "it had ended before".to_owned(),
        }),
        Fault::BatchTwice => {
            environment.batches.run_twice().await.map(|()| "both ended".to_owned())
        }
        Fault::BatchShare => Ok(match environment.batches.share(lasts).await? {
            true => format!("one killed after {lasts:.1?}, the others ended"),
            false => "one had ended before".to_owned(),
        }),
        Fault::CompactKill => match &environment.lake_scenario {
            Some(lake_scenario) => lake_scenario.lock().await.kill_compact(severity).await,
            None => Ok("there is no lake".to_owned()),
        },
        Fault::ClockSkew => {
            let skew = environment.producers.lock().await;
            // Brokers refuse records from more than an hour ahead.
            let minutes = -240.0 + 290.0 * severity;
            skew.store((minutes * MINUTE) as i64, Ordering::Relaxed);
            sleep(lasts).await;
            skew.store(0, Ordering::Relaxed);
            Ok(format!("{minutes:.0} minutes for {lasts:.1?}"))
        }
    }
}

async fn instance(environment: &Environment, planned: &Planned) -> anyhow::Result<String> {
    let Planned { fault, lasts, target, .. } = *planned;
    if fault == Fault::InstanceScale {
        let mut instance = environment.extra(target).lock().await;
        if instance.is_running() {
            instance.stop(&environment.findings).await?;
            return Ok("one less".to_owned());
        }
        instance.start()?;
        return Ok("one more".to_owned());
    }
    let Some((number, slot)) = running_instance(environment, target).await else {
        return Ok("no instance is running".to_owned());
    };
    let mut instance = slot.lock().await;
    if fault == Fault::InstanceKill {
        instance.kill().await?;
        sleep(lasts).await;
        instance.start()?;
        return Ok(format!("instance {number}, {}", away(lasts)));
    }
    if fault == Fault::Zombie {
        let mut link = environment.postgres_links[number].lock().await;
        link.cut().await;
        sleep(UNWRITTEN).await;
        freeze(&instance, lasts).await;
        link.restore().await;
        return Ok(format!("instance {number}, without PostgreSQL and frozen for {lasts:.1?}"));
    }
    freeze(&instance, lasts).await;
    Ok(format!("instance {number}, frozen for {lasts:.1?}"))
}

/// An instance is told to end while its brokers do not answer, or refuse; it is started again when
/// they do.
async fn hanging_close(environment: &Environment, planned: &Planned) -> anyhow::Result<String> {
    let Planned { lasts, severity, .. } = *planned;
    // This one runs all the time.
    let number = KAFKA_LINKED[0];
    let mut instance = environment.instances[number].lock().await;
    let mut link = environment.kafka_link.lock().await;
    let is_silent = severity < 0.5;
    if is_silent {
        link.stall().await;
    } else {
        link.cut().await;
    }
    sleep(lasts).await;
    let begun = Instant::now();
    instance.stop(&environment.findings).await?;
    let took = begun.elapsed();
    link.cut().await;
    link.restore().await;
    instance.start()?;
    Ok(format!(
        "instance {number}, brokers {}, ended after {took:.1?}",
        if is_silent { "silent" } else { "away" }
    ))
}

async fn freeze(instance: &Instance, lasts: Duration) {
    instance.signal(Signal::STOP);
    sleep(lasts).await;
    instance.signal(Signal::CONT);
}

/// The first one that runs, counted from `target`.
async fn running_instance(
    environment: &Environment,
    target: usize,
) -> Option<(usize, &Mutex<Instance>)> {
    let most = environment.instances.len();
    for number in (0..most).map(|step| (target + step) % most) {
        if environment.instances[number].lock().await.is_running() {
            return Some((number, &environment.instances[number]));
        }
    }
    None
}

async fn postgres(environment: &Environment, planned: &Planned) -> anyhow::Result<String> {
    let Planned { fault, lasts, target, .. } = *planned;
    let administrator = environment.postgres.lock().await;
    match fault {
        Fault::BackendTerminate => Ok(format!("{} sessions", administrator.terminate().await?)),
        Fault::Lock => Ok(format!("{} for {lasts:.1?}", administrator.lock(target, lasts).await?)),
        Fault::Connections => {
            Ok(format!("{} taken for {lasts:.1?}", administrator.exhaust(lasts).await))
        }
        _ => restart(environment, "postgres", lasts).await,
    }
}

async fn restart(
    environment: &Environment,
    service: &str,
    lasts: Duration,
) -> anyhow::Result<String> {
    environment.services.crash(service).await?;
    sleep(lasts).await;
    environment.services.start(service).await?;
    Ok(away(lasts))
}

async fn link(proxy: &Mutex<TcpProxy>, planned: &Planned) -> String {
    let Planned { fault, lasts, severity, .. } = *planned;
    let mut proxy = proxy.lock().await;
    match fault {
        Fault::PostgresCut | Fault::KafkaCut | Fault::StoreCut => {
            proxy.cut().await;
            sleep(lasts).await;
            proxy.restore().await;
            format!("cut for {lasts:.1?}")
        }
        Fault::PostgresHalfOpen | Fault::KafkaHalfOpen | Fault::StoreHalfOpen => {
            proxy.stall().await;
            sleep(lasts).await;
            // Half of these come back to life, with what was held up; the other half turn out to be
            // dead.
            let is_dead = severity < 0.5;
            if is_dead {
                proxy.cut().await;
            }
            proxy.restore().await;
            format!("silent for {lasts:.1?}, then {}", if is_dead { "dead" } else { "alive" })
        }
        _ => {
            let delay = Duration::from_secs_f64(0.005 + 0.3 * severity * severity);
            proxy.delay(delay);
            sleep(lasts).await;
            proxy.delay(Duration::ZERO);
            format!("{delay:.0?} late for {lasts:.1?}")
        }
    }
}

fn away(lasts: Duration) -> String {
    format!("away for {lasts:.1?}")
}
