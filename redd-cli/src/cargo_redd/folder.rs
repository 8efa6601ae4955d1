//! A folder of the temporary directory that is removed at the end.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one that only this user can read.
    pub(crate) fn new() -> Result<Self, String> {
        let place = std::env::temp_dir();
        let mut error = None;
        for number in 0..1000 {
            let path = place.join(format!("cargo-redd-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(why) => error = Some(why),
            }
        }
        let why = error.map_or_else(String::new, |error| error.to_string());
        Err(format!(
            "no folder can be made in {}: {why}. Set TMPDIR to a directory that can be written",
            place.display()
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
