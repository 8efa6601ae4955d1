//! Paths as far as the kernel has them in its caches, and what a descriptor says about its file without a wait.
//!
//! Called by `fs::cached` and `fs::mounts`.
//!
//! `openat2` with `RESOLVE_CACHED` (Linux 5.12) takes the first, lock-free walk that every `open` takes along a path. Where
//! `open` would go on to a disk or a server, it returns `EAGAIN`. So what it returns otherwise is what `open` returns.
//!
//! # Invariants
//! - `answers-count-after-success`: an error is believed only after a call has succeeded in this process. Until then it may be
//!   the answer of an old kernel or of a filter of system calls.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use super::check;
use super::faults::{self, Call};

/// Paths up to this length are passed from the stack, as std does.
const SHORT_PATH_BYTES: usize = 384;

/// What [`find`] has found under a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// The file, open as nothing but a place (`O_PATH`). That has no effect on it, whatever it is.
    File(OwnedFd),
    /// The error that `open` returns, too.
    Error(io::Error),
    /// The caches do not have it, or this process cannot ask them.
    Unknown,
}

/// Whether this process can ask the caches: the kernel may be too old, or a filter of system calls may refuse.
#[derive(Debug)]
struct Support(AtomicU8);

static SUPPORT: Support = Support(AtomicU8::new(Support::UNKNOWN));

impl Support {
    const UNKNOWN: u8 = 0;
    const WORKS: u8 = 1;
    const MISSING: u8 = 2;

    fn is_missing(&self) -> bool {
        // Relaxed, here and below: the value is about the process alone, and a late reader only asks once more.
        self.0.load(Ordering::Relaxed) == Self::MISSING
    }

    fn set_works(&self) {
        if self.0.load(Ordering::Relaxed) != Self::WORKS {
            self.0.store(Self::WORKS, Ordering::Relaxed);
        }
    }

    /// What an error of [`find`] means (`answers-count-after-success`).
    fn judge(&self, error: io::Error) -> Found {
        let works = self.0.load(Ordering::Relaxed) == Self::WORKS;
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES | libc::ELOOP | libc::ENAMETOOLONG) if works => {
                return Found::Error(error);
            }
            Some(libc::ENOSYS) => self.0.store(Self::MISSING, Ordering::Relaxed),
            // An older kernel does not know the call's argument, and a filter may choose any error.
            Some(libc::EINVAL | libc::E2BIG | libc::EPERM) if !works => {
                self.0.store(Self::MISSING, Ordering::Relaxed);
            }
            _ => {}
        }
        Found::Unknown
    }
}

/// Runs `f` with the path as system calls take it. `None` if it contains a NUL byte.
#[inline]
pub(crate) fn with_path<R>(path: &Path, f: impl FnOnce(&CStr) -> R) -> Option<R> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= SHORT_PATH_BYTES {
        return CString::new(bytes).ok().map(|path| f(&path));
    }
    let mut buffer = [0; SHORT_PATH_BYTES];
    buffer[..bytes.len()].copy_from_slice(bytes);
    CStr::from_bytes_with_nul(&buffer[..=bytes.len()]).ok().map(f)
}

/// Finds what is under this path, or the symbolic link itself if `follows_link` is false.
pub(crate) fn find(path: &CStr, follows_link: bool) -> Found {
    find_with(&SUPPORT, path, follows_link)
}

fn find_with(support: &Support, path: &CStr, follows_link: bool) -> Found {
    if cfg!(miri) || support.is_missing() {
        return Found::Unknown;
    }
    let no_follow = if follows_link { 0 } else { libc::O_NOFOLLOW };
    match openat2(Call::FindCached, path, libc::O_PATH | libc::O_CLOEXEC | no_follow) {
        Ok(fd) => {
            support.set_works();
            Found::File(fd)
        }
        Err(error) => support.judge(error),
    }
}

/// Opens without a wait what [`find`] has found. Another file may be there now: the caller checks its type.
///
/// `O_NONBLOCK` is set, so that a pipe or a lease that is there now does not make the call wait.
///
/// # Errors
/// An error that says nothing: `open` is to report it.
pub(crate) fn open(path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    openat2(Call::OpenCached, path, flags | libc::O_CLOEXEC | libc::O_NONBLOCK)
}

/// Argument of `openat2(2)`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn openat2(call: Call, path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    const RESOLVE_CACHED: u64 = 0x20;
    faults::check(call)?;
    let how = OpenHow { flags: flags as u64, mode: 0, resolve: RESOLVE_CACHED };
    // SAFETY: path and argument live across the call, which only reads them.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size_of::<OpenHow>())
    };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the call has succeeded, so the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is known of an open file without a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    is_regular: bool,
    len: u64,
    mount: Option<Mount>,
}

impl Status {
    pub(crate) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// In bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Where the file is, if that can be identified.
    pub(crate) fn mount(&self) -> Option<Mount> {
        self.mount
    }
}

/// Identifies a mounted file system for as long as the system runs.
///
/// - It is the unique id of the mount (Linux 6.8).
/// - An older kernel has only the number of the device. That of a disk is good enough. One without a disk behind it soon belongs
///   to another file system, so there is no value for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mount(u64);

