//! What is asked of Spark: the lines that are plainly ticks, summed up; and the others, as they
//! are.
//!
//! A line is plainly a tick where it is laid out like one that our own decoder has read, and where
//! each varying part is a plain one of its kind. So no rule of messages is told a second time in
//! SQL; what is, are sums, and those of integers.

use super::messages::{
    DataSource, Expression, Read, Relation, RelationCommon, Sql, SubqueryAlias, WithRelations,
    relation,
};
use crate::scan::LineLayout;
use common::decode::{MAX_VALUE_BYTES, Part, Rules};
use common::timestamp::EpochUnit;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Between the parts of a line that was taken apart. A line that holds one is left to our own
/// decoder.
const CUT: &str = "\u{1}";

/// The parts of a line, in the order in which they are given, the first at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Symbol,
    DayAndHour,
    Minute,
    Second,
    Fraction,
    Offset,
    Epoch,
    /// Two each: before the point, and after it.
    Open,
    High,
    Low,
    Close,
    Volume,
    Partition,
    KafkaOffset,
}

impl Slot {
    const fn at(self) -> usize {
        match self {
            Self::Symbol => 1,
            Self::DayAndHour => 2,
            Self::Minute => 3,
            Self::Second => 4,
            Self::Fraction => 5,
            Self::Offset => 6,
            Self::Epoch => 7,
            Self::Open => 8,
            Self::High => 10,
            Self::Low => 12,
            Self::Close => 14,
            Self::Volume => 16,
            Self::Partition => 18,
            Self::KafkaOffset => 19,
        }
    }
}

const SLOTS: usize = 19;

/// How a line is recognized and taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    regex: String,
    replacement: String,
}

/// A pattern that grows part by part.
struct Growing {
    regex: String,
    /// The group of each slot, if any.
    groups: [Option<usize>; SLOTS + 1],
    count: usize,
}

impl Growing {
    fn add(&mut self, regex: &str, slots: &[usize]) {
        self.regex.push_str(regex);
        for slot in slots {
            self.count += 1;
            self.groups[*slot] = Some(self.count);
        }
    }

    /// A number with up to `digits` digits before its point and up to nine after it.
    fn decimal(&mut self, digits: usize, slot: Slot) {
        let regex = format!("(0|[1-9][0-9]{{0,{}}})(?:\\.([0-9]{{1,9}}))?", digits - 1);
        self.add(&regex, &[slot.at(), slot.at() + 1]);
    }

    /// `None` of a part whose grammar is told in the decoder alone.
    fn part(&mut self, part: Part, rules: &Rules) -> Option<()> {
        match part {
            Part::Symbol if rules.uppercase_symbols => self.add("([A-Z0-9._:/^=-]{1,64})", &[Slot::Symbol.at()]),
            Part::Symbol => self.add("([A-Za-z0-9._:/^=-]{1,64})", &[Slot::Symbol.at()]),
            Part::TimestampText => self.add(
                "([0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3])):([0-5][0-9]):([0-5][0-9])(?:\\.([0-9]{1,6}))?\
                 (Z|[+-](?:0[0-9]|1[0-4]):00)",
                &[Slot::DayAndHour, Slot::Minute, Slot::Second, Slot::Fraction, Slot::Offset].map(Slot::at),
            ),
            Part::Epoch(unit) => self.add(epoch(unit)?, &[Slot::Epoch.at()]),
            Part::Price => {
                self.decimal(9, Slot::Open);
                let open = Slot::Open.at();
                self.groups[Slot::Close.at()] = self.groups[open];
                self.groups[Slot::Close.at() + 1] = self.groups[open + 1];
            }
            Part::Open => self.decimal(9, Slot::Open),
            Part::High => self.decimal(9, Slot::High),
            Part::Low => self.decimal(9, Slot::Low),
            Part::Close => self.decimal(9, Slot::Close),
            Part::Volume => self.decimal(12, Slot::Volume),
            Part::Partition => self.add("(0|[1-9][0-9]{0,8})", &[Slot::Partition.at()]),
            Part::Offset => self.add("(0|[1-9][0-9]{0,13})", &[Slot::KafkaOffset.at()]),
            Part::OtherNumber => {
                self.regex.push_str("-?(?:0|[1-9][0-9]{0,8})(?:\\.[0-9]{1,9})?(?:[eE][+-]?[0-9]{1,3})?");
            }
            Part::Bid | Part::Ask | Part::Conditions | Part::Sequence => return None,
            Part::OtherText => self.regex.push_str("[ !#-\\[\\]-~]*"),
        }
        Some(())
    }
}

