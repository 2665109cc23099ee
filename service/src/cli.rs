//! Flags that several binaries share, and how their values are read.

mod anomalies;
mod messages;

pub use anomalies::{AnomalyArgs, Detectors};
pub use messages::{MessageArgs, Oldest, REGISTRY_HEADING, without_empty_variables};

use crate::failure::Failure;
use crate::files::{self, SecretFile};
use crate::pg::{Database, Migrations};
use std::time::Duration;

/// Where PostgreSQL is, and who looks after its tables.
#[derive(Clone, clap::Args)]
pub struct DatabaseArgs {
    /// PostgreSQL, as `postgres://user:password@host:5432/database`. TLS by
    /// `?sslmode=verify-full&sslrootcert=FILE`. The first of several hosts
    /// (`host1:5432,host2:5432`) that takes writes is used. Every process of the machine can read a
    /// command line: give a password by the variable or by a file.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        required_unless_present = "database_url_file",
        conflicts_with = "database_url_file"
    )]
    database_url: Option<String>,

    /// A file that holds this URL, such as a mounted secret. It is read again before each
    /// connection.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = files::secret)]
    database_url_file: Option<SecretFile>,

    /// The changes to the tables at the start.
    #[arg(long, env = "MIGRATIONS", value_enum, default_value_t = Migrations::Run)]
    pub migrations: Migrations,
}

impl DatabaseArgs {
    /// # Errors
    /// If the URL is none.
    pub fn parse(&self, application: &str) -> Result<Database, Failure> {
        let database = match &self.database_url_file {
            Some(file) => Database::of_file(file.clone(), application)?,
            None => Database::parse(self.url(), application)?,
        };
        Ok(database.with_migrations(self.migrations))
    }

    /// With the password.
    #[must_use]
    pub fn url(&self) -> &str {
        let file = self.database_url_file.as_ref().map(SecretFile::expose);
        self.database_url.as_deref().or(file).unwrap_or_default()
    }
}

/// Kafka brokers as `host:port,host:port`, each with one of Kafka's protocols in front or none.
///
/// # Errors
/// If the text is none of its kind; with a sentence for clap to show.
pub fn brokers(text: &str) -> Result<String, String> {
    const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
    let mut schemes = text.split(',').filter_map(|broker| Some(broker.split_once("://")?.0.trim()));
    let strange = |scheme: &&str| !PROTOCOLS.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    match schemes.find(strange) {
        Some(scheme) => Err(format!("{scheme}:// is not Kafka's: expected host:port,host:port")),
        None => Ok(text.to_owned()),
    }
}

/// A duration such as `20ms`, `5s`, `15m`, `48h` or `30d`.
///
/// # Errors
/// If the text is none of its kind; with a sentence for clap to show.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(
                "expected a number and a unit of ms, s, m, h or d, such as 20ms or 48h".into()
            );
        }
    };
    let number: u64 =
        number.parse().map_err(|_| "expected a whole number in front of the unit".to_owned())?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| "longer than anything lasts".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_no_addresses_of_pages() {
        for good in
            ["", "a:9092", "a:9092, b:9092", "SSL://a:9092,plaintext://b:9092", "[::1]:9092"]
        {
            assert_eq!(brokers(good).as_deref(), Ok(good));
        }
        for (bad, scheme) in [("http://a:9092", "http"), ("a:9092,https://b:9092", "https")] {
            assert!(brokers(bad).unwrap_err().starts_with(&format!("{scheme}:// is not")), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("48h"), Ok(Duration::from_secs(48 * 3600)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for text in
            ["", "5", "ms", "-5s", "1.5h", "5 s", "99999999999999999999d", "18446744073709551615d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