impl Mount {
    /// The bits in use. Never all zero.
    pub(crate) const BITS: u32 = 61;

    const IS_DEVICE: u64 = 1 << 60;

    pub(crate) fn from_unique_id(id: u64) -> Option<Self> {
        (1..Self::IS_DEVICE).contains(&id).then_some(Self(id))
    }

    fn from_device(major: u32, minor: u32) -> Option<Self> {
        // `statx` has 32 bits for each, and the kernel's own numbers have 12 and 20.
        let is_disk = (1..1 << 24).contains(&major);
        is_disk.then_some(Self(Self::IS_DEVICE | u64::from(major) << 32 | u64::from(minor)))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    fn unique_id(self) -> Option<u64> {
        (self.0 & Self::IS_DEVICE == 0).then_some(self.0)
    }
}

/// What `statx(2)` writes, as far as it is used here.
#[repr(C)]
struct Statx {
    mask: u32,
    _block_size: u32,
    _attributes: u64,
    _links_and_owner: [u32; 3],
    mode: u16,
    _spare: u16,
    _inode: u64,
    size: u64,
    _blocks_and_attributes: [u64; 2],
    _times: [u64; 8],
    _device_of_special_file: [u32; 2],
    device: [u32; 2],
    mount_id: u64,
    _rest: [u64; 13],
}

const _: () = assert!(size_of::<Statx>() == 256, "the size that the kernel writes");

/// Asks for the status of an open file, without asking a server for anything newer. `None` if the kernel does not say.
pub(crate) fn status(fd: BorrowedFd<'_>) -> Option<Status> {
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    const AT_STATX_DONT_SYNC: libc::c_int = 0x4000;
    const STATX_TYPE_AND_SIZE: u32 = 0x1 | 0x200;
    faults::check(Call::Statx).ok()?;
    if cfg!(miri) {
        return None;
    }
    let mut status = MaybeUninit::<Statx>::uninit();
    let flags = libc::AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    let mask = STATX_TYPE_AND_SIZE | STATX_MNT_ID_UNIQUE;
    // SAFETY: the path is a constant, and the system writes 256 bytes to memory that is ours, which has that size.
    let result =
        unsafe { libc::syscall(libc::SYS_statx, fd.as_raw_fd(), c"".as_ptr(), flags, mask, status.as_mut_ptr()) };
    check(result as libc::c_int).ok()?;
    // SAFETY: the call has succeeded, so it is written.
    let status = unsafe { status.assume_init() };
    if status.mask & STATX_TYPE_AND_SIZE != STATX_TYPE_AND_SIZE {
        return None;
    }
    let [major, minor] = status.device;
    let mount = if status.mask & STATX_MNT_ID_UNIQUE == 0 {
        Mount::from_device(major, minor)
    } else {
        Mount::from_unique_id(status.mount_id)
    };
    let is_regular = u32::from(status.mode) & libc::S_IFMT == libc::S_IFREG;
    Some(Status { is_regular, len: status.size, mount })
}

/// The number of `statmount(2)`, the same on all architectures that redd runs on.
const SYS_STATMOUNT: libc::c_long = 457;

/// Argument of `statmount(2)`.
#[repr(C)]
struct MountRequest {
    size: u32,
    _spare: u32,
    mount_id: u64,
    wanted: u64,
}

/// What `statmount(2)` writes, as far as it is used here.
#[repr(C)]
struct MountStatus {
    _size: u32,
    _options: u32,
    mask: u64,
    _device: [u32; 2],
    magic: u64,
    _rest: [u64; 60],
}

/// The magic number of a mounted file system, from the kernel alone (Linux 6.8): it never waits.
///
/// # Errors
/// `ENOSYS` if the kernel cannot tell; any other error if this process may not see the mount.
pub(crate) fn file_system_of(mount: Mount) -> io::Result<u32> {
    const STATMOUNT_SB_BASIC: u64 = 1;
    let Some(mount_id) = mount.unique_id() else { return Err(io::Error::from_raw_os_error(libc::ENOSYS)) };
    let size = size_of::<MountRequest>() as u32;
    let request = MountRequest { size, _spare: 0, mount_id, wanted: STATMOUNT_SB_BASIC };
    let mut status = MaybeUninit::<MountStatus>::zeroed();
    // SAFETY: the system reads the request and writes at most the size of `status`, both of which are ours.
    let result = unsafe {
        libc::syscall(
            SYS_STATMOUNT,
            &raw const request,
            status.as_mut_ptr(),
            size_of::<MountStatus>(),
            0 as libc::c_uint,
        )
    };
    check(result as libc::c_int)?;
    // SAFETY: all of it was zero, and numbers may have any bits.
    let status = unsafe { status.assume_init() };
    if status.mask & STATMOUNT_SB_BASIC == 0 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(status.magic as u32) // Magic numbers have 32 bits.
}

/// The magic number of a file system. **It may wait**: a server is asked.
pub(crate) fn file_system(fd: BorrowedFd<'_>) -> io::Result<u32> {
    faults::check(Call::Statfs)?;
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the system writes a `statfs` to memory that is ours.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, so it is written.
    Ok(unsafe { status.assume_init() }.f_type as u32) // Some types of it are wider, and some have a sign.
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn find_in(support: &Support, path: &Path) -> Found {
        with_path(path, |path| find_with(support, path, true)).expect("no NUL byte")
    }

    fn new() -> Support {
        Support(AtomicU8::new(Support::UNKNOWN))
    }

    #[test]
    fn an_old_kernel_or_a_filter_is_remembered() {
        for errno in [libc::ENOSYS, libc::EINVAL, libc::E2BIG, libc::EPERM] {
            let support = new();
            faults::plan(Call::FindCached, 0, errno);
            assert!(matches!(find_in(&support, Path::new("/")), Found::Unknown));
            assert!(support.is_missing(), "{errno}");
            assert!(matches!(find_in(&support, Path::new("/")), Found::Unknown), "it is not called again");
        }
    }

    #[test]
    fn an_error_counts_after_a_success_and_the_first_refusals_are_not_remembered() {
        for errno in [libc::EAGAIN, libc::EACCES, libc::ENOENT, libc::EMFILE] {
            let support = new();
            faults::plan(Call::FindCached, 0, errno);
            assert!(matches!(find_in(&support, Path::new("/")), Found::Unknown), "{errno}");
            assert!(!support.is_missing(), "{errno}");
        }
        let support = new();
        support.set_works();
        for errno in [libc::ENOENT, libc::ENOTDIR, libc::EACCES, libc::ELOOP, libc::ENAMETOOLONG] {
            faults::plan(Call::FindCached, 0, errno);
            let found = find_in(&support, Path::new("/"));
            assert!(matches!(found, Found::Error(error) if error.raw_os_error() == Some(errno)));
        }
        for errno in [libc::EAGAIN, libc::EMFILE, libc::EINVAL, libc::E2BIG, libc::EPERM, libc::EINTR] {
            faults::plan(Call::FindCached, 0, errno);
            assert!(matches!(find_in(&support, Path::new("/")), Found::Unknown), "{errno}");
            assert!(!support.is_missing(), "{errno} of one path");
        }
        faults::plan(Call::FindCached, 0, libc::ENOSYS);
        assert!(matches!(find_in(&support, Path::new("/")), Found::Unknown));
        assert!(support.is_missing(), "a filter that was installed later");
    }

    #[test]
    fn a_path_is_passed_as_it_is_up_to_the_longest() {
        for len in [0, 1, SHORT_PATH_BYTES - 1, SHORT_PATH_BYTES, 5000] {
            let path = "x".repeat(len);
            assert_eq!(with_path(Path::new(&path), |it| it.to_bytes().to_vec()), Some(path.into_bytes()));
        }
        assert_eq!(with_path(Path::new("a\0b"), |_| ()), None);
        assert_eq!(with_path(Path::new(&format!("a\0{}", "x".repeat(500))), |_| ()), None);
    }

    #[test]
    fn the_status_has_type_and_length_and_the_same_mount_for_files_of_one_directory() {
        let directory = tempfile::tempdir().expect("room for a directory");
        std::fs::write(directory.path().join("a"), "salmon").expect("room for a file");
        let file = std::fs::File::open(directory.path().join("a")).expect("it was written");
        let (mine, parent) = (status(file.as_fd()), std::fs::File::open(directory.path()).expect("is there"));
        if let (Some(mine), Some(parent)) = (mine, status(parent.as_fd())) {
            assert!(mine.is_regular() && !parent.is_regular());
            assert_eq!((mine.len(), mine.mount()), (6, parent.mount()));
        }
        let proc = std::fs::File::open("/proc/self/stat").expect("it is there");
        const PROC_SUPER_MAGIC: u32 = 0x9fa0;
        assert_eq!(file_system(proc.as_fd()).expect("is open"), PROC_SUPER_MAGIC);
        for file in [&file, &proc] {
            let Some(mount) = status(file.as_fd()).and_then(|status| status.mount()) else { continue };
            match file_system_of(mount) {
                Ok(magic) => assert_eq!(magic, file_system(file.as_fd()).expect("is open")),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{error}"),
            }
        }
        faults::plan(Call::Statx, 0, libc::ENOSYS);
        assert!(status(file.as_fd()).is_none());
        faults::plan(Call::Statfs, 0, libc::EIO);
        assert!(file_system(file.as_fd()).is_err());
    }

    #[test]
    fn mounts_are_told_apart_by_id_or_by_disk() {
        assert_eq!(Mount::from_unique_id(0), None);
        assert_eq!(Mount::from_unique_id(u64::MAX), None);
        assert_eq!(Mount::from_device(0, 45), None, "another file system may get this number");
        let device = Mount::from_device(254, 1).expect("the number of a disk");
        let id = Mount::from_unique_id(254 << 32 | 1).expect("an id");
        assert_ne!(device, id);
        for mount in [device, id] {
            assert!(mount.bits() != 0 && mount.bits() >> Mount::BITS == 0);
        }
    }
}
