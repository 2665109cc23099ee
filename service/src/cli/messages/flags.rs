//! [`MessageArgs::flags`]: what was chosen, as one would write it.

use super::{MessageArgs, Oldest, chosen};
use common::Named;

impl MessageArgs {
    /// The equivalent flags, by their names without dashes; those with their defaults are left out.
    /// A file is replaced by its contents.
    #[must_use]
    pub fn flags(&self) -> Vec<(&'static str, Option<String>)> {
        if let Some(file) = &self.message_file {
            return file.flags();
        }
        let zone = self.timestamp_zone.as_ref().map(|zone| zone.name().to_owned());
        let with_values = [
            ("preset", self.preset.map(|preset| preset.name().to_owned())),
            ("map", self.map.as_ref().map(ToString::to_string)),
            ("each", self.each.as_ref().map(ToString::to_string)),
            ("where", self.conditions.as_ref().map(ToString::to_string)),
            ("symbol-from", name(self.symbol_from)),
            ("timestamp-from", name(self.timestamp_from)),
            ("timestamp-unit", name(self.timestamp_unit)),
            ("timestamp-zone", zone),
            ("oldest", (self.oldest != Oldest::default()).then(|| self.oldest.to_string())),
        ];
        let switches = [
            ("allow-nonpositive-prices", self.allow_nonpositive_prices),
            ("uppercase-symbols", self.uppercase_symbols),
        ];
        let with_values = with_values.into_iter().filter(|(_, value)| value.is_some());
        with_values
            .chain(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (name, None)))
            .collect()
    }
}

fn name<T: Named + Default>(value: T) -> Option<String> {
    chosen(value).map(|value| value.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Flags;
    use super::*;
    use clap::Parser;
    use common::decode::ProvenanceNames;

    #[test]
    fn flags_that_are_written_down_say_the_same_when_they_are_read() {
        let all = [
            "--preset=binance",
            r#"--map=symbol=a."b.c"|d|@key,volume=q"#,
            "--where=e=trade|x,m=true",
            "--symbol-from=value-or-key",
            "--timestamp-from=record",
            "--timestamp-unit=ms",
            "--timestamp-zone=Asia/Tokyo",
            "--oldest=1970-01-01",
            "--allow-nonpositive-prices",
            "--uppercase-symbols",
        ];
        let parse = |flags: &[String]| {
            let words = ["test".to_owned()].into_iter().chain(flags.iter().cloned());
            Flags::try_parse_from(words).unwrap().messages
        };
        for left_out in 0..=all.len() {
            let flags: Vec<String> = (0..)
                .zip(all)
                .filter(|(at, _)| *at != left_out)
                .map(|(_, flag)| flag.to_owned())
                .collect();
            let args = parse(&flags);
            let written: Vec<String> = args
                .flags()
                .into_iter()
                .map(|(name, value)| {
                    value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}"))
                })
                .collect();
            assert_eq!(written, flags);
            let rules = |args: &MessageArgs| args.rules(ProvenanceNames::default());
            assert_eq!(rules(&parse(&written)), rules(&args));
        }
    }
}
