//! Grafana's dashboards without Grafana: their files, their queries as Grafana would send them, and
//! whether those find anything.

mod check;
mod expand;
mod files;
mod prometheus;
mod sql;

pub use check::{DashboardsArgs, run};
pub use expand::{View, expand_promql, expand_sql, fill_in};
pub use files::{Dashboard, Language, Query, own};
pub use prometheus::Prometheus;
pub use sql::{Answer, ask};
