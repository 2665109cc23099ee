//! Trades that their producer takes back or corrects.

use crate::tick::{Detector, Finding, Kind, Revision, Tick};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "revision", version: 1 };

/// Says what `tick` says of itself; there is nothing to be known of those before it.
#[inline]
pub fn observe(tick: &Tick, found: &mut Vec<Finding>) {
    found.extend(tick.revision.map(|revision| finding(DETECTOR, tick, revision)));
}

/// Reports that `tick` is a cancel or a correction.
#[must_use]
pub fn finding(detector: Detector, tick: &Tick, revision: Revision) -> Finding {
    let kind = match revision {
        Revision::Cancel => Kind::Cancel,
        Revision::Correction => Kind::Correction,
    };
    let Tick { place, at, price, .. } = *tick;
    Finding {
        detector,
        kind,
        place,
        at,
        score: 1.0,
        observed: price as f64,
        expected: price as f64,
    }
}
