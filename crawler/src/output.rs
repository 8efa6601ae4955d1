//! Where results go: files that are opened before the crawl, and standard output.
//!
//! Called by `main`.
//!
//! # Invariants
//! - `whole-or-old`: a file is written beside its final place and renamed over it, so there is always a whole one.
//! - `devices-stay`: what is not a regular file (a device, a pipe) is written to, and never replaced.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use redd::task::spawn_blocking;

use crate::exit::EarlyExit;

/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// An output that was opened. A new file that is not written is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Output {
    option: &'static str,
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    StandardOutput,
    /// See `devices-stay`.
    Device(File),
    /// See `whole-or-old`.
    Replace(Part),
}

/// A file that is renamed to its final place once it is written.
#[derive(Debug)]
struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Opens the outputs that were asked for, in the order given.
///
/// # Errors
/// If one cannot be written, or two of them are the same file. Files that exist stay as they were.
pub(crate) async fn open_all(wanted: Vec<(&'static str, PathBuf)>) -> Result<Vec<Output>, EarlyExit> {
    // Opening a pipe waits until the other side is opened for reading.
    let open = spawn_blocking(move || {
        let mut outputs: Vec<Output> = Vec::new();
        for (option, path) in wanted {
            let place = Place::find(&path).map_err(|error| cannot_write(option, &path, &error))?;
            if let Some(other) = outputs.iter().find(|other| other.is_at(&place)) {
                return Err(EarlyExit::usage(format!(
                    "{} and {option} would both write to `{}`. Give each a file of its own.",
                    other.option,
                    path.display()
                )));
            }
            let target = place.open().map_err(|error| cannot_write(option, &path, &error))?;
            outputs.push(Output { option, path, target });
        }
        Ok(outputs)
    });
    open.await.unwrap_or_else(|error| Err(EarlyExit::incomplete(format!("the outputs could not be opened: {error}"))))
}

fn cannot_write(option: &str, path: &Path, error: &io::Error) -> EarlyExit {
    EarlyExit::incomplete(format!(
        "{option} {}: cannot be written: {error}. Nothing was crawled. Give a file in a folder that exists and is writable.",
        path.display()
    ))
}

/// A place to write to that was looked at and not opened yet.
#[derive(Debug)]
enum Place {
    StandardOutput,
    Device(PathBuf),
    /// A path without symbolic links, and what is there now.
    File(PathBuf, Option<Metadata>),
}

impl Place {
    fn find(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == STANDARD_OUTPUT {
            return Ok(Self::StandardOutput);
        }
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if metadata.is_file() => Ok(Self::File(path.canonicalize()?, Some(metadata))),
            Ok(_) => Ok(Self::Device(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                Ok(Self::File(folder.unwrap_or(Path::new(".")).canonicalize()?.join(name), None))
            }
            Err(error) => Err(error),
        }
    }

    fn open(self) -> io::Result<Target> {
        let (target, old) = match self {
            Self::StandardOutput => return Ok(Target::StandardOutput),
            Self::Device(path) => return Ok(Target::Device(OpenOptions::new().write(true).open(path)?)),
            Self::File(target, old) => (target, old),
        };
        if old.is_some() {
            // A file that must not be written must not be replaced either.
            drop(OpenOptions::new().write(true).open(&target)?);
        }
        let mut path = target.clone().into_os_string();
        path.push(".part");
        let path = PathBuf::from(path);
        let part = Part { file: File::create(&path)?, path, target };
        if let Some(old) = old {
            part.file.set_permissions(old.permissions())?;
        }
        Ok(Target::Replace(part))
    }
}

impl Output {
    pub(crate) fn option(&self) -> &'static str {
        self.option
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_standard_output(&self) -> bool {
        matches!(self.target, Target::StandardOutput)
    }

    fn is_at(&self, place: &Place) -> bool {
        match (&self.target, place) {
            (Target::StandardOutput, Place::StandardOutput) => true,
            (Target::Replace(part), Place::File(path, _)) => part.target == *path,
            (Target::StandardOutput | Target::Device(_) | Target::Replace(_), _) => false,
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If it cannot be written; a file that was there before is then unchanged.
    pub(crate) async fn write(self, bytes: Vec<u8>) -> io::Result<()> {
        let write = spawn_blocking(move || match self.target {
            Target::StandardOutput => write_to_standard_output(&bytes),
            Target::Device(mut file) => file.write_all(&bytes),
            Target::Replace(mut part) => {
                part.file.write_all(&bytes)?;
                // `whole-or-old`
                std::fs::rename(&part.path, &part.target)
            }
        });
        write.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Writes to standard output, up to the last byte.
///
/// # Errors
/// If it cannot be written, for example because it is a file on a full disk or a closed pipe.
pub(crate) fn write_to_standard_output(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
