//! A query as Grafana sends it: macros and variables replaced.

use super::files::{Dashboard, is_of_prometheus, text};
use anyhow::{Context, bail, ensure};
use common::Timestamp;
use serde_json::Value;

/// What a person looks at.
#[derive(Debug, Clone)]
pub struct View {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Of `$symbol`.
    pub symbols: Vec<String>,
    /// Of `$chart`.
    pub chart: String,
}

/// How many points a panel asks for: about one a pixel.
const POINTS: i64 = 1000;
/// Widths that Grafana rounds to, in seconds; the dashboards show nothing finer than minutes.
const WIDTHS: [i64; 9] = [60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600];

impl View {
    /// The dashboard as it opens at `now`: its own time range and variables, but `symbols`.
    ///
    /// # Errors
    /// Where its time range is not like `now-6h`.
    pub fn of(dashboard: &Dashboard, now: Timestamp, symbols: &[String]) -> anyhow::Result<Self> {
        let from = text(&dashboard.json["time"], "from");
        let back =
            range(from).with_context(|| format!("{}: time.from {from:?}", dashboard.file))?;
        // An empty database has no symbol to choose.
        let chart = symbols.first().cloned().unwrap_or_default();
        Ok(Self { from: now.plus_micros(-back), to: now, symbols: symbols.to_vec(), chart })
    }

    /// The same with the choice of symbols that its file has, and this one in detail.
    ///
    /// # Errors
    /// Where its time range is not like `now-6h`.
    pub fn opened(dashboard: &Dashboard, now: Timestamp, chart: &str) -> anyhow::Result<Self> {
        let mut view = Self::of(dashboard, now, &[chart.to_owned()])?;
        view.symbols = dashboard.first_choice("symbol");
        Ok(view)
    }

    /// `$__interval` in seconds.
    #[must_use]
    pub fn interval(&self) -> i64 {
        let ideal = (self.to.micros() - self.from.micros()) / 1_000_000 / POINTS;
        WIDTHS.into_iter().find(|width| *width >= ideal).unwrap_or(86_400)
    }
}

/// Microseconds in `now-6h`.
fn range(text: &str) -> Option<i64> {
    let count = text.strip_prefix("now-")?;
    let (number, unit) = count.split_at(count.len().checked_sub(1)?);
    let unit = match unit {
        "m" => Timestamp::MINUTE,
        "h" => Timestamp::HOUR,
        "d" => Timestamp::DAY,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// # Errors
/// A macro or variable that is not known here.
pub fn expand_sql(sql: &str, dashboard: &Dashboard, view: &View) -> anyhow::Result<String> {
    let (from, to) = (format!("'{}'", view.from), format!("'{}'", view.to));
    let seconds = view.interval();
    let mut out = variables(sql, dashboard, view)?.replace("$__interval", &format!("{seconds}s"));
    out = call(&out, "$__timeFilter", |column| format!("{column} BETWEEN {from} AND {to}"))?;
    out = call(&out, "$__timeGroup", |arguments| {
        let column = arguments.split(',').next().unwrap_or_default();
        format!("floor(extract(epoch from {column})/{seconds})*{seconds}")
    })?;
    out = call(&out, "$__timeFrom", |_| from.clone())?;
    out = call(&out, "$__timeTo", |_| to.clone())?;
    ensure!(!out.contains('$'), "not every macro or variable is known here: {out}");
    Ok(out)
}

/// # Errors
/// A macro or variable that is not known here.
pub fn expand_promql(
    expression: &str,
    dashboard: &Dashboard,
    view: &View,
) -> anyhow::Result<String> {
    // Four times the interval of the scrapes, as Grafana takes it from the data source.
    let out = variables(expression, dashboard, view)?.replace("$__rate_interval", "1m");
    ensure!(!out.contains('$'), "not every macro or variable is known here: {out}");
    Ok(out)
}

/// A query as a browser sends it to Grafana: with its macros, which Grafana's server replaces.
///
/// # Errors
/// A variable that is not known here.
pub fn fill_in(query: &str, dashboard: &Dashboard, view: &View) -> anyhow::Result<String> {
    variables(query, dashboard, view)
}

fn variables(query: &str, dashboard: &Dashboard, view: &View) -> anyhow::Result<String> {
    let mut out = query.to_owned();
    // The macros begin like the variable of the same name.
    out = out.replace("$__interval", "\u{1}");
    for variable in dashboard.variables() {
        let name = text(variable, "name");
        // The explicit form: every value as a literal, and nothing at all where none is chosen, as
        // `$symbol` is then too.
        let value = value(variable, query, view)?;
        out = out.replace(&format!("${{{name}:sqlstring}}"), &value);
        out = out.replace(&format!("${name}"), &value);
    }
    Ok(out.replace('\u{1}', "$__interval"))
}

fn value(variable: &Value, query: &str, view: &View) -> anyhow::Result<String> {
    Ok(match text(variable, "name") {
        "symbol" => {
            let quoted: Vec<String> =
                view.symbols.iter().map(|symbol| format!("'{symbol}'")).collect();
            quoted.join(",")
        }
        "chart" => view.chart.clone(),
        // All: the dashboards open with it.
        _ if is_of_prometheus(variable) => text(variable, "allValue").to_owned(),
        _ if text(variable, "type") == "custom" => choice(variable, query).to_owned(),
        _ if text(variable, "type") == "textbox" => {
            format!("'{}'", text(&variable["current"], "value"))
        }
        name => bail!("variable ${name} is not known here"),
    })
}

/// What a variable is set to. A query for one of its values alone (`'$lines' = 'price'`) is asked
/// with that one.
fn choice<'a>(variable: &'a Value, query: &str) -> &'a str {
    let name = text(variable, "name");
    let options = variable["options"].as_array().into_iter().flatten();
    let only = options
        .map(|option| text(option, "value"))
        .find(|value| query.contains(&format!("'${name}' = '{value}'")));
    only.unwrap_or_else(|| text(&variable["current"], "value"))
}

