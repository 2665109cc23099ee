//! How far back there is anything to compare.

use crate::present_hours::{Folders, PresentHours};
use hourly::archive::{ObjectStore, PrefixTemplate, StoreError};
use hourly::flags::HourPlan;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::inflected;

/// A window of more hours begins where there is anything.
const LONG_HOURS: usize = 500;

/// Hours before the usual window that are compared, the newest of them.
const MOST_BEFORE: usize = 100;

/// Where ticks may be.
pub struct Sources<'a> {
    pub db: &'a mut BatchDb,
    pub store: &'a ObjectStore,
    pub templates: &'a [PrefixTemplate],
    /// Kafka does not tell its oldest hour before it is asked for one.
    pub has_kafka: bool,
}

impl Sources<'_> {
    /// Lets a window of centuries begin with the first hour of which anything is there, and gives
    /// what may be there of its hours. `None`: each of them is to be looked at.
    ///
    /// # Errors
    /// Where the database or the store fails.
    pub async fn shorten(&mut self, plan: &mut HourPlan) -> Result<Option<PresentHours>, Failure> {
        if Hour::each(plan.window.clone()).count() <= LONG_HOURS {
            return Ok(None);
        }
        let kafka = self.has_kafka.then_some(Hour::OLDEST);
        let folders = self.folders().await?;
        // Who may not list there lists hour by hour.
        let folder =
            folders.as_ref().map_or(Some(Hour::OLDEST), |all| oldest_folder(all, plan.slack));
        let begin = [self.oldest_row().await?, folder, kafka].into_iter().flatten().min();
        let (asked, end) = (plan.window.start, plan.window.end);
        plan.window.start = begin.unwrap_or(end).clamp(asked, end);
        if plan.window.start > asked {
            let first = plan.window.start;
            tracing::info!(
                %first,
                %asked,
                "there is nothing before {first}: the hours from {asked} on are passed over"
            );
        }
        Ok(folders.map(|folders| PresentHours::new(folders, plan.clone())))
    }

    /// The hours before the usual window that batch-layer has computed from the window's objects,
    /// in order of time: days' ticks are of midnight, whenever they were sent.
    ///
    /// # Errors
    /// Where the database or the store fails.
    pub async fn before(&mut self, plan: &HourPlan) -> Result<Vec<Hour>, Failure> {
        if !plan.is_default {
            return Ok(Vec::new());
        }
        let folders = self.templates.iter().flat_map(|of| of.folders(plan.window.clone()));
        let folders: Vec<String> = folders.map(|folder| folder.prefix.to_string()).collect();
        let statement = pg::query_scalar(include_str!("../sql/beside_window.sql"))
            .bind(folders)
            .bind(Timestamptz(plan.window.start.start()));
        let hours: Vec<Timestamptz> =
            self.db.fetch_all("looking for older hours in", statement).await?;
        let mut hours: Vec<Hour> = hours.into_iter().map(Hour::from).collect();
        let older = hours.len().saturating_sub(MOST_BEFORE);
        if let (Some(oldest), 1..) = (hours.first(), older) {
            let text = inflected(
                older as u64,
                "hour[s] before the window [is|are] passed over, of which its objects hold ticks",
            );
            let from = oldest.start();
            tracing::warn!(
                hours = older,
                %oldest,
                %from,
                "{text}: --from {from} reaches the oldest"
            );
        }
        Ok(hours.split_off(older))
    }

    async fn oldest_row(&mut self) -> Result<Option<Hour>, Failure> {
        let statement = pg::query_scalar(include_str!("../sql/oldest_row.sql"));
        let oldest: Option<Timestamptz> =
            self.db.fetch_one("looking for the oldest row in", statement).await?;
        Ok(oldest.map(Hour::from))
    }

    /// `None`: they may not be listed.
    async fn folders(&self) -> Result<Option<Folders>, Failure> {
        let mut all = Folders::new();
        for template in self.templates {
            match self.store.folders(template.stem(), "", true).await {
                Err(StoreError::Refused(_)) => return Ok(None),
                folders => all.push((template.clone(), folders?.into_iter().collect())),
            }
        }
        Ok(Some(all))
    }
}

/// Where a folder on the first level stands for more than an hour, as for a whole year, its first
/// one is not known.
fn oldest_folder(folders: &Folders, slack: i64) -> Option<Hour> {
    let oldest = folders.iter().filter_map(|(template, there)| {
        let any = template.prefix(Hour::OLDEST);
        let is_of_hours = template.level(&any) == &*any;
        let hour = |folder: &String| {
            if is_of_hours {
                template.hour_of(folder).map(|hour| hour.plus(-slack))
            } else {
                Some(Hour::OLDEST)
            }
        };
        there.iter().filter_map(hour).min()
    });
    oldest.min()
}
