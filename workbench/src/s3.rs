//! An S3 client for one bucket, by endpoint and static credentials.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use clap::Args;

/// Where the archive is. The names of the variables are those of `batch-layer`.
#[derive(Args, Clone)]
pub struct StoreArgs {
    /// Bucket of the archive.
    #[arg(long = "bucket", env = "S3_BUCKET", default_value = "stock-data")]
    pub bucket: String,
    /// Address of the S3-compatible store, such as http://127.0.0.1:9000.
    #[arg(long = "s3-endpoint-url", env = "S3_ENDPOINT_URL", default_value = "http://127.0.0.1:9000")]
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
        let credentials = Credentials::new(&store.access_key, &store.secret_key, None, None, "workbench");
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
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type("application/octet-stream")
            .body(ByteStream::from(body.into()))
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
            .with_context(|| format!("write s3://{}/{key}", self.name))?;
        Ok(())
    }

    /// # Errors
    /// The store's answer, with the key.
    pub async fn get(&self, key: &str) -> anyhow::Result<Bytes> {
        let object = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
            .with_context(|| format!("read s3://{}/{key}", self.name))?;
        let body = object.body.collect().await;
        Ok(body.with_context(|| format!("read s3://{}/{key}", self.name))?.into_bytes())
    }

    /// # Errors
    /// The store's answer, with the key.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        self.client
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
            .with_context(|| format!("delete s3://{}/{key}", self.name))?;
        Ok(())
    }

    /// Every object whose key starts with `prefix`, by key.
    ///
    /// # Errors
    /// The store's answer, with bucket and prefix.
    pub async fn list(&self, prefix: &str) -> anyhow::Result<Vec<Listed>> {
        let mut pages = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)))
                .with_context(|| format!("list s3://{}/{prefix}", self.name))?;
            found.extend(page.contents().iter().map(|object| Listed {
                key: object.key().unwrap_or_default().to_owned(),
                size: object.size().unwrap_or_default(),
                etag: object.e_tag().unwrap_or_default().to_owned(),
            }));
        }
        Ok(found)
    }
}
