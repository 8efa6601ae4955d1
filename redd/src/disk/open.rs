//! Open files on the disk of a host.
//!
//! Called by `fs::operations`.
//!
//! # Invariants
//! - `old-before-new`: a write reads what it replaces before it changes the file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use super::host::{HostDisk, NodeKind, Operation, State, finish, mode_of, record};
use super::names::{NameChange, NodeId};
use super::paths::{PathNode, Place, Target, error};
use crate::primitives::baton::Baton;
use crate::sys;

/// Bytes that `copy` moves at once.
const COPY_BYTES: usize = 64 * 1024;

/// A file of a simulated disk that is open. The file of std is beside it.
#[derive(Debug)]
pub(crate) struct OpenFile {
    disk: Arc<HostDisk>,
    /// `None` for a file that never had a name, and for one of the real disk.
    node: Option<NodeId>,
    incarnation: u32,
    is_append: bool,
    /// For what a write replaces, if the file is open for writing only.
    reader: Option<File>,
}

/// What the options say that the system does not return for an open file.
#[derive(Clone, Copy, Debug)]
struct Intent {
    flags: i32,
    is_exclusive: bool,
    truncates: bool,
}

impl HostDisk {
    /// Opens a file. The second part is `None` for a file of the real disk, which no operation changes.
    pub(crate) fn open(
        self: &Arc<Self>,
        path: &Path,
        options: &OpenOptions,
    ) -> io::Result<(File, Option<Arc<OpenFile>>)> {
        let baton = self.begin_path()?;
        let result = self.open_now(&baton, path, options);
        finish(&baton, Operation::Open, result)
    }

    fn open_now(
        self: &Arc<Self>,
        baton: &Baton,
        path: &Path,
        options: &OpenOptions,
    ) -> io::Result<(File, Option<Arc<OpenFile>>)> {
        let intent = self.intent_of(options)?;
        let mut state = self.state.lock();
        let is_nofollow = intent.flags & libc::O_NOFOLLOW != 0;
        let place = match self.resolve(&state, path, !is_nofollow && !intent.is_exclusive)? {
            Target::Simulated(place) => place,
            Target::Real(_) if intent.flags & libc::O_ACCMODE != libc::O_RDONLY => return Err(error(libc::EROFS)),
            Target::Real(real) => return Ok((options.open(real)?, None)),
        };
        let real = self.real(&place);
        let before = place.node();
        if let (Some(PathNode::Link(_)), false) = (before.map(|node| state.kind(node)), intent.is_exclusive) {
            return Err(error(libc::ELOOP)); // As for `O_NOFOLLOW`. The link leads to nowhere on the real disk.
        }
        let replaced = match before.map(|node| state.kind(node)) {
            Some(PathNode::File) if intent.truncates => read_all(&real)?, // `old-before-new`
            _ => Vec::new(),
        };
        let std = options.open(&real)?;
        // Reads do not change a time of the file then. It is ours.
        let _ = sys::file::keep_read_time(std.as_fd());
        let is_file = std.metadata()?.is_file();
        let node = match before {
            Some(node) if is_file == matches!(state.kind(node), PathNode::File) => Some(node),
            Some(_) => None, // A file without a name in this directory.
            None => Some(self.create(baton, &mut state, &place, &std, &real)?),
        };
        if let (Some(node), false) = (node, replaced.is_empty()) {
            self.resized(baton, &mut state, node, replaced.len() as u64, 0, replaced);
            self.stamp(baton, &real);
        }
        let is_write_only = intent.flags & libc::O_ACCMODE == libc::O_WRONLY;
        let reader = if is_write_only && is_file && node.is_some() { Some(open_for_reading(&real)?) } else { None };
        let is_append = intent.flags & libc::O_APPEND != 0;
        let open = OpenFile { disk: Arc::clone(self), node, incarnation: state.incarnation, is_append, reader };
        Ok((std, Some(Arc::new(open))))
    }

    /// A file was created.
    fn create(&self, baton: &Baton, state: &mut State, place: &Place, std: &File, real: &Path) -> io::Result<NodeId> {
        let (name, _) = place.name()?;
        let kind = NodeKind::File { len: 0, contents: Default::default() };
        let node = state.add_node(kind, mode_of(&std.metadata()?));
        self.change(baton, state, NameChange::of_one(name, [None, Some(node)]));
        self.stamp(baton, real);
        self.stamp_parent(baton, place);
        Ok(node)
    }

