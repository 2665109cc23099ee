//! `bench dashboards`.

mod load;

use crate::dashboards::{Dashboard, Language, Query, View, expand_sql};
use crate::figures::{median, quantile, rounded};
use anyhow::{Context, ensure};
use common::Timestamp;
use load::Size;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Instant;
use testing::{TestBucket, TestDatabase};

/// How much is loaded, and how often each query runs.
#[derive(clap::Args, Clone)]
pub struct DashboardsBenchArgs {
    #[command(flatten)]
    size: Size,
    /// Times that each query counts, after one that does not
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

/// A query of a panel, as Grafana sends it, and how long it took each time.
struct Measured {
    place: String,
    sql: String,
    millis: Vec<f64>,
}

/// # Errors
/// Services that are not there, too little disk, or a query that fails.
pub async fn run(args: &DashboardsBenchArgs) -> anyhow::Result<serde_json::Value> {
    let database = TestDatabase::create().await;
    let mut connection = service::pg::Database::parse(database.url(), "bench")?
        .connect_ready()
        .await
        .context("a new database")?;
    load::all(&mut connection, &args.size).await?;
    let (whole, step) = indicators(&database, &mut connection).await?;
    load::vacuum_and_analyze(&mut connection).await?;
    // As the role grafana_reader is set up.
    connection.execute("set jit = off; set random_page_cost = 1.1").await?;

    let dashboards = crate::dashboards::own()?;
    let mut queries = queries(&dashboards)?;
    for round in 0..=args.rounds {
        for query in &mut queries {
            let begun = Instant::now();
            let rows = connection.fetch_all(AssertSqlSafe(query.sql.clone())).await;
            rows.with_context(|| query.place.clone())?;
            if round > 0 {
                query.millis.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    queries.sort_by(|a, b| p95(&b.millis).total_cmp(&p95(&a.millis)));
    for query in &queries {
        println!(
            "{:>7.1} ms p95 {:>7.1} ms median  {}",
            p95(&query.millis),
            median(&query.millis),
            query.place
        );
    }
    let worst = queries.first().context("no query in the dashboards")?;
    Ok(json!({
        "bench": "dashboards",
        "panels": queries.len(),
        "p95_ms": rounded(p95(&worst.millis)),
        "worst_panel": worst.place,
        "indicators_whole_s": rounded(whole),
        "indicators_one_hour_s": rounded(step),
    }))
}

fn queries(dashboards: &[Dashboard]) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for dashboard in dashboards {
        let view = View::of(dashboard, Timestamp::now(), &load::CHOSEN.map(str::to_owned))?;
        let (panels, variables, annotations) =
            (dashboard.queries(), dashboard.variable_queries(), dashboard.annotation_queries());
        let sql = |query: &&Query<'_>| query.language == Language::Sql;
        for query in panels.iter().chain(&variables).chain(&annotations).filter(sql) {
            let sql = expand_sql(query.text, dashboard, &view)?;
            all.push(Measured { place: query.place.clone(), sql, millis: Vec::new() });
        }
    }
    Ok(all)
}

/// Lets batch-layer compute the indicators of everything, and then after one more hour of every
/// symbol. Gives the seconds of both runs, which have nothing else to do.
async fn indicators(
    database: &TestDatabase,
    connection: &mut PgConnection,
) -> anyhow::Result<(f64, f64)> {
    let bucket = TestBucket::create().await;
    let mut seconds = [0.0; 2];
    for (run, marks) in [load::MARK_ALL, load::MARK_LAST_HOUR].into_iter().enumerate() {
        connection.execute(marks).await?;
        let mut command = crate::process::command("batch-layer")?;
        command.env("DATABASE_URL", database.url()).env("RUST_LOG", "warn").envs(bucket.env());
        let begun = Instant::now();
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        ensure!(status.success(), "batch-layer ended with {status}");
        seconds[run] = begun.elapsed().as_secs_f64();
    }
    println!(
        "indicators: {:.1} s for everything, {:.1} s after one more hour",
        seconds[0], seconds[1]
    );
    Ok(seconds.into())
}

fn p95(millis: &[f64]) -> f64 {
    quantile(millis, 0.95)
}
