//! [`KafkaProperties`]: librdkafka's settings, as flags and files say them.

use crate::Failure;
use crate::files::PropertiesFile;
use crate::settings::Settings;
use anyhow::anyhow;

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
    pub(super) properties: Vec<Settings>,

    /// A file of such properties, one a line, such as a mounted secret: the place for
    /// `sasl.password`.
    #[arg(
        long, env = "KAFKA_PROPERTIES_FILE", value_name = "FILE",
        value_parser = crate::files::properties
    )]
    pub(super) kafka_properties_file: Option<PropertiesFile>,
}

impl KafkaProperties {
    /// # Errors
    /// If a login can never succeed, which librdkafka does not report.
    pub fn check_login(&self) -> Result<(), Failure> {
        let value =
            |name: &str| self.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value);
        let asks_for_token = ["sasl.mechanism", "sasl.mechanisms"]
            .iter()
            .any(|key| value(key) == Some("OAUTHBEARER"));
        let is_self_made = value("enable.sasl.oauthbearer.unsecure.jwt") == Some("true");
        if asks_for_token && !is_self_made && value("sasl.oauthbearer.method") != Some("oidc") {
            return Err(Failure::Configuration(anyhow!(
                "sasl.mechanism=OAUTHBEARER says nothing of where tokens come from: set \
                 sasl.oauthbearer.method=oidc with sasl.oauthbearer.token.endpoint.url, \
                 sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret \
                 (--kafka-properties-file)"
            )));
        }
        Ok(())
    }

    /// The properties of the file, then those of the flags, which override them.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
