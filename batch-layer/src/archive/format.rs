//! [`Format`]: how the sink writes what it archives.

use super::name::FileNameTemplate;
use common::decode::ProvenanceNames;
use std::str::FromStr;

/// The sink's configuration, as far as a reader must know it.
#[derive(Debug, Clone)]
pub struct Format {
    pub file_name: FileNameTemplate,
    pub names: ProvenanceNames,
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
    /// A key, a timestamp or headers.
    Other,
}

impl FromStr for CsvFields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let field = |name: &str| match name.trim() {
            "value" => Ok(CsvField::Value),
            "offset" => Ok(CsvField::Offset),
            "key" | "timestamp" | "headers" => Ok(CsvField::Other),
            other => Err(format!("there is no field {other:?}; there are key, value, offset, timestamp and headers")),
        };
        let fields = text.split(',').map(field).collect::<Result<Vec<_>, _>>()?;
        let place = fields.iter().position(|field| *field == CsvField::Value).ok_or("needs `value`")?;
        let after = fields[place + 1..].iter().rev().copied().collect();
        Ok(Self { before: fields[..place].to_vec(), after })
    }
}

impl CsvFields {
    /// A line's value, and its offset where there is one. Fields are not quoted, and only a value may hold commas: so
    /// the others are cut off from both ends. `None` for a line with fewer fields.
    #[must_use]
    pub fn cut<'a>(&self, line: &'a str) -> Option<(&'a str, Option<i64>)> {
        let (mut value, mut offset) = (line, None);
        for field in &self.before {
            let (head, rest) = value.split_once(',')?;
            offset = field.offset(head)?.or(offset);
            value = rest;
        }
        for field in &self.after {
            let (rest, tail) = value.rsplit_once(',')?;
            offset = field.offset(tail)?.or(offset);
            value = rest;
        }
        Some((value, offset))
    }
}

impl CsvField {
    /// The outer `None` is an offset that is none.
    #[allow(clippy::option_option, reason = "a field that is no offset is not one that cannot be read")]
    fn offset(self, text: &str) -> Option<Option<i64>> {
        match self {
            Self::Offset => text.parse().ok().map(Some),
            Self::Value | Self::Other => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<'a>(fields: &str, line: &'a str) -> Option<(&'a str, Option<i64>)> {
        fields.parse::<CsvFields>().unwrap().cut(line)
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
    fn fields_that_cannot_be_meant_are_refused() {
        for text in ["", "key,offset", "value,partition", "values"] {
            assert!(text.parse::<CsvFields>().is_err(), "{text}");
        }
    }
}
