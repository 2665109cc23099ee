//! [`MessageArgs`]: what messages look like, said to both layers in the same words.

mod check;
mod file;
mod flags;

use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args as _, Command, FromArgMatches as _};
use common::decode::{
    Condition, Conditions, Field, MapEntries, Mapping, Path, Preset, ProvenanceNames, Rules,
    SymbolFrom, TimestampFrom,
};
use common::timestamp::{EpochUnit, TimeRules, TimeZone};
use common::{Named, Timestamp};
use std::fmt;

const HEADING: &str = "Messages";
/// Over flags about the registry of messages' schemas, which the speed layer has.
pub const REGISTRY_HEADING: &str = "Schema registry";

/// How messages are read. Give both layers and `verify` the same.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct MessageArgs {
    /// The members of a message that hold a tick's fields, as
    /// `symbol=ticker,price=last,volume=qty,timestamp=ts`. Names inside objects are parted by dots,
    /// alternatives by `|`; names with dots or commas need double quotes. `price` means open and
    /// close, and `timestamp=date,time_of_day=time` for a time in two members. Sources outside the
    /// message are `symbol=@key`, `symbol=@topic` and `timestamp=@record`. A field that is not
    /// mapped is looked for under its own name and those that many producers use, but for a feed's
    /// own number (`sequence`) and its word for a message that takes another back (`correction`),
    /// which are taken where they are mapped alone.
    #[arg(long, env = "MESSAGE_MAP", value_name = "FIELD=NAME,..")]
    pub map: Option<MapEntries>,

    /// Where a message holds several ticks: the way to an array of them, or to one, as `data` or
    /// `events.tickers`, on which each element of an array is gone into. An element without a
    /// symbol or a time has those of the objects around it. A message in which the way leads
    /// nowhere is a tick itself. An array at a message's top needs no flag.
    #[arg(long, env = "MESSAGE_EACH", value_name = "NAME")]
    pub each: Option<Path>,

    /// Take only messages whose members have these values, as `type=match|ticker`: several members,
    /// all of which must, are parted by commas. Others are rejected, and counted. The members
    /// around the elements of --each count as well.
    #[arg(id = "where", long = "where", env = "MESSAGE_WHERE", value_name = "NAME=VALUE|..")]
    pub conditions: Option<Conditions>,

    /// All of these flags from a file, in place of them: lines of them as a shell takes them, as
    /// `speed-layer doctor` prints one, or one a line without its dashes, as `timestamp-zone=UTC`
    /// or `map=symbol=ticker`. Lines that begin with `#` are passed over.
    #[arg(
        long,
        env = "MESSAGE_FILE",
        value_name = "FILE",
        value_parser = message_file,
        conflicts_with_all = ["map", "each", "where", "preset", "timestamp_zone",
                              "allow_nonpositive_prices", "uppercase_symbols", "symbol_from",
                              "timestamp_from", "timestamp_unit", "oldest"]
    )]
    pub message_file: Option<Box<MessageArgs>>,

    /// The messages of a feed or library. --map overrides it.
    #[arg(long, env = "MESSAGE_PRESET", value_parser = one_of::<Preset>(), value_name = "NAME")]
    pub preset: Option<Preset>,

    /// Where a tick's symbol comes from.
    #[arg(
        long, env = "SYMBOL_FROM", value_parser = one_of::<SymbolFrom>(),
        default_value = SymbolFrom::default().name()
    )]
    pub symbol_from: SymbolFrom,

    /// Where a tick's time comes from.
    #[arg(
        long, env = "TIMESTAMP_FROM", value_parser = one_of::<TimestampFrom>(),
        default_value = TimestampFrom::default().name()
    )]
    pub timestamp_from: TimestampFrom,

    /// The unit of a number as a time since 1970 (`dotnet`: since the year 1); `auto` tells it by
    /// its magnitude.
    #[arg(
        long, env = "TIMESTAMP_UNIT", value_parser = one_of::<EpochUnit>(),
        default_value = EpochUnit::default().name()
    )]
    pub timestamp_unit: EpochUnit,

    /// The zone of times without an offset and of dates, such as `America/New_York`. Without it
    /// those are rejected.
    #[arg(long, env = "TIMESTAMP_ZONE", value_name = "ZONE")]
    pub timestamp_zone: Option<TimeZone>,

    /// Reject ticks from before this date (UTC): a wrong unit of time shows as one of 1970.
    #[arg(
        long, env = "OLDEST", default_value = "1990-01-01", value_parser = date,
        value_name = "DATE"
    )]
    pub oldest: Oldest,

    /// Take prices of zero and below, as futures, power and spreads have them.
    #[arg(long, env = "ALLOW_NONPOSITIVE_PRICES", value_parser = BoolishValueParser::new())]
    pub allow_nonpositive_prices: bool,

    /// Make symbols upper case, where producers write them in different ways.
    #[arg(long, env = "UPPERCASE_SYMBOLS", value_parser = BoolishValueParser::new())]
    pub uppercase_symbols: bool,
}

