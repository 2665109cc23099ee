//! [`MessageArgs::check`]: flags of which one would have no effect because of another.

use super::MessageArgs;
use clap::error::ErrorKind;
use common::Named;
use common::decode::{Field, SymbolFrom, TimestampFrom};
use common::timestamp::EpochUnit;

impl MessageArgs {
    /// # Errors
    /// A sentence that names two flags of which one would be passed over, for clap to end the
    /// process with.
    pub fn check(&self) -> Result<(), clap::Error> {
        let conflict = self
            .contradiction()
            .map(|what| clap::Error::raw(ErrorKind::ArgumentConflict, what + "\n"));
        conflict.map_or(Ok(()), Err)
    }

    /// The sentence.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Some(file) = &self.message_file {
            return file.contradiction();
        }
        let written = |field| self.map.as_ref()?.written(field);
        let beside = |field, flag: &str| {
            let entry = written(field)?;
            Some(no_effect(&format!("--map {entry}"), flag))
        };
        let symbol = (self.symbol_from != SymbolFrom::default()).then(|| self.symbol_from.name());
        let symbol =
            symbol.and_then(|name| beside(Field::Symbol, &format!("--symbol-from {name}")));
        // With members of its own it is what the map says.
        let is_both =
            self.symbol_from == SymbolFrom::ValueOrKey && self.maps_a_member(Field::Symbol);
        symbol
            .filter(|_| !is_both)
            .or_else(|| self.contradiction_of_times())
            .or_else(|| {
                let (open, close) = (written(Field::Open), written(Field::Close));
                let is_half = open.is_some() != close.is_some() && written(Field::Price).is_some();
                let entry = open.or(close).filter(|_| is_half)?;
                Some(format!("--map {entry} has no effect with price=: a bar has open and close"))
            })
            .or_else(|| self.member_of_two_fields())
    }

    /// One member that two fields are mapped to, and cannot be.
    fn member_of_two_fields(&self) -> Option<String> {
        let all = self.entries();
        let is_own = |field| self.map.as_ref().is_some_and(|map| map.written(field).is_some());
        let pairs = all
            .paths
            .iter()
            .enumerate()
            .flat_map(|(at, one)| all.paths[at + 1..].iter().map(move |other| (one, other)));
        let cannot =
            |one: Field, other: Field| !one.may_share(other) && (is_own(one) || is_own(other));
        let mut same = pairs.filter(|(one, other)| one.1 == other.1);
        let ((one, path), (other, _)) = same.find(|(one, other)| cannot(one.0, other.0))?;
        let (one, other) = (all.written(*one)?, all.written(*other)?);
        Some(format!(
            "--map {one} and {other} name one member, {path}, which cannot be both: \
             name another for one of them (--map, --preset)"
        ))
    }

    fn contradiction_of_times(&self) -> Option<String> {
        let written = |field| self.map.as_ref()?.written(field);
        let is_by_map = self.map.as_ref().is_some_and(|map| map.timestamp_from.is_some());
        let (in_the_way, all) = match (self.timestamp_from, is_by_map) {
            (TimestampFrom::Record, _) => {
                ("--timestamp-from record", &[Field::Timestamp, Field::TimeOfDay][..])
            }
            (TimestampFrom::Value, true) => ("--map timestamp=@record", &[Field::TimeOfDay][..]),
            (TimestampFrom::Value, false) => return self.contradiction_of_written_times(),
        };
        let entries = all.iter().filter_map(|field| written(*field));
        let mut unread = entries.map(|entry| format!("--map {entry}")).chain(self.zone_and_unit());
        unread.next().map(|flag| no_effect(&flag, in_the_way))
    }

    /// Concerning times that messages have themselves.
    fn contradiction_of_written_times(&self) -> Option<String> {
        let written = |field| self.map.as_ref()?.written(field);
        let time_of_day = written(Field::TimeOfDay)?;
        if written(Field::Timestamp).is_none() {
            return Some(
                "--map time_of_day=NAME needs timestamp=NAME, the member with the date".to_owned(),
            );
        }
        // Dates and times of day are text.
        self.unit().map(|unit| no_effect(&unit, &format!("--map {time_of_day}")))
    }

    /// The flags that say how times are read that messages have themselves.
    fn zone_and_unit(&self) -> impl Iterator<Item = String> {
        let zone = self.timestamp_zone.as_ref();
        let zone = zone.map(|zone| format!("--timestamp-zone {}", zone.name()));
        zone.into_iter().chain(self.unit())
    }

    fn unit(&self) -> Option<String> {
        let unit = self.timestamp_unit;
        (unit != EpochUnit::default()).then(|| format!("--timestamp-unit {}", unit.name()))
    }

    fn maps_a_member(&self, field: Field) -> bool {
        self.map.as_ref().is_some_and(|map| map.paths.iter().any(|(mapped, _)| *mapped == field))
    }
}

fn no_effect(flag: &str, beside: &str) -> String {
    format!("{flag} has no effect with {beside}: leave one of them out")
}

