//! From a path of the program to a name on the disk of its host. `..` does not leave that disk, and links are followed in it.
//!
//! Called by `host` and `open`. No system call is made here.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::names::{Name, Names, NodeId, ROOT};

/// As many as in Linux.
const MAX_LINKS: usize = 40;
const MAX_NAME: usize = 255;

/// The error with this number.
pub(super) fn error(code: libc::c_int) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// What a node is, for the path to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathNode<'a> {
    Directory,
    File,
    Link(&'a OsStr),
}

/// Part of the real disk that a host can read.
#[derive(Clone, Debug)]
pub(super) struct RealDir {
    /// The names of the path at which the program finds it.
    pub(super) at: Vec<OsString>,
    pub(super) real: PathBuf,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Target {
    Simulated(Place),
    /// Below a directory of the real disk.
    Real(PathBuf),
}

/// A place on the disk of a host.
#[derive(Debug)]
pub(super) struct Place {
    /// The directories on the way, from the root, with their names.
    pub(super) directories: Vec<(OsString, NodeId)>,
    /// The last name and what it is. `None` if the path leads to a directory without naming it: `/`, `.` and `..`.
    pub(super) last: Option<(OsString, Option<NodeId>)>,
    /// The path ends with a slash, so it leads to a directory.
    pub(super) is_directory: bool,
}

impl Place {
    /// The directory that has the last name.
    pub(super) fn parent(&self) -> NodeId {
        self.directories.last().map_or(ROOT, |(_, node)| *node)
    }

    /// What is there.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.last.as_ref().map_or(Some(self.parent()), |(_, node)| *node)
    }

    /// The last name. An error if there is none, or nothing with this name.
    pub(super) fn existing(&self) -> io::Result<(Name, NodeId)> {
        let (name, node) = self.name()?;
        node.map(|node| (name, node)).ok_or_else(|| error(libc::ENOENT))
    }

    /// The last name, and what it is.
    pub(super) fn name(&self) -> io::Result<(Name, Option<NodeId>)> {
        let Some((name, node)) = &self.last else { return Err(error(libc::EBUSY)) };
        Ok((Name { directory: self.parent(), name: name.clone() }, *node))
    }

    /// The names of all directories on the way.
    pub(super) fn way(&self) -> Vec<Name> {
        let parents = [ROOT].into_iter().chain(self.directories.iter().map(|(_, node)| *node));
        let names = self.directories.iter().map(|(name, _)| name.clone());
        parents.zip(names).map(|(directory, name)| Name { directory, name }).collect()
    }

    /// The absolute path without links.
    pub(super) fn path(&self) -> PathBuf {
        let names = self.directories.iter().map(|(name, _)| name).chain(self.last.as_ref().map(|(name, _)| name));
        let mut path = PathBuf::from("/");
        path.extend(names);
        path
    }
}

/// Finds where a path leads. The link at its end is followed if `follows`.
pub(super) fn resolve<'a>(
    path: &Path,
    follows: bool,
    names: &Names,
    real_dirs: &[RealDir],
    kind: impl Fn(NodeId) -> PathNode<'a>,
) -> io::Result<Target> {
    let bytes = path.as_os_str().as_bytes();
    CString::new(bytes)?; // The error of std for a path with a NUL byte.
    if bytes.is_empty() {
        return Err(error(libc::ENOENT));
    }
    let mut rest = parts(bytes);
    let mut is_directory = is_of_directory(bytes);
    let mut directories: Vec<(OsString, NodeId)> = Vec::new();
    let mut links = 0;
    loop {
        if directories.is_empty() {
            if let Some(real) = real_path(&rest, real_dirs)? {
                return Ok(Target::Real(real));
            }
        }
        let Some(name) = rest.pop_front() else {
            return Ok(Target::Simulated(Place { directories, last: None, is_directory: true }));
        };
        if name == ".." {
            directories.pop();
            continue;
        }
        if name.len() > MAX_NAME {
            return Err(error(libc::ENAMETOOLONG));
        }
        let parent = directories.last().map_or(ROOT, |(_, node)| *node);
        let is_last = rest.is_empty();
        let node = names.find(parent, &name);
        match node.map(|node| (node, kind(node))) {
            Some((_, PathNode::Link(target))) if !is_last || follows || is_directory => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(error(libc::ELOOP));
                }
                let target = target.as_bytes();
                if target.starts_with(b"/") {
                    directories.clear();
                }
                is_directory |= is_last && is_of_directory(target);
                let mut all = parts(target);
                all.append(&mut rest);
                rest = all;
            }
            Some((node, PathNode::Directory)) if !is_last => directories.push((name, node)),
            None if !is_last => return Err(error(libc::ENOENT)),
            Some((_, PathNode::File | PathNode::Link(_))) if !is_last || is_directory => {
                return Err(error(libc::ENOTDIR));
            }
            _ => return Ok(Target::Simulated(Place { directories, last: Some((name, node)), is_directory })),
        }
    }
}

/// Whether only a directory can have this path.
fn is_of_directory(bytes: &[u8]) -> bool {
    bytes.ends_with(b"/") || bytes.ends_with(b"/.")
}

/// The names of a path.
fn parts(bytes: &[u8]) -> VecDeque<OsString> {
    let names = bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

/// The path on the real disk, if this path from the root is in one of its directories.
fn real_path(rest: &VecDeque<OsString>, real_dirs: &[RealDir]) -> io::Result<Option<PathBuf>> {
    let is_in = |dir: &&RealDir| rest.len() >= dir.at.len() && dir.at.iter().zip(rest).all(|(at, name)| at == name);
    let Some(dir) = real_dirs.iter().find(is_in) else { return Ok(None) };
    let names: Vec<_> = rest.iter().skip(dir.at.len()).collect();
    let mut real = dir.real.clone();
    real.extend(&names);
    if names.iter().any(|name| *name == "..") {
        real = real.canonicalize()?;
        if !real.starts_with(dir.real.canonicalize()?) {
            return Err(error(libc::EACCES));
        }
    }
    Ok(Some(real))
}
