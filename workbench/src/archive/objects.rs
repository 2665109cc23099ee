//! Cutting the lines of one partition into objects: which line goes where, when an object ends,
//! what its key is.

use jiff::Timestamp;
use std::collections::BTreeMap;

/// How objects are named.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The folder that the topics' folders stand in; empty for none.
    pub folder: String,
    pub topic: String,
    pub gzip: bool,
}

/// An object that is ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: String,
    pub body: Vec<u8>,
}

/// The objects of one partition that are still open, one for each hour. A line belongs to the hour
/// of its record's timestamp, so a late record opens the old hour again.
#[derive(Debug)]
pub struct OpenObjects {
    partition: i32,
    open: BTreeMap<i64, Open>,
    lines: usize,
}

#[derive(Debug)]
struct Open {
    start_offset: i64,
    body: Vec<u8>,
}

const HOUR_MS: i64 = 3_600_000;

impl OpenObjects {
    pub fn new(partition: i32) -> Self {
        Self { partition, open: BTreeMap::new(), lines: 0 }
    }

    /// `timestamp` is the record's, in milliseconds of the epoch.
    pub fn push(&mut self, offset: i64, timestamp: i64, line: &[u8]) {
        let open = self
            .open
            .entry(timestamp.div_euclid(HOUR_MS))
            .or_insert_with(|| Open { start_offset: offset, body: Vec::new() });
        open.body.extend_from_slice(line);
        self.lines += 1;
    }

    /// Lines in all open objects; the sink's `flush.size` counts these, not those of one object.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Ends every open object.
    pub fn cut(&mut self, naming: &Naming) -> Vec<Object> {
        self.lines = 0;
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(hour, open)| Object {
                key: naming.key(self.partition, hour, open.start_offset),
                body: open.body,
            })
            .collect()
    }
}

impl Naming {
    /// `<folder>/<topic>/yyyy-MM-dd-HH/<topic>+<partition>+<start offset>.json`, in UTC. `hour`
    /// counts from the epoch.
    fn key(&self, partition: i32, hour: i64, start_offset: i64) -> String {
        let Self { folder, topic, gzip } = self;
        let slash = if folder.is_empty() { "" } else { "/" };
        let start = Timestamp::from_second(hour.saturating_mul(3600)).unwrap_or_default();
        let hour = start.strftime("%Y-%m-%d-%H").to_string();
        let suffix = if *gzip { ".gz" } else { "" };
        format!("{folder}{slash}{topic}/{hour}/{topic}+{partition}+{start_offset:010}.json{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naming() -> Naming {
        Naming { folder: "raw".into(), topic: "stock_prices".into(), gzip: false }
    }

    #[test]
    fn a_late_record_joins_the_open_object_of_its_hour() {
        let mut objects = OpenObjects::new(1);
        // 2025-06-02 13:59:59.999 and 14:00:00 UTC, then late again.
        for (offset, timestamp) in
            [(0, 1_748_872_799_999), (1, 1_748_872_800_000), (2, 1_748_872_799_000)]
        {
            objects.push(offset, timestamp, format!("{offset}\n").as_bytes());
        }
        let cut = objects.cut(&naming());
        let seen: Vec<_> =
            cut.iter().map(|object| (object.key.as_str(), object.body.as_slice())).collect();
        assert_eq!(
            seen,
            [
                (
                    "raw/stock_prices/2025-06-02-13/stock_prices+1+0000000000.json",
                    b"0\n2\n".as_slice()
                ),
                (
                    "raw/stock_prices/2025-06-02-14/stock_prices+1+0000000001.json",
                    b"1\n".as_slice()
                ),
            ]
        );
    }

    #[test]
    fn gzip_shows_in_the_key() {
        let mut objects = OpenObjects::new(0);
        objects.push(12_345_678_901, 0, b"{}\n");
        let naming = Naming { gzip: true, ..naming() };
        assert_eq!(
            objects.cut(&naming)[0].key,
            "raw/stock_prices/1970-01-01-00/stock_prices+0+12345678901.json.gz"
        );
    }

    #[test]
    fn the_folder_is_the_one_given_or_none() {
        let key = |folder: &str| Naming { folder: folder.into(), ..naming() }.key(0, 0, 7);
        assert_eq!(key("a/b"), "a/b/stock_prices/1970-01-01-00/stock_prices+0+0000000007.json");
        assert_eq!(key(""), "stock_prices/1970-01-01-00/stock_prices+0+0000000007.json");
    }

    proptest! {
        #[test]
        fn every_line_is_in_exactly_one_object_wherever_the_cuts_are(
            hours in prop::collection::vec(0_i64..4, 0..200),
            every in 1_usize..40,
        ) {
            let mut objects = OpenObjects::new(0);
            let mut written = Vec::new();
            for (offset, hour) in (0..).zip(&hours) {
                objects.push(offset, hour * HOUR_MS, format!("{offset}\n").as_bytes());
                if objects.lines() >= every {
                    written.extend(objects.cut(&naming()));
                }
            }
            written.extend(objects.cut(&naming()));
            prop_assert_eq!(objects.lines(), 0);
            let keys: std::collections::BTreeSet<_> = written.iter().map(|object| &object.key).collect();
            prop_assert_eq!(keys.len(), written.len());
            let mut offsets: Vec<i64> = written
                .iter()
                .flat_map(|object| str::from_utf8(&object.body).unwrap().lines())
                .map(|line| line.parse().unwrap())
                .collect();
            offsets.sort_unstable();
            prop_assert_eq!(offsets, (0..i64::try_from(hours.len()).unwrap()).collect::<Vec<_>>());
        }
    }
}