#[cfg(test)]
mod tests {
    use super::super::Flags;
    use clap::Parser;

    fn find_conflict(flags: &[&str]) -> Option<String> {
        let parsed = Flags::try_parse_from(["test"].iter().chain(flags)).unwrap();
        parsed.messages.check().err().map(|error| error.to_string())
    }

    #[test]
    fn a_flag_that_would_have_no_effect_beside_another_is_refused_with_both_names() {
        for (flags, one, other) in [
            (
                &["--timestamp-from", "record", "--map", "timestamp=T"][..],
                "--map timestamp=T",
                "--timestamp-from record",
            ),
            (
                &["--symbol-from", "topic", "--map", "price=p,symbol=s"],
                "--map symbol=s",
                "--symbol-from topic",
            ),
            (&["--symbol-from", "key", "--map", "symbol=s"], "--map symbol=s", "--symbol-from key"),
            (
                &["--symbol-from", "topic", "--map", "symbol=@key"],
                "--map symbol=@key",
                "--symbol-from topic",
            ),
            (
                &["--map", "timestamp=@record,time_of_day=t"],
                "--map time_of_day=t",
                "timestamp=@record",
            ),
            (
                &["--timestamp-from", "record", "--timestamp-zone", "UTC"],
                "--timestamp-zone UTC",
                "--timestamp-from record",
            ),
            (
                &["--timestamp-from", "record", "--timestamp-unit", "dotnet"],
                "--timestamp-unit dotnet",
                "--timestamp-from record",
            ),
            (
                &["--map", "timestamp=@record", "--timestamp-zone", "Asia/Tokyo"],
                "--timestamp-zone Asia/Tokyo",
                "timestamp=@record",
            ),
            (
                &["--map", "timestamp=@record", "--timestamp-unit", "ms"],
                "--timestamp-unit ms",
                "timestamp=@record",
            ),
            (
                &["--map", "timestamp=d,time_of_day=t", "--timestamp-unit", "s"],
                "--timestamp-unit s",
                "time_of_day=t",
            ),
            (&["--map", "price=p,open=o"], "--map open=o", "price="),
            (&["--map", "price=p,close=c"], "--map close=c", "price="),
            (&["--map", "time_of_day=t"], "time_of_day", "timestamp="),
            (&["--map", "price=p,volume=p"], "price=p", "volume=p"),
            (&["--map", "price=p|q.r,volume=v|q.r"], "price=p|q.r", "volume=v|q.r"),
            (&["--map", "symbol=x,timestamp=x"], "symbol=x", "timestamp=x"),
            (&["--map", "timestamp=t,time_of_day=t"], "timestamp=t", "time_of_day=t"),
            (&["--map", "open=o,close=c,volume=c"], "close=c", "volume=c"),
            (&["--preset", "finnhub", "--map", "volume=p"], "price=p", "volume=p"),
        ] {
            let conflict = find_conflict(flags).unwrap_or_default();
            assert!(conflict.contains(one) && conflict.contains(other), "{flags:?}: {conflict}");
        }
    }

    #[test]
    fn flags_that_each_have_an_effect_are_taken() {
        for flags in [
            &[][..],
            &["--preset", "binance", "--timestamp-from", "record", "--symbol-from", "topic"],
            &["--map", "price=p,open=o,close=c,high=h"],
            &["--map", "price=p,high=h"],
            &["--map", "timestamp=date,time_of_day=time"],
            &["--map", "timestamp=date,time_of_day=time", "--timestamp-zone", "UTC"],
            &["--timestamp-unit", "ms", "--timestamp-zone", "UTC"],
            // The zone is the preset's, and of other times.
            &["--preset", "yfinance", "--timestamp-from", "record"],
            &["--timestamp-from", "record", "--oldest", "1970-01-01"],
            &["--map", "symbol=@key,timestamp=@record,price=p"],
            &["--map", "symbol=s", "--symbol-from", "value-or-key"],
            // One price for several, and what the preset says itself.
            &["--map", "open=p,high=p,low=p,close=p"],
            &["--map", "price=p,high=p"],
            &["--map", "price=last|mid,bid=mid"],
            &["--map", "price=c,conditions=c"],
            &["--map", "price=q.p,volume=q.v"],
            // A member that is not there.
            &["--map", "volume=none,sequence=none"],
            &["--map", "open=o,close=c,high=none,low=none,volume=none"],
            &["--preset", "alpaca"],
            &["--preset", "alpaca", "--map", "volume=v"],
            &["--preset", "finnhub", "--map", "price=v,volume=p"],
        ] {
            assert_eq!(find_conflict(flags), None, "{flags:?}");
        }
    }

    #[test]
    fn the_exit_code_is_that_of_a_configuration_error() {
        let flags = ["test", "--timestamp-from", "record", "--map", "timestamp=T"];
        let error = Flags::try_parse_from(flags).unwrap().messages.check().unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
