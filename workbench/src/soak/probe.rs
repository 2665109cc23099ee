//! How long it takes until a message can be seen: messages of a symbol of their own, sent one after
//! the other.

use crate::figures::quantile;
use crate::simulate::feed::Kind;
use sqlx::PgConnection;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Outgoing, Sender};

const SYMBOL: &str = "SOAK:PROBE";
/// From one message to the next.
const EVERY: Duration = Duration::from_millis(200);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

const SEEN: &str = "select coalesce(sum(ticks), 0)::bigint from minute_bars where symbol = $1";

/// Milliseconds since they were last taken.
#[derive(Clone, Default)]
pub struct Latencies(Arc<Mutex<Vec<f64>>>);

impl Latencies {
    /// The middle one and the one that 1 % exceed; NaN where there were none.
    pub fn take(&self) -> (f64, f64) {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (quantile(&taken, 0.5), quantile(&taken, 0.99))
    }

    fn push(&self, latency: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(latency.as_secs_f64() * 1000.0);
    }
}

/// Goes on until it is dropped.
///
/// # Errors
/// Services that do not answer.
pub async fn run(
    kafka: &KafkaArgs,
    mut connection: PgConnection,
    latencies: Latencies,
) -> anyhow::Result<()> {
    let mut config = kafka.client_config();
    // The producer's own waiting is not what is measured.
    config.set("linger.ms", "0");
    let sender = Sender::new(config, &kafka.topic)?;
    let mut seen: i64 = sqlx::query_scalar(SEEN).bind(SYMBOL).fetch_one(&mut connection).await?;
    loop {
        let next = tokio::time::Instant::now() + EVERY;
        let sent = Instant::now();
        let now = jiff::Timestamp::now();
        let value =
            format!(r#"{{"symbol":"{SYMBOL}","timestamp":"{now}","open":1,"close":1,"volume":1}}"#);
        sender.send(Outgoing {
            headers: &[Kind::OnTime.header()],
            key: Some(SYMBOL.as_bytes()),
            value: Some(value.as_bytes()),
            ..Outgoing::default()
        })?;
        let expected = seen + 1;
        while seen < expected {
            tokio::time::sleep(LOOK).await;
            sender.poll();
            seen = sqlx::query_scalar(SEEN).bind(SYMBOL).fetch_one(&mut connection).await?;
        }
        latencies.push(sent.elapsed());
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_taken_once() {
        let latencies = Latencies::default();
        for millis in 0..200 {
            latencies.push(Duration::from_millis(millis));
        }
        assert_eq!(latencies.take(), (100.0, 198.0));
        assert!(latencies.take().0.is_nan());
    }
}
