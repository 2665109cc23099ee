//! [`Format`]: how the sink writes what it archives.

use super::name::FileNameTemplate;
use crate::state::VERSION;
use common::decode::Rules;
use std::str::FromStr;
use std::sync::Arc;

/// The sink's configuration, as far as a reader must know it.
#[derive(Debug, Clone)]
pub struct Format {
    pub file_name: FileNameTemplate,
    /// The rules of messages.
    pub rules: Arc<Rules>,
    /// `None` where a line is JSON.
    pub csv: Option<CsvFields>,
}

/// The fields of a comma-separated line, in their order: Aiven's `format.output.fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFields {
    before: Vec<CsvField>,
    /// From the last one backwards.
    after: Vec<CsvField>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CsvField {
    Value,
    Offset,
    Key,
    Timestamp,
    Headers,
}

/// A comma-separated line, cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvLine<'a> {
    pub value: &'a str,
    pub offset: Option<i64>,
    /// In base64, as the sink always writes it.
    pub key: Option<&'a str>,
    /// The record's own time, in epoch milliseconds.
    pub timestamp: Option<&'a str>,
}

impl Format {
    /// All that decides what an object holds, in a line: the flags, and the version of the sums.
    #[must_use]
    pub fn describe(&self) -> String {
        let csv = self
            .csv
            .as_ref()
            .map_or(String::new(), |fields| format!(" --csv-fields {}", fields.describe()));
        format!("{VERSION} --file-name {} {}{csv}", self.file_name.as_str(), self.rules.describe())
    }
}

impl FromStr for CsvFields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let field = |name: &str| match name.trim() {
            "value" => Ok(CsvField::Value),
            "offset" => Ok(CsvField::Offset),
            "key" => Ok(CsvField::Key),
            "timestamp" => Ok(CsvField::Timestamp),
            "headers" => Ok(CsvField::Headers),
            other => Err(format!(
                "there is no field {other:?}; there are key, value, offset, timestamp and headers"
            )),
        };
        let fields = text.split(',').map(field).collect::<Result<Vec<_>, _>>()?;
        let place =
            fields.iter().position(|field| *field == CsvField::Value).ok_or("needs `value`")?;
        let after = fields[place + 1..].iter().rev().copied().collect();
        Ok(Self { before: fields[..place].to_vec(), after })
    }
}

impl CsvFields {
    fn describe(&self) -> String {
        let fields = self.before.iter().chain([&CsvField::Value]).chain(self.after.iter().rev());
        fields.map(|field| format!("{field:?}").to_lowercase()).collect::<Vec<_>>().join(",")
    }

    /// The fields of a line. They are not quoted, and only a value may hold commas: so the others
    /// are cut off from both ends. `None` for a line with fewer fields, or with an offset that is
    /// none.
    #[must_use]
    pub fn cut<'a>(&self, line: &'a str) -> Option<CsvLine<'a>> {
        let mut cut = CsvLine { value: line, offset: None, key: None, timestamp: None };
        for field in &self.before {
            let (head, rest) = cut.value.split_once(',')?;
            cut.take(*field, head)?;
            cut.value = rest;
        }
        for field in &self.after {
            let (rest, tail) = cut.value.rsplit_once(',')?;
            cut.take(*field, tail)?;
            cut.value = rest;
        }
        Some(cut)
    }
}

impl<'a> CsvLine<'a> {
    fn take(&mut self, field: CsvField, text: &'a str) -> Option<()> {
        match field {
            CsvField::Offset => self.offset = Some(text.parse().ok()?),
            CsvField::Key => self.key = Some(text).filter(|text| !text.is_empty()),
            CsvField::Timestamp => self.timestamp = Some(text),
            CsvField::Value | CsvField::Headers => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<'a>(fields: &str, line: &'a str) -> Option<(&'a str, Option<i64>)> {
        fields.parse::<CsvFields>().unwrap().cut(line).map(|cut| (cut.value, cut.offset))
    }

    #[test]
    fn a_value_is_cut_out_from_between_the_other_fields() {
        assert_eq!(cut("value", "{\"a\":1,\"b\":2}"), Some(("{\"a\":1,\"b\":2}", None)));
        assert_eq!(
            cut("key,value,offset,timestamp", "a2V5,{\"a\":1,\"b\":2},17,1554210895"),
            Some(("{\"a\":1,\"b\":2}", Some(17)))
        );
        assert_eq!(cut("offset,value", "17,eyJhIjoxfQ=="), Some(("eyJhIjoxfQ==", Some(17))));
        assert_eq!(cut("key,value,offset", ",,3"), Some(("", Some(3))));
        for line in ["", "a,b", "a,b,x"] {
            assert_eq!(cut("key,value,offset", line), None, "{line}");
        }
    }

    #[test]
    fn a_line_tells_its_key_and_time() {
        let fields: CsvFields = "key,value,offset,timestamp".parse().unwrap();
        let cut = fields.cut("a2V5,{},17,1554210895").unwrap();
        assert_eq!((cut.key, cut.timestamp), (Some("a2V5"), Some("1554210895")));
        assert_eq!(fields.cut(",{},17,").unwrap().key, None);
    }

    #[test]
    fn fields_that_cannot_be_meant_are_refused() {
        for text in ["", "key,offset", "value,partition", "values"] {
            assert!(text.parse::<CsvFields>().is_err(), "{text}");
        }
    }
}
