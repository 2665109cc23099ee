//! Clients by librdkafka: their settings, and what they ask of any topic.

use super::properties::KafkaProperties;
use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use std::time::Duration;

/// How long the brokers may take to describe a topic.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

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
/// If brokers do not answer, or a topic is not there.
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

    /// Set by the images' build; see Cargo.toml.
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
