//! Values in a schema registry's format, as the JSON that they mean to the speed layer.

use anyhow::{Context, bail};
use common::Timestamp;
use common::decode::{Decoder, Rules, Schema, Schemas, Scratch};
use service::registry::{Client, RegistryArgs, Trouble};
use std::sync::Arc;

const NO_REGISTRY: &str = "it names a schema: --schema-registry reads it";
const NOT_OF_SCHEMA: &str = "the schema registry has no schema that reads it";

/// Reads values by their schemas, each of which is asked for once.
pub struct Registry {
    client: Option<Arc<Client>>,
    schemas: Schemas,
    decoder: Decoder,
    scratch: Scratch,
}

impl Registry {
    ///
    /// # Errors
    /// Flags that name no registry.
    pub fn new(args: &RegistryArgs) -> anyhow::Result<Self> {
        let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
        decoder.set_schemas(Schemas::default());
        let (client, schemas) = (args.client()?.map(Arc::new), Schemas::default());
        Ok(Self { client, schemas, decoder, scratch: Scratch::default() })
    }

    /// Sees to the schema that a value names.
    ///
    /// # Errors
    /// A registry that does not answer, or lets this user not in.
    pub async fn learn(&mut self, value: &[u8]) -> anyhow::Result<()> {
        let (Some(client), Some(id)) = (&self.client, self.decoder.lacks_schema(value)) else {
            return Ok(());
        };
        let client = Arc::clone(client);
        let asked = tokio::task::spawn_blocking(move || client.schema(id)).await;
        let known = match asked.context("asking the schema registry")? {
            Ok(text) => Schema::parse(&text, None),
            Err(Trouble::None(why) | Trouble::Unusable(why) | Trouble::Forbidden(why)) => Err(why),
            Err(Trouble::Refused(why) | Trouble::Away(why)) => {
                bail!("schema registry: {why}")
            }
        };
        self.schemas.insert(id, known);
        self.decoder.set_schemas(self.schemas.clone());
        Ok(())
    }

    /// # Errors
    /// Why a value cannot be read.
    pub fn json<'v>(&'v mut self, value: &'v [u8]) -> Result<&'v [u8], &'static str> {
        let has_client = self.client.is_some();
        self.decoder.json(value, &mut self.scratch).map_err(|reject| {
            tracing::debug!("{reject}");
            if has_client { NOT_OF_SCHEMA } else { NO_REGISTRY }
        })
    }
}
