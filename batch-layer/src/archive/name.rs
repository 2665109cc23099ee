//! What the name of an object says about its content.

/// The kind of a file in the archive, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// Records of one partition of the topic.
    Records(Origin),
    /// A companion that the sink writes beside the records (keys or headers), or a folder's own marker.
    Companion,
    /// Nothing that the sink writes.
    Unknown,
}

/// Where an object's first line stood in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub partition: i32,
    pub start_offset: i64,
}

impl FileName {
    /// Takes a key such as `raw/t/2025-06-02-13/t+0+0000000017.json.gz`: topic, partition and first offset.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let name = key.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Self::Companion;
        }
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        let Some(stem) = name.strip_suffix(".json") else {
            return Self::Unknown;
        };
        let (records, is_companion) = match stem.strip_suffix(".keys").or_else(|| stem.strip_suffix(".headers")) {
            Some(records) => (records, true),
            None => (stem, false),
        };
        match origin(records) {
            Some(_) if is_companion => Self::Companion,
            Some(origin) => Self::Records(origin),
            None => Self::Unknown,
        }
    }
}

/// A topic's name may itself hold a plus sign, so the numbers are sought from the end.
fn origin(stem: &str) -> Option<Origin> {
    let (rest, start_offset) = stem.rsplit_once('+')?;
    let (topic, partition) = rest.rsplit_once('+')?;
    let origin = Origin { partition: number(partition)?.try_into().ok()?, start_offset: number(start_offset)? };
    (!topic.is_empty()).then_some(origin)
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_partition_and_first_offset() {
        let records = FileName::Records(Origin { partition: 3, start_offset: 17 });
        for key in [
            "raw/stock_prices/2025-06-02-13/stock_prices+3+0000000017.json",
            "stock_prices+3+17.json.gz",
            "a/b/stock_prices+3+0000000017.json.zst",
            "odd+topic+3+0000000017.json",
        ] {
            assert_eq!(FileName::of(key), records, "{key}");
        }
    }

    #[test]
    fn companions_of_records_are_no_records() {
        for key in ["a/t+0+0000000003.keys.json", "a/t+0+0000000003.headers.json.gz", "a/2025-06-02-13/"] {
            assert_eq!(FileName::of(key), FileName::Companion, "{key}");
        }
    }

    #[test]
    fn other_files_are_unknown() {
        for key in [
            "a/_SUCCESS",
            "a/t+0+0000000003.avro",
            "a/t+0.json",
            "a/+0+1.json",
            "a/t+x+1.json",
            "a/t+0+-1.json",
            "a/t+0++1.json",
            "a/t+99999999999+1.json",
            "a/t+0+99999999999999999999.json",
            "a/notes.keys.json",
        ] {
            assert_eq!(FileName::of(key), FileName::Unknown, "{key}");
        }
    }
}
