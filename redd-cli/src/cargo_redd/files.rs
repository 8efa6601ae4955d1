//! Files of the program: read whole, and replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            return format!("{} is not UTF-8, which TOML is. Save it as UTF-8", path.display());
        }
        format!("{} cannot be read: {error}", path.display())
    })
}

/// None if there is no such file.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, String> {
    match fs::symlink_metadata(path) {
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
        _ => read(path).map(Some),
    }
}

/// Checks that the file, or its folder if there is none, is meant to be written. The superuser could write any.
pub(crate) fn expect_writable(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o222 == 0 => {
            Err(format!("{} is read-only, and is left as it is. `chmod u+w` makes it writable", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes beside the file and renames, so that at each moment there is the old text or the new one. A symbolic link stays one,
/// and the file keeps its mode and its owner.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), String> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let beside = beside(&target);
    let written = write_like(&target, &beside, text).and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)?;
    // Renames are kept in order by the folder; without it the order may be lost with the power.
    let folder = target.parent().and_then(|folder| File::open(folder).ok());
    let _ = folder.map(|folder| folder.sync_all());
    Ok(())
}

fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    target.with_file_name(format!(".{name}.{}{BESIDE}", std::process::id()))
}

/// The end of the names of files that are renamed when they are whole.
const BESIDE: &str = ".cargo-redd";

/// Removes what a command that was killed has left beside the files of a folder. No other command may work in the folder.
pub(crate) fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix('.').and_then(|name| name.strip_suffix(BESIDE)?.rsplit_once('.'));
        if number.is_some_and(|(_, number)| number.parse::<u32>().is_ok()) {
            // One that cannot be removed harms nothing.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write_like(target: &Path, path: &Path, text: &str) -> io::Result<()> {
    let like = fs::metadata(target).ok();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(like) = like {
        file.set_permissions(like.permissions())?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            chown(path, Some(like.uid()), Some(like.gid()))?;
        }
    }
    file.sync_all()
}

pub(crate) fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("{} cannot be removed: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The path from the current folder if that is shorter to read.
pub(crate) fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let beside = || path.strip_prefix(here.parent().filter(|parent| parent.parent().is_some())?).ok();
    match (path.strip_prefix(&here), beside()) {
        (Ok(below), _) if below.as_os_str().is_empty() => ".".to_owned(),
        (Ok(below), _) => below.display().to_string(),
        (Err(_), Some(below)) => Path::new("..").join(below).display().to_string(),
        (Err(_), None) => path.display().to_string(),
    }
}
