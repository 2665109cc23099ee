//! What there is to say where no hour, or no tick, was compared, which would pass for success.

use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::inflected;
use std::ops::Range;
use std::time::Duration;

/// The hours that were asked for.
#[derive(Debug, Clone)]
pub struct RequestedHours {
    pub window: Range<Hour>,
    /// Hours from this one on are not looked at yet.
    pub due: Hour,
    pub grace: Duration,
    /// No flag names them.
    pub is_default: bool,
}

/// The hours that the tables have.
struct KnownHours {
    oldest: Option<Timestamptz>,
    /// The newest hour that is over.
    newest: Option<Timestamptz>,
    /// Whether the newest one was ever compared.
    is_compared: bool,
}

service::row!(KnownHours { oldest, newest, is_compared });

impl RequestedHours {
    /// # Errors
    /// [`Failure::Partial`] where the hours are not looked at yet, or where nobody has named one
    /// and none of those that the tables have was compared; or where the database fails.
    pub async fn explain(&self, db: &mut BatchDb) -> Result<(), Failure> {
        if self.window.is_empty() {
            return Err(self.too_early(self.window.start));
        }
        let known = self.known(db).await?;
        let Some(oldest) = known.oldest.map(Hour::from) else {
            tracing::info!("nothing was compared: the tables have no hours at all");
            return Ok(());
        };
        let Some(newest) = known.newest.map(Hour::from) else {
            return if self.is_default { Err(self.too_early(oldest)) } else { Ok(()) };
        };
        let Range { start, end } = &self.window;
        let found = format!(
            "nothing was compared: there is no tick from {start} to {end}, and the tables have \
             hours from {oldest} to {newest}: --from {} reaches them",
            oldest.start()
        );
        let is_one_hour = !self.is_default && start.plus(1) == *end;
        if is_one_hour || (self.is_default && !known.is_compared) {
            return Err(Failure::Partial(found));
        }
        tracing::info!(from = %start, to = %end, error = found, "{found}");
        Ok(())
    }

    /// Explains hours whose messages are all no ticks.
    ///
    /// # Errors
    /// [`Failure::Partial`] unless nobody has named an hour, and the newest one that the tables
    /// have was compared before; or where the database fails.
    pub async fn explain_rejected(&self, db: &mut BatchDb, rejected: u64) -> Result<(), Failure> {
        let what = inflected(
            rejected,
            "message[s] of these hours [is|are] no tick[s], and there are no ticks",
        );
        let found = format!(
            "nothing was compared: {what}. Table rejected_ticks has the reasons; where flags are \
             missing, speed-layer doctor proposes them"
        );
        self.conclude(db, found).await
    }

    /// Explains hours of which only the archive has anything, and that is no tick. `example`: an
    /// object.
    ///
    /// # Errors
    /// As [`RequestedHours::explain_rejected`].
    pub async fn explain_lines(&self, db: &mut BatchDb, example: &str) -> Result<(), Failure> {
        let found = format!(
            "nothing was compared: there are no ticks of these hours, and no line of {example} is \
             one. Table rejected_lines has the reasons, when batch-layer has read it: are the \
             flags about messages right?"
        );
        self.conclude(db, found).await
    }

    /// Passes if nobody has named an hour, and the newest one that the tables
    /// have was compared before.
    async fn conclude(&self, db: &mut BatchDb, found: String) -> Result<(), Failure> {
        if !self.is_default || !self.known(db).await?.is_compared {
            return Err(Failure::Partial(found));
        }
        let Range { start, end } = &self.window;
        tracing::info!(from = %start, to = %end, error = found, "{found}");
        Ok(())
    }

    fn too_early(&self, hour: Hour) -> Failure {
        let Self { grace, .. } = self;
        let micros = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        let from = hour.plus(1).start().plus_micros(micros);
        Failure::Partial(format!(
            "nothing was compared: hour {hour} is looked at from {from} on, {grace:?} after its \
             end (--grace)"
        ))
    }

    async fn known(&self, db: &mut BatchDb) -> Result<KnownHours, Failure> {
        let statement = pg::query_as(include_str!("../sql/known_hours.sql"))
            .bind(Timestamptz(self.due.start()));
        db.fetch_one("looking for hours to compare in", statement).await
    }
}
