//! The disks of simulated worlds. Each host has one: a private directory of the real disk, so that metadata are those of real files.
//!
//! Called by `fs` and `driver` for threads of a world, and by `sim`.
//!
//! - `world` makes the disks and removes them.
//! - `host` has the operations on paths, `open` those on open files.
//! - `paths` finds where a path leads on the disk of its host.
//! - `contents` and `names` know what is not synced. They make no system call.
//! - `restore` lets a host crash: what was synced stays, and of the rest the seed chooses a part (`survival`).
//!
//! All operations run on a thread that has the baton. So no other thread of the world is in one of them, and the locks are free.

mod contents;
mod host;
mod names;
mod open;
mod paths;
mod restore;
mod survival;
mod world;

pub(crate) use host::{DiskEntry, DiskSettings, HostDisk, Operation};
pub(crate) use open::OpenFile;
pub(crate) use world::{configure, crash, current, end, note_untracked};
