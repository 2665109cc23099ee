//! What is written to the store, and taken from it: the lake alone does that.

use super::{Object, S3Store, StoreError, read_status};
use anyhow::Context;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use std::path::Path;
use std::time::Duration;

/// How long an attempt to write or copy an object may take: so long, and a second for each of so
/// many bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
const WRITE_PACE: u64 = 1 << 20;
/// All attempts together, in units of one: a store that answers nothing must not hold the lock for
/// long.
const WRITE_ATTEMPTS: u32 = 2;
/// Characters that a copy's source cannot have as they are.
const PLAIN: &[u8] = b"/-_.~";

impl S3Store {
    /// Writes a file as an object; gives its etag.
    pub async fn put(&self, key: &str, path: &Path) -> Result<String, StoreError> {
        let size = path.metadata().map_or(0, |metadata| metadata.len());
        let body = ByteStream::from_path(path).await;
        let body = body
            .with_context(|| format!("cannot read {}", path.display()))
            .map_err(StoreError::Unavailable)?;
        let request = self.client.put_object().bucket(&*self.bucket).key(key).body(body);
        let answer = request.customize().config_override(patient(size)).send().await;
        let answer =
            answer.map_err(|error| self.sort_write_error(&format!("write {key}"), error))?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    /// Copies an object of `size` bytes within the store; gives the copy's etag.
    pub async fn copy(&self, from: &str, to: &str, size: u64) -> Result<String, StoreError> {
        let source = format!("{}/{}", self.bucket, escaped(from));
        let request = self.client.copy_object().bucket(&*self.bucket).copy_source(source).key(to);
        let answer = request.customize().config_override(patient(size)).send().await;
        let answer = answer
            .map_err(|error| self.sort_write_error(&format!("copy {from} to {to}"), error))?;
        Ok(answer.copy_object_result().and_then(|copy| copy.e_tag()).unwrap_or_default().to_owned())
    }

    /// Deletes an object, as far as the store heeds it only if it is the one listed.
    pub async fn delete_listed(&self, object: &Object) -> Result<(), StoreError> {
        let asked = |etag: Option<String>| {
            self.client
                .delete_object()
                .bucket(&*self.bucket)
                .key(&*object.key)
                .set_if_match(etag)
                .send()
        };
        let answer = match asked(object.etag_of_store().map(str::to_owned)).await {
            // Not every store knows the condition; the object was looked at just before.
            Err(error) if matches!(read_status(&error), Some(400 | 501)) => asked(None).await,
            answer => answer,
        };
        answer
            .map(drop)
            .map_err(|error| self.sort_write_error(&format!("delete {}", object.key), error))
    }

    /// Deletes an object. That there is none is no error.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let answer = self.client.delete_object().bucket(&*self.bucket).key(key).send().await;
        match answer.map_err(|error| self.sort_write_error(&format!("delete {key}"), error)) {
            Ok(_) | Err(StoreError::Moved) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Timeouts of small answers are too short for large objects. `size`: of the object in bytes.
fn patient(size: u64) -> Builder {
    let attempt = WRITE_TIMEOUT + Duration::from_secs(size / WRITE_PACE);
    let timeouts = TimeoutConfig::builder()
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * WRITE_ATTEMPTS)
        .build();
    Builder::new().timeout_config(timeouts)
}

/// A key as a header can have it.
fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) => {
                text.push(char::from(byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_header_cannot_have_is_escaped_in_a_copys_source() {
        assert_eq!(escaped("lake/source=µ/part-1.parquet"), "lake/source%3D%C2%B5/part-1.parquet");
    }
}