/// The start of a day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest(pub Timestamp);

impl Default for Oldest {
    fn default() -> Self {
        Self(TimeRules::OLDEST)
    }
}

impl fmt::Display for Oldest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.strip_suffix("T00:00:00Z").unwrap_or(&text))
    }
}

impl MessageArgs {
    /// The rules that these flags make, for lines that hold their provenance under these names.
    #[must_use]
    pub fn rules(&self, names: ProvenanceNames) -> Rules {
        if let Some(file) = &self.message_file {
            return file.rules(names);
        }
        let zone = self.timestamp_zone.clone().or_else(|| self.preset?.zone());
        let MapEntries { paths, symbol_from, timestamp_from } = self.entries();
        Rules {
            names,
            mapping: Mapping::new(&paths),
            each: self.each.clone().or_else(|| self.preset?.each()),
            conditions: self.all_conditions(),
            times: TimeRules { unit: self.timestamp_unit, zone, oldest: self.oldest.0 },
            symbol_from: symbol_from.unwrap_or_default(),
            timestamp_from: timestamp_from.unwrap_or_default(),
            allow_nonpositive_prices: self.allow_nonpositive_prices,
            uppercase_symbols: self.uppercase_symbols,
        }
    }

    /// A flag's entry for a member overrides a preset's.
    fn all_conditions(&self) -> Vec<Condition> {
        let mut all =
            self.conditions.as_ref().map_or_else(Vec::new, |conditions| conditions.0.clone());
        let own: Vec<Path> = all.iter().map(|condition| condition.path.clone()).collect();
        let preset = self.preset.map_or_else(Vec::new, Preset::conditions);
        all.extend(preset.into_iter().filter(|condition| !own.contains(&condition.path)));
        all
    }

    /// A field's flag overrides the map, and the map a preset.
    fn entries(&self) -> MapEntries {
        let mut entries = self.map.clone().unwrap_or_default();
        let preset = self.preset.map(Preset::entries).unwrap_or_default();
        let own: Vec<Field> =
            Field::ALL.into_iter().filter(|field| entries.written(*field).is_some()).collect();
        let is_left = |field: &Field| !own.iter().any(|mapped| mapped.excludes(*field));
        entries.paths.extend(preset.paths.into_iter().filter(|(field, _)| is_left(field)));
        let explicit = chosen(self.symbol_from).or(entries.symbol_from);
        entries.symbol_from = explicit.or(preset.symbol_from.filter(|_| is_left(&Field::Symbol)));
        entries.timestamp_from = chosen(self.timestamp_from).or(entries.timestamp_from);
        entries
    }

    /// Where the symbol and the time come from, by a flag, the map or the preset.
    #[must_use]
    pub fn sources(&self) -> (SymbolFrom, TimestampFrom) {
        let args = self.message_file.as_deref().unwrap_or(self);
        let MapEntries { symbol_from, timestamp_from, .. } = args.entries();
        (symbol_from.unwrap_or_default(), timestamp_from.unwrap_or_default())
    }
}

/// A setting, where it was set.
fn chosen<T: Named + Default>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// `command`, to which a variable about messages or migrations that is there and empty says
/// nothing: so compose files pass on what is not set.
#[must_use]
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        arg.get_env()
            .is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    let is_of_messages =
        |arg: &clap::Arg| matches!(arg.get_help_heading(), Some(HEADING | REGISTRY_HEADING));
    let may_be_empty = |arg: &clap::Arg| is_of_messages(arg) || arg.get_id() == "migrations";
    command.mut_args(|arg| match may_be_empty(&arg) && is_empty(&arg) {
        true => arg.env(None::<&str>),
        false => arg,
    })
}

