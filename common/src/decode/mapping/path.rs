//! [`Path`]: the way to a member, and `FIELD=PATH` as flags and files write it.

use super::Field;
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

/// What a name cannot have without quotes.
const QUOTED: [char; 6] = ['.', ',', '|', '=', '"', '\\'];

/// Fields and their paths: `symbol=ticker,price=quote.last,volume="Volume BTC",timestamp=ts|time`. Several paths of a
/// field are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntries(pub Vec<(Field, Path)>);

/// As flags write them.
impl fmt::Display for MapEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for (field, path) in &self.0 {
            match before {
                Some(before) if before == field => write!(f, "|{path}")?,
                Some(_) => write!(f, ",{field}={path}")?,
                None => write!(f, "{field}={path}")?,
            }
            before = Some(field);
        }
        Ok(())
    }
}

impl FromStr for MapEntries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let mut entries: Vec<(Field, Path)> = Vec::new();
        loop {
            let field = reader.field()?;
            if entries.iter().any(|(known, _)| *known == field) {
                return Err(format!("{field} is there twice; alternatives are written {field}=a|b"));
            }
            entries.push((field, reader.path(field.as_str())?));
            while reader.skip('|') {
                entries.push((field, reader.path(field.as_str())?));
            }
            if !reader.skip(',') {
                break;
            }
        }
        reader.end("a dot, a comma or the end")?;
        Ok(Self(entries))
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
        if self.skip('=') { Ok(field) } else { Err(format!("expected = behind {field}")) }
    }

    pub fn end(&mut self, expected: &str) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(other) => Err(format!("{other:?} behind a name: expected {expected}")),
        }
    }

    /// `of`: whose path it is.
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
        let MapEntries(entries) = text.parse()?;
        let names = |path: &Path| path.names().iter().map(ToString::to_string).collect();
        Ok(entries.iter().map(|(field, path)| (field.as_str(), names(path))).collect())
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_may_be_nested_quoted_and_alternatives() {
        let text = r#"symbol=ticker, price = quote.last ,volume=Volume BTC,timestamp="a.b"."c \"d\\"|ts"#;
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
            ("symbol", "expected = behind symbol"),
            ("symbol=", "empty name"),
            ("symbol=a,", "there is no field \"\""),
            ("symbol=a..b", "empty name"),
            ("symbol=a,symbol=b", "twice"),
            ("symbol=\"a", "not closed"),
            ("symbol=\"a\"b", "'b' behind a name"),
            ("symbol=a=b", "'=' behind"),
        ] {
            let error = entries(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_path_comes_back_from_its_text(names in proptest::collection::vec("[a-z. ,|=\"\\\\é]{0,6}", 1..4)) {
            let path = Path(names.into_iter().map(Into::into).collect());
            let MapEntries(entries) = format!("open={path}").parse().unwrap();
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path.clone()));
            prop_assert_eq!(entries, [(Field::Open, path)]);
        }

        #[test]
        fn entries_come_back_from_their_text(paths in proptest::collection::vec(0..4_usize, 1..4)) {
            let names = ["a", "b.c", "Volume BTC", "d|e"];
            let fields = [Field::Symbol, Field::Price, Field::Volume];
            let entries: Vec<_> = fields
                .into_iter()
                .flat_map(|field| paths.iter().map(move |at| (field, Path::new(&[names[*at]]).unwrap())))
                .collect();
            let text = MapEntries(entries.clone()).to_string();
            prop_assert_eq!(text.parse::<MapEntries>().unwrap().0, entries, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-z.,|=\" \\\\]{0,40}") {
            let _ = text.parse::<MapEntries>();
            let _ = text.parse::<Path>();
        }
    }
}
