//! `speed-layer doctor`: a newcomer's first minute. It reads the newest messages and says what
//! share of them are ticks, why the others are none, and which flags would make them ticks. It
//! writes nothing.

mod anatomy;
mod args;
mod books;
mod command_line;
mod database;
mod guess;
mod hints;
mod kinds;
mod notes;
mod propose;
mod reading;
mod report;
mod sampling;
mod schemas;
mod times;
mod traits;
mod trial;
mod zones;

pub use args::DoctorArgs;

use args::Format;
use common::Timestamp;
use database::DatabaseState;
use reading::Reading;
use report::DoctorReport;
use sampling::Sampled;
use service::Failure;
use std::io::Write;

/// Looks, and writes the report to standard output.
///
/// # Errors
/// Flags that are wrong, and brokers that do not answer; and, once the report is written, what it
/// has to complain of.
pub async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let database = args.database()?;
    let asking = database::look_at(database, args.migrations);
    let registry = args.registry.client()?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut sampled = sampling::read(&args)?;
        schemas::translate(registry.as_ref(), &mut sampled.samples)?;
        Ok((args, sampled))
    });
    let (database, read) = tokio::join!(asking, reading);
    let (args, sampled) =
        read.unwrap_or_else(|error| Err(Failure::Infrastructure(error.into())))?;
    let now = Timestamp::now();
    let reading = Reading::of(&args.messages, &sampled.samples, now);
    let advice = propose::advise(&args.messages, &sampled.samples, now);
    let report =
        DoctorReport { sampled: &sampled, reading: &reading, advice: &advice, database: &database };
    let text = match args.format {
        Format::Text => report.to_text(),
        Format::Json => report.to_json() + "\n",
    };
    // A reader that has gone wants no more of it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    conclude(&sampled, &reading, &database)
}

/// Decides the exit code, and the last line of the log.
fn conclude(sampled: &Sampled, reading: &Reading, database: &DatabaseState) -> Result<(), Failure> {
    let unread = sampled.partitions.iter().filter(|partition| partition.trouble.is_some()).count();
    let rejected = sampled.samples.len() - reading.understood();
    if unread > 0 {
        let all = sampled.partitions.len();
        return Err(Failure::Partial(format!("{unread} of {all} partitions could not be read")));
    }
    if rejected > 0 {
        let all = sampled.samples.len();
        return Err(Failure::Difference(format!("{rejected} of {all} messages are no ticks")));
    }
    if database.is_ready == Some(false) {
        return Err(Failure::Difference("PostgreSQL is not ready".to_owned()));
    }
    Ok(())
}
