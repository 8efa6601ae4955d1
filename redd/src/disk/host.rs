//! The disk of one host: a private directory of the real disk, the names in it, and operations on paths.
//!
//! Called by `fs::operations`, `driver::unix_paths` and the other files of this room. Opening a file is in `open`, a crash in `restore`.
//!
//! Long because it has the operations of `std::fs`.
//!
//! # Invariants
//! - `real-follows`: below `root`, the real directory has the same names as `State::names`. An operation changes the real directory
//!   first, so that the system finds the errors.
//! - `removed-kept`: a removed file stays in the directory `removed` while a crash may bring it back.
//! - `old-incarnation`: an operation that began before a crash fails after it, and so does each operation of a thread from before it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::contents::Contents;
use super::names::{Name, NameChange, Names, NodeId, ROOT};
use super::paths::{self, PathNode, Place, RealDir, Target, error};
use crate::primitives::Mutex;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::baton::{self, Baton, EventKind};
use crate::primitives::rng::Rng;
use crate::sys;

/// If more is not synced, the disk writes it back, as systems do under pressure.
const MAX_UNSYNCED_NAMES: usize = 65_536;
const MAX_UNSYNCED_BYTES: u64 = 64 << 20;
/// In how many steps a latency is chosen.
const LATENCY_STEPS: usize = 1001;

/// How the disks of a world behave.
#[derive(Clone, Debug)]
pub(crate) struct DiskSettings {
    /// In bytes.
    pub(crate) capacity: Option<u64>,
    /// In how many of a hundred cases a read, write or sync fails.
    pub(crate) error_percent: u8,
    pub(crate) latency: Range<Duration>,
    pub(crate) is_torn: bool,
    /// The paths of the program and of the real disk.
    pub(crate) real_dirs: Vec<(PathBuf, PathBuf)>,
}

impl Default for DiskSettings {
    fn default() -> Self {
        let latency = Duration::ZERO..Duration::ZERO;
        Self { capacity: None, error_percent: 0, latency, is_torn: true, real_dirs: Vec::new() }
    }
}

/// What an event of the disk is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Read,
    Write,
    SetLen,
    Sync,
    Metadata,
    SetPermissions,
    SetTimes,
    CreateDir,
    RemoveDir,
    RemoveFile,
    Rename,
    HardLink,
    Symlink,
    ReadLink,
    ReadDir,
    Canonicalize,
    /// A file that the disk does not know is used from here on.
    Untracked,
    /// The disk has written all back by itself.
    WriteBack,
    Crash,
}

impl Operation {
    const NAMES: [&str; 20] = [
        "open",
        "read",
        "write",
        "set length",
        "sync",
        "metadata",
        "set permissions",
        "set times",
        "create directory",
        "remove directory",
        "remove file",
        "rename",
        "hard link",
        "symbolic link",
        "read link",
        "read directory",
        "canonicalize",
        "untracked file",
        "write back",
        "crash",
    ];

    /// The name of the operation with this number.
    pub(crate) fn name_of(number: u32) -> &'static str {
        Self::NAMES.get(number as usize).unwrap_or(&"?")
    }
}

const _: () = assert!(Operation::Crash as usize + 1 == Operation::NAMES.len(), "each operation has a name");

#[derive(Debug)]
pub(super) enum NodeKind {
    Directory,
    File { len: u64, contents: Contents },
    Link(OsString),
}

/// A file, directory or symbolic link.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// How many names it has. A directory has one.
    pub(super) names: u32,
    /// The permissions that survive a crash.
    pub(super) mode: u32,
    /// Those that were set since.
    pub(super) new_modes: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) names: Names,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    next_node: NodeId,
    /// How often the host has crashed.
    pub(super) incarnation: u32,
    /// The length of all files with a name, in bytes.
    pub(super) used: u64,
    /// What the unsynced changes need, in bytes.
    pub(super) unsynced: u64,
}

