//! Why a command has not done what it was asked for, with its exit code.

/// A command that has ended otherwise than it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The program is as it was, for a reason that lies in it: exit code 1.
    Refused(String),
    /// The command could not be carried out: exit code 2.
    NotDone(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Refused(text) | Self::NotDone(text) => text,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::NotDone(_) => 2,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::NotDone(text)
    }
}