/// Numbers since 1970 whose count of digits tells their unit.
const fn epoch(unit: EpochUnit) -> Option<&'static str> {
    Some(match unit {
        EpochUnit::Auto => "([1-9][0-9]{9}|[1-9][0-9]{12}|[1-9][0-9]{15})",
        EpochUnit::S => "([1-9][0-9]{9})",
        EpochUnit::Ms => "([1-9][0-9]{12})",
        EpochUnit::Us => "([1-9][0-9]{15})",
        EpochUnit::Ns => "([1-8][0-9]{15})[0-9]{3}",
        EpochUnit::DotNet => return None,
    })
}

impl Pattern {
    /// The pattern of lines with this layout; `None` where it has more than printable ASCII, or a
    /// part whose grammar is told in the decoder alone.
    #[must_use]
    pub fn of(line: &LineLayout, rules: &Rules) -> Option<Self> {
        let mut growing = Growing { regex: "^".to_owned(), groups: [None; SLOTS + 1], count: 0 };
        for (literal, part) in &line.layout.steps {
            growing.regex.push_str(&escaped(literal)?);
            growing.part(*part, rules)?;
        }
        growing.regex.push_str(&escaped(&line.layout.tail)?);
        // A `$` is also in front of a last character that Java takes for the end of a line.
        growing.regex.push_str("\\z");
        let group = |group: &Option<usize>| {
            group.map_or_else(|| CUT.to_owned(), |group| format!("{CUT}${group}"))
        };
        let replacement = growing.groups[1..].iter().map(group).collect();
        Some(Self { regex: growing.regex, replacement })
    }
}

/// A text that a regular expression takes as it is, in Java as in Rust.
fn escaped(literal: &str) -> Option<String> {
    let mut regex = String::new();
    for character in literal.chars() {
        if !matches!(character, ' '..='~') {
            return None;
        }
        if matches!(
            character,
            '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$'
        ) {
            regex.push('\\');
        }
        regex.push(character);
    }
    Some(regex)
}

/// Objects that are read by one statement.
pub struct Question<'q> {
    /// As the server is to open them; an answer names them by their places here.
    pub paths: &'q [String],
    pub patterns: &'q [Pattern],
}

impl Question<'_> {
    /// The sums of the lines that are plainly ticks, as [`super::answer::sums`] reads them.
    #[must_use]
    pub fn sums(&self) -> Relation {
        let query = format!("WITH {}\n{SUMS}", self.ticks());
        self.relation(query)
    }

    /// Each other line: object, number of its row, and its bytes in hexadecimal.
    #[must_use]
    pub fn others(&self) -> Relation {
        let others = "SELECT concat_ws(',', CAST(f AS STRING), CAST(ln AS STRING), hex(value)) AS \
                      text FROM ticks WHERE NOT is_plain";
        let query = format!("WITH {}\n{others}", self.ticks());
        self.relation(query)
    }

    /// The lines with what they are made of. The rows are numbered where lines are taken apart,
    /// which is not repeated then for each part: what numbers rows is no function of them.
    fn ticks(&self) -> String {
        let mut parts = "value".to_owned();
        for at in 0..self.patterns.len() {
            parts = format!("regexp_replace({parts}, :p{at}, :r{at})");
        }
        let lines = (0..self.paths.len()).map(|at| {
            format!(
                "SELECT {at} AS f, monotonically_increasing_id() AS ln, value, \
                 instr(value, :cut) = 0 AND octet_length(value) < {MAX_VALUE_BYTES} AS is_clean, \
                 split(concat({parts}, :ends), :cut) AS a FROM o{at}"
            )
        });
        let lines: Vec<String> = lines.collect();
        format!("lines AS (\n{}\n),\n{TICKS}", lines.join("\nUNION ALL\n"))
    }

    fn relation(&self, query: String) -> Relation {
        let mut arguments = HashMap::from([
            ("cut".to_owned(), CUT.to_owned()),
            ("ends".to_owned(), CUT.repeat(SLOTS + 1)),
        ]);
        for (at, pattern) in self.patterns.iter().enumerate() {
            arguments.insert(format!("p{at}"), pattern.regex.clone());
            arguments.insert(format!("r{at}"), pattern.replacement.clone());
        }
        let named_arguments =
            arguments.into_iter().map(|(name, text)| (name, Expression::text(&text))).collect();
        let root = Relation::of(relation::Kind::Sql(Sql { query, named_arguments }));
        let references =
            self.paths.iter().enumerate().map(|(at, path)| lines_of(path, at)).collect();
        let with = WithRelations { root: Some(Box::new(root)), references };
        Relation::of(relation::Kind::WithRelations(Box::new(with)))
    }
}