/// Replaces each `name(argument)`; an argument holds no parenthesis in these dashboards.
fn call(sql: &str, name: &str, with: impl Fn(&str) -> String) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(&format!("{name}(")) {
        let (argument, tail) =
            after.split_once(')').with_context(|| format!("{name} without its end"))?;
        out.push_str(before);
        out.push_str(&with(argument));
        rest = tail;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expanded(sql: &str) -> anyhow::Result<String> {
        expanded_for(sql, &["A".to_owned(), "B".to_owned()])
    }

    fn expanded_for(sql: &str, symbols: &[String]) -> anyhow::Result<String> {
        let (dashboard, view) = opened(symbols)?;
        expand_sql(sql, &dashboard, &view)
    }

    fn opened(symbols: &[String]) -> anyhow::Result<(Dashboard, View)> {
        let variables = json!([{"name": "symbol", "type": "query"}, {"name": "chart", "type": "query"},
            {"name": "interval", "type": "custom", "current": {"value": "hour"}},
            {"name": "lines", "type": "custom", "current": {"value": "percent"},
             "options": [{"value": "percent"}, {"value": "price"}]},
            {"name": "namespace", "type": "query", "allValue": ".*",
             "datasource": {"type": "prometheus", "uid": "stocks-prometheus"}},
            {"name": "offset", "type": "textbox", "current": {"value": "12"}}]);
        let json = json!({"time": {"from": "now-6h"}, "templating": {"list": variables}});
        let dashboard = Dashboard { file: "some.json", json };
        let now = Timestamp::from_micros(20_000 * Timestamp::DAY);
        let view = View::of(&dashboard, now, symbols)?;
        Ok((dashboard, view))
    }

    /// Series without a namespace are those outside of Kubernetes.
    #[test]
    fn all_namespaces_are_those_of_series_without_one_as_well() {
        let (dashboard, view) = opened(&[]).unwrap();
        let asked = r#"sum(rate(a{namespace=~"$namespace"}[$__rate_interval]))"#;
        let sent = expand_promql(asked, &dashboard, &view).unwrap();
        assert_eq!(sent, r#"sum(rate(a{namespace=~".*"}[1m]))"#);
    }

    #[test]
    fn macros_and_variables_become_what_grafana_sends() {
        for (sql, sent) in [
            (
                "$__timeFilter(hour)",
                "hour BETWEEN '2024-10-03T18:00:00Z' AND '2024-10-04T00:00:00Z'",
            ),
            ("$__timeGroup(minute, '$__interval')", "floor(extract(epoch from minute)/60)*60"),
            ("$__timeTo()::timestamptz", "'2024-10-04T00:00:00Z'::timestamptz"),
            (
                "symbol in ($symbol) and s = '$chart' and i = '$interval'",
                "symbol in ('A','B') and s = 'A' and i = 'hour'",
            ),
            ("s = any(array[${symbol:sqlstring}]::text[])", "s = any(array['A','B']::text[])"),
            (
                "${offset:sqlstring} = '' or o = ${offset:sqlstring}::bigint",
                "'12' = '' or o = '12'::bigint",
            ),
        ] {
            assert_eq!(expanded(sql).unwrap(), sent);
        }
    }

    #[test]
    fn a_query_for_one_choice_alone_is_asked_with_it() {
        assert_eq!(expanded("a where '$lines' = 'price'").unwrap(), "a where 'price' = 'price'");
        assert_eq!(
            expanded("a where '$lines' = 'percent'").unwrap(),
            "a where 'percent' = 'percent'"
        );
        assert_eq!(expanded("a where b = '$lines'").unwrap(), "a where b = 'percent'");
    }

    #[test]
    fn of_no_symbols_nothing_is_put_in() {
        let sent = expanded_for("s = any(array[${symbol:sqlstring}]::text[])", &[]).unwrap();
        assert_eq!(sent, "s = any(array[]::text[])");
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(
            expanded("$__unixEpochFilter(x)")
                .unwrap_err()
                .to_string()
                .contains("$__unixEpochFilter")
        );
    }
}
