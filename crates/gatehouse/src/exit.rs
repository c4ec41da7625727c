//! Exit statuses, the same for every command.

use std::fmt;
use std::process::ExitCode;

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It failed.
    Failed = 1,
    /// A check found something.
    CheckFailed = 3,
    /// Access was denied.
    Denied = 4,
    /// A gateway could not be reached.
    Unreachable = 5,
    /// The configuration is wrong (`EX_CONFIG` of sysexits.h).
    BadConfig = 78,
}

/// An error that asks for an exit status other than 1.
#[derive(Debug)]
pub(crate) struct ExitWith {
    exit: Exit,
    message: String,
}

impl ExitWith {
    pub(crate) fn error(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { exit, message: message.into() })
    }
}

impl fmt::Display for ExitWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExitWith {}

/// The status for an error.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    let exit = error.downcast_ref::<ExitWith>().map_or(Exit::Failed, |with| with.exit);
    ExitCode::from(exit as u8)
}
