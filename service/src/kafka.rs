//! What every Kafka client of this project has in common: how to get in, and what a topic consists
//! of.

mod admin;
pub mod group;
pub mod topic_id;

use crate::Failure;
use crate::files::PropertiesFile;
use crate::settings::Settings;
use anyhow::{Context, anyhow, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use std::time::Duration;

/// How long the brokers may take to describe a topic.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// librdkafka's own settings, passed through.
#[derive(Clone, Default, clap::Args)]
pub struct KafkaProperties {
    /// A librdkafka property as `key=value`, for TLS, SASL and tuning. Repeatable; in the variable
    /// separated by `;`. A `;` that no key follows is part of the value.
    #[arg(
        id = "kafka-property",
        long = "kafka-property",
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        value_parser = crate::settings::key_values,
        value_name = "KEY=VALUE"
    )]
    properties: Vec<Settings>,

    /// A file of such properties, one a line, such as a mounted secret: the place for
    /// `sasl.password`.
    #[arg(long, env = "KAFKA_PROPERTIES_FILE", value_name = "FILE", value_parser = crate::files::properties)]
    kafka_properties_file: Option<PropertiesFile>,
}

impl KafkaProperties {
    /// The settings of a client: where Kafka is, and how to get in. A property that the user gave
    /// overrides `defaults`.
    #[must_use]
    pub fn client_settings(
        &self,
        brokers: &str,
        client_id: &str,
        defaults: &[(&str, &str)],
    ) -> ClientConfig {
        let mut settings = ClientConfig::new();
        for (key, value) in defaults {
            settings.set(*key, *value);
        }
        settings.set("bootstrap.servers", brokers).set("client.id", client_id);
        for (key, value) in self.iter() {
            settings.set(key, value);
        }
        settings
    }

    /// # Errors
    /// A login that can never succeed, of which librdkafka says nothing.
    pub fn check_login(&self) -> Result<(), Failure> {
        let value =
            |name: &str| self.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value);
        let asks_for_token = ["sasl.mechanism", "sasl.mechanisms"]
            .iter()
            .any(|key| value(key) == Some("OAUTHBEARER"));
        let is_self_made = value("enable.sasl.oauthbearer.unsecure.jwt") == Some("true");
        if asks_for_token && !is_self_made && value("sasl.oauthbearer.method") != Some("oidc") {
            return Err(Failure::Configuration(anyhow!(
                "sasl.mechanism=OAUTHBEARER says nothing of where tokens come from: set sasl.oauthbearer.method=oidc \
                 with sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and \
                 sasl.oauthbearer.client.secret (--kafka-properties-file)"
            )));
        }
        Ok(())
    }

    /// Those of the file, then those of the flags, which override them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let file = self.kafka_properties_file.iter().flat_map(PropertiesFile::pairs);
        file.chain(self.properties.iter().flat_map(Settings::pairs))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Shows keys only: values may be passwords.
impl std::fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

/// A client that leaves its errors to the caller, who gets them as results and knows which of them
/// matter: the default one also logs each of them, even the end of a partition.
#[derive(Debug)]
pub struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// The ids of a topic's partitions, ascending.
///
/// # Errors
/// Brokers that do not answer, or a topic that is not there.
pub fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), METADATA_TIMEOUT)
        .with_context(|| format!("ask the Kafka brokers about topic {topic}"))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let mut ids: Vec<i32> =
        found.map(|found| found.partitions().iter().map(|p| p.id()).collect()).unwrap_or_default();
    if ids.is_empty() {
        bail!("topic {topic} does not exist: create it first");
    }
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_property_overrides_a_default_and_no_value_is_shown() {
        let properties = KafkaProperties {
            properties: vec![crate::settings::key_values("sasl.password=s3cret").unwrap()],
            ..KafkaProperties::default()
        };
        let settings = properties.client_settings(
            "a:1",
            "me",
            &[("sasl.password", "none"), ("fetch.min.bytes", "1")],
        );
        assert_eq!(settings.get("sasl.password"), Some("s3cret"));
        assert_eq!(settings.get("fetch.min.bytes"), Some("1"));
        assert_eq!(format!("{properties:?}"), "[\"sasl.password\"]");
    }

    #[test]
    fn a_token_must_come_from_somewhere() {
        let with = |text: &str| KafkaProperties {
            properties: vec![crate::settings::key_values(text).unwrap()],
            ..KafkaProperties::default()
        };
        let refused = with("sasl.mechanism=OAUTHBEARER").check_login().unwrap_err().to_string();
        assert!(refused.contains("sasl.oauthbearer.method=oidc"), "{refused}");
        assert!(
            with("sasl.mechanisms=OAUTHBEARER;sasl.oauthbearer.method=oidc").check_login().is_ok()
        );
        assert!(with("sasl.mechanism=SCRAM-SHA-512").check_login().is_ok());
    }

    /// Of the images' build; see Cargo.toml.
    #[cfg(feature = "kafka-logins")]
    #[test]
    fn clients_can_log_in_by_kerberos_and_by_tokens_of_an_authority() {
        let kerberos = [("sasl.mechanism", "GSSAPI"), ("sasl.kerberos.keytab", "/etc/krb5.keytab")];
        let token = [
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.oauthbearer.method", "oidc"),
            ("sasl.oauthbearer.client.id", "me"),
            ("sasl.oauthbearer.client.secret", "s3cret"),
            ("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/token"),
        ];
        for login in [&kerberos[..], &token] {
            let mut settings =
                KafkaProperties::default().client_settings("127.0.0.1:1", "me", login);
            settings.set("security.protocol", "SASL_PLAINTEXT").set("group.id", "g");
            let client: Result<BaseConsumer<Quiet>, _> = settings.create_with_context(Quiet);
            assert!(client.is_ok(), "{login:?}: {:?}", client.err());
        }
    }
}
