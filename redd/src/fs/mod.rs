//! Files and directories.
//!
//! Systems have no way to wait for a disk as one waits for a socket, so each operation here is the one of `std::fs`,
//! run on the blocking pool: it costs the way to another thread and back. For many small operations, do them together
//! in one [`spawn_blocking`](crate::task::spawn_blocking); for many small reads or writes, use
//! [`BufReader`](crate::io::BufReader) and [`BufWriter`](crate::io::BufWriter).
//!
//! ```
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let path = std::env::temp_dir().join("redd-fs-example");
//! redd::fs::write(&path, b"salmon").await?;
//! assert_eq!(redd::fs::read(&path).await?, b"salmon");
//! redd::fs::remove_file(&path).await?;
//! # redd::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! What holds everywhere in this module:
//! - Dropping the future of an operation does not stop it once it has begun; it only lets go of the result.
//! - Errors are those of `std::fs`; a path with a NUL byte in it is one of them. If the runtime shuts down before an
//!   operation begins, it fails too.
//! - Outside of a runtime, operations panic.
//!
//! Called by programs. Uses `blocking` and `io::background`.

mod dir;
mod file;
mod functions;
mod open_options;
mod times;

pub use dir::{DirBuilder, DirEntry, ReadDir, read_dir};
pub use file::File;
pub use functions::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link, read_to_string, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata, try_exists, write,
};
pub use open_options::OpenOptions;
pub use times::FileTimes;
