//! The command line: the flags of a run, or a subcommand with flags of its own.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use hourly::Args;
use hourly::export::ExportArgs;
use hourly::lake::CompactArgs;
use reconciliation::VerifyArgs;
use service::cli::without_empty_variables;
use service::telemetry::LogArgs;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Command {
    /// No subcommand: bring the hours up to date.
    Run(Args),
    Verify(VerifyArgs),
    Compact(CompactArgs),
    Export(ExportArgs),
}

impl Command {
    /// Reads the command line; where it cannot be meant, says so and ends the process.
    #[must_use]
    pub fn parse() -> Self {
        let matches = Self::definition().try_get_matches().map_err(advised);
        matches.and_then(|matches| Self::of(&matches)).unwrap_or_else(|error| error.exit())
    }

    /// The flags of a run, and the subcommands with flags of their own.
    fn definition() -> clap::Command {
        let verify = without_empty_variables(VerifyArgs::command().name("verify"));
        let compact = without_empty_variables(CompactArgs::command().name("compact"));
        let export = without_empty_variables(ExportArgs::command().name("export"));
        without_empty_variables(Args::command())
            .subcommand(verify)
            .subcommand(compact)
            .subcommand(export)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("compact", flags)) => {
                let args = CompactArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Compact(args))
            }
            Some(("export", flags)) => {
                let args = ExportArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Export(args))
            }
            Some((_, flags)) => {
                let args = VerifyArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Verify(args))
            }
            None => {
                let args = Args::from_arg_matches(matches)?;
                args.archive.messages.check().map(|()| Self::Run(args))
            }
        }
    }

    #[must_use]
    pub fn logs(&self) -> &LogArgs {
        match self {
            Self::Run(args) => &args.logs,
            Self::Verify(args) => &args.logs,
            Self::Compact(args) => &args.logs,
            Self::Export(args) => &args.logs,
        }
    }
}

/// Says where a subcommand's flags stand, to whom has put them before it.
fn advised(mut error: clap::Error) -> clap::Error {
    let command = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string);
    if let (ErrorKind::ArgumentConflict, Some(command)) = (error.kind(), command) {
        let tip = format!("its flags stand behind it: batch-layer {command} --FLAG ..");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_docs_names_each_flag() {
        assert_eq!(testing::flags_without_a_page(&Command::definition()), Vec::<String>::new());
    }

    #[test]
    fn the_manual_is_consistent() {
        Command::definition().debug_assert();
    }

    #[test]
    fn flags_without_a_subcommand_are_those_of_a_run() {
        let parse = |flags: &[&str]| {
            let always = ["batch-layer"];
            let matches = Command::definition().try_get_matches_from(always.iter().chain(flags))?;
            Command::of(&matches)
        };
        let database = ["--database-url", "postgres://u:p@h/d"];
        let run = parse(&database).unwrap();
        assert!(matches!(run, Command::Run(_)), "{run:?}");
        let verify = parse(&[&["verify"], &database[..], &["--format", "json"]].concat()).unwrap();
        assert!(matches!(verify, Command::Verify(_)), "{verify:?}");
        let mixed = parse(&[&database[..], &["verify"], &database[..]].concat());
        assert!(mixed.is_err(), "{mixed:?}");
        let flags = [&["batch-layer"][..], &database[..], &["verify"]].concat();
        let error = advised(Command::definition().try_get_matches_from(flags).unwrap_err());
        assert!(error.to_string().contains("stand behind it: batch-layer verify --"), "{error}");
    }
}
