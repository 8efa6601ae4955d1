//! How a run ended, as an exit code.
//!
//! Called by `main`. The codes are part of the program's interface: `--help` and the README list them.

use std::process::ExitCode;

use crate::outcome::Outcome;
use crate::snapshot::Difference;

/// The exit codes. If two apply, the later one counts: what an incomplete run found is not all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// All links were checked, and none is broken.
    Clean = 0,
    /// There are broken links, or pages of the snapshot have vanished.
    Findings = 1,
    /// The command line cannot be carried out.
    Usage = 2,
    /// Not all was checked, or not all output was written.
    Incomplete = 3,
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit as u8)
    }
}

impl ExitStatus {
    /// The exit of a crawl whose output was written.
    pub(crate) fn of(outcome: &Outcome, difference: Option<&Difference>) -> Self {
        if !outcome.shortfalls().is_empty() {
            Self::Incomplete
        } else if outcome.counts().broken > 0 || difference.is_some_and(|difference| !difference.vanished.is_empty()) {
            Self::Findings
        } else {
            Self::Clean
        }
    }
}

/// A run that ends early: the exit code, and what is printed about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EarlyExit {
    pub(crate) exit: ExitStatus,
    pub(crate) message: String,
}

impl EarlyExit {
    pub(crate) fn usage(message: String) -> Self {
        Self { exit: ExitStatus::Usage, message }
    }

    pub(crate) fn incomplete(message: String) -> Self {
        Self { exit: ExitStatus::Incomplete, message }
    }
}
