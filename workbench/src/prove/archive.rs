//! What the archive holds.

use super::staging::{Entry, Rows};
use anyhow::Context;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use testing::s3::Bucket;

const CONCURRENT_READS: usize = 8;

#[derive(Deserialize)]
struct Provenance {
    kafka_partition: i32,
    kafka_offset: i64,
}

#[derive(Debug, Default)]
pub struct Archive {
    pub objects: usize,
    /// Ascending offsets of each partition, as often as they are there.
    pub offsets: BTreeMap<i32, Vec<i64>>,
}

/// Reads the origin of every line under `prefix`, and gives each line to `rows`.
///
/// # Errors
/// The store's answer, or a line without an origin, with its key and number.
pub async fn read(bucket: &Bucket, prefix: &str, mut rows: Rows) -> anyhow::Result<Archive> {
    let listed = bucket.list(prefix).await?;
    let keys = listed.into_iter().map(|object| object.key).filter(|key| is_object(key));
    let mut reads = futures::stream::iter(keys)
        .map(|key| async move { Ok::<_, anyhow::Error>((bucket.get(&key).await?, key)) })
        .buffer_unordered(CONCURRENT_READS);
    let mut archive = Archive::default();
    while let Some((body, key)) = reads.try_next().await? {
        archive.objects += 1;
        let reading = tokio::task::spawn_blocking(move || {
            origins(&key, &body, &mut rows).map(|origins| (origins, rows))
        });
        let origins;
        (origins, rows) = reading.await.context("a reading thread")??;
        for origin in origins {
            archive.offsets.entry(origin.kafka_partition).or_default().push(origin.kafka_offset);
        }
    }
    archive.offsets.values_mut().for_each(|offsets| offsets.sort_unstable());
    Ok(archive)
}

/// Keys and headers of the records may stand beside their values, and what a store that was killed
/// has left of an upload.
fn is_object(key: &str) -> bool {
    let is_beside = key.contains(".keys.") || key.contains(".headers.");
    (key.ends_with(".json") || key.ends_with(".json.gz")) && !is_beside
}

fn origins(key: &str, body: &[u8], rows: &mut Rows) -> anyhow::Result<Vec<Provenance>> {
    let mut unpacked = Vec::new();
    let lines = if key.ends_with(".gz") {
        MultiGzDecoder::new(body)
            .read_to_end(&mut unpacked)
            .with_context(|| format!("unpack {key}"))?;
        unpacked.as_slice()
    } else {
        body
    };
    let mut origins = Vec::new();
    for (number, line) in
        lines.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
    {
        let parsed = serde_json::from_slice(line);
        let origin: Provenance = parsed.with_context(|| {
            format!("{key}, line {}: no kafka_partition and kafka_offset", number + 1)
        })?;
        let (partition, offset) = (origin.kafka_partition, origin.kafka_offset);
        rows.push(&Entry { partition, offset, fate: None, value: Some(line) })?;
        origins.push(origin);
    }
    rows.flush()?;
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_sink_has_named_is_read() {
        let key = "raw/t/2025-06-02-13/t+0+0000000001.json";
        for (suffix, expected) in [("", true), (".gz", true), ("-3b30b6f3-83b6", false)] {
            assert_eq!(is_object(&format!("{key}{suffix}")), expected, "{suffix}");
        }
        assert!(!is_object("raw/t/2025-06-02-13/t+0+0000000001.keys.json"));
    }

    #[test]
    fn a_line_without_an_origin_is_named() {
        let body = b"{\"kafka_offset\":1,\"kafka_partition\":0}\n{\"kafka_offset\":2}\n";
        let (mut rows, _portions) =
            super::super::staging::rows(crate::simulate::Shape::Bare.names());
        let error = format!(
            "{:#}",
            origins("raw/t/2025-06-02-13/t+0+0000000001.json", body, &mut rows).err().unwrap()
        );
        assert!(error.contains("t+0+0000000001.json, line 2"), "{error}");
    }
}
