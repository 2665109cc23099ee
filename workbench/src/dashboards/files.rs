//! The JSON files, as far as queries are concerned.

use anyhow::Context;
use serde_json::Value;

/// A dashboard's file.
pub struct Dashboard {
    pub file: &'static str,
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

impl<'a> Query<'a> {
    /// The expression without its filler: of several figures in one panel, one without a series
    /// would be left out instead of being unknown.
    #[must_use]
    pub fn measured(&self) -> &'a str {
        self.text.strip_suffix(" or vector(NaN)").unwrap_or(self.text)
    }

    /// Whether it asks for series of the exporters beside the sink, which not every installation
    /// has.
    #[must_use]
    pub fn is_of_the_sink(&self) -> bool {
        self.language == Language::PromQl && self.text.contains("kafka_con")
    }
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
/// # Errors
/// JSON that is none.
pub fn own() -> anyhow::Result<Vec<Dashboard>> {
    OWN.into_iter().map(|(name, text)| Dashboard::parse(name, text)).collect()
}

impl Dashboard {
    fn parse(file: &'static str, text: &str) -> anyhow::Result<Self> {
        let json = serde_json::from_str(text).with_context(|| format!("{file} is no JSON"))?;
        Ok(Self { file, json })
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
            place: format!("{}: {:?}", self.file, text(panel, "title")),
            language,
            text: text(target, if language == Language::Sql { "rawSql" } else { "expr" }),
            format: text(target, "format"),
            panel: Some(panel),
        })
    }

    /// The SQL that fills the variables' lists.
    #[must_use]
    pub fn variable_queries(&self) -> Vec<Query<'_>> {
        let asked = self
            .variables()
            .filter(|variable| text(variable, "type") == "query" && !is_of_prometheus(variable));
        let query = |variable| Query {
            place: format!("{}: variable {:?}", self.file, text(variable, "name")),
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
            place: format!("{}: annotation {:?}", self.file, text(annotation, "name")),
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

/// Whether Prometheus fills its list.
pub(super) fn is_of_prometheus(variable: &Value) -> bool {
    text(&variable["datasource"], "type") == "prometheus"
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
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut there: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
        there.sort();
        assert_eq!(OWN.map(|(name, _)| name).as_slice(), there);
        assert_eq!(own().unwrap().len(), there.len());
    }
}