/// Lines are cut as ours are, at newlines alone. A house may have its Spark pass over what it
/// cannot read whole, which would be fewer ticks without a word.
const READING: [(&str, &str); 3] =
    [("lineSep", "\n"), ("ignoreCorruptFiles", "false"), ("ignoreMissingFiles", "false")];

/// The lines of an object.
fn lines_of(path: &str, at: usize) -> Relation {
    let source = DataSource {
        format: Some("text".to_owned()),
        options: READING
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        paths: vec![path.to_owned()],
    };
    let read = Relation::of(relation::Kind::Read(Read { data_source: Some(source) }));
    let mut alias = String::new();
    // Writing to a text cannot fail.
    let _ = write!(alias, "o{at}");
    let named = SubqueryAlias { input: Some(Box::new(read)), alias };
    // Sail asks for a number of each that is referred to.
    let common = Some(RelationCommon { plan_id: i64::try_from(at).ok() });
    Relation { common, kind: Some(relation::Kind::SubqueryAlias(Box::new(named))) }
}

/// A statement that asks for the server's version.
#[must_use]
pub fn version() -> Relation {
    let query = "SELECT version() AS text".to_owned();
    Relation::of(relation::Kind::Sql(Sql { query, named_arguments: HashMap::new() }))
}

/// What the parts of a line mean. `a` has 21 parts of a line that fits no pattern and 40 of one
/// that does. A time's hour is told by its text, which our own decoder reads; `at` are the
/// microseconds in it.
const TICKS: &str = "\
parts AS (
SELECT f, ln, value, a, is_clean AND size(a) = 40 AS fits,
  try_cast(concat(a[8], rpad(a[9], 9, '0')) AS BIGINT) AS open,
  try_cast(concat(a[10], rpad(a[11], 9, '0')) AS BIGINT) AS high,
  try_cast(concat(a[12], rpad(a[13], 9, '0')) AS BIGINT) AS low,
  try_cast(concat(a[14], rpad(a[15], 9, '0')) AS BIGINT) AS close,
  CASE length(a[7]) WHEN 10 THEN try_cast(a[7] AS BIGINT) * 1000000 WHEN 13 THEN try_cast(a[7] AS BIGINT) * 1000
    WHEN 16 THEN try_cast(a[7] AS BIGINT) END AS micros
