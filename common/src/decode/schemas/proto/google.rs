//! Messages of Google's that mean one value: of `google.protobuf` and `google.type`.

use super::wire::{ProtoError, int32, int64, last, text_of};
use crate::decode::schemas::{json, times};
use crate::decode::values::is_number;
use std::borrow::Cow;
use std::io::Write;

/// Imports that need no reference, by their names, with the types that each adds to its package.
pub const TYPES: [(&str, &str); 17] = [
    (
        "google/type/calendar_period.proto",
        "enum CalendarPeriod \
         { CALENDAR_PERIOD_UNSPECIFIED = 0; DAY = 1; WEEK = 2; FORTNIGHT = 3; MONTH = 4; QUARTER = 5; HALF = 6; YEAR = 7; }",
    ),
    (
        "google/type/color.proto",
        "import \"google/protobuf/wrappers.proto\"; \
         message Color \
         { float red = 1; float green = 2; float blue = 3; google.protobuf.FloatValue alpha = 4; }",
    ),
    ("google/type/date.proto", "message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"),
    (
        "google/type/datetime.proto",
        "import \"google/protobuf/duration.proto\"; \
         message DateTime \
         { int32 year = 1; int32 month = 2; int32 day = 3; int32 hours = 4; int32 minutes = 5; int32 seconds = 6; int32 nanos = 7; \
         oneof time_offset { google.protobuf.Duration utc_offset = 8; TimeZone time_zone = 9; } } \
         message TimeZone { string id = 1; string version = 2; }",
    ),
    (
        "google/type/dayofweek.proto",
        "enum DayOfWeek \
         { DAY_OF_WEEK_UNSPECIFIED = 0; MONDAY = 1; TUESDAY = 2; WEDNESDAY = 3; THURSDAY = 4; FRIDAY = 5; SATURDAY = 6; SUNDAY = 7; }",
    ),
    ("google/type/decimal.proto", "message Decimal { string value = 1; }"),
    (
        "google/type/expr.proto",
        "message Expr \
         { string expression = 1; string title = 2; string description = 3; string location = 4; }",
    ),
    (
        "google/type/fraction.proto",
        "message Fraction { int64 numerator = 1; int64 denominator = 2; }",
    ),
    (
        "google/type/interval.proto",
        "import \"google/protobuf/timestamp.proto\"; message Interval { \
         google.protobuf.Timestamp start_time = 1; google.protobuf.Timestamp end_time = 2; }",
    ),
    ("google/type/latlng.proto", "message LatLng { double latitude = 1; double longitude = 2; }"),
    (
        "google/type/localized_text.proto",
        "message LocalizedText { string text = 1; string language_code = 2; }",
    ),
    (
        "google/type/money.proto",
        "message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }",
    ),
    (
        "google/type/month.proto",
        "enum Month { MONTH_UNSPECIFIED = 0; JANUARY = 1; FEBRUARY = 2; MARCH = 3; APRIL = 4; MAY = 5; JUNE = 6; \
         JULY = 7; AUGUST = 8; SEPTEMBER = 9; OCTOBER = 10; NOVEMBER = 11; DECEMBER = 12; }",
    ),
    (
        "google/type/phone_number.proto",
        "message PhoneNumber { message ShortCode { string region_code = 1; string number = 2; } \
         oneof kind { string e164_number = 1; ShortCode short_code = 2; } string extension = 3; }",
    ),
    (
        "google/type/postal_address.proto",
        "message PostalAddress \
         { int32 revision = 1; string region_code = 2; string language_code = 3; string postal_code = 4; string sorting_code = 5; string administrative_area = 6; string locality = 7; \
         string sublocality = 8; repeated string address_lines = 9; repeated string recipients = \
         10; string organization = 11; }",
    ),
    (
        "google/type/quaternion.proto",
        "message Quaternion { double x = 1; double y = 2; double z = 3; double w = 4; }",
    ),
    (
        "google/type/timeofday.proto",
        "message TimeOfDay \
         { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }",
    ),
];

