//! What the files of a simulated world mean for the paths of its Unix sockets.
//!
//! A path that is bound is a name in the network of the world, and no file. But its directory must exist, and no file may be in its
//! place: on the disk of the host, or on the real one. The latter has the directories that std has made.
//!
//! Called by `shadows`.

use std::fs;
use std::io;
use std::path::Path;

use crate::disk;
use crate::network::Address;

/// Whether the path leads to a directory. An error if it leads nowhere.
fn is_directory(path: &Path) -> io::Result<bool> {
    let on_disk = disk::current().map_or_else(|| Err(error(libc::ENOENT)), |disk| disk?.is_directory_now(path));
    on_disk.or_else(|on_disk| match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        // A file in the place of a directory says more than that nothing is there.
        Err(real) if real.raw_os_error() == Some(libc::ENOTDIR) => Err(real),
        Err(_) => Err(on_disk),
    })
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// An error if no socket can be bound at this path, besides one that the network finds.
pub(super) fn check_free(path: &Path) -> io::Result<()> {
    if is_directory(path).is_ok() {
        return Err(error(libc::EADDRINUSE));
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        None => Ok(()),
        Some(parent) if is_directory(parent)? => Ok(()),
        Some(_) => Err(error(libc::ENOTDIR)),
    }
}

/// The network knows no socket at this path. This finds out what is there.
#[cold]
pub(super) fn explain(result: io::Error, address: &Address) -> io::Error {
    match address {
        Address::Path(path) if result.raw_os_error() == Some(libc::ENOENT) => match is_directory(path) {
            Ok(_) => error(libc::ECONNREFUSED),
            Err(nothing) if nothing.raw_os_error() == Some(libc::ENOTDIR) => nothing,
            Err(_) => result,
        },
        Address::Path(_) | Address::Inet(_) | Address::Abstract(_) | Address::Unnamed => result,
    }
}