FROM lines
),
judged AS (
SELECT *, fits AND open > 0 AND close > 0 AND (a[10] = '' OR high >= greatest(open, close))
  AND (a[12] = '' OR (low > 0 AND low <= least(open, close))) AS is_plain
FROM parts
),
ticks AS (
SELECT f, ln, value, is_plain, open, close,
  CASE WHEN is_plain THEN a[1] END AS sym,
  CASE WHEN NOT is_plain THEN NULL WHEN a[7] = '' THEN concat(a[2], '|', a[6])
    ELSE concat('@', CAST(micros - micros % 3600000000 AS STRING)) END AS hour,
  CASE WHEN a[7] <> '' THEN micros % 3600000000
    ELSE try_cast(a[3] AS BIGINT) * 60000000 + try_cast(a[4] AS BIGINT) * 1000000 + try_cast(rpad(a[5], 6, '0') AS BIGINT)
    END AS at,
  CASE WHEN a[10] = '' THEN greatest(open, close) ELSE high END AS high,
  CASE WHEN a[12] = '' THEN least(open, close) ELSE low END AS low,
  CASE WHEN is_plain AND a[16] <> '' THEN try_cast(a[16] AS BIGINT) END AS whole,
  CASE WHEN is_plain AND a[16] <> '' THEN try_cast(rpad(a[17], 9, '0') AS BIGINT) END AS nanos,
  CASE WHEN is_plain AND a[18] <> '' THEN try_cast(a[18] AS BIGINT) END AS part,
  CASE WHEN is_plain AND a[19] <> '' THEN try_cast(a[19] AS BIGINT) END AS off
FROM judged
),
keyed AS (
SELECT *, CASE WHEN is_plain THEN coalesce(off, ln) END AS place, part AS p, (off - off % 64) AS chunk FROM ticks
)";

/// Rows of three kinds in one: the bar of an object's symbol and hour, 64 offsets of its hour, and
/// the object's lines.
const SUMS: &str = "\
SELECT concat_ws(',', CAST(kind AS STRING), CAST(f AS STRING), coalesce(sym, ''), coalesce(hour, ''),
  coalesce(CAST(p AS STRING), ''), coalesce(CAST(chunk AS STRING), ''), CAST(n AS STRING),
  coalesce(CAST(first.at AS STRING), ''), coalesce(CAST(first.part AS STRING), ''),
  coalesce(CAST(first.place AS STRING), ''), coalesce(CAST(first.open AS STRING), ''),
  coalesce(CAST(last.at AS STRING), ''), coalesce(CAST(last.part AS STRING), ''),
  coalesce(CAST(last.place AS STRING), ''), coalesce(CAST(last.close AS STRING), ''),
  coalesce(CAST(high AS STRING), ''), coalesce(CAST(low AS STRING), ''), coalesce(CAST(sum_close AS STRING), ''),
  CAST(volumes AS STRING), coalesce(CAST(whole AS STRING), ''), coalesce(CAST(nanos AS STRING), ''),
  coalesce(CAST(notional AS STRING), ''), coalesce(CAST(attos AS STRING), ''), coalesce(CAST(bits AS STRING), ''),
  CAST(least_row AS STRING), CAST(greatest_row AS STRING), CAST(row_count AS STRING),
  coalesce(CAST(first_plain AS STRING), ''), coalesce(CAST(last_plain AS STRING), ''),
  coalesce(CAST(other_bytes AS STRING), '')) AS text
FROM (
SELECT grouping_id() AS kind, f, sym, hour, p, chunk, count(sym) AS n,
  min(CASE WHEN is_plain THEN struct(at, part, place, open) END) AS first,
  max(CASE WHEN is_plain THEN struct(at, part, place, close) END) AS last,
  max(CASE WHEN is_plain THEN high END) AS high, min(CASE WHEN is_plain THEN low END) AS low,
  sum(CASE WHEN is_plain THEN CAST(close AS DECIMAL(18,0)) END) AS sum_close, count(whole) AS volumes,
  sum(CAST(whole AS DECIMAL(12,0))) AS whole, sum(nanos) AS nanos,
  sum(CASE WHEN is_plain THEN CAST(close AS DECIMAL(18,0)) * CAST(whole AS DECIMAL(12,0)) END) AS notional,
  sum(CASE WHEN is_plain THEN CAST(close AS DECIMAL(18,0)) * CAST(nanos AS DECIMAL(9,0)) END) AS attos,
  bit_or(shiftleft(1L, CAST(off % 64 AS INT))) AS bits,
  min(ln) AS least_row, max(ln) AS greatest_row, count(*) AS row_count,
  min(CASE WHEN is_plain THEN ln END) AS first_plain, max(CASE WHEN is_plain THEN ln END) AS last_plain,
  sum(CASE WHEN NOT is_plain THEN CAST(octet_length(value) AS BIGINT) END) AS other_bytes
FROM keyed
GROUP BY GROUPING SETS ((f, sym, hour), (f, hour, p, chunk), (f))
)";
