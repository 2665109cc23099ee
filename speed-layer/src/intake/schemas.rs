//! Messages that are read by a registry's schemas.

use super::{Intake, Interrupt, Step};
use std::time::Instant;

impl Intake {
    /// Takes over schemas that have become known; the partitions that were stalled for them go on.
    pub(super) fn take_schemas(&mut self) -> Step {
        let Some(registry) = &self.shared.registry else {
            return Ok(());
        };
        let news = registry.news(&mut self.schemas_seen).map_err(Interrupt::Failed)?;
        if let Some(schemas) = news {
            self.assignment.schemas_are_known(|id| schemas.knows(id), Instant::now());
            self.decoder.set_schemas(schemas);
        }
        Ok(())
    }

    pub(super) fn ask_for_schema(&self, id: u32) {
        if let Some(registry) = &self.shared.registry {
            registry.ask(id);
        }
    }
}
