//! [`Failure`]: why a binary ends, and with which exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// The reason why a process ends. The kinds differ in what a person has to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A person must change a flag, a right or a setting: trying again is useless.
    #[error("configuration: {0:#}")]
    Configuration(anyhow::Error),
    /// Something that should be there is not: trying again later may do.
    #[error("{0:#}")]
    Infrastructure(anyhow::Error),
    /// The sides of a comparison differ; where was logged before.
    #[error("{0}")]
    Difference(String),
    /// Some of the work was done; the failures were logged.
    #[error("{0}")]
    Partial(String),
}

impl Failure {
    /// 1 for a difference, 2 for configuration (as for a wrong flag), 3 for infrastructure, 4 for
    /// partial failure.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Difference(_) => 1,
            Self::Configuration(_) => 2,
            Self::Infrastructure(_) => 3,
            Self::Partial(_) => 4,
        }
    }

    /// The reason, without the kind before it.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Configuration(error) | Self::Infrastructure(error) => format!("{error:#}"),
            Self::Difference(text) | Self::Partial(text) => text.clone(),
        }
    }

    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Configuration(_))
    }
}

/// Says a binary's last word: one line on the log where it failed, and the exit code.
#[must_use]
pub fn conclude(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (exit_code, text) = (failure.exit_code(), one_line(&failure));
            tracing::error!(exit_code, error = text, "{text}");
            ExitCode::from(exit_code)
        }
    }
}

/// An error as one line, which is what a log can be searched by.
#[must_use]
pub fn one_line(error: &impl Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
