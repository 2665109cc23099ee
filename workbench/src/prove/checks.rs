//! What SQL compares: each statement gives one line of text for every row that is wrong.

use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Something that must not be.
#[derive(Clone, Copy)]
struct Check {
    /// As in "3 `what`: `the first examples`".
    what: &'static str,
    differences: &'static str,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub what: &'static str,
    pub count: i64,
    pub examples: Vec<String>,
}

/// Hold at any time, because each statement sees one moment of the tables.
const ALWAYS: [Check; 6] = [
    Check {
        what: "ticks differ from what was sent",
        differences: include_str!("../../sql/prove/checks/ticks.sql"),
    },
    Check {
        what: "broken messages are in realtime_stock",
        differences: include_str!("../../sql/prove/checks/broken.sql"),
    },
    Check {
        what: "rejected messages have another reason or other bytes than what was sent",
        differences: include_str!("../../sql/prove/checks/rejects.sql"),
    },
    Check {
        what: "lines of the archive differ from what was sent",
        differences: include_str!("../../sql/prove/checks/archived.sql"),
    },
    Check {
        what: "minute bars differ from an aggregate of realtime_stock",
        differences: include_str!("../../sql/prove/checks/minute_bars.sql"),
    },
    Check {
        what: "summaries have other ticks than the minute bars of their hour",
        differences: include_str!("../../sql/prove/checks/summaries.sql"),
    },
];

/// Hold once nothing writes any more.
const AT_REST: [Check; 5] = [
    Check {
        what: "gaps were recorded",
        differences: include_str!("../../sql/prove/checks/gaps.sql"),
    },
    Check {
        what: "sessions were left behind",
        differences: include_str!("../../sql/prove/checks/sessions.sql"),
    },
    Check {
        what: "transactions were left prepared",
        differences: include_str!("../../sql/prove/checks/prepared.sql"),
    },
    Check {
        what: "day partitions hang in the air: made, but not attached",
        differences: include_str!("../../sql/prove/checks/unattached_days.sql"),
    },
    Check {
        what: "day partitions hold no tick",
        differences: include_str!("../../sql/prove/checks/empty_days.sql"),
    },
];

/// What is wrong.
pub async fn run(
    connection: &mut PgConnection,
    topic: &str,
    at_rest: bool,
) -> sqlx::Result<Vec<Found>> {
    let more: &[Check] = if at_rest { &AT_REST } else { &[] };
    let mut found = Vec::new();
    for Check { what, differences } in ALWAYS.iter().chain(more) {
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
