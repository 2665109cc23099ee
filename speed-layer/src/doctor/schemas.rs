//! Samples in a schema registry's format, as the JSON that they mean: so all that is found of JSON
//! is found of them.

use super::sampling::Sample;
use anyhow::anyhow;
use common::Timestamp;
use common::decode::{Decoder, Rules, Schema, Schemas, Scratch, schema_id};
use service::Failure;
use service::registry::{Client, Trouble};
use std::collections::BTreeSet;

/// Schemas that are asked for; a topic has a few.
const MOST: usize = 1000;

/// Puts the JSON in the place of each value that names a schema, or notes why there is none.
///
/// # Errors
/// If the registry does not answer, or refuses this user.
pub fn translate(client: Option<&Client>, samples: &mut [Sample]) -> Result<(), Failure> {
    let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
    if let Some(client) = client {
        decoder.set_schemas(fetch(client, samples)?);
    }
    let mut scratch = Scratch::default();
    for sample in samples.iter_mut().filter(|sample| schema_id(&sample.value).is_some()) {
        match decoder.json(&sample.value, &mut scratch).map(<[u8]>::to_vec) {
            Ok(json) => sample.value = json,
            Err(reject) => sample.unread = Some(reject),
        }
    }
    Ok(())
}

fn fetch(client: &Client, samples: &[Sample]) -> Result<Schemas, Failure> {
    let named: BTreeSet<u32> =
        samples.iter().filter_map(|sample| schema_id(&sample.value)).collect();
    let mut schemas = Schemas::default();
    // Beyond all numbers that a registry gives nothing is asked for.
    let possible: Vec<u32> = named.into_iter().filter(|id| !schemas.knows(*id)).collect();
    for id in possible.iter().skip(MOST) {
        schemas.insert(*id, Err(format!("doctor asks for {MOST} schemas at most")));
    }
    for id in possible.into_iter().take(MOST) {
        let known = match client.schema(id) {
            Ok(text) => Schema::parse(&text, None),
            Err(Trouble::None(why) | Trouble::Unusable(why)) => Err(why),
            Err(Trouble::Forbidden(why)) => {
                Err(format!("this user may not see it, and a run waits until it may: {why}"))
            }
            Err(Trouble::Refused(why)) => {
                return Err(Failure::Configuration(anyhow!("schema registry: {why}")));
            }
            Err(Trouble::Away(why)) => {
                return Err(Failure::Infrastructure(anyhow!("schema registry: {why}")));
            }
        };
        schemas.insert(id, known);
    }
    Ok(schemas)
}
