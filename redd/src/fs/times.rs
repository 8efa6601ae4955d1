//! `FileTimes`: when a file was read and modified.
//!
//! Called by `file` and user code.

use std::time::SystemTime;

/// The times to set with [`File::set_times`](super::File::set_times). A time that is not set does not change.
///
/// # Examples
/// ```
/// use redd::fs::{File, FileTimes};
/// use std::time::{Duration, SystemTime};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let file = File::create(dir.path().join("a")).await?;
/// let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
/// file.set_times(FileTimes::new().set_accessed(then).set_modified(then)).await?;
/// assert_eq!(file.metadata().await?.modified()?, then);
/// assert_eq!(file.metadata().await?.accessed()?, then);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct FileTimes(std::fs::FileTimes);

impl FileTimes {
    /// Creates a value in which no time is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when the file was last read.
    #[must_use]
    pub fn set_accessed(self, t: SystemTime) -> Self {
        Self(self.0.set_accessed(t))
    }

    /// Sets when the file was last modified.
    #[must_use]
    pub fn set_modified(self, t: SystemTime) -> Self {
        Self(self.0.set_modified(t))
    }

    pub(super) fn into_std(self) -> std::fs::FileTimes {
        self.0
    }
}
