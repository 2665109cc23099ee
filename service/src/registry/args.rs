//! Where the schema registry is.

use super::client::Client;
use super::login::{Login, Password};
use crate::Failure;
use crate::cli::REGISTRY_HEADING;
use crate::files::SecretFile;
use anyhow::{Context as _, anyhow};
use std::path::PathBuf;

/// A registry of Confluent's interface, and how to get in. It has no `Debug`: a URL may hold a
/// password.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = REGISTRY_HEADING)]
pub struct RegistryArgs {
    /// Where the schemas of Avro, Protobuf and JSON Schema values are kept, as `https://host:8081`.
    /// Several, separated by commas, are asked in turn; a schema is unknown only where all of them
    /// say so. Values without a schema's number are read as JSON all the same.
    #[arg(
        id = "schema-registry",
        long = "schema-registry",
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "URL"
    )]
    urls: Vec<String>,

    /// The user that it lets in.
    #[arg(long, env = "SCHEMA_REGISTRY_USER", value_name = "NAME", requires = "schema-registry")]
    schema_registry_user: Option<String>,

    /// A file with the user's password, such as a mounted secret. It is read again before each
    /// question.
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_PASSWORD_FILE",
        value_name = "FILE",
        value_parser = SecretFile::read,
        requires = "schema_registry_user"
    )]
    schema_registry_password_file: Option<SecretFile>,

    /// Certificates (PEM) of an authority to trust besides the system's.
    #[arg(long, env = "SCHEMA_REGISTRY_CA_FILE", value_name = "FILE")]
    schema_registry_ca_file: Option<PathBuf>,
}

/// The sources of a password besides a file: a command line shows it to every process of the
/// machine.
const PASSWORD: &str = "SCHEMA_REGISTRY_PASSWORD";

impl RegistryArgs {
    /// A client of the registry, where one is given.
    ///
    /// # Errors
    /// If the URL is none, or certificates cannot be read.
    pub fn client(&self) -> Result<Option<Client>, Failure> {
        let urls: Vec<&str> =
            self.urls.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
        if urls.is_empty() {
            return Ok(None);
        }
        let file =
            self.schema_registry_ca_file.as_ref().filter(|path| !path.as_os_str().is_empty());
        let authorities = match file {
            Some(path) => {
                let what = || format!("cannot read {} (--schema-registry-ca-file)", path.display());
                Some(std::fs::read(path).with_context(what).map_err(Failure::Configuration)?)
            }
            None => None,
        };
        let client = Client::new(&urls, self.login(), authorities.as_deref());
        client.map(Some).map_err(|why| Failure::Configuration(anyhow!("--schema-registry: {why}")))
    }

    fn login(&self) -> Option<Login> {
        let user = self.schema_registry_user.clone().filter(|user| !user.is_empty())?;
        let password = match &self.schema_registry_password_file {
            Some(file) => Password::File(file.clone()),
            None => Password::Text(std::env::var(PASSWORD).unwrap_or_default()),
        };
        Some(Login { user, password })
    }
}
