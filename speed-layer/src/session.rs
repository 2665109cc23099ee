//! One membership in the consumer group.

use crate::intake::{Command, Intake, Reply};
use crate::store::{Store, StoreError};
use crate::{Shared, kafka};
use anyhow::{Context as _, anyhow};
use common::Failure;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a shutdown waits for what is decoded to be written. Longer would be killed by most supervisors; what is
/// not written then is still in Kafka.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a shutdown waits for the intake: the Kafka client knows no limit when it leaves a group whose brokers are
/// away. They find out by themselves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(9);

/// Why a session is over.
pub enum Ended {
    Shutdown,
    /// A new session can go on from the stored offsets; the text says why this one could not.
    Rejoin(String),
}

/// Reads and writes until shutdown, or until this membership is of no use any more.
pub async fn run(shared: &Arc<Shared>, store: &mut Store) -> Result<Ended, Failure> {
    let consumer = kafka::subscribe(&shared.config)?;
    let (command, commands) = mpsc::unbounded_channel();
    let (reply, replies) = std_mpsc::channel();
    let intake = Intake::new(Arc::clone(shared), consumer, command, replies)?;
    let read = spawn(intake)?;
    let reading = async {
        tokio::select! {
            read = read => read.unwrap_or_else(|_| Err(Failure::Infrastructure(anyhow!("the intake thread has panicked")))),
            () = after_stop(shared, LEAVE_TIMEOUT) => {
                tracing::warn!("Kafka did not answer in time; the group will notice by itself that this instance is gone");
                Ok(Ended::Shutdown)
            }
        }
    };
    let writing = async {
        tokio::select! {
            written = serve(store, commands, reply) => written,
            () = after_stop(shared, DRAIN_TIMEOUT) => Ok(()),
        }
    };
    let (read, written) = tokio::join!(reading, writing);
    shared.health.group.set(false);
    match written {
        Err(StoreError::Fatal(failure)) => return Err(failure),
        Err(StoreError::Fenced(why)) => return Ok(Ended::Rejoin(why)),
        Ok(()) => {}
    }
    read
}

/// A thread that does not keep the process from ending, as one of the runtime's would.
fn spawn(intake: Intake) -> Result<oneshot::Receiver<Result<Ended, Failure>>, Failure> {
    let (ended, read) = oneshot::channel();
    let run = move || {
        // Nobody waits for it any more where it took too long.
        let _ = ended.send(intake.run());
    };
    let thread = std::thread::Builder::new().name("intake".into()).spawn(run);
    thread.context("start the intake thread").map_err(Failure::Infrastructure)?;
    Ok(read)
}

/// Carries out the intake's commands one after the other, until it has no more.
async fn serve(
    store: &mut Store,
    mut commands: mpsc::UnboundedReceiver<Command>,
    replies: std_mpsc::Sender<Reply>,
) -> Result<(), StoreError> {
    while let Some(command) = commands.recv().await {
        let reply = match command {
            Command::Write(batch) => {
                store.write(&batch).await?;
                Reply::Written(batch)
            }
            Command::Check(positions) => {
                store.check(&positions).await?;
                Reply::Checked
            }
            Command::Locate(known) => Reply::Located(store.positions(&known).await?),
        };
        if replies.send(reply).is_err() {
            break;
        }
    }
    Ok(())
}

async fn after_stop(shared: &Shared, time: Duration) {
    shared.stop.cancelled().await;
    tokio::time::sleep(time).await;
}
