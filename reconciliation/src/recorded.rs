//! [`RecordedHour`]: what `batch_hours` says of the objects and records that an hour was computed
//! from, in addition to what the index and the hour's sums have.
//!
//! Not looked at: `duplicates` and `conflicts`, which only the run knows that read the objects.

use crate::compare::SAME_FLAGS;
use crate::tables::ANEW;
use hourly::decode_rules::described;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::state;
use hourly::whereabouts::bucket_of;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::counted;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// Of an hour that is as its objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedHour {
    /// Objects in the sums, and those of them that are no longer in the archive.
    objects: u64,
    gone: u64,
    /// How many there are in the archive, by the index.
    there: u64,
    /// Records that were taken out, and how many the sums name; `None` where that cannot be read.
    /// Some of these may have come again without their offsets.
    withdrawn: u64,
    named: Option<u64>,
    location: String,
    decode_rules: String,
    /// How the objects were read that are there.
    read_as: Vec<String>,
}

impl RecordedHour {
    /// `None` of an hour that was never computed, or whose objects have changed since.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read(db: &mut BatchDb, hour: Hour) -> Result<Option<Self>, Failure> {
        let statement =
            pg::query(include_str!("../sql/recorded.sql")).bind(Timestamptz(hour.start()));
        db.read_optional("reading batch_hours in", statement, Self::of).await
    }

    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let places: Option<&[u8]> = row.try_get("places")?;
        Ok(Self {
            objects: row.try_get::<i32, _>("objects")?.cast_unsigned().into(),
            gone: row.try_get::<i32, _>("gone_objects")?.cast_unsigned().into(),
            there: row.try_get::<i64, _>("there")?.cast_unsigned(),
            withdrawn: row.try_get::<i64, _>("withdrawn")?.cast_unsigned(),
            named: places
                .and_then(|places| state::decode_offsets(places).ok())
                .map(|places| places.len()),
            location: row.try_get("location")?,
            decode_rules: row.try_get("decode_rules")?,
            read_as: row
                .try_get::<Option<Vec<String>>, _>("decode_rules_read")?
                .unwrap_or_default(),
        })
    }

    /// Statements that are not true.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let Self { objects, gone, there, withdrawn, .. } = self;
        let mut found = Vec::new();
        if gone + there != *objects {
            let (all, there) = (counted(*objects, "object"), counted(*there, "object"));
            found.push(format!(
                "batch_hours says that the hour was computed from {all}, of which {gone} are gone, \
                 and the index has {there} of it: {ANEW}, where none is gone; else put its row \
                 back from a backup"
            ));
        }
        if let Some(named) = self.named.filter(|named| named < withdrawn) {
            let all = counted(*withdrawn, "record");
            found.push(format!(
                "batch_hours says that {all} were taken out, and hour_sums names {named}: {ANEW}"
            ));
        }
        if !self.read_as.is_empty() && !self.read_as.contains(&self.decode_rules) {
            let (decode_rules, read_as) = (&self.decode_rules, &self.read_as[0]);
            found.push(format!(
                "batch_hours says that the hour's objects were read by `{decode_rules}`, and the \
                 index that they were by `{read_as}`: {ANEW}"
            ));
        }
        found
    }

    /// Words where the hour was computed by other rules of messages than `decode_rules` has.
    #[must_use]
    pub fn is_read_otherwise(&self, decode_rules: &str) -> Option<String> {
        let others = described(&self.decode_rules, decode_rules)?;
        Some(format!("batch-layer has computed the hour {others}: {SAME_FLAGS}"))
    }

    /// Words where the hour was computed from another archive than the one at `location`: it may
    /// have been copied.
    #[must_use]
    pub fn is_elsewhere(&self, location: &str) -> Option<String> {
        let words = format!(
            "batch_hours says that the hour was computed from {}, and not from {location}: give --bucket {}; only where \
             the archive has moved for good, {ANEW}",
            self.location,
            bucket_of(&self.location)
        );
        (self.location != location).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> RecordedHour {
        RecordedHour {
            objects: 3,
            gone: 1,
            there: 2,
            withdrawn: 4,
            named: Some(4),
            location: "s3://one/".into(),
            decode_rules: "b".into(),
            read_as: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn a_row_that_says_what_the_index_and_the_sums_have_is_right() {
        assert_eq!(recorded().contradictions(), [""; 0]);
        assert_eq!(recorded().is_elsewhere("s3://one/"), None);
        // Of what has expired, and of sums of another version, nothing tells.
        let unknown =
            RecordedHour { there: 0, gone: 3, read_as: Vec::new(), named: None, ..recorded() };
        assert_eq!(unknown.contradictions(), [""; 0]);
    }

    #[test]
    fn each_of_its_columns_is_compared() {
        for (false_row, word) in [
            (
                RecordedHour { objects: 4, ..recorded() },
                "computed from 4 objects, of which 1 are gone",
            ),
            (
                RecordedHour { gone: 0, ..recorded() },
                "computed from 3 objects, of which 0 are gone",
            ),
            (
                RecordedHour { withdrawn: 5, ..recorded() },
                "5 records were taken out, and hour_sums names 4",
            ),
            (RecordedHour { decode_rules: "c".into(), ..recorded() }, "were read by `c`"),
        ] {
            let found = false_row.contradictions();
            assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
        }
        let elsewhere = recorded().is_elsewhere("s3://two/").unwrap();
        assert!(elsewhere.contains("from s3://one/, and not from s3://two/"), "{elsewhere}");
    }
}
