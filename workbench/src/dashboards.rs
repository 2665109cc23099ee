//! Grafana's dashboards without Grafana: their files, their queries as Grafana would send them, and
//! whether those find anything.

mod check;
mod expand;
mod files;
mod prometheus;
mod sql;

pub use check::{DashboardsArgs, run};
pub use expand::{View, expand_promql, expand_sql};
pub use files::{Dashboard, Language, Query, load};
pub use prometheus::Prometheus;
pub use sql::{Answer, ask};

/// This project's, in the binary: an image has no clone beside it.
macro_rules! own {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../grafana/dashboards/", $name)))),*] };
}

const OWN: [(&str, &str); 7] = own![
    "daily-report.json",
    "data-quality.json",
    "evidence.json",
    "hourly-history.json",
    "overview.json",
    "pipeline.json",
    "stock-market.json",
];

/// This project's dashboards, as they were when this was built.
///
/// # Errors
/// JSON that is none.
pub fn own() -> anyhow::Result<Vec<Dashboard>> {
    OWN.into_iter().map(|(name, text)| Dashboard::parse(name.into(), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_has_all_dashboards_of_the_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/dashboards");
        let (there, built_in) = (load(&folder).unwrap(), own().unwrap());
        let files =
            |dashboards: &[Dashboard]| dashboards.iter().map(Dashboard::file).collect::<Vec<_>>();
        assert_eq!(files(&built_in), files(&there));
        assert!(built_in.iter().zip(&there).all(|(one, other)| one.json == other.json));
    }
}
