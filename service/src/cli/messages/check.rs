//! [`MessageArgs::check`]: flags of which one would have no effect beside another.

use super::MessageArgs;
use clap::error::ErrorKind;
use common::decode::{Field, SymbolFrom, TimestampFrom};

impl MessageArgs {
    /// # Errors
    /// A sentence that names two flags of which one would be passed over, for clap to end the process with.
    pub fn check(&self) -> Result<(), clap::Error> {
        let said = self.contradiction().map(|what| clap::Error::raw(ErrorKind::ArgumentConflict, what + "\n"));
        said.map_or(Ok(()), Err)
    }

    /// The sentence.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Some(file) = &self.message_file {
            return file.contradiction();
        }
        let mapped = |field| self.map.as_ref()?.0.iter().find(|(mapped, _)| *mapped == field);
        let beside = |field, flag: &str| {
            let (field, path) = mapped(field)?;
            Some(format!("--map {field}={path} has no effect beside {flag}: leave one of them out"))
        };
        let of_record = || {
            [Field::Timestamp, Field::TimeOfDay].into_iter().find_map(|field| beside(field, "--timestamp-from record"))
        };
        let (open, close) = (mapped(Field::Open), mapped(Field::Close));
        let is_half = open.is_some() != close.is_some() && mapped(Field::Price).is_some();
        match (self.timestamp_from, self.symbol_from) {
            (TimestampFrom::Record, _) if of_record().is_some() => of_record(),
            (_, SymbolFrom::Key) if mapped(Field::Symbol).is_some() => beside(Field::Symbol, "--symbol-from key"),
            (_, SymbolFrom::Topic) if mapped(Field::Symbol).is_some() => beside(Field::Symbol, "--symbol-from topic"),
            _ if is_half => {
                let (field, path) = open.or(close)?;
                Some(format!("--map {field}={path} has no effect beside price=: a bar has open and close"))
            }
            _ if mapped(Field::TimeOfDay).is_some() && mapped(Field::Timestamp).is_none() => {
                Some("--map time_of_day=NAME needs timestamp=NAME, the member with the date".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Flags;
    use clap::Parser;

    fn said(flags: &[&str]) -> Option<String> {
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
            (&["--symbol-from", "topic", "--map", "price=p,symbol=s"], "--map symbol=s", "--symbol-from topic"),
            (&["--symbol-from", "key", "--map", "symbol=s"], "--map symbol=s", "--symbol-from key"),
            (&["--map", "price=p,open=o"], "--map open=o", "price="),
            (&["--map", "price=p,close=c"], "--map close=c", "price="),
            (&["--map", "time_of_day=t"], "time_of_day", "timestamp="),
        ] {
            let said = said(flags).unwrap_or_default();
            assert!(said.contains(one) && said.contains(other), "{flags:?}: {said}");
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
        ] {
            assert_eq!(said(flags), None, "{flags:?}");
        }
    }

    #[test]
    fn the_exit_code_is_that_of_a_configuration_error() {
        let flags = ["test", "--timestamp-from", "record", "--map", "timestamp=T"];
        let error = Flags::try_parse_from(flags).unwrap().messages.check().unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
