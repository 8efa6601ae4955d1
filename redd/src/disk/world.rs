//! The disks of one world: made when a host first uses its disk, and removed when the world ends.
//!
//! Called by `fs::operations`, `driver::unix_paths` and `sim`.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::host::{DiskSettings, HostDisk, Operation, record};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU64;
use crate::primitives::baton::{self, Baton};

/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";

/// The part of a world that has its disks.
#[derive(Debug, Default)]
struct Disks {
    settings: Mutex<DiskSettings>,
    hosts: Mutex<BTreeMap<usize, Arc<HostDisk>>>,
    /// The directory that has those of the hosts. The last of them removes it.
    base: Mutex<Option<PathBuf>>,
}

fn of(baton: &Arc<Baton>) -> Arc<Disks> {
    baton.part(Arc::<Disks>::default)
}

/// Sets how the disks of this world behave. Called before the world starts.
pub(crate) fn configure(baton: &Arc<Baton>, settings: DiskSettings) {
    *of(baton).settings.lock() = settings;
}

/// The disk of the calling thread's host. `None` on a thread that belongs to no world.
#[cold]
pub(crate) fn current() -> Option<io::Result<Arc<HostDisk>>> {
    let (baton, host) = baton::current_host()?;
    Some(of(&baton).host(&baton, host))
}

impl Disks {
    fn crash(&self, baton: &Baton, host: usize) {
        let disk = self.hosts.lock().get(&host).cloned();
        let Some(disk) = disk else { return };
        if let Err(error) = disk.crash(baton) {
            panic!(
                "a host has crashed, and the system refuses the files of its disk in {}: {error}. Make room there, or raise the limits \
                 of the process.",
                disk.base.display()
            )
        }
    }

    fn host(&self, baton: &Baton, host: usize) -> io::Result<Arc<HostDisk>> {
        let mut hosts = self.hosts.lock();
        if let Some(disk) = hosts.get(&host) {
            return Ok(Arc::clone(disk));
        }
        let mut base = self.base.lock();
        let base = match &mut *base {
            Some(base) => base,
            none => none.insert(make_base().map_err(with_advice)?),
        };
        let disk =
            HostDisk::new(baton, base.join(host.to_string()), self.settings.lock().clone()).map_err(with_advice)?;
        Ok(Arc::clone(hosts.entry(host).or_insert(Arc::new(disk))))
    }
}

fn with_advice(error: io::Error) -> io::Error {
    let temporary = std::env::temp_dir();
    let text = format!(
        "the disk of a simulated world needs a directory in {MEMORY} or {}, and the system refuses it: {error}. Make room \
         there, or set `TMPDIR` to a directory in which this process can write.",
        temporary.display()
    );
    io::Error::new(error.kind(), text)
}

fn make_base() -> io::Result<PathBuf> {
    make_base_in(Path::new(MEMORY)).or_else(|_| make_base_in(&std::env::temp_dir()))
}

fn make_base_in(parent: &Path) -> io::Result<PathBuf> {
    /// Makes the names differ. It is part of no event.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("redd-disk-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            // A process with this id has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
}

/// The disk of a host loses what the host has not synced, as the seed says. Open files of the host fail from here on.
///
/// # Panics
/// If the system refuses the files of the disk.
pub(crate) fn crash(baton: &Arc<Baton>, host: usize) {
    of(baton).crash(baton, host);
}

/// The world has ended: its disks are removed.
pub(crate) fn end(baton: &Arc<Baton>) {
    let Some(disks) = baton.existing_part::<Disks>() else { return };
    std::mem::take(&mut *disks.hosts.lock()).values().for_each(|disk| disk.remove());
}

/// The calling thread uses a file that the disk does not know.
#[cold]
pub(crate) fn note_untracked() {
    if let Some(baton) = baton::current() {
        record(&baton, Operation::Untracked, 0, 0);
    }
}
