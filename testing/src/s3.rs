//! An S3 client for one bucket, by endpoint and static credentials.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use clap::Args;
use std::collections::HashMap;

/// Where the archive is. The names of the variables are those of `batch-layer`.
#[derive(Args, Clone)]
pub struct StoreArgs {
    /// Bucket of the archive.
    #[arg(long = "bucket", env = "S3_BUCKET", default_value = "stock-data")]
    pub bucket: String,
    /// Address of the S3-compatible store, such as http://127.0.0.1:9000.
    #[arg(
        long = "s3-endpoint-url",
        env = "S3_ENDPOINT_URL",
        default_value = "http://127.0.0.1:9000"
    )]
    pub endpoint_url: String,
    #[arg(long = "s3-region", env = "AWS_REGION", default_value = "us-east-1", hide = true)]
    pub region: String,
    #[arg(
        long = "s3-access-key",
        env = "AWS_ACCESS_KEY_ID",
        default_value = "minioadmin",
        hide = true,
        hide_env_values = true
    )]
    pub access_key: String,
    #[arg(
        long = "s3-secret-key",
        env = "AWS_SECRET_ACCESS_KEY",
        default_value = "minioadmin",
        hide = true,
        hide_env_values = true
    )]
    pub secret_key: String,
}

/// Of an object that is put in parts.
const PART_BYTES: usize = 8 << 20;

/// One bucket. Cloning is cheap.
#[derive(Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub size: i64,
    pub etag: String,
}

impl Bucket {
    pub fn new(store: &StoreArgs) -> Self {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let credentials =
            Credentials::new(&store.access_key, &store.secret_key, None, None, "workbench");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(&store.endpoint_url)
            .region(Region::new(store.region.clone()))
            .credentials_provider(credentials)
            // Stores other than AWS rarely have a DNS name a bucket.
            .force_path_style(true)
            .build();
        Self { client: Client::from_conf(config), name: store.bucket.clone() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// # Errors
    /// The store's answer, with the key.
    pub async fn put(&self, key: &str, body: impl Into<Bytes>) -> anyhow::Result<()> {
        self.put_marked(key, body, None).await
    }

    /// The same with a mark beside it: a name and a value, as the store's user metadata.
    ///
    /// # Errors
    /// The store's answer, with the key.
    pub async fn put_marked(
        &self,
        key: &str,
        body: impl Into<Bytes>,
        mark: Option<(&str, &str)>,
    ) -> anyhow::Result<()> {
        let object = self.client.put_object().bucket(&self.name).key(key);
        let mut object = object.content_type("application/octet-stream");
        if let Some((name, value)) = mark {
            object = object.metadata(name, value);
        }
        let put = object.body(ByteStream::from(body.into())).send().await;
        self.told(put, "write", key).map(drop)
    }

    /// The marks of an object; `None` where there is none, or where the store says of it only that
    /// it is not allowed: without the right to list, AWS says so of what is not there.
    ///
    /// # Errors
    /// The store's answer, with the key.
    pub async fn marks(&self, key: &str) -> anyhow::Result<Option<HashMap<String, String>>> {
        let asked = self.client.head_object().bucket(&self.name).key(key).send().await;
        if let Err(error) = &asked
            && let Some(403 | 404) = error.raw_response().map(|answer| answer.status().as_u16())
        {
            return Ok(None);
        }
        let head = self.told(asked, "look at", key)?;
        Ok(Some(head.metadata().cloned().unwrap_or_default()))
    }

    /// The same in parts, for an object that is too large for a store that keeps a whole request in
    /// memory.
    ///
    /// # Errors
    /// The store's answer, with the key.
    pub async fn put_in_parts(&self, key: &str, body: Bytes) -> anyhow::Result<()> {
        const WHAT: &str = "write in parts";
        let begun = self.client.create_multipart_upload().bucket(&self.name).key(key).send().await;
        let begun = self.told(begun, WHAT, key)?;
        let upload = begun.upload_id().with_context(|| format!("no upload of {key}"))?;
        let mut parts = Vec::new();
        for (number, start) in (1..).zip((0..body.len()).step_by(PART_BYTES)) {
            let part = body.slice(start..body.len().min(start + PART_BYTES));
            let sent = self.client.upload_part().bucket(&self.name).key(key).upload_id(upload);
            let sent = sent.part_number(number).body(ByteStream::from(part)).send().await;
            let tag = self.told(sent, WHAT, key)?.e_tag().map(str::to_owned);
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let ended =
            self.client.complete_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        let ended = ended.multipart_upload(parts).send().await;
        self.told(ended, WHAT, key).map(drop)
    }

    /// # Errors
    /// The store's answer, with the key.
    pub async fn get(&self, key: &str) -> anyhow::Result<Bytes> {
        let object = self.client.get_object().bucket(&self.name).key(key).send().await;
        let body = self.told(object, "read", key)?.body.collect().await;
        Ok(body.with_context(|| format!("read s3://{}/{key}", self.name))?.into_bytes())
    }

    /// # Errors
    /// The store's answer, with the key.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let deleted = self.client.delete_object().bucket(&self.name).key(key).send().await;
        self.told(deleted, "delete", key).map(drop)
    }

    /// Every object whose key starts with `prefix`, by key.
    ///
    /// # Errors
    /// The store's answer, with bucket and prefix.
    pub async fn list(&self, prefix: &str) -> anyhow::Result<Vec<Listed>> {
        let mut pages =
            self.client.list_objects_v2().bucket(&self.name).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = self.told(page, "list", prefix)?;
            found.extend(page.contents().iter().map(|object| Listed {
                key: object.key().unwrap_or_default().to_owned(),
                size: object.size().unwrap_or_default(),
                etag: object.e_tag().unwrap_or_default().to_owned(),
            }));
        }
        Ok(found)
    }

    /// An answer, or what was asked for and what the store says instead.
    fn told<T, E>(&self, answer: Result<T, SdkError<E>>, what: &str, key: &str) -> anyhow::Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = answer.map_err(|error| said(&error));
        answer.with_context(|| format!("{what} s3://{}/{key}", self.name))
    }
}

/// What a store has answered, in a line; otherwise why there was no answer.
fn said<E>(error: &SdkError<E>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (status, error.code(), error.message()) {
        (Some(status), code, message) => {
            let words: Vec<&str> = [code, message].into_iter().flatten().collect();
            anyhow::anyhow!("the store answers {status} {}", words.join(": "))
        }
        (None, ..) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            anyhow::anyhow!("no answer of the store: {cause}")
        }
    }
}