/// One of a setting's values, by its name.
fn one_of<T: Named>() -> impl TypedValueParser<Value = T> {
    let names = T::ALL.iter().map(|(_, name, meaning)| PossibleValue::new(*name).help(*meaning));
    PossibleValuesParser::new(names).try_map(|name| T::named(&name).ok_or("not one of them"))
}

fn date(text: &str) -> Result<Oldest, String> {
    let utc: TimeZone = "UTC".parse()?;
    let times = TimeRules { zone: Some(utc), ..TimeRules::default() };
    match times.parse_text(text) {
        Ok(oldest) if oldest.micros() >= 0 => Ok(Oldest(oldest)),
        Ok(_) => Err("before 1970".to_owned()),
        Err(_) => Err("expected a date such as 1990-01-01".to_owned()),
    }
}

/// All flags for reading messages, from a file.
fn message_file(path: &str) -> Result<Box<MessageArgs>, String> {
    let matches = file::read(path, MessageArgs::augment_args(Command::new("file")))?;
    let args = MessageArgs::from_arg_matches(&matches).map_err(|error| file::first_line(&error))?;
    match args.contradiction() {
        Some(what) => Err(what),
        None => Ok(Box::new(args)),
    }
}

#[cfg(test)]
mod manual;
#[cfg(test)]
mod shapes;
/// A program that takes these flags alone.
#[cfg(test)]
#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    messages: MessageArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn rules(flags: &[&str]) -> Result<Rules, clap::Error> {
        let parsed = Flags::try_parse_from(["test"].iter().chain(flags))?;
        Ok(parsed.messages.rules(ProvenanceNames::default()))
    }

    fn paths(rules: &Rules, field: Field) -> Vec<String> {
        rules.mapping.paths(field).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_flags_the_rules_are_the_default_ones() {
        assert_eq!(rules(&[]).unwrap(), Rules::default());
        assert_eq!(MessageArgs::default().rules(ProvenanceNames::default()), Rules::default());
    }

    #[test]
    fn every_flag_shows_in_the_description_of_the_rules() {
        let mut described = std::collections::HashSet::from([rules(&[]).unwrap().describe()]);
        for flags in [
            &["--map", "symbol=a"][..],
            &["--map", "symbol=a|b"],
            &["--each", "data"],
            &["--each", "\"data.all\""],
            &["--where", "type=match"],
            &["--where", "type=match|ticker"],
            &["--map", "timestamp=date,time_of_day=time"],
            &["--preset", "binance"],
            &["--preset", "massive"],
            &["--preset", "massive", "--where", "ev=T"],
            &["--preset", "massive", "--where", "ev=T|none"],
            &["--symbol-from", "key"],
            &["--symbol-from", "value-or-key"],
            &["--map", "symbol=@topic"],
            &["--timestamp-from", "record"],
            &["--timestamp-unit", "ms"],
            &["--timestamp-unit", "dotnet"],
            &["--timestamp-zone", "UTC"],
            &["--oldest", "1980-01-01"],
            &["--allow-nonpositive-prices"],
            &["--uppercase-symbols"],
        ] {
            assert!(described.insert(rules(flags).unwrap().describe()), "{flags:?}");
        }
    }

    #[test]
    fn a_map_goes_before_a_preset_field_by_field() {
        let rules = rules(&["--preset", "binance", "--map", "volume=Q"]).unwrap();
        assert_eq!(paths(&rules, Field::Volume), ["Q"]);
        assert_eq!(paths(&rules, Field::Symbol), ["s"]);
    }

    #[test]
    fn what_is_in_no_member_may_be_said_in_the_map_as_well() {
        let map = rules(&["--map", "symbol=@key,timestamp=@record"]).unwrap();
        assert_eq!(map, rules(&["--symbol-from", "key", "--timestamp-from", "record"]).unwrap());
        let with_preset = rules(&["--preset", "binance", "--map", "symbol=@topic"]).unwrap();
        assert_eq!(
            (with_preset.symbol_from, paths(&with_preset, Field::Symbol).len()),
            (SymbolFrom::Topic, 0)
        );
        assert_eq!(paths(&with_preset, Field::Price), ["p"]);
    }

    #[test]
    fn a_preset_may_take_the_key_for_a_symbol_and_a_flag_goes_before_it() {
        let from = |flags: &[&str]| {
            rules(&[&["--preset", "yfinance"], flags].concat()).unwrap().symbol_from
        };
        assert_eq!(from(&[]), SymbolFrom::ValueOrKey);
        assert_eq!(from(&["--map", "symbol=Stock"]), SymbolFrom::Value);
        assert_eq!(from(&["--map", "symbol=Stock|@key"]), SymbolFrom::ValueOrKey);
        assert_eq!(from(&["--map", "price=Last"]), SymbolFrom::ValueOrKey);
        assert_eq!(from(&["--symbol-from", "topic"]), SymbolFrom::Topic);
    }

    #[test]
    fn a_price_that_was_mapped_takes_the_place_of_a_presets_bar() {
        let rules = rules(&["--preset", "alpaca", "--map", "price=vw"]).unwrap();
        assert_eq!(paths(&rules, Field::Price), ["vw"]);
        assert!(paths(&rules, Field::Open).is_empty() && paths(&rules, Field::High).is_empty());
    }

    #[test]
    fn a_preset_may_bring_its_zone_and_a_flag_goes_before_it() {
        let zone =
            |flags: &[&str]| rules(flags).unwrap().times.zone.map(|zone| zone.name().to_owned());
        assert_eq!(zone(&["--preset", "yfinance"]).as_deref(), Some("America/New_York"));
        assert_eq!(
            zone(&["--preset", "yfinance", "--timestamp-zone", "UTC"]).as_deref(),
            Some("UTC")
        );
        assert_eq!(zone(&["--preset", "kraken"]), None);
    }

    #[test]
    fn a_preset_may_say_where_its_ticks_are_and_a_flag_goes_before_it() {
        let each = |flags: &[&str]| rules(flags).unwrap().each.map(|path| path.to_string());
        assert_eq!(each(&["--preset", "finnhub"]).as_deref(), Some("data"));
        assert_eq!(
            each(&["--preset", "finnhub", "--each", "a . trades"]).as_deref(),
            Some("a.trades")
        );
        assert_eq!(each(&["--preset", "alpaca"]), None);
    }

    #[test]
    fn a_preset_knows_its_kinds_and_a_flag_goes_before_it() {
        let kinds = |flags: &[&str]| Conditions(rules(flags).unwrap().conditions).to_string();
        assert_eq!(kinds(&["--preset", "binance"]), "e=trade|aggTrade");
        assert_eq!(kinds(&["--preset", "binance", "--where", "e=24hrTicker"]), "e=24hrTicker");
        assert_eq!(kinds(&["--preset", "binance", "--where", "m=true"]), "m=true,e=trade|aggTrade");
        assert_eq!(kinds(&[]), "");
    }

    #[test]
    fn a_file_stands_in_place_of_the_flags() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "map=symbol=ticker\nuppercase-symbols\n").unwrap();
        let flags = ["--message-file", file.path().to_str().unwrap()];
        let found = rules(&flags).unwrap();
        assert_eq!(
            (paths(&found, Field::Symbol), found.uppercase_symbols),
            (vec!["ticker".to_owned()], true)
        );
        assert!(rules(&[&flags[..], &["--preset", "kraken"]].concat()).is_err(), "not beside them");
    }

    #[test]
    fn flags_that_cannot_be_meant_are_refused() {
        for flags in [
            ["--map", "ticker=symbol"],
            ["--each", ""],
            ["--each", "data|trades"],
            ["--each", "data="],
            ["--where", "type"],
            ["--timestamp-zone", "EST"],
            ["--preset", "bloomberg"],
            ["--timestamp-zone", "Mars/Base"],
            ["--timestamp-unit", "minutes"],
            ["--oldest", "1969-12-31"],
            ["--oldest", "yesterday"],
            ["--symbol-from", "nowhere"],
        ] {
            assert!(rules(&flags).is_err(), "{flags:?}");
        }
    }
}
