//! Whether messages that earlier runs have rejected are ticks by this run's flags: who has found
//! the right ones may well wait for those, and nothing reads them again.

use crate::process::Process;
use common::Timestamp;
use common::decode::{Decoder, ProvenanceNames, RecordContext, Rules, SymbolFrom};
use service::pg::{self, Database, Timestamptz, in_time};
use std::sync::Arc;
use std::time::Duration;

/// The name of the session in `pg_stat_activity`.
const APPLICATION: &str = "speed-layer rejects";
const RECHECK_TIMEOUT: Duration = Duration::from_secs(30);
const NEWEST_REJECTS: &str = include_str!("../sql/rejects_recheck/newest.sql");

/// A key of rejects, which do not keep theirs: looked at only where symbols come from keys.
const SOME_KEY: &[u8] = b"KEY";

/// The topic, the value and the record's time.
type RejectRow = (String, Vec<u8>, Option<Timestamptz>);

/// Looks once, and says what it has found.
pub async fn run(shared: Arc<Process>) {
    let database = shared.database.with_application(APPLICATION);
    let Some(rejects) = shared.stop.run_until_cancelled(read(&shared, &database)).await else {
        return;
    };
    // The role that only writes may not read them; others log a database that is away.
    let rejects = rejects.unwrap_or_else(|error| {
        tracing::debug!("rejects of earlier runs were not looked at: {error}");
        Vec::new()
    });
    let rules = shared.config.messages.rules(ProvenanceNames::default());
    let condition = match rules.symbol_from {
        SymbolFrom::Key | SymbolFrom::ValueOrKey => {
            " where their keys, which are not kept, are symbols"
        }
        SymbolFrom::Value | SymbolFrom::Topic => "",
    };
    let ticks = ticks_among(&rejects, rules);
    if ticks > 0 {
        let looked_at = rejects.len();
        tracing::warn!(
            ticks,
            looked_at,
            "of the newest {looked_at} messages that earlier runs have rejected {ticks} are ticks \
             by the flags of this one{condition}, and are not read again: docs/operations.md, \
             RejectRateHigh, step 4 has how to begin anew"
        );
    }
}

async fn read(shared: &Process, database: &Database) -> anyhow::Result<Vec<RejectRow>> {
    let has_pattern = shared.config.named_topics().count() < shared.config.topics.len();
    let topics = (!has_pattern).then(|| shared.config.topics.clone());
    let mut connection = database.connect().await?;
    let rows = pg::query_as(NEWEST_REJECTS)
        .bind(&shared.config.group_id)
        .bind(topics)
        .fetch_all(&mut connection);
    Ok(in_time(RECHECK_TIMEOUT, rows).await?)
}

fn ticks_among(rejects: &[RejectRow], rules: Rules) -> usize {
    let mut decoder = Decoder::new(rules, Timestamp::now());
    let mut is_tick = |(topic, value, time): &&RejectRow| {
        let time = time.map(Timestamp::from);
        let context = RecordContext { key: Some(SOME_KEY), topic: Some(topic), time };
        let mut is_any = false;
        // A row without a message holds no tick.
        let _ = decoder.decode_each(value, &context, &mut |element| is_any |= element.read.is_ok());
        is_any
    };
    rejects.iter().filter(&mut is_tick).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::decode::Mapping;

    #[test]
    fn messages_that_other_flags_make_ticks_of_are_counted() {
        let of = |value: &str| ("t".to_owned(), value.as_bytes().to_vec(), None);
        let rejects = [
            of(r#"{"who":"A","price":1,"ts":1748869200000}"#),
            of(r#"{"symbol":"A","price":1,"ts":1748869200000}"#),
            of("no tick"),
        ];
        assert_eq!(ticks_among(&rejects, Rules::default()), 1);
        let entries: common::decode::MapEntries = "symbol=who".parse().unwrap();
        let rules = Rules { mapping: Mapping::new(&entries.paths), ..Rules::default() };
        assert_eq!(ticks_among(&rejects, rules), 1);
        assert_eq!(ticks_among(&rejects[2..], Rules::default()), 0);
        let by_key = Rules { symbol_from: SymbolFrom::Key, ..Rules::default() };
        assert_eq!(ticks_among(&[of(r#"{"price":1,"ts":1748869200000}"#)], by_key), 1);
    }
}
