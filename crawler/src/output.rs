//! Where results go: files that are tried before the crawl, and standard output.
//!
//! Called by `main`.
//!
//! # Invariants
//! - `whole-or-old`: a file is written beside its final place and renamed over it, so there is always a whole one.
//! - `devices-stay`: what is not a regular file (a device, a pipe) is written to, and never replaced.
//! - `no-part-stays`: the file beside the final place exists only within one call on a blocking thread, and a signal does
//!   not end the program during that call. So an interrupted crawl leaves none.
//!
//! # Why not otherwise
//! A file that is opened before the crawl and written after it would stay behind if a signal ends the program.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

use redd::task::spawn_blocking;

use crate::exit::EarlyExit;
use crate::interrupt::Interrupts;

/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// How much is written to try a file, in bytes: more than file systems store without a block on the disk.
const TRIAL: usize = 4096;

/// An output that can be written, as far as that is known before the crawl.
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
    Replace(Replacement),
}

/// A file to write whole.
#[derive(Debug)]
struct Replacement {
    target: PathBuf,
    /// Those of the file that is there now.
    permissions: Option<Permissions>,
}

/// A file that is renamed to its final place once it is written, and removed if it is not (`no-part-stays`).
#[derive(Debug)]
struct Part {
    file: File,
    path: PathBuf,
}

impl Replacement {
    fn create_part(&self) -> io::Result<Part> {
        let mut path = self.target.clone().into_os_string();
        path.push(".part");
        let path = PathBuf::from(path);
        let part = Part { file: File::create(&path)?, path };
        if let Some(permissions) = &self.permissions {
            part.file.set_permissions(permissions.clone())?;
        }
        Ok(part)
    }

    /// # Errors
    /// If the file cannot be created there, or if the disk is full.
    fn try_out(&self) -> io::Result<()> {
        self.create_part()?.file.write_all_at(&[0; TRIAL], 0)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut part = self.create_part()?;
        part.file.write_all(bytes)?;
        // `whole-or-old`
        std::fs::rename(&part.path, &self.target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Tries the outputs that were asked for, in the order given, and standard output.
///
/// # Errors
/// If one cannot be written, or two of them are the same file, or on an interrupt. Files that exist stay as they were.
pub(crate) async fn open_all(
    wanted: Vec<(&'static str, PathBuf)>,
    interrupts: &mut Interrupts,
) -> Result<Vec<Output>, EarlyExit> {
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
        let may_block = matches!(place, Place::Device(_));
        let opening = spawn_blocking(move || place.open());
        let opened = redd::select! {
            opened = opening => opened,
            // Opening a pipe waits until the other side is opened for reading.
            () = interrupts.recv(), if may_block => {
                return Err(EarlyExit::incomplete("interrupted: nothing was crawled".to_owned()));
            }
        };
        let target = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        outputs.push(Output { target: target.map_err(|error| cannot_write(option, &path, &error))?, option, path });
    }
    // The report goes there.
    try_device(io::stdout()).map_err(|error| {
        EarlyExit::incomplete(format!(
            "standard output cannot be written: {error}. Nothing was crawled. Redirect it to a file or program that can."
        ))
    })?;
    Ok(outputs)
}

/// Writes nothing. A device that refuses every write, such as a full one, refuses this too.
fn try_device(device: impl AsFd) -> io::Result<()> {
    let mut device = File::from(device.as_fd().try_clone_to_owned()?);
    // To a socket, nothing may be a message.
    if device.metadata()?.file_type().is_char_device() { device.write(&[]).map(drop) } else { Ok(()) }
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
            Self::Device(path) => {
                let device = OpenOptions::new().write(true).open(path)?;
                try_device(&device)?;
                return Ok(Target::Device(device));
            }
            Self::File(target, old) => (target, old),
        };
        if old.is_some() {
            // A file that must not be written must not be replaced either.
            drop(OpenOptions::new().write(true).open(&target)?);
        }
        let replacement = Replacement { target, permissions: old.map(|old| old.permissions()) };
        replacement.try_out()?;
        Ok(Target::Replace(replacement))
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
            (Target::Replace(replacement), Place::File(path, _)) => replacement.target == *path,
            (Target::StandardOutput | Target::Device(_) | Target::Replace(_), _) => false,
        }
    }

    /// Writes all of it. An interrupt ends the wait for a device or pipe that does not take it.
    ///
    /// # Errors
    /// If it cannot be written; a file that was there before is then unchanged.
    pub(crate) async fn write(self, bytes: Vec<u8>, interrupts: &mut Interrupts) -> io::Result<()> {
        // `no-part-stays`: an interrupt does not end the writing of a file.
        let may_block = !matches!(self.target, Target::Replace(_));
        let write = spawn_blocking(move || match self.target {
            Target::StandardOutput => write_to_standard_output(&bytes),
            Target::Device(mut file) => file.write_all(&bytes),
            Target::Replace(replacement) => replacement.write(&bytes),
        });
        redd::select! {
            written = write => written.unwrap_or_else(|error| Err(io::Error::other(error))),
            () = interrupts.recv(), if may_block => Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
        }
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
