//! The JSON files, as far as queries are concerned.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A dashboard's file.
pub struct Dashboard {
    pub path: PathBuf,
    pub json: Value,
}

/// Which data source a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Sql,
    PromQl,
}

/// A query of a panel, a variable or an annotation.
pub struct Query<'a> {
    /// `stock-market.json: "Top movers"`
    pub place: String,
    pub language: Language,
    pub text: &'a str,
    /// `table` or `time_series`; empty for PromQL.
    pub format: &'a str,
    /// None for a variable or an annotation.
    pub panel: Option<&'a Value>,
}

impl Query<'_> {
    /// Whether it asks for series of the exporters beside the sink, which not every installation
    /// has.
    #[must_use]
    pub fn is_of_the_sink(&self) -> bool {
        self.language == Language::PromQl && self.text.contains("kafka_con")
    }
}

/// All dashboards in a folder, by name.
///
/// Errors: a folder or file that cannot be read, JSON that is none, or a folder without dashboards.
pub fn load(folder: &Path) -> anyhow::Result<Vec<Dashboard>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    ensure!(!paths.is_empty(), "no dashboard (.json) in {}", folder.display());
    paths.into_iter().map(read).collect()
}

/// This project's, in the binary: an image has no clone beside it.
macro_rules! own {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../../grafana/dashboards/", $name)))),*] };
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
/// Errors: JSON that is none.
pub fn own() -> anyhow::Result<Vec<Dashboard>> {
    OWN.into_iter().map(|(name, text)| Dashboard::parse(name.into(), text)).collect()
}

fn read(path: PathBuf) -> anyhow::Result<Dashboard> {
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Dashboard::parse(path, &text)
}

impl Dashboard {
    fn parse(path: PathBuf, text: &str) -> anyhow::Result<Self> {
        let json =
            serde_json::from_str(text).with_context(|| format!("{} is no JSON", path.display()))?;
        Ok(Self { path, json })
    }

    #[must_use]
    pub fn file(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// All panels, those inside collapsed rows too.
    #[must_use]
    pub fn panels(&self) -> Vec<&Value> {
        let top = list(&self.json["panels"]);
        top.flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"]))).collect()
    }

    /// The queries of all panels.
    #[must_use]
    pub fn queries(&self) -> Vec<Query<'_>> {
        let panels = self.panels().into_iter();
        panels
            .flat_map(|panel| {
                list(&panel["targets"]).filter_map(|target| self.query(panel, target))
            })
            .collect()
    }

    fn query<'a>(&self, panel: &'a Value, target: &'a Value) -> Option<Query<'a>> {
        let language = match text(&target["datasource"], "type") {
            "prometheus" => Language::PromQl,
            kind if kind.ends_with("postgresql-datasource") => Language::Sql,
            _ => return None,
        };
        Some(Query {
            place: format!("{}: {:?}", self.file(), text(panel, "title")),
            language,
            text: text(target, if language == Language::Sql { "rawSql" } else { "expr" }),
            format: text(target, "format"),
            panel: Some(panel),
        })
    }

    /// The queries that fill the variables' lists.
    #[must_use]
    pub fn variable_queries(&self) -> Vec<Query<'_>> {
        let asked = self.variables().filter(|variable| text(variable, "type") == "query");
        let query = |variable| Query {
            place: format!("{}: variable {:?}", self.file(), text(variable, "name")),
            language: Language::Sql,
            text: text(variable, "query"),
            format: "table",
            panel: None,
        };
        asked.map(query).collect()
    }

    /// The queries of the annotations.
    #[must_use]
    pub fn annotation_queries(&self) -> Vec<Query<'_>> {
        let asked = list(&self.json["annotations"]["list"])
            .filter(|annotation| !annotation["target"].is_null());
        let query = |annotation| Query {
            place: format!("{}: annotation {:?}", self.file(), text(annotation, "name")),
            language: Language::Sql,
            text: text(&annotation["target"], "rawSql"),
            format: text(&annotation["target"], "format"),
            panel: None,
        };
        asked.map(query).collect()
    }

    /// What a variable of several values is set to in the file.
    #[must_use]
    pub fn first_choice(&self, variable: &str) -> Vec<String> {
        let named = self.variables().filter(|json| text(json, "name") == variable);
        let values = named.flat_map(|json| list(&json["current"]["value"]));
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub fn variables(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["templating"]["list"])
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A member that is text; empty where it is not.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
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