/// The disk of one host.
#[derive(Debug)]
pub(crate) struct HostDisk {
    pub(super) base: PathBuf,
    pub(super) settings: DiskSettings,
    real_dirs: Vec<RealDir>,
    pub(super) state: Mutex<State>,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub(crate) struct DiskEntry {
    disk: Arc<HostDisk>,
    /// The path that the program has passed.
    directory: PathBuf,
    /// The same directory without links.
    resolved: PathBuf,
    name: OsString,
}

impl DiskEntry {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn file_name(&self) -> &OsStr {
        &self.name
    }

    /// The metadata of the entry itself.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.disk.metadata(&self.resolved.join(&self.name), false)
    }

    /// As [`metadata`](Self::metadata), for a part of it that a directory has. It takes no virtual time.
    pub(crate) fn metadata_of_listing(&self) -> io::Result<Metadata> {
        self.disk.metadata_now(&self.resolved.join(&self.name), false)
    }
}

impl State {
    pub(super) fn kind(&self, node: NodeId) -> PathNode<'_> {
        match &self.nodes[&node].kind {
            NodeKind::Directory => PathNode::Directory,
            NodeKind::File { .. } => PathNode::File,
            NodeKind::Link(target) => PathNode::Link(target),
        }
    }

    pub(super) fn add_node(&mut self, kind: NodeKind, mode: u32) -> NodeId {
        let node = self.next_node;
        self.next_node += 1;
        self.nodes.insert(node, Node { kind, names: 1, mode, new_modes: Vec::new() });
        node
    }

    fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.kind(node), PathNode::Directory)
    }

    /// A name of this node is gone.
    fn forget_name(&mut self, node: NodeId) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        node.names -= 1;
        if let (NodeKind::File { len, .. }, 0) = (&node.kind, node.names) {
            self.used -= len;
            self.unsynced += len;
        }
    }

    fn is_last_name_of_file(&self, node: NodeId) -> bool {
        let node = &self.nodes[&node];
        node.names == 1 && matches!(node.kind, NodeKind::File { .. })
    }
}

impl HostDisk {
    /// An empty disk below this directory, which must not exist.
    pub(super) fn new(baton: &Baton, base: PathBuf, settings: DiskSettings) -> io::Result<Self> {
        for name in ["", "root", "root/tmp", "removed"] {
            DirBuilder::new().mode(0o700).create(base.join(name))?;
        }
        fs::write(base.join("probe"), "1")?;
        let tmp = base.join("root/tmp");
        fs::set_permissions(base.join("root"), Permissions::from_mode(0o755))?;
        fs::set_permissions(&tmp, Permissions::from_mode(0o1777))?;
        let mut state = State {
            names: Names::default(),
            nodes: BTreeMap::new(),
            next_node: ROOT,
            incarnation: 0,
            used: 0,
            unsynced: 0,
        };
        let root = state.add_node(NodeKind::Directory, 0o755);
        let node = state.add_node(NodeKind::Directory, 0o1777);
        state.names.insert_synced(Name { directory: root, name: "tmp".into() }, node);
        let start = Duration::from_nanos(baton.unix_ns()).saturating_sub(baton.passed());
        sys::file::set_times(&tmp, start)?;
        sys::file::set_times(&base.join("root"), start)?;
        let names =
            |path: &Path| path.iter().filter(|name| *name != "/" && *name != ".").map(OsStr::to_owned).collect();
        let real_dirs = settings.real_dirs.iter();
        let real_dirs = real_dirs.map(|(at, real)| RealDir { at: names(at), real: real.clone() }).collect();
        Ok(Self { base, settings, real_dirs, state: Mutex::new(state) })
    }

    /// Removes everything from the real disk. Operations fail from here on.
    pub(super) fn remove(&self) {
        self.state.lock().incarnation += 1;
        if fs::remove_dir_all(&self.base).is_err() {
            make_accessible(&self.base);
            // If it fails again, the directory stays. There is no caller that could do more.
            let _ = fs::remove_dir_all(&self.base);
        }
        // It is empty if this was the last host of the world.
        self.base.parent().into_iter().for_each(|base| _ = fs::remove_dir(base));
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.state.lock().incarnation
    }

