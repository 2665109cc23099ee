//! One membership in the consumer group.

use crate::intake::{Command, Intake, Reply};
use crate::store::{Store, StoreError};
use crate::{Shared, kafka};
use common::Failure;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a shutdown waits for what is decoded to be written. Longer would be killed by most supervisors; what is
/// not written then is still in Kafka.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);

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
    let reading = tokio::task::spawn_blocking(move || intake.run());
    let writing = async {
        tokio::select! {
            written = serve(store, commands, reply) => written,
            () = drain_timeout(shared) => {
                tracing::warn!("PostgreSQL did not answer in time; what is not written will be read again from Kafka");
                Ok(())
            }
        }
    };
    let (read, written) = tokio::join!(reading, writing);
    shared.health.group.set(false);
    match written {
        Err(StoreError::Fatal(failure)) => return Err(failure),
        Err(StoreError::Fenced(why)) => return Ok(Ended::Rejoin(why)),
        Ok(()) => {}
    }
    match read {
        Ok(ended) => ended,
        Err(panic) => Err(Failure::Infrastructure(anyhow::anyhow!("the intake thread ended: {panic}"))),
    }
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

async fn drain_timeout(shared: &Shared) {
    shared.stop.cancelled().await;
    tokio::time::sleep(DRAIN_TIMEOUT).await;
}
