//! `FileTimes`: when a file was read and changed.

use std::time::SystemTime;

/// The times that [`File::set_times`](super::File::set_times) gives a file; what is not set stays as it is.
#[derive(Clone, Debug, Default)]
pub struct FileTimes(std::fs::FileTimes);

impl FileTimes {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// When the file was last read.
    #[must_use]
    pub fn set_accessed(self, t: SystemTime) -> Self {
        Self(self.0.set_accessed(t))
    }

    /// When the file was last changed.
    #[must_use]
    pub fn set_modified(self, t: SystemTime) -> Self {
        Self(self.0.set_modified(t))
    }

    pub(super) fn into_std(self) -> std::fs::FileTimes {
        self.0
    }
}
