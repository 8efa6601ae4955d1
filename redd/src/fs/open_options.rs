//! `OpenOptions`: how a file is opened.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::File;
use crate::blocking::run;

/// How a file is opened; the options are those of [`std::fs::OpenOptions`].
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

/// Options that are handed on to std.
macro_rules! options {
    ($($(#[$doc:meta])* $option:ident: $T:ty;)*) => {$(
        $(#[$doc])*
        pub fn $option(&mut self, $option: $T) -> &mut OpenOptions {
            self.0.$option($option);
            self
        }
    )*};
}

impl OpenOptions {
    /// All options off.
    pub fn new() -> OpenOptions {
        OpenOptions(std::fs::OpenOptions::new())
    }

    options! {
        /// Whether the file can be read.
        read: bool;

        /// Whether the file can be written.
        write: bool;

        /// Whether each write goes to the end.
        append: bool;

        /// Whether a file that exists is emptied.
        truncate: bool;

        /// Whether a file that is missing is created.
        create: bool;

        /// Whether the file must be created: opening one that exists fails.
        create_new: bool;

        /// The permissions of a file that is created, before the process's mask (0o666 unless set).
        mode: u32;

        /// More flags for the system call.
        custom_flags: i32;
    }

    /// Opens the file.
    ///
    /// # Errors
    /// As [`std::fs::OpenOptions::open`].
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        let options = self.0.clone();
        run(move || options.open(path)).await.map(File::from_std)
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> Self {
        OpenOptions(options)
    }
}
