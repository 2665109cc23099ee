//! Every query of every dashboard, once, as it opens at this moment.

use super::expand::{View, expand_promql, expand_sql};
use super::files::{Dashboard, Language, own};
use super::prometheus::Prometheus;
use super::sql::ask;
use anyhow::Context;
use common::Timestamp;
use serde::Serialize;
use service::cli::DatabaseArgs;
use sqlx::PgConnection;

/// Asks what Grafana's dashboards ask as they open.
#[derive(clap::Args, Clone)]
pub struct DashboardsArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where Prometheus is; without it the panels from there are passed over
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Findings {
    pub dashboards: usize,
    pub queries: usize,
    pub passed_over: usize,
    /// Queries without a row, by place.
    pub empty: Vec<String>,
}

/// # Errors
/// A query that fails, or services that are not there.
pub async fn run(args: &DashboardsArgs) -> anyhow::Result<Findings> {
    let database = args.database.parse("workbench")?;
    let mut connection = database.connect().await?;
    let prometheus = args.prometheus_url.as_deref().map(Prometheus::new);
    let dashboards = own()?;
    let chart = most_traded(&mut connection).await?;
    let mut findings =
        Findings { dashboards: dashboards.len(), queries: 0, passed_over: 0, empty: Vec::new() };
    for dashboard in &dashboards {
        let view = View::opened(dashboard, Timestamp::now(), &chart)?;
        for query in dashboard.queries().iter().chain(&dashboard.variable_queries()) {
            let rows = match (query.language, &prometheus) {
                (Language::Sql, _) => {
                    count_rows(&mut connection, &expand_sql(query.text, dashboard, &view)?).await
                }
                (Language::PromQl, None) => {
                    findings.passed_over += 1;
                    continue;
                }
                (Language::PromQl, Some(there)) => {
                    count_series(there, query.measured(), dashboard, &view).await
                }
            };
            if query.is_of_the_sink() && rows.as_ref().is_ok_and(|rows| *rows == 0) {
                findings.passed_over += 1;
                continue;
            }
            findings.queries += 1;
            if rows.map_err(|error| error.context(query.place.clone()))? == 0 {
                findings.empty.push(query.place.clone());
            }
        }
    }
    Ok(findings)
}

/// What Grafana takes for a variable of one symbol: the first of its list.
async fn most_traded(connection: &mut PgConnection) -> anyhow::Result<String> {
    let first = "select symbol from symbols_by_trade(now()) order by place limit 1";
    let symbol: Option<String> = sqlx::query_scalar(first).fetch_optional(connection).await?;
    symbol.context("there is no symbol in the tables yet")
}

async fn count_rows(connection: &mut PgConnection, sql: &str) -> anyhow::Result<usize> {
    Ok(ask(connection, sql).await?.rows.len())
}

async fn count_series(
    prometheus: &Prometheus,
    expression: &str,
    dashboard: &Dashboard,
    view: &View,
) -> anyhow::Result<usize> {
    Ok(prometheus.ask(&expand_promql(expression, dashboard, view)?).await?.len())
}
