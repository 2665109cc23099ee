//! What SQL compares: each statement gives one line of text for every row that is wrong.

use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Something that must not be, as in "3 `what`: `the first examples`", and the rows that it is.
type Check = (&'static str, &'static str);

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub what: &'static str,
    pub count: i64,
    pub examples: Vec<String>,
}

/// A statement, by its name in `sql/prove/checks`.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../../sql/prove/checks/", $name, ".sql"))
    };
}

/// Hold at any time, because each statement sees one moment of the tables.
const ALWAYS: [Check; 6] = [
    ("ticks differ from what was sent", sql!("ticks")),
    ("broken messages are in realtime_stock", sql!("broken")),
    ("rejected messages have another reason or other bytes than what was sent", sql!("rejects")),
    ("lines of the archive differ from what was sent", sql!("archived")),
    ("minute bars differ from an aggregate of realtime_stock", sql!("minute_bars")),
    ("summaries have other ticks than the minute bars of their hour", sql!("summaries")),
];

/// Hold once nothing writes any more.
const AT_REST: [Check; 5] = [
    ("gaps were recorded", sql!("gaps")),
    ("sessions were left behind", sql!("sessions")),
    ("transactions were left prepared", sql!("prepared")),
    ("day partitions hang in the air: made, but not attached", sql!("unattached_days")),
    ("day partitions hold no tick", sql!("empty_days")),
];

/// What is wrong.
pub async fn run(
    connection: &mut PgConnection,
    topic: &str,
    at_rest: bool,
) -> sqlx::Result<Vec<Found>> {
    let more: &[Check] = if at_rest { &AT_REST } else { &[] };
    let mut found = Vec::new();
    for (what, differences) in ALWAYS.iter().chain(more) {
        // The topic stands in every statement, so that each takes the same one parameter.
        let query = format!(
            "with differences (difference) as ({differences})
             select count(*), (array_agg(difference order by difference))[1:3]
             from differences where $1::text is not null"
        );
        let row = sqlx::query(AssertSqlSafe(query)).bind(topic).fetch_one(&mut *connection).await?;
        let count: i64 = row.get(0);
        if count > 0 {
            found.push(Found { what, count, examples: row.get(1) });
        }
    }
    Ok(found)
}
