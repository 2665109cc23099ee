//! One membership in the consumer group.

use crate::handover::{StoreCommand, StoreReply};
use crate::intake::{DRAIN_TIMEOUT, Intake, SessionEnd};
use crate::process::Process;
use crate::store::{Identified, Store, StoreError};
use crate::writer::{BatchLimits, Replied, Writers};
use anyhow::{Context as _, anyhow};
use futures::future::try_join_all;
use service::Failure;
use service::failure::one_line;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How long a shutdown waits for the intake: the Kafka client knows no limit when it leaves a group
/// whose brokers are away. They find out by themselves.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(9500);
/// How long the intake may take to end once the stores have: leaving the group has limits of its
/// own.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads and writes until shutdown, or until this membership is of no use any more.
///
/// # Errors
/// If a person has to help: a wrong setting, a missing right, a thread that cannot be started.
pub async fn run(shared: &Arc<Process>, stores: &mut [Store]) -> Result<SessionEnd, Failure> {
    let (reply, replies) = std_mpsc::channel();
    let (commands, shares): (Vec<_>, Vec<_>) =
        stores.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let limits = BatchLimits { rows: shared.config.batch_rows, linger: shared.config.linger };
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let intake = Intake::new(Arc::clone(shared), Writers::new(commands, replies, limits), left)?;
    let read = spawn(intake)?;
    let (writing_lasts, writing_over) = oneshot::channel::<()>();
    let reading = async {
        let read = tokio::select! {
            read = read => read.unwrap_or_else(|_| {
                Err(Failure::Infrastructure(anyhow!("the intake thread has panicked")))
            }),
            () = after_stop(shared, LEAVE_TIMEOUT) => {
                tracing::warn!(
                    "Kafka did not answer in time; the group will remove this instance after \
                     session.timeout.ms"
                );
                Ok(SessionEnd::Shutdown)
            }
            () = after(writing_over, END_TIMEOUT) => {
                Ok(SessionEnd::Rejoin(format!(
                    "the Kafka client did not stop within {} s; it is abandoned",
                    END_TIMEOUT.as_secs()
                )))
            }
        };
        // The stores may need long to end.
        if let Ok(SessionEnd::Rejoin(why)) = &read {
            shared.health.group.fails(one_line(why));
        }
        read
    };
    let writing = async {
        let written = tokio::select! {
            written = serve_all(stores, shares, &reply) => written,
            () = after_stop(shared, DRAIN_TIMEOUT) => Ok(()),
        };
        drop(writing_lasts);
        written
    };
    let (read, written) = tokio::join!(reading, writing);
    shared.end_reading();
    match written {
        Err(StoreError::Fatal(failure)) => return Err(failure),
        Err(StoreError::Fenced(why)) => return Ok(SessionEnd::Rejoin(why)),
        Ok(()) => {}
    }
    read
}

/// A thread that does not keep the process from ending, as one of the runtime's would.
fn spawn(intake: Intake) -> Result<oneshot::Receiver<Result<SessionEnd, Failure>>, Failure> {
    let (ended, read) = oneshot::channel();
    let span = tracing::Span::current();
    let run = move || {
        let _session = span.entered();
        // Nobody waits for it any more where it took too long.
        let _ = ended.send(intake.run());
    };
    let thread = std::thread::Builder::new().name("intake".into()).spawn(run);
    thread.context("start the intake thread").map_err(Failure::Infrastructure)?;
    Ok(read)
}

/// Each store carries out the commands for its partitions; the first store that fails ends the
/// session.
async fn serve_all(
    stores: &mut [Store],
    shares: Vec<mpsc::UnboundedReceiver<StoreCommand>>,
    reply: &std_mpsc::Sender<Replied>,
) -> Result<(), StoreError> {
    let serving = stores.iter_mut().zip(shares).enumerate();
    let served = try_join_all(
        serving.map(|(index, (store, commands))| serve(store, commands, index, reply)),
    )
    .await;
    // The intake may be waiting.
    let _ = reply.send((0, StoreReply::Ended));
    served.map(drop)
}

/// Carries out the intake's commands one after the other, until it has no more.
async fn serve(
    store: &mut Store,
    mut commands: mpsc::UnboundedReceiver<StoreCommand>,
    index: usize,
    replies: &std_mpsc::Sender<Replied>,
) -> Result<(), StoreError> {
    store.begin_session();
    // An intake that is gone has no use for what it asked.
    let say = |reply| drop(replies.send((index, reply)));
    // The intake starts filling a new batch as soon as it gets one back. If another command waits,
    // the reply is delayed until PostgreSQL is busy with it.
    let mut written = None;
    while let Some(command) = commands.recv().await {
        let before = written.take();
        let catch_up = || before.into_iter().for_each(|batch| say(StoreReply::Written(batch)));
        let reply = match command {
            StoreCommand::Write(mut batch) => {
                let trace = std::mem::take(&mut batch.trace);
                let trace = trace.described(&batch, index, &store.topics());
                let span = tracing::info_span!("batch", writer = index, messages = batch.messages);
                let held_back =
                    store.write(&batch, catch_up).instrument(span).instrument(trace).await?;
                batch.ranges.retain(|at| !store.holds_back(at));
                if !held_back.is_empty() {
                    say(StoreReply::HeldBack(held_back));
                }
                if !commands.is_empty() {
                    written = Some(batch);
                    continue;
                }
                StoreReply::Written(batch)
            }
            StoreCommand::Release(partitions) => {
                catch_up();
                store.release(&partitions);
                continue;
            }
            StoreCommand::Check(positions) => {
                catch_up();
                store.check(&positions).await?;
                StoreReply::Checked
            }
            StoreCommand::Identify(topic) => {
                catch_up();
                match store.identify(&topic).await? {
                    Identified::Source(source) => StoreReply::Identified(source),
                    Identified::Failed { why, retry_after } => {
                        StoreReply::NotIdentified { identity: topic, why, retry_after }
                    }
                }
            }
            StoreCommand::ResolveStarts(questions) => {
                catch_up();
                StoreReply::Starts(store.resolve_starts(&questions).await?)
            }
        };
        say(reply);
    }
    Ok(())
}

/// A while after the other end was dropped.
async fn after(end: oneshot::Receiver<()>, time: Duration) {
    let _ = end.await;
    tokio::time::sleep(time).await;
}

async fn after_stop(shared: &Process, time: Duration) {
    shared.stop.cancelled().await;
    tokio::time::sleep(time).await;
}