/// A message that is one value.
#[derive(Debug, Clone, Copy)]
pub enum WellKnown {
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.type.Decimal`, a number as text.
    Decimal,
    /// `google.type.Money`, without its currency.
    Money,
    /// `google.type.Date`
    Date,
    /// `google.type.TimeOfDay`
    TimeOfDay,
}

impl WellKnown {
    /// The types by their full names.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "google.protobuf.Timestamp" => Self::Timestamp,
            "google.type.Decimal" => Self::Decimal,
            "google.type.Money" => Self::Money,
            "google.type.Date" => Self::Date,
            "google.type.TimeOfDay" => Self::TimeOfDay,
            _ => return None,
        })
    }

    /// A value that is not of its kind is written as the object that it is.
    ///
    /// # Errors
    /// If the bytes are no valid Protobuf.
    pub fn write(self, body: &[u8], out: &mut Vec<u8>) -> Result<(), ProtoError> {
        match self {
            Self::Timestamp => times::write_seconds(out, int64(body, 1)?, int32(body, 2)?),
            Self::Decimal => {
                let text = text_of(last(body, 1, None)?.unwrap_or_default(), body)?;
                json::write_text(out, as_number(&String::from_utf8_lossy(text)).as_bytes());
            }
            Self::Money => write_money(out, int64(body, 2)?, int32(body, 3)?),
            Self::Date => write_date(out, [int32(body, 1)?, int32(body, 2)?, int32(body, 3)?]),
            Self::TimeOfDay => {
                write_clock(
                    out,
                    [int32(body, 1)?, int32(body, 2)?, int32(body, 3)?, int32(body, 4)?],
                );
            }
        }
        Ok(())
    }
}

/// The type allows more than JSON: a plus sign, no digits before or after the point, and nothing
/// for zero.
fn as_number(text: &str) -> Cow<'_, str> {
    if is_number(text) {
        return Cow::Borrowed(text);
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) =
        unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    let mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) if whole.len() + fraction.len() > 0 => {
            format!("{}.{}", or_zero(whole), or_zero(fraction))
        }
        _ => mantissa.to_owned(),
    };
    match format!("{sign}{mantissa}{exponent}") {
        number if is_number(&number) => Cow::Owned(number),
        _ if text.is_empty() => Cow::Borrowed("0"),
        _ => Cow::Borrowed(text),
    }
}

/// Nothing fails that is written into memory, in this file.
fn write_money(out: &mut Vec<u8>, units: i64, nanos: i64) {
    let is_one = nanos.unsigned_abs() < 1_000_000_000
        && (units == 0 || nanos == 0 || (units < 0) == (nanos < 0));
    if !is_one {
        let _ = write!(out, r#"{{"units":{units},"nanos":{nanos}}}"#);
        return;
    }
    let sign = if units < 0 || nanos < 0 { "-" } else { "" };
    let number = format!("{sign}{}.{:09}", units.unsigned_abs(), nanos.unsigned_abs());
    out.extend_from_slice(number.trim_end_matches('0').trim_end_matches('.').as_bytes());
}

fn write_date(out: &mut Vec<u8>, [year, month, day]: [i64; 3]) {
    out.push(b'"');
    if times::write_ymd(out, year, month, day) {
        return out.push(b'"');
    }
    out.pop();
    let _ = write!(out, r#"{{"year":{year},"month":{month},"day":{day}}}"#);
}

fn write_clock(out: &mut Vec<u8>, parts: [i64; 4]) {
    out.push(b'"');
    if times::write_hms(out, parts) {
        return out.push(b'"');
    }
    out.pop();
    let [hours, minutes, seconds, nanos] = parts;
    let _ = write!(
        out,
        r#"{{"hours":{hours},"minutes":{minutes},"seconds":{seconds},"nanos":{nanos}}}"#
    );
}
