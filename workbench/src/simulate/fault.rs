//! Broken messages, each with the reason for which the pipeline must reject it.

use clap::ValueEnum;
use common::Reason;

/// What is wrong with a message. The order decides which one is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    Tombstone,
    EmptyValue,
    NotUtf8,
    Csv,
    Truncated,
    NotANumber,
    SingleQuotes,
    Array,
    Text,
    Number,
    NoClose,
    NoTimestamp,
    NullPrice,
    EmptySymbol,
    SymbolWithBlank,
    LongSymbol,
    NumericSymbol,
    NoOffset,
    DateOnly,
    Yesterday,
    FarFuture,
    BeforeTheEpoch,
    PriceWithComma,
    NegativePrice,
    ZeroPrice,
    HugePrice,
    NegativeVolume,
    VolumeTooFine,
    VolumeInWords,
    HighBelowClose,
}

impl Fault {
    /// Those that break a value whatever its members are.
    pub const OF_ANY_SHAPE: [Self; 7] = [
        Self::Tombstone,
        Self::EmptyValue,
        Self::Csv,
        Self::Truncated,
        Self::SingleQuotes,
        Self::Text,
        Self::Number,
    ];

    /// The `reason` under which the message must be found.
    pub fn reason(self) -> Reason {
        match self {
            Self::Tombstone | Self::EmptyValue => Reason::Empty,
            Self::NotUtf8 => Reason::NotUtf8,
            Self::Csv | Self::Truncated | Self::NotANumber | Self::SingleQuotes => Reason::NotJson,
            Self::Array | Self::Text | Self::Number => Reason::NotObject,
            Self::NoClose | Self::NoTimestamp | Self::NullPrice => Reason::MissingField,
            Self::EmptySymbol | Self::SymbolWithBlank | Self::LongSymbol | Self::NumericSymbol => {
                Reason::BadSymbol
            }
            Self::NoOffset | Self::DateOnly | Self::Yesterday => Reason::BadTimestamp,
            Self::FarFuture | Self::BeforeTheEpoch => Reason::TimestampOutOfRange,
            Self::PriceWithComma | Self::NegativePrice | Self::ZeroPrice | Self::HugePrice => {
                Reason::BadPrice
            }
            Self::NegativeVolume | Self::VolumeTooFine | Self::VolumeInWords => Reason::BadVolume,
            Self::HighBelowClose => Reason::InconsistentPrices,
        }
    }

    /// Turns the valid value `{"symbol":..,"timestamp":..,"open":..,..,"close":..,"volume":..}`
    /// into a broken one; None is a tombstone. Also says whether an envelope may stand around it
    /// without mending or hiding the fault.
    pub fn apply(self, valid: &str) -> Option<Broken> {
        let text = match self {
            Self::Tombstone => return None,
            Self::EmptyValue => return Some(Broken::bare("")),
            Self::NotUtf8 => return Some(Broken::not_utf8(valid)),
            Self::Csv => {
                return Some(Broken::bare("AAPL,2025-06-06T10:00:00-04:00,201.50,201.60,100"));
            }
            Self::Truncated => return Some(Broken::bare(&valid[..valid.len() / 2])),
            Self::SingleQuotes => return Some(Broken::bare(&valid.replace('"', "'"))),
            // Of objects it would hold ticks.
            Self::Array => return Some(Broken::bare("[\"AAPL\",201.5]")),
            Self::Text => return Some(Broken::bare("\"market closed\"")),
            Self::Number => return Some(Broken::bare("201.5")),
            Self::NotANumber => replace(valid, "open", "NaN"),
            Self::NoClose => valid.replace("\"close\"", "\"settle\""),
            Self::NoTimestamp => valid.replace("\"timestamp\"", "\"when\""),
            Self::NullPrice => replace(valid, "close", "null"),
            Self::EmptySymbol => replace(valid, "symbol", "\"\""),
            Self::SymbolWithBlank => replace(valid, "symbol", "\"BRK.B \""),
            Self::LongSymbol => replace(valid, "symbol", &format!("\"{}\"", "LONG".repeat(17))),
            Self::NumericSymbol => replace(valid, "symbol", "7203"),
            Self::NoOffset => replace(valid, "timestamp", "\"2025-06-06T10:00:00\""),
            Self::DateOnly => replace(valid, "timestamp", "\"2025-06-06\""),
            Self::Yesterday => replace(valid, "timestamp", "\"yesterday\""),
            Self::FarFuture => replace(valid, "timestamp", "\"2999-12-31T23:59:59Z\""),
            Self::BeforeTheEpoch => replace(valid, "timestamp", "\"1969-12-31T23:59:59Z\""),
            Self::PriceWithComma => replace(valid, "open", "\"201,50\""),
            Self::NegativePrice => replace(valid, "close", "-201.50"),
            Self::ZeroPrice => replace(valid, "open", "0.00"),
            Self::HugePrice => replace(valid, "close", "1e400"),
            Self::NegativeVolume => replace(valid, "volume", "-100"),
            Self::VolumeTooFine => replace(valid, "volume", "0.0000000001"),
            Self::VolumeInWords => replace(valid, "volume", "\"a hundred\""),
            // Of duplicate names the last wins, so this works with and without a high before.
            Self::HighBelowClose => format!("{},\"high\":0.0001}}", &valid[..valid.len() - 1]),
        };
        Some(Broken { value: text.into_bytes(), may_be_enveloped: true })
    }
}

/// A broken value.
pub struct Broken {
    pub value: Vec<u8>,
    pub may_be_enveloped: bool,
}

impl Broken {
    fn bare(text: &str) -> Self {
        Self { value: text.as_bytes().to_vec(), may_be_enveloped: false }
    }

    fn not_utf8(valid: &str) -> Self {
        let mut value = valid.as_bytes().to_vec();
        // Within the symbol.
        value[11] = 0xFF;
        Self { value, may_be_enveloped: true }
    }
}

/// `valid` with another value for `field`.
fn replace(valid: &str, field: &str, value: &str) -> String {
    let name = format!("\"{field}\":");
    let Some(at) = valid.find(&name) else {
        return valid.to_owned();
    };
    let start = at + name.len();
    let length = valid[start..].find([',', '}']).unwrap_or(0);
    format!("{}{value}{}", &valid[..start], &valid[start + length..])
}