    /// Finds out what the options say, with a file that is there for that.
    fn intent_of(&self, options: &OpenOptions) -> io::Result<Intent> {
        let probe = self.base.join("probe");
        let mut options = options.clone();
        options.create(false);
        let mut is_exclusive = false;
        let opened = match options.open(&probe) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                is_exclusive = true;
                options.create_new(false).truncate(false).open(&probe)
            }
            opened => opened,
        };
        let opened = match opened {
            // Only a directory can be opened with these options. A file without a name is created in one.
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => options.open(&self.base)?,
            opened => opened?,
        };
        let flags = sys::status_flags(opened.as_fd())?;
        let truncates = fs::metadata(&probe)?.len() == 0;
        if truncates {
            fs::write(&probe, "1")?;
        }
        Ok(Intent { flags, is_exclusive, truncates })
    }

    /// The length of a file was set.
    fn resized(&self, baton: &Baton, state: &mut State, node: NodeId, old_len: u64, new_len: u64, cut: Vec<u8>) {
        let cost = cut.len();
        if let Some(NodeKind::File { contents, .. }) = state.nodes.get_mut(&node).map(|node| &mut node.kind) {
            contents.resized(old_len, new_len, cut);
        }
        self.set_len(state, node, new_len);
        self.add_unsynced(baton, state, cost);
    }

    /// Counts the bytes of a file.
    fn set_len(&self, state: &mut State, id: NodeId, new_len: u64) {
        let Some(node) = state.nodes.get_mut(&id) else { return };
        let NodeKind::File { len, .. } = &mut node.kind else { return };
        if node.names > 0 {
            state.used = state.used - *len + new_len;
        }
        *len = new_len;
    }

    /// How many bytes more this disk takes.
    fn free(&self, state: &State) -> u64 {
        self.settings.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used))
    }

    pub(crate) fn read_file(self: &Arc<Self>, path: &Path) -> io::Result<Vec<u8>> {
        let (std, open) = self.open(path, OpenOptions::new().read(true))?;
        let mut bytes = Vec::new();
        match &open {
            None => (&std).read_to_end(&mut bytes)?,
            Some(open) => Opened(&std, open).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }

    pub(crate) fn write_file(self: &Arc<Self>, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.open(path, OpenOptions::new().write(true).create(true).truncate(true))? {
            (std, Some(open)) => Opened(&std, &open).write_all(bytes),
            (_, None) => Err(error(libc::EROFS)),
        }
    }

    /// As that of std: contents and permissions.
    pub(crate) fn copy(self: &Arc<Self>, from: &Path, to: &Path) -> io::Result<u64> {
        let (from, open_from) = self.open(from, OpenOptions::new().read(true))?;
        let metadata = from.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the source of a copy is not a file. Copy a file, or a link to one.",
            ));
        }
        let mode = metadata.permissions().mode();
        let (to, open_to) = self.open(to, OpenOptions::new().write(true).create(true).truncate(true).mode(mode))?;
        let open_to = open_to.ok_or_else(|| error(libc::EROFS))?;
        open_to.set_permissions(&to, Permissions::from_mode(mode))?;
        let (mut buffer, mut total) = (vec![0; COPY_BYTES], 0);
        loop {
            let len = match &open_from {
                None => (&from).read(&mut buffer)?,
                Some(open) => open.read(&from, &mut buffer)?,
            };
            if len == 0 {
                return Ok(total);
            }
            Opened(&to, &open_to).write_all(&buffer[..len])?;
            total += len as u64;
        }
    }
}

impl OpenFile {
    /// An operation on a file that may fail by seed begins.
    fn begin(&self, operation: Operation) -> io::Result<(Arc<Baton>, bool)> {
        let baton = self.disk.begin(Some(self.incarnation))?;
        let percent = self.disk.settings.error_percent;
        let fails = percent > 0 && baton.chance(Operation::name_of(operation as u32), percent);
        Ok((baton, fails))
    }

    pub(crate) fn read(&self, mut std: &File, buf: &mut [u8]) -> io::Result<usize> {
        let (baton, fails) = self.begin(Operation::Read)?;
        let offset = std.stream_position().unwrap_or(0);
        let result = if fails { Err(error(libc::EIO)) } else { std.read(buf) };
        record(&baton, Operation::Read, result.as_ref().map_or(u64::MAX, |len| *len as u64), offset);
        result
    }

    pub(crate) fn write(&self, std: &File, buf: &[u8]) -> io::Result<usize> {
        let (baton, fails) = self.begin(Operation::Write)?;
        let mut offset = 0;
        let result = if fails { Err(error(libc::EIO)) } else { self.write_now(&baton, std, buf, &mut offset) };
        record(&baton, Operation::Write, result.as_ref().map_or(u64::MAX, |len| *len as u64), offset);
        result
    }

    fn write_now(&self, baton: &Baton, mut std: &File, buf: &[u8], offset: &mut u64) -> io::Result<usize> {
        let mut state = self.disk.state.lock();
        let old_len = std.metadata()?.len();
        *offset = if self.is_append { old_len } else { std.stream_position()? };
        let end = old_len.saturating_add(self.disk.free(&state));
        let len = buf.len().min(usize::try_from(end.saturating_sub(*offset)).unwrap_or(usize::MAX));
        if len == 0 && !buf.is_empty() {
            return Err(error(libc::ENOSPC));
        }
        // `old-before-new`. A file that cannot be written fails below.
        let mut old = vec![0; old_len.saturating_sub(*offset).min(len as u64) as usize];
        let is_read = self.reader.as_ref().unwrap_or(std).read_exact_at(&mut old, *offset).is_ok();
        let written = std.write(&buf[..len])?;
        let (Some(node), true) = (self.node, is_read && written > 0) else { return Ok(written) };
        old.truncate(written);
        let cost = old.len();
        if let Some(NodeKind::File { contents, .. }) = state.nodes.get_mut(&node).map(|node| &mut node.kind) {
            contents.wrote(*offset, written as u64, old, old_len);
        }
        self.disk.set_len(&mut state, node, old_len.max(*offset + written as u64));
        self.disk.add_unsynced(baton, &mut state, cost);
        self.stamp(baton, std);
        Ok(written)
    }

