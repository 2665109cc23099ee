//! [`TestBucket`]: a bucket of a test's own.

use crate::s3::{Bucket, StoreArgs};
use crate::stack::{clean_up, stack, unique_name};
use std::ops::Deref;

/// An empty bucket of its own; reading, writing and listing are [`Bucket`]'s. It is emptied and
/// deleted with the value.
pub struct TestBucket {
    store: StoreArgs,
    bucket: Bucket,
}

impl TestBucket {
    pub async fn create() -> Self {
        let store = StoreArgs {
            bucket: unique_name("bucket"),
            endpoint_url: stack("STACK_S3_ENDPOINT_URL"),
            region: stack("STACK_S3_REGION"),
            access_key: stack("STACK_S3_ACCESS_KEY"),
            secret_key: stack("STACK_S3_SECRET_KEY"),
        };
        let bucket = Bucket::new(&store);
        bucket
            .client()
            .create_bucket()
            .bucket(bucket.name())
            .send()
            .await
            .expect("create the test's bucket");
        Self { store, bucket }
    }

    /// What a binary needs to reach this bucket.
    pub fn env(&self) -> [(&'static str, String); 5] {
        [
            ("S3_BUCKET", self.store.bucket.clone()),
            ("S3_ENDPOINT_URL", self.store.endpoint_url.clone()),
            ("AWS_REGION", self.store.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.store.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.store.secret_key.clone()),
        ]
    }
}

impl Deref for TestBucket {
    type Target = Bucket;

    fn deref(&self) -> &Bucket {
        &self.bucket
    }
}

impl Drop for TestBucket {
    fn drop(&mut self) {
        let store = self.store.clone();
        clean_up(|| async move {
            // A client of its own: connections belong to the runtime that opened them.
            let bucket = Bucket::new(&store);
            for object in bucket.list("").await.unwrap_or_default() {
                let _ = bucket.delete(&object.key).await;
            }
            let _ = bucket.client().delete_bucket().bucket(bucket.name()).send().await;
        });
    }
}
