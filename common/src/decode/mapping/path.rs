//! [`Path`]: the way to a member, and `FIELD=PATH` as flags and files write it.

use super::field::Field;
use crate::decode::sources::{SymbolFrom, TimestampFrom};
use std::fmt;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

/// The names of members inside one another, the outermost first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Box<str>>);

impl Path {
    /// `None` of no names.
    #[must_use]
    pub fn new(names: &[&str]) -> Option<Self> {
        (!names.is_empty()).then(|| Self(names.iter().map(|name| (*name).into()).collect()))
    }

    /// The names of the members on the way, from the outside in.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.0
    }
}

/// One path, as flags write it: no alternatives.
impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let path = reader.path("the path")?;
        reader.end("a dot or the end")?;
        Ok(path)
    }
}

/// As flags write it.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [name] = self.0.as_slice()
            && Source::of(name).is_some()
        {
            return write!(f, "\"{name}\"");
        }
        let names: Vec<String> = self.0.iter().map(|name| quoted(name)).collect();
        f.write_str(&names.join("."))
    }
}

/// A name or a value, in quotes where it would be read otherwise.
pub(super) fn quoted(name: &str) -> String {
    match name.contains(QUOTED) || name.trim().len() < name.len() || name.is_empty() {
        true => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
        false => name.to_owned(),
    }
}

/// Characters that a name cannot have without quotes.
const QUOTED: [char; 6] = ['.', ',', '|', '=', '"', '\\'];

/// The sources of a field that are no members of the message. A member of that name needs quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Key,
    Topic,
    Record,
}

impl Source {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Key, "@key"), (Self::Topic, "@topic"), (Self::Record, "@record")];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(source, _)| source)
    }
}

/// Fields and their paths: `symbol=ticker,price=quote.last,volume="Volume BTC",timestamp=ts|time`.
/// Several paths of a field are alternatives. `symbol=@key`, `symbol=@topic` and
/// `timestamp=@record` say that a field is in no member; `symbol=ticker|@key` that it may be in
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapEntries {
    /// All entries of each field, one after the other.
    pub paths: Vec<(Field, Path)>,
    /// Where the symbol is, if not in a member alone.
    pub symbol_from: Option<SymbolFrom>,
    /// Where the time is, if in no member.
    pub timestamp_from: Option<TimestampFrom>,
}

impl MapEntries {
    /// A map of fields to members.
    #[must_use]
    pub fn of_members(paths: Vec<(Field, Path)>) -> Self {
        Self { paths, ..Self::default() }
    }

    /// An entry, as flags write it.
    #[must_use]
    pub fn written(&self, field: Field) -> Option<String> {
        let paths = self
            .paths
            .iter()
            .filter(|(mapped, _)| *mapped == field)
            .map(|(_, path)| path.to_string());
        let all: Vec<String> = paths.chain(self.source(field).map(str::to_owned)).collect();
        (!all.is_empty()).then(|| format!("{field}={}", all.join("|")))
    }

    fn source(&self, field: Field) -> Option<&'static str> {
        match (field, self.symbol_from, self.timestamp_from) {
            (Field::Symbol, Some(SymbolFrom::Key | SymbolFrom::ValueOrKey), _) => Some("@key"),
            (Field::Symbol, Some(SymbolFrom::Topic), _) => Some("@topic"),
            (Field::Timestamp, _, Some(TimestampFrom::Record)) => Some("@record"),
            _ => None,
        }
    }

    /// The fields that have entries, in the order of the flags.
    fn fields(&self) -> Vec<Field> {
        let mapped = |field: &Field| self.paths.iter().any(|(mapped, _)| mapped == field);
        let in_no_member =
            [Field::Symbol, Field::Timestamp].into_iter().filter(|field| !mapped(field));
        let mut fields: Vec<Field> =
            in_no_member.filter(|field| self.source(*field).is_some()).collect();
        for (field, _) in &self.paths {
            if !fields.contains(field) {
                fields.push(*field);
            }
        }
        fields
    }

    /// Takes the member before the reader as a way to `field`.
    fn take(&mut self, field: Field, reader: &mut Reader<'_>) -> Result<(), String> {
        let is_bare = !reader.is_at_quote();
        let path = reader.path(field.as_str())?;
        let (name, source) = match path.names() {
            [name] if is_bare => (name.clone(), Source::of(name)),
            _ => (Box::default(), None),
        };
        let Some(source) = source else {
            self.paths.push((field, path));
            return Ok(());
        };
        let has_members = self.paths.iter().any(|(mapped, _)| *mapped == field);
        match (field, source) {
            (Field::Symbol, Source::Key) if has_members => {
                self.symbol_from = Some(SymbolFrom::ValueOrKey)
            }
            (Field::Symbol, Source::Key) => self.symbol_from = Some(SymbolFrom::Key),
            (Field::Symbol, Source::Topic) if !has_members => {
                self.symbol_from = Some(SymbolFrom::Topic)
            }
            (Field::Timestamp, Source::Record) if !has_members => {
                self.timestamp_from = Some(TimestampFrom::Record)
            }
            (Field::Symbol, Source::Topic) | (Field::Timestamp, Source::Record) => {
                return Err(format!(
                    "{name} has no alternatives: every message has it, so no other member would count"
                ));
            }
            _ => {
                return Err(format!(
                    "{field} cannot come from {name}; a member of that name is written {path}"
                ));
            }
        }
        Ok(())
    }
}