    /// Gives the file the virtual time.
    fn stamp(&self, baton: &Baton, std: &File) {
        // The time is all that is wrong if it fails.
        let _ = std.set_modified(HostDisk::time(baton));
    }

    pub(crate) fn seek(&self, mut std: &File, position: SeekFrom) -> io::Result<u64> {
        if self.disk.incarnation() != self.incarnation {
            return Err(error(libc::EIO));
        }
        std.seek(position)
    }

    pub(crate) fn set_len(&self, std: &File, len: u64) -> io::Result<()> {
        let (baton, _) = self.begin(Operation::SetLen)?;
        let result = self.set_len_now(&baton, std, len);
        record(&baton, Operation::SetLen, len, u64::from(result.is_err()));
        result
    }

    fn set_len_now(&self, baton: &Baton, std: &File, len: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let old_len = std.metadata()?.len();
        if len.saturating_sub(old_len) > self.disk.free(&state) {
            return Err(error(libc::ENOSPC));
        }
        let mut cut = vec![0; old_len.saturating_sub(len) as usize];
        let is_read = self.reader.as_ref().unwrap_or(std).read_exact_at(&mut cut, len).is_ok(); // `old-before-new`
        std.set_len(len)?;
        if let (Some(node), true) = (self.node, is_read && len != old_len) {
            self.disk.resized(baton, &mut state, node, old_len, len, cut);
        }
        self.stamp(baton, std);
        Ok(())
    }

    /// `sync_all`, or `sync_data`: then the permissions do not have to survive.
    pub(crate) fn sync(&self, std: &File, is_all: bool) -> io::Result<()> {
        let (baton, fails) = self.begin(Operation::Sync)?;
        record(&baton, Operation::Sync, u64::from(is_all), u64::from(fails));
        let mut state = self.disk.state.lock();
        let Some(id) = self.node else { return Ok(()) };
        let len = std.metadata()?.len();
        let (mut is_directory, mut written) = (false, 0);
        if let Some(node) = state.nodes.get_mut(&id) {
            match &mut node.kind {
                NodeKind::File { contents, .. } if fails => contents.sync_failed(),
                NodeKind::File { contents, .. } => {
                    let before = contents.cost();
                    contents.synced(len);
                    written = before.saturating_sub(contents.cost()) as u64;
                }
                NodeKind::Directory => is_directory = true,
                NodeKind::Link(_) => {}
            }
            if let (false, true, Some(mode)) = (fails, is_all, node.new_modes.last()) {
                node.mode = *mode;
                node.new_modes.clear();
            }
        }
        if fails {
            return Err(error(libc::EIO));
        }
        state.unsynced = state.unsynced.saturating_sub(written);
        if is_directory {
            state.names.synced(id);
            self.disk.drop_removed(&mut state);
        }
        Ok(())
    }

    pub(crate) fn metadata(&self, std: &File) -> io::Result<Metadata> {
        let (baton, _) = self.begin(Operation::Metadata)?;
        finish(&baton, Operation::Metadata, std.metadata())
    }

    pub(crate) fn set_permissions(&self, std: &File, permissions: Permissions) -> io::Result<()> {
        let (baton, _) = self.begin(Operation::SetPermissions)?;
        let mode = permissions.mode() & 0o7777;
        let result = std.set_permissions(permissions);
        if let (Ok(()), Some(node)) = (&result, self.node) {
            self.disk.state.lock().nodes.entry(node).and_modify(|node| node.new_modes.push(mode));
        }
        finish(&baton, Operation::SetPermissions, result)
    }

    pub(crate) fn set_times(&self, std: &File, times: fs::FileTimes) -> io::Result<()> {
        let (baton, _) = self.begin(Operation::SetTimes)?;
        finish(&baton, Operation::SetTimes, std.set_times(times))
    }
}

/// An open file for the traits of std.
struct Opened<'a>(&'a File, &'a OpenFile);

impl Read for Opened<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1.read(self.0, buf)
    }
}

impl Write for Opened<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.1.write(self.0, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a file of ours for reading, whatever its permissions are.
fn open_for_reading(real: &Path) -> io::Result<File> {
    match File::open(real) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let permissions = fs::metadata(real)?.permissions();
            fs::set_permissions(real, Permissions::from_mode(0o600))?;
            let opened = File::open(real);
            fs::set_permissions(real, permissions)?;
            opened
        }
        opened => opened,
    }
}

fn read_all(real: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_for_reading(real)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
