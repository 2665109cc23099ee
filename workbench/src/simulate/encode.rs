//! Prices, sizes, times and the envelope, into a buffer that is used again.

use super::market::DECIMALS;
use super::session::NewYork;
use common::Volume;
use std::io::Write;

const MINUTE_MICROS: i64 = 60_000_000;

const FIELDS: &str = concat!(
    r#"{"schema":{"type":"struct","fields":["#,
    r#"{"type":"string","optional":false,"field":"symbol"},"#,
    r#"{"type":"string","optional":false,"field":"timestamp"},"#,
    r#"{"type":"double","optional":false,"field":"open"},"#,
    r#"{"type":"double","optional":true,"field":"high"},"#,
    r#"{"type":"double","optional":true,"field":"low"},"#,
    r#"{"type":"double","optional":false,"field":"close"},"#,
    r#"{"type":"double","optional":true,"field":"volume"}"#,
);
const FIELDS_BESIDE: &str = concat!(
    r#",{"type":"double","optional":true,"field":"bid"},"#,
    r#"{"type":"double","optional":true,"field":"ask"},"#,
    r#"{"type":"int64","optional":true,"field":"sequence"},"#,
    r#"{"type":"array","items":{"type":"string","optional":false},"optional":true,"field":"conditions"}"#,
);
const PAYLOAD: &str = r#"],"optional":false,"name":"stock_price"},"payload":"#;

/// What the pipeline's own form has beside symbol, time, open, close and volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members {
    pub high_low: bool,
    /// Bid, ask, sequence and conditions.
    pub beside: bool,
}

/// Opens Connect's envelope, which one more `}` ends.
pub fn open_envelope(members: Members, out: &mut Vec<u8>) {
    out.extend_from_slice(FIELDS.as_bytes());
    if members.beside {
        out.extend_from_slice(FIELDS_BESIDE.as_bytes());
    }
    out.extend_from_slice(PAYLOAD.as_bytes());
}

/// `price` is in units of 10^-4 and has no more than `decimals` decimals.
pub fn write_price(price: i64, decimals: u32, out: &mut Vec<u8>) {
    let price = price.unsigned_abs();
    let one = 10_u64.pow(DECIMALS);
    write_integer(price / one, 1, out);
    out.push(b'.');
    write_integer(price % one / 10_u64.pow(DECIMALS - decimals), decimals as usize, out);
}

/// Writes a volume, as text where that is asked for, or null.
pub fn write_size(volume: Option<Volume>, is_text: bool, out: &mut Vec<u8>) {
    let Some(volume) = volume else {
        return out.extend_from_slice(b"null");
    };
    let quote: &[u8] = if is_text { b"\"" } else { b"" };
    out.extend_from_slice(quote);
    match volume.nanos() {
        0 => write_integer(volume.whole(), 1, out),
        _ => out.extend_from_slice(volume.to_string().as_bytes()),
    }
    out.extend_from_slice(quote);
}

/// At least `width` digits.
pub fn write_integer(number: u64, width: usize, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{number:0width$}");
}

/// An instant, in the ways in which feeds write it.
pub struct Moment<'a> {
    /// Of the epoch.
    pub micros: i64,
    /// As [`Clock`] writes it.
    pub text: &'a str,
}

impl Moment<'_> {
    pub fn millis(&self) -> u64 {
        u64::try_from(self.micros / 1000).unwrap_or_default()
    }

    /// `2025-06-06T14:00:01.123Z`
    pub fn write_utc(&self, out: &mut Vec<u8>) {
        let at = jiff::Timestamp::from_microsecond(self.micros / 1000 * 1000).unwrap_or_default();
        out.extend_from_slice(at.to_string().as_bytes());
    }

    /// `2025-06-06 10:00:01.123-04:00`
    pub fn write_with_offset(&self, out: &mut Vec<u8>) {
        out.extend(self.text.bytes().map(|byte| if byte == b'T' { b' ' } else { byte }));
    }

    /// `2025-06-06 10:00:01`
    pub fn write_local(&self, out: &mut Vec<u8>) {
        const LENGTH: usize = "2025-06-06 10:00:01".len();
        let start = out.len();
        self.write_with_offset(out);
        out.truncate(start + LENGTH);
    }
}

/// RFC 3339 in New York's time, to the millisecond. Consecutive ticks mostly share their minute,
/// which is kept.
pub struct Clock {
    new_york: NewYork,
    minute: i64,
    /// `2025-06-06T10:00:`
    prefix: String,
    /// `-04:00`
    suffix: String,
    text: String,
}

impl Clock {
    pub fn new(new_york: NewYork) -> Self {
        Self {
            new_york,
            minute: i64::MIN,
            prefix: String::new(),
            suffix: String::new(),
            text: String::new(),
        }
    }

    pub fn new_york(&self) -> &NewYork {
        &self.new_york
    }

    /// `micros` counts from the epoch.
    pub fn format(&mut self, micros: i64) -> &str {
        let minute = micros.div_euclid(MINUTE_MICROS);
        if minute != self.minute {
            self.turn_to(minute);
        }
        let millis = u64::try_from(micros.rem_euclid(MINUTE_MICROS) / 1000).unwrap_or_default();
        let (seconds, millis, Self { prefix, suffix, .. }) = (millis / 1000, millis % 1000, &*self);
        self.text = format!("{prefix}{seconds:02}.{millis:03}{suffix}");
        &self.text
    }

    fn turn_to(&mut self, minute: i64) {
        let micros = minute.saturating_mul(MINUTE_MICROS);
        let offset = self.new_york.offset(micros);
        let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
        let local = offset.to_datetime(at);
        let hours = offset.seconds().unsigned_abs() / 3600;
        self.prefix = local.strftime("%Y-%m-%dT%H:%M:").to_string();
        self.suffix = format!("-{hours:02}:00");
        self.minute = minute;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_price_keeps_its_digits(price in 1_i64..1_000_000_000_000, decimals in 2_u32..=4) {
            let price = price / 10_i64.pow(DECIMALS - decimals) * 10_i64.pow(DECIMALS - decimals);
            let mut out = Vec::new();
            write_price(price, decimals, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (whole, fraction) = text.split_once('.').unwrap();
            prop_assert_eq!(fraction.len(), decimals as usize);
            let read: i64 = format!("{whole}{fraction:0<4}").parse().unwrap();
            prop_assert_eq!(read, price);
        }

        #[test]
        fn a_timestamp_reads_back_to_the_millisecond(micros in 0_i64..4_000_000_000_000_000) {
            let mut clock = Clock::new(NewYork::new().unwrap());
            let read: jiff::Timestamp = clock.format(micros).parse().unwrap();
            prop_assert_eq!(read.as_millisecond(), micros / 1000);
        }
    }
}