/// As flags write them.
impl fmt::Display for MapEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> =
            self.fields().into_iter().filter_map(|field| self.written(field)).collect();
        f.write_str(&all.join(","))
    }
}

impl FromStr for MapEntries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let mut entries = Self::default();
        loop {
            let field = reader.field()?;
            if entries.written(field).is_some() {
                return Err(format!(
                    "{field} is there twice; alternatives are written {field}=a|b"
                ));
            }
            entries.take(field, &mut reader)?;
            while reader.skip('|') {
                if entries.source(field).is_some() {
                    return Err(format!(
                        "a source of {field} outside of the message has no alternatives after it"
                    ));
                }
                entries.take(field, &mut reader)?;
            }
            if !reader.skip(',') {
                break;
            }
        }
        reader.end("a dot, a comma or the end")?;
        Ok(entries)
    }
}

/// Reads what flags write, from the left to the right.
pub(super) struct Reader<'a>(Peekable<Chars<'a>>);

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self(text.chars().peekable())
    }

    pub fn skip(&mut self, wanted: char) -> bool {
        self.blanks();
        self.0.next_if_eq(&wanted).is_some()
    }

    /// Whether a quote comes next, after blanks.
    fn is_at_quote(&mut self) -> bool {
        self.blanks();
        self.0.peek() == Some(&'"')
    }

    fn blanks(&mut self) {
        while self.0.next_if(|next| next.is_whitespace()).is_some() {}
    }

    fn field(&mut self) -> Result<Field, String> {
        let name = self.bare();
        let field = Field::ALL.into_iter().find(|field| field.as_str() == name);
        let field = field.ok_or_else(|| {
            let known = Field::ALL.map(Field::as_str).join(", ");
            format!("there is no field {name:?}; expected FIELD=NAME with a field of {known}")
        })?;
        if self.skip('=') { Ok(field) } else { Err(format!("expected = after {field}")) }
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// If text follows, with the text and `expected`.
    pub fn end(&mut self, expected: &str) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(other) => Err(format!("{other:?} after a name: expected {expected}")),
        }
    }

    /// `of`: whose path it is.
    ///
    /// # Errors
    /// If a name is empty, or its quotes do not end.
    pub fn path(&mut self, of: &str) -> Result<Path, String> {
        let mut names = Vec::new();
        loop {
            self.blanks();
            let name = match self.0.next_if_eq(&'"') {
                Some(_) => self.quoted()?,
                None => match self.bare() {
                    name if name.is_empty() => {
                        return Err(format!("{of} has an empty name; quote it if it is meant"));
                    }
                    name => name,
                },
            };
            names.push(name.into());
            if !self.skip('.') {
                return Ok(Path(names));
            }
        }
    }

    /// A value, up to a comma or `|`; `of`: whose it is.
    ///
    /// # Errors
    /// If the value is empty, or its quotes do not end.
    pub fn value(&mut self, of: &Path) -> Result<String, String> {
        self.blanks();
        if self.0.next_if_eq(&'"').is_some() {
            return self.quoted();
        }
        let mut value = String::new();
        while let Some(next) = self.0.next_if(|next| !matches!(next, ',' | '|')) {
            value.push(next);
        }
        match value.trim() {
            "" => Err(format!("{of} has an empty value; quote it if it is meant")),
            value => Ok(value.to_owned()),
        }
    }

    fn bare(&mut self) -> String {
        let mut name = String::new();
        while let Some(next) = self.0.next_if(|next| !QUOTED.contains(next)) {
            name.push(next);
        }
        name.trim().to_owned()
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut name = String::new();
        loop {
            match self.0.next() {
                Some('"') => return Ok(name),
                Some('\\') => name.extend(self.0.next()),
                Some(next) => name.push(next),
                None => return Err("a quote is not closed".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(text: &str) -> Result<Vec<(&'static str, Vec<String>)>, String> {
        let MapEntries { paths, .. } = text.parse()?;
        let names = |path: &Path| path.names().iter().map(ToString::to_string).collect();
        Ok(paths.iter().map(|(field, path)| (field.as_str(), names(path))).collect())
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_may_be_nested_quoted_and_alternatives() {
        let text =
            r#"symbol=ticker, price = quote.last ,volume=Volume BTC,timestamp="a.b"."c \"d\\"|ts"#;
        assert_eq!(
            entries(text).unwrap(),
            [
                ("symbol", owned(&["ticker"])),
                ("price", owned(&["quote", "last"])),
                ("volume", owned(&["Volume BTC"])),
                ("timestamp", owned(&["a.b", "c \"d\\"])),
                ("timestamp", owned(&["ts"])),
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_was_expected() {
        for (text, said) in [
            ("", "there is no field \"\""),
            ("ticker=symbol", "there is no field \"ticker\""),
            ("symbol", "expected = after symbol"),
            ("symbol=", "empty name"),
            ("symbol=a,", "there is no field \"\""),
            ("symbol=a..b", "empty name"),
            ("symbol=a,symbol=b", "twice"),
            ("symbol=\"a", "not closed"),
            ("symbol=\"a\"b", "'b' after a name"),
            ("symbol=a=b", "'=' after"),
            ("price=@key", "price cannot come from @key"),
            ("symbol=@record", "symbol cannot come from @record"),
            ("symbol=a|@topic", "@topic has no alternatives"),
            ("timestamp=a|@record", "has no alternatives"),
            ("symbol=@key|a", "has no alternatives"),
            ("symbol=@key,symbol=a", "twice"),
        ] {
            let error = entries(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_stands_in_no_member_is_named_by_a_word_of_its_own() {
        for (text, symbol_from, timestamp_from) in [
            ("symbol=@key,timestamp=@record", Some(SymbolFrom::Key), Some(TimestampFrom::Record)),
            ("symbol=@topic,price=p", Some(SymbolFrom::Topic), None),
            ("price=p,symbol=a|b|@key", Some(SymbolFrom::ValueOrKey), None),
            ("symbol=\"@key\",timestamp=@timestamp", None, None),
            ("symbol=@key.name", None, None),
        ] {
            let entries: MapEntries = text.parse().unwrap();
            assert_eq!(
                (entries.symbol_from, entries.timestamp_from),
                (symbol_from, timestamp_from),
                "{text}"
            );
            assert_eq!(entries.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_path_comes_back_from_its_text(names in proptest::collection::vec("[a-z. \
            ,|=\"\\\\é]{0,6}", 1..4)) {
            let path = Path(names.into_iter().map(Into::into).collect());
            let MapEntries { paths, .. } = format!("open={path}").parse().unwrap();
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path.clone()));
            prop_assert_eq!(paths, [(Field::Open, path)]);
        }

        #[test]
        fn entries_come_back_from_their_text(paths in proptest::collection::vec(0..4_usize, 1..4)) {
            let names = ["a", "b.c", "Volume BTC", "d|e"];
            let fields = [Field::Symbol, Field::Price, Field::Volume];
            let entries: Vec<_> = fields
                .into_iter()
                .flat_map(|field| paths.iter().map(move |at| (field, Path::new(&[names[*at]]).unwrap())))
                .collect();
            let text = MapEntries::of_members(entries.clone()).to_string();
            prop_assert_eq!(text.parse::<MapEntries>().unwrap().paths, entries, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "((symbol|timestamp)=@?)?[a-z.,|=@\" \\\\]{0,40}") {
            let _ = text.parse::<MapEntries>();
            let _ = text.parse::<Path>();
        }
    }
}