    /// An operation begins: other threads may run, and time may pass. `incarnation` is that of an open file.
    pub(super) fn begin(&self, incarnation: Option<u32>) -> io::Result<Arc<Baton>> {
        let incarnation = incarnation.unwrap_or_else(|| self.incarnation());
        let Some(baton) = baton::current() else {
            return Err(io::Error::other(
                "a file of a simulated world was used on a thread that does not belong to the world. Use it in a task of the world, or in \
                 `spawn_blocking`.",
            ));
        };
        Baton::maybe_pass();
        let Range { start, end } = self.settings.latency.clone();
        if !end.is_zero() {
            let step = baton.choose(LATENCY_STEPS) as u32;
            let until = baton.passed() + start + end.saturating_sub(start) * step / (LATENCY_STEPS as u32 - 1);
            let word = AtomicU32::new(0);
            while let Some(rest) = until.checked_sub(baton.passed()).filter(|rest| !rest.is_zero() && !baton::is_dead())
            {
                baton::wait_word(&word, 0, Some(rest));
            }
        }
        if self.incarnation() != incarnation || baton::is_dead() {
            return Err(error(libc::EIO)); // `old-incarnation`
        }
        Ok(baton)
    }

    /// An operation on a path begins.
    pub(super) fn begin_path(&self) -> io::Result<Arc<Baton>> {
        self.begin(None)
    }

    pub(super) fn resolve(&self, state: &State, path: &Path, follows: bool) -> io::Result<Target> {
        paths::resolve(path, follows, &state.names, &self.real_dirs, |node| state.kind(node))
    }

    /// As `resolve`, for an operation that changes the disk.
    fn resolve_mut(&self, state: &State, path: &Path, follows: bool) -> io::Result<Place> {
        match self.resolve(state, path, follows)? {
            Target::Simulated(place) => Ok(place),
            Target::Real(_) => Err(error(libc::EROFS)),
        }
    }

    /// The path on the real disk (`real-follows`).
    pub(super) fn real(&self, place: &Place) -> PathBuf {
        let mut real = self.base.join("root");
        real.extend(place.path().iter().skip(1));
        if place.is_directory {
            real.push("");
        }
        real
    }

    /// Where a removed file is (`removed-kept`).
    pub(super) fn removed(&self, node: NodeId) -> PathBuf {
        self.base.join("removed").join(node.to_string())
    }

