//! The text that is shown of a value that is no tick: all that its schema has, though reading ticks
//! may pass it over. `{"units":3.5}` as a price is shown so, and not as `{}`.

use super::header::{HEADER, schema_id};
use super::{Format, Schemas, Scratch};
use crate::TimeBounds;
use crate::decode::{Decoder, Element, RecordContext, Rules};
use crate::reject::Reject;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Decoder {
    /// Like [`Decoder::decode_each`], for the `json` that [`Decoder::json`] has made of `value`. A
    /// value that is no tick is shown with all its members.
    ///
    /// # Errors
    /// See [`Decoder::decode_each`].
    pub fn decode_each_by_schema(
        &mut self,
        value: &[u8],
        json: &[u8],
        context: &RecordContext<'_>,
        each: &mut impl FnMut(Element<'_>),
    ) -> Result<(), Reject> {
        let whole = self.whole(value);
        let mut rejects = None;
        let read = self.decode_each(json, context, &mut |element| match element.read {
            Ok(_) => each(element),
            Err(reject) => {
                let Element { index, value, provenance, .. } = element;
                let rejects = rejects.get_or_insert_with(|| whole.rejects(context));
                let (value, reject) = rejects.of_element(index, value, reject);
                each(Element { index, value: &value, read: Err(reject), provenance });
            }
        });
        // Nothing but an object can lack what was passed over.
        read.map_err(|reject| match reject.detail.contains('{') {
            true => whole.rejects(context).of_message(reject),
            false => reject,
        })
    }

    fn whole<'v>(&self, value: &'v [u8]) -> Whole<'v> {
        let (rules, bounds) = (Arc::clone(&self.rules), self.bounds);
        Whole { value, rules, bounds, schemas: self.schemas.clone() }
    }
}

/// A value, and what it is read by.
struct Whole<'v> {
    value: &'v [u8],
    rules: Arc<Rules>,
    bounds: TimeBounds,
    schemas: Option<Schemas>,
}

/// Why a value is no tick, or which of its elements are none.
#[derive(Default)]
struct Rejects {
    message: Option<Reject>,
    /// The values by their index, with their texts.
    elements: BTreeMap<u16, (Vec<u8>, Reject)>,
}

impl Whole<'_> {
    /// There are none where the text has all anyway, or would be too long.
    fn rejects(&self, context: &RecordContext<'_>) -> Rejects {
        let mut rejects = Rejects::default();
        let mut decoder = Decoder {
            bounds: self.bounds,
            schemas: self.schemas.clone(),
            ..Decoder::new(Arc::clone(&self.rules), self.bounds.latest)
        };
        let mut scratch = Scratch::default();
        let Some(json) = self.json(&decoder, &mut scratch) else { return rejects };
        let read = decoder.decode_each_strictly(json, context, &mut |element| {
            if let Err(reject) = element.read {
                rejects.elements.insert(element.index, (element.value.to_vec(), reject));
            }
        });
        rejects.message = read.err();
        rejects
    }

    fn json<'s>(&'s self, decoder: &Decoder, scratch: &'s mut Scratch) -> Option<&'s [u8]> {
        let id = schema_id(self.value)?;
        if matches!(decoder.schema(id).ok()?.0, Format::Json) {
            return None;
        }
        decoder.json_of(id, &self.value[HEADER..], scratch, true).ok()
    }
}

/// The value that was read decides; this one is shown.
impl Rejects {
    fn of_message(self, reject: Reject) -> Reject {
        self.message.filter(|whole| whole.reason == reject.reason).unwrap_or(reject)
    }

    fn of_element<'e>(
        &mut self,
        index: u16,
        text: &'e [u8],
        reject: Reject,
    ) -> (Cow<'e, [u8]>, Reject) {
        match self.elements.remove(&index) {
            Some((whole, shown)) if shown.reason == reject.reason => (Cow::Owned(whole), shown),
            _ => (Cow::Borrowed(text), reject),
        }
    }
}