    /// The virtual time as that of a file.
    pub(super) fn time(baton: &Baton) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(baton.unix_ns())
    }

    /// Gives a file or directory the virtual time.
    pub(super) fn stamp(&self, baton: &Baton, real: &Path) {
        // The time is all that is wrong if it fails.
        let _ = sys::file::set_times(real, Duration::from_nanos(baton.unix_ns()));
    }

    /// An entry of the directory of this place has changed.
    pub(super) fn stamp_parent(&self, baton: &Baton, place: &Place) {
        let mut real = self.base.join("root");
        real.extend(place.directories.iter().map(|(name, _)| name));
        self.stamp(baton, &real);
    }

    /// Records names that have changed, and writes back if too much is not synced.
    pub(super) fn change(&self, baton: &Baton, state: &mut State, change: NameChange) {
        state.names.change(change);
        if state.names.unsynced() > MAX_UNSYNCED_NAMES {
            self.write_back(baton, state);
        }
    }

    /// More of what was changed is not synced.
    pub(super) fn add_unsynced(&self, baton: &Baton, state: &mut State, bytes: usize) {
        state.unsynced += bytes as u64;
        if state.unsynced > MAX_UNSYNCED_BYTES {
            self.write_back(baton, state);
        }
    }

    fn write_back(&self, baton: &Baton, state: &mut State) {
        record(baton, Operation::WriteBack, 0, state.unsynced);
        state.names.all_synced();
        for node in state.nodes.values_mut() {
            node.mode = node.new_modes.pop().unwrap_or(node.mode);
            node.new_modes.clear();
            if let NodeKind::File { contents, .. } = &mut node.kind {
                *contents = Contents::default();
            }
        }
        self.drop_removed(state);
    }

    /// Removes the files that no crash brings back.
    pub(super) fn drop_removed(&self, state: &mut State) {
        let referred = state.names.referred();
        let mut unsynced = 0;
        state.nodes.retain(|id, node| {
            let stays = referred.contains(id);
            if let NodeKind::File { len, contents } = &node.kind {
                if !stays {
                    // It may be the file of an open handle that never had another name.
                    let _ = fs::remove_file(self.removed(*id));
                } else {
                    unsynced += contents.cost() as u64 + if node.names == 0 { *len } else { 0 };
                }
            }
            stays
        });
        state.unsynced = unsynced;
    }

    pub(crate) fn metadata(&self, path: &Path, follows: bool) -> io::Result<Metadata> {
        let baton = self.begin_path()?;
        finish(&baton, Operation::Metadata, self.metadata_now(path, follows))
    }

    /// As [`metadata`](Self::metadata), but it is no event and takes no time.
    fn metadata_now(&self, path: &Path, follows: bool) -> io::Result<Metadata> {
        let state = self.state.lock();
        match self.resolve(&state, path, follows)? {
            Target::Simulated(place) => fs::symlink_metadata(self.real(&place)),
            Target::Real(path) if follows => fs::metadata(path),
            Target::Real(path) => fs::symlink_metadata(path),
        }
    }

    /// Whether a path leads to a directory. An error if it leads nowhere. Unlike an operation of a program it is no event and takes no time.
    pub(crate) fn is_directory_now(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        match self.resolve(&state, path, true)? {
            Target::Simulated(place) => {
                place.node().map(|node| state.is_directory(node)).ok_or_else(|| error(libc::ENOENT))
            }
            Target::Real(path) => fs::metadata(path).map(|metadata| metadata.is_dir()),
        }
    }

    pub(crate) fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let baton = self.begin_path()?;
        let state = self.state.lock();
        let result = self.resolve(&state, path, true).and_then(|target| match target {
            Target::Simulated(place) => place.node().map(|_| place.path()).ok_or_else(|| error(libc::ENOENT)),
            Target::Real(path) => self.virtual_path(&path),
        });
        finish(&baton, Operation::Canonicalize, result)
    }

    /// The path at which the program finds a file of the real disk.
    fn virtual_path(&self, real: &Path) -> io::Result<PathBuf> {
        let real = real.canonicalize()?;
        for dir in &self.real_dirs {
            if let Ok(rest) = real.strip_prefix(dir.real.canonicalize()?) {
                return Ok(Path::new("/").join(dir.at.iter().collect::<PathBuf>()).join(rest));
            }
        }
        Ok(real)
    }

    pub(crate) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let baton = self.begin_path()?;
        let state = self.state.lock();
        let result = self.resolve(&state, path, false).and_then(|target| match target {
            Target::Simulated(place) => match place.node().map(|node| state.kind(node)) {
                Some(PathNode::Link(target)) => Ok(target.into()),
                Some(PathNode::Directory | PathNode::File) => Err(error(libc::EINVAL)),
                None => Err(error(libc::ENOENT)),
            },
            Target::Real(path) => fs::read_link(path),
        });
        finish(&baton, Operation::ReadLink, result)
    }

    /// The entries of a directory in the order of the seed.
    pub(crate) fn read_dir(self: &Arc<Self>, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let baton = self.begin_path()?;
        let listed = self.list(path);
        let mut entries = finish(&baton, Operation::ReadDir, listed)?;
        if entries.len() > 1 {
            let rng = Rng::new(baton.choose(u32::MAX as usize) as u64);
            for last in (1..entries.len()).rev() {
                entries.swap(last, rng.below(last as u32 + 1) as usize);
            }
        }
        Ok(entries)
    }

    fn list(self: &Arc<Self>, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let state = self.state.lock();
        let (mut names, resolved): (Vec<OsString>, _) = match self.resolve(&state, path, true)? {
            Target::Simulated(place) => {
                fs::read_dir(self.real(&place))?; // The system finds the errors.
                let node = place.node().ok_or_else(|| error(libc::ENOENT))?;
                (state.names.entries_of(node).map(|(name, _)| name.clone()).collect(), place.path())
            }
            Target::Real(real) => {
                let names = fs::read_dir(&real)?.map(|entry| entry.map(|entry| entry.file_name()));
                (names.collect::<io::Result<_>>()?, path.to_owned())
            }
        };
        names.sort_unstable();
        let entry =
            |name| DiskEntry { disk: Arc::clone(self), directory: path.to_owned(), resolved: resolved.clone(), name };
        Ok(names.into_iter().map(entry).collect())
    }

    pub(crate) fn create_dir(&self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, path, false).and_then(|place| {
            let real = self.real(&place);
            let mut builder = DirBuilder::new();
            mode.iter().for_each(|mode| _ = builder.mode(*mode));
            builder.create(&real)?;
            let (name, _) = place.name()?;
            let node = state.add_node(NodeKind::Directory, mode_of(&fs::symlink_metadata(&real)?));
            self.change(&baton, &mut state, NameChange::of_one(name, [None, Some(node)]));
            self.stamp(&baton, &real);
            self.stamp_parent(&baton, &place);
            Ok(())
        });
        finish(&baton, Operation::CreateDir, result)
    }

    /// As that of std: missing parents are created, and an existing directory is no error.
    pub(crate) fn create_dir_all(&self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        match self.create_dir(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_dir_all(path.parent().ok_or(error)?, mode)?;
                match self.create_dir(path, mode) {
                    Err(_) if self.is_dir(path) => Ok(()),
                    result => result,
                }
            }
            Err(_) if self.is_dir(path) => Ok(()),
            result => result,
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.metadata(path, true).is_ok_and(|metadata| metadata.is_dir())
    }

    pub(crate) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, path, false).and_then(|place| {
            let (name, node) = place.existing()?;
            fs::remove_dir(self.real(&place))?;
            state.forget_name(node);
            let change = NameChange { removed: Some(node), ..NameChange::of_one(name, [Some(node), None]) };
            self.change(&baton, &mut state, change);
            self.stamp_parent(&baton, &place);
            Ok(())
        });
        finish(&baton, Operation::RemoveDir, result)
    }

    /// As that of std: a symbolic link is removed, and not what it leads to.
    pub(crate) fn remove_dir_all(self: &Arc<Self>, path: &Path) -> io::Result<()> {
        if self.metadata(path, false)?.is_symlink() {
            return self.remove_file(path);
        }
        for entry in self.read_dir(path)? {
            let path = entry.resolved.join(&entry.name);
            if self.metadata(&path, false)?.is_dir() { self.remove_dir_all(&path)? } else { self.remove_file(&path)? }
        }
        self.remove_dir(path)
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, path, false).and_then(|place| {
            let (name, node) = place.existing()?;
            let real = self.real(&place);
            if state.is_last_name_of_file(node) && !place.is_directory {
                fs::rename(&real, self.removed(node))?; // `removed-kept`
            } else {
                fs::remove_file(&real)?;
            }
            state.forget_name(node);
            self.change(&baton, &mut state, NameChange::of_one(name, [Some(node), None]));
            self.stamp_parent(&baton, &place);
            self.add_unsynced(&baton, &mut state, 0);
            Ok(())
        });
        finish(&baton, Operation::RemoveFile, result)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.rename_locked(&baton, &mut state, from, to);
        finish(&baton, Operation::Rename, result)
    }

    fn rename_locked(&self, baton: &Baton, state: &mut State, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.resolve_mut(state, from, false)?, self.resolve_mut(state, to, false)?);
        let (old_name, node) = from.existing()?;
        let (new_name, replaced) = to.name()?;
        let (real_from, real_to) = (self.real(&from), self.real(&to));
        if replaced == Some(node) {
            return fs::rename(real_from, real_to); // Both names stay.
        }
        let kept = replaced.filter(|replaced| state.is_last_name_of_file(*replaced));
        if let Some(kept) = kept {
            fs::hard_link(&real_to, self.removed(kept))?; // `removed-kept`
        }
        if let Err(error) = fs::rename(real_from, real_to) {
            kept.iter().for_each(|kept| _ = fs::remove_file(self.removed(*kept)));
            return Err(error);
        }
        replaced.iter().for_each(|replaced| state.forget_name(*replaced));
        let change = NameChange {
            sets: vec![(old_name, [Some(node), None]), (new_name, [replaced, Some(node)])],
            needs: to.way(),
            removed: replaced.filter(|replaced| state.is_directory(*replaced)),
        };
        self.change(baton, state, change);
        self.stamp_parent(baton, &from);
        self.stamp_parent(baton, &to);
        self.add_unsynced(baton, state, 0);
        Ok(())
    }

    pub(crate) fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, original, false).and_then(|original| {
            let link = self.resolve_mut(&state, link, false)?;
            let (_, node) = original.existing()?;
            let (name, _) = link.name()?;
            fs::hard_link(self.real(&original), self.real(&link))?;
            state.nodes.entry(node).and_modify(|node| node.names += 1);
            self.change(&baton, &mut state, NameChange::of_one(name, [None, Some(node)]));
            self.stamp_parent(&baton, &link);
            Ok(())
        });
        finish(&baton, Operation::HardLink, result)
    }

    pub(crate) fn symlink(&self, original: &Path, link: &Path) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, link, false).and_then(|link| {
            let (name, _) = link.name()?;
            let real = self.real(&link);
            std::os::unix::fs::symlink(original, &real)?;
            let node = state.add_node(NodeKind::Link(original.into()), 0o777);
            self.change(&baton, &mut state, NameChange::of_one(name, [None, Some(node)]));
            self.stamp(&baton, &real);
            self.stamp_parent(&baton, &link);
            Ok(())
        });
        finish(&baton, Operation::Symlink, result)
    }

    pub(crate) fn set_permissions(&self, path: &Path, permissions: Permissions) -> io::Result<()> {
        let baton = self.begin_path()?;
        let mut state = self.state.lock();
        let result = self.resolve_mut(&state, path, true).and_then(|place| {
            let node = place.node().ok_or_else(|| error(libc::ENOENT))?;
            let mode = permissions.mode() & 0o7777;
            fs::set_permissions(self.real(&place), permissions)?;
            state.nodes.entry(node).and_modify(|node| node.new_modes.push(mode));
            Ok(())
        });
        finish(&baton, Operation::SetPermissions, result)
    }
}

impl Drop for HostDisk {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The permissions of a file.
pub(super) fn mode_of(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Records an event. A path is never part of it.
pub(super) fn record(baton: &Baton, operation: Operation, len: u64, offset: u64) {
    baton.record(EventKind::Disk, operation as u32, [len as u32, offset as u32]);
}

/// Records the end of an operation that has no length: 0, or the number of its error.
pub(super) fn finish<T>(baton: &Baton, operation: Operation, result: io::Result<T>) -> io::Result<T> {
    let code = result.as_ref().err().and_then(io::Error::raw_os_error).unwrap_or(0);
    record(baton, operation, code as u64, 0);
    result
}

/// Lets this process change everything below a directory.
pub(super) fn make_accessible(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_accessible(&entry.path());
        }
    }
}
