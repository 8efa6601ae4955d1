//! Operations on paths that the kernel has in its caches: no thread for them, and the results of `std::fs`.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a thread of its own changes its user and its directory")]
#![allow(unsafe_code, reason = "asks the system about descriptors, and makes what std cannot make")]

mod support;

use redd::fs;
use redd::fs::{File, OpenOptions};
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::runtime::{Builder, Runtime};
use std::ffi::{CString, OsStr};
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use support::poll_once;
use tempfile::TempDir;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Whether the runtime has needed a thread of its pool.
fn has_thread(runtime: &Runtime) -> bool {
    runtime.metrics().num_blocking_threads() > 0
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Whether the kernel opens from its caches and names mounts without ambiguity (Linux 6.8).
fn has_calls() -> bool {
    let how: [u64; 3] = [(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, 0x20];
    // SAFETY: the argument lives across the call, which only reads it.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/".as_ptr(), how.as_ptr(), size_of_val(&how)) };
    if fd == -1 {
        return false;
    }
    // SAFETY: the call has succeeded, so the descriptor is ours.
    unsafe { libc::close(fd as RawFd) };
    let mut status = [0_u64; 32];
    // SAFETY: the kernel writes 256 bytes.
    let result =
        unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, c"/".as_ptr(), 0, 0x4000, status.as_mut_ptr()) };
    result == 0 && status[0] & 0x4000 != 0
}

fn magic(path: &Path) -> i64 {
    let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the system writes a `statfs` to memory that is ours.
    assert_eq!(unsafe { libc::statfs(c_path(path).as_ptr(), status.as_mut_ptr()) }, 0);
    // SAFETY: the call has succeeded.
    unsafe { status.assume_init() }.f_type
}

const TMPFS: i64 = 0x0102_1994;

/// A directory on a file system that never waits for what is in memory, and that this process knows by now. With `has_disk`,
/// not one in memory alone. `None`, with a reason, where the machine has none.
fn local(has_disk: bool) -> Option<TempDir> {
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let is_local = |place: &&PathBuf| match magic(place) {
        0xef53 | 0x5846_5342 | 0x9123_683e => true,
        magic => magic == TMPFS && !has_disk,
    };
    let place = if has_calls() && !support::emulation::is_emulated() { places.iter().find(is_local) } else { None };
    let Some(place) = place else {
        println!("SKIPPED: no local file system, or a kernel before 6.8");
        return None;
    };
    let dir = tempfile::tempdir_in(place).unwrap();
    // The first look at a mount needs the pool.
    runtime().block_on(fs::metadata(dir.path())).unwrap();
    Some(dir)
}

fn make_fifo(path: &Path) {
    // SAFETY: the path lives across the call.
    assert_eq!(unsafe { libc::mkfifo(c_path(path).as_ptr(), 0o600) }, 0);
}

/// A path that owns its file, as a temporary file does.
struct OwnedPath(PathBuf, Arc<AtomicUsize>);

impl AsRef<Path> for OwnedPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_path_lives_until_the_pool_is_done() {
    type Operation = fn(OwnedPath) -> Pin<Box<dyn Future<Output = ()>>>;
    // Nothing is opened at once in the file system of processes.
    let operations: [(&str, Operation); 10] = [
        ("metadata", |path| Box::pin(async { assert!(fs::metadata(path).await.unwrap().is_file()) })),
        ("symlink_metadata", |path| Box::pin(async { assert!(fs::symlink_metadata(path).await.unwrap().is_file()) })),
        ("try_exists", |path| Box::pin(async { assert!(fs::try_exists(path).await.unwrap()) })),
        ("read", |path| Box::pin(async { drop(fs::read(path).await.unwrap()) })),
        ("read_to_string", |path| Box::pin(async { drop(fs::read_to_string(path).await.unwrap()) })),
        ("File::open", |path| Box::pin(async { drop(File::open(path).await.unwrap()) })),
        ("OpenOptions::open", |path| Box::pin(async { drop(OpenOptions::new().read(true).open(path).await.unwrap()) })),
        ("canonicalize", |path| Box::pin(async { drop(fs::canonicalize(path).await.unwrap()) })),
        ("read_dir", |path| Box::pin(async { drop(fs::read_dir(path).await.unwrap_err()) })),
        ("copy", |path| Box::pin(async { assert_ne!(fs::copy(path, "/dev/null").await.unwrap(), 0) })),
    ];
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    for (name, operation) in operations {
        let (release, held) = mpsc::channel::<()>();
        let _busy = runtime.spawn_blocking(move || held.recv().unwrap_err());
        let drops = Arc::new(AtomicUsize::new(0));
        let mut operation = operation(OwnedPath("/proc/self/stat".into(), Arc::clone(&drops)));
        runtime.block_on(async {
            assert!(poll_once(operation.as_mut()).is_pending(), "{name}");
            assert_eq!(drops.load(Ordering::SeqCst), 0, "{name}");
            drop(release);
            operation.await;
        });
        assert_eq!(drops.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[test]
fn what_is_in_the_caches_needs_no_thread() {
    let Some(dir) = local(false) else { return };
    let (small, large, link) = (dir.path().join("small"), dir.path().join("large"), dir.path().join("link"));
    std::fs::write(&small, "salmon").unwrap();
    std::fs::write(&large, vec![b'x'; 1 << 20]).unwrap();
    symlink("small", &link).unwrap();
    let _not_there = std::fs::metadata(dir.path().join("none")).unwrap_err();
    // A walk over a link writes the time of its last use, unless that is later than its creation. The pool does that.
    for _ in 0..100_000 {
        std::fs::read(&link).unwrap();
        let metadata = std::fs::symlink_metadata(&link).unwrap();
        if (metadata.atime(), metadata.atime_nsec()) > (metadata.ctime(), metadata.ctime_nsec()) {
            break;
        }
    }
    let runtime = runtime();
    runtime.block_on(async {
        for _ in 0..300 {
            assert_eq!(fs::metadata(&link).await.unwrap().len(), 6);
            assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
            assert!(fs::try_exists(&link).await.unwrap());
            assert!(!fs::try_exists(dir.path().join("none")).await.unwrap());
            assert_eq!(fs::read(&link).await.unwrap(), b"salmon");
            assert_eq!(fs::read_to_string(&small).await.unwrap(), "salmon");
            let mut file = File::open(&small).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 6);
            let mut text = String::new();
            file.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "salmon");
            OpenOptions::new().append(true).open(&small).await.unwrap();
        }
        assert_eq!(fs::read(&large).await.unwrap().len(), 1 << 20);
    });
    assert!(!has_thread(&runtime));
}

#[test]
fn what_is_not_in_the_caches_or_unusual_needs_a_thread() {
    let Some(dir) = local(false) else { return };
    let file = dir.path().join("file");
    std::fs::write(&file, "salmon").unwrap();
    let needs_thread = |what: &str, operation: &dyn Fn(&Runtime)| {
        let runtime = runtime();
        operation(&runtime);
        assert!(has_thread(&runtime), "{what}");
    };
    needs_thread("a file that the kernel computes", &|runtime| {
        assert!(!runtime.block_on(fs::read("/proc/self/stat")).unwrap().is_empty());
    });
    needs_thread("a device", &|runtime| drop(runtime.block_on(File::open("/dev/null")).unwrap()));
    needs_thread("a directory", &|runtime| drop(runtime.block_on(File::open(dir.path())).unwrap()));
    needs_thread("a new file", &|runtime| drop(runtime.block_on(File::create(dir.path().join("new"))).unwrap()));
    needs_thread("options of std", &|runtime| {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        drop(runtime.block_on(OpenOptions::from(options).open(&file)).unwrap());
    });
    needs_thread("a file that is larger than a read on the worker", &|runtime| {
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
        assert_eq!(runtime.block_on(fs::read(&large)).unwrap(), vec![b'x'; 3 << 20]);
    });
}

#[test]
fn what_is_not_in_the_page_cache_is_read_by_a_thread() {
    let Some(dir) = local(true) else { return };
    let path = dir.path().join("file");
    let contents: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    std::fs::write(&path, &contents).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    file.sync_all().unwrap();
    // The first part stays in the cache.
    // SAFETY: no pointers are passed.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 512 * 1024, 0, libc::POSIX_FADV_DONTNEED) };
    let runtime = runtime();
    assert!(runtime.block_on(fs::read(&path)).unwrap() == contents);
    assert!(has_thread(&runtime));
}

#[test]
fn a_pipe_is_looked_at_without_being_opened() {
    let Some(dir) = local(false) else { return };
    let path = dir.path().join("pipe");
    make_fifo(&path);
    let runtime = runtime();
    runtime.block_on(async {
        assert!(!fs::metadata(&path).await.unwrap().is_file());
        assert!(fs::try_exists(&path).await.unwrap());
        assert!(!has_thread(&runtime));
        // The pool opens it, and waits there for a writer.
        let mut open = pin!(File::open(&path));
        assert!(poll_once(open.as_mut()).is_pending());
        let writer = redd::task::spawn_blocking({
            let path = path.clone();
            move || std::fs::write(path, "salmon").unwrap()
        });
        let mut text = String::new();
        open.await.unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "salmon");
        writer.await.unwrap();
    });
}

/// What can be seen of a descriptor.
fn flags(fd: RawFd) -> (RawFd, i32, i32) {
    // SAFETY: no pointers are passed.
    unsafe { (fd, libc::fcntl(fd, libc::F_GETFL), libc::fcntl(fd, libc::F_GETFD)) }
}

#[test]
fn the_options_have_the_effects_of_those_of_std() {
    let directory = local(false).unwrap_or_else(|| tempfile::tempdir().unwrap());
    let (path, link) = (directory.path().join("file"), directory.path().join("link"));
    std::fs::write(&path, "salmon").unwrap();
    symlink("file", &link).unwrap();
    let custom = [
        0,
        libc::O_NOFOLLOW,
        libc::O_NOATIME,
        libc::O_NONBLOCK,
        libc::O_DIRECTORY,
        libc::O_PATH,
        libc::O_DIRECT,
        libc::O_SYNC,
        libc::O_RDWR,
        libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NOFOLLOW | libc::O_NOATIME,
        libc::O_TRUNC,
        libc::O_EXCL,
        1 << 30,
    ];
    runtime().block_on(async {
        for bits in 0..64_u32 {
            for flag in custom {
                for path in [&path, &link] {
                    let is = |bit: u32| bits >> bit & 1 == 1;
                    let mut theirs = std::fs::OpenOptions::new();
                    theirs.read(is(0)).write(is(1)).append(is(2)).truncate(is(3)).create(is(4)).create_new(is(5));
                    theirs.custom_flags(flag);
                    let mut ours = OpenOptions::new();
                    ours.read(is(0)).write(is(1)).append(is(2)).truncate(is(3)).create(is(4)).create_new(is(5));
                    ours.custom_flags(flag);
                    let text = |result: io::Result<i32>| result.map_err(|it| (it.kind(), it.to_string()));
                    // Not the numbers: other tests of this process open files meanwhile.
                    let expected =
                        theirs.open(path).map(|file| flags(file.as_raw_fd()).1 << 1 | flags(file.as_raw_fd()).2);
                    let len = std::fs::read(path).unwrap().len();
                    std::fs::write(path, "salmon").unwrap();
                    let seen =
                        ours.open(path).await.map(|file| flags(file.as_raw_fd()).1 << 1 | flags(file.as_raw_fd()).2);
                    assert_eq!(text(seen), text(expected), "{ours:?} {path:?}");
                    assert_eq!(std::fs::read(path).unwrap().len(), len, "{ours:?}");
                    std::fs::write(path, "salmon").unwrap();
                    assert_eq!(format!("{ours:?}"), format!("OpenOptions({theirs:?})"));
                }
            }
        }
    });
}

#[test]
fn a_file_that_was_opened_at_once_is_written_where_it_should_be() {
    let Some(dir) = local(false) else { return };
    let path = dir.path().join("file");
    std::fs::write(&path, "salmon").unwrap();
    runtime().block_on(async {
        let mut file = OpenOptions::new().append(true).open(&path).await.unwrap();
        file.write_all(b" redd").await.unwrap();
        file.flush().await.unwrap();
        let mut file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.write_all(b"S").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"Salmon redd");
    });
}

type Seen = Result<String, (io::ErrorKind, Option<i32>, String)>;

fn seen<T: Debug>(result: io::Result<T>) -> Seen {
    match result {
        Ok(value) => Ok(format!("{value:?}")),
        Err(error) => Err((error.kind(), error.raw_os_error(), error.to_string())),
    }
}

/// What is equal in two looks at a file: that which the other tests of this process, and other processes, do not change.
fn about(metadata: &std::fs::Metadata) -> impl Debug + use<> {
    let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
    let contents = (metadata.ino(), metadata.len(), metadata.nlink(), metadata.rdev(), times);
    let is_computed = metadata.dev() == std::fs::metadata("/proc/self/stat").map_or(0, |it| it.dev());
    (metadata.dev(), metadata.mode(), (!metadata.is_dir() && !is_computed).then_some(contents))
}

/// Compares all functions on a path with those of std. Twice: what the first one brings to the caches, the second one finds.
async fn compare(path: &Path, is_read: bool) {
    for round in 0..2 {
        let what = |function: &str| format!("{function} of {}, round {round}", path.display());
        let theirs = seen(std::fs::metadata(path).map(|it| about(&it)));
        assert_eq!(seen(fs::metadata(path).await.map(|it| about(&it))), theirs, "{}", what("metadata"));
        let theirs = seen(std::fs::symlink_metadata(path).map(|it| about(&it)));
        assert_eq!(seen(fs::symlink_metadata(path).await.map(|it| about(&it))), theirs, "{}", what("symlink_metadata"));
        let theirs = seen(path.try_exists());
        assert_eq!(seen(fs::try_exists(path).await), theirs, "{}", what("try_exists"));
        if is_read {
            assert_eq!(seen(fs::read(path).await), seen(std::fs::read(path)), "{}", what("read"));
            let theirs = seen(std::fs::read_to_string(path));
            assert_eq!(seen(fs::read_to_string(path).await), theirs, "{}", what("read_to_string"));
            let theirs = seen(std::fs::File::open(path).and_then(|it| it.metadata()).map(|it| about(&it)));
            let ours = async { File::open(path).await?.metadata().await };
            assert_eq!(seen(ours.await.map(|it| about(&it))), theirs, "{}", what("open"));
        }
        let mut no_follow = std::fs::OpenOptions::new();
        no_follow.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let theirs = seen(no_follow.open(path).map(drop));
        let mut no_follow = OpenOptions::new();
        no_follow.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        assert_eq!(seen(no_follow.open(path).await.map(drop)), theirs, "{}", what("open without following"));
        if !path.is_file() {
            // A file would be opened for writing, which is no error.
            let theirs =
                seen(std::fs::OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path).map(drop));
            let ours = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path).await;
            assert_eq!(seen(ours.map(drop)), theirs, "{}", what("append"));
        }
    }
}

/// A directory with one of everything.
fn zoo(dir: &Path) -> std::os::unix::net::UnixListener {
    let at = |name: &str| dir.join(name);
    for (name, contents) in [("file", "salmon"), ("empty", ""), ("dot.", "redd"), ("späce é", "1"), (" ", "2")] {
        std::fs::write(at(name), contents).unwrap();
    }
    std::fs::write(dir.join(OsStr::from_bytes(b"\xff\xfe")), [0xff]).unwrap();
    std::fs::write(at("binary"), [b'a', 0, 0xff, 0xc3]).unwrap();
    std::fs::write(at("large"), "0123456789".repeat(100_000)).unwrap();
    std::fs::write(at("secret"), "x").unwrap();
    std::fs::set_permissions(at("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::write(at("readonly"), "x").unwrap();
    std::fs::set_permissions(at("readonly"), PermissionsExt::from_mode(0o444)).unwrap();
    std::fs::File::create(at("sparse")).unwrap().set_len(100_000).unwrap();
    std::fs::create_dir_all(at("dir/inner/deep")).unwrap();
    std::fs::write(at("dir/inner/deep/file"), "deep").unwrap();
    std::fs::create_dir(at("closed")).unwrap();
    std::fs::write(at("closed/file"), "x").unwrap();
    std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o600)).unwrap();
    for (name, target) in [
        ("link", "file"),
        ("link to link", "link"),
        ("link to directory", "dir"),
        ("dangling", "nothing"),
        ("loop", "loop"),
        ("loop a", "loop b"),
        ("loop b", "loop a"),
        ("link to fifo", "fifo"),
        ("link to secret", "secret"),
        ("link up", ".."),
    ] {
        symlink(target, at(name)).unwrap();
    }
    symlink(at("file"), at("absolute link")).unwrap();
    symlink("link chain 0", at("link chain")).unwrap();
    (0..50)
        .for_each(|number| symlink(format!("link chain {}", number + 1), at(&format!("link chain {number}"))).unwrap());
    std::fs::hard_link(at("file"), at("hard link")).unwrap();
    make_fifo(&at("fifo"));
    std::os::unix::net::UnixListener::bind(at("socket")).unwrap()
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    let below = [
        "",
        ".",
        "..",
        "file",
        "empty",
        "dot.",
        "späce é",
        " ",
        "binary",
        "large",
        "secret",
        "readonly",
        "sparse",
        "dir",
        "dir/",
        "dir/.",
        "dir/..",
        "dir/inner/../../file",
        "dir/inner/deep/file",
        "dir//inner///deep////file",
        "closed",
        "closed/file",
        "closed/none",
        "link",
        "link/",
        "link/x",
        "link to link",
        "link to directory",
        "link to directory/",
        "dangling",
        "dangling/",
        "dangling/x",
        "loop",
        "loop/x",
        "loop a",
        "link up",
        "link up/none",
        "absolute link",
        "link chain",
        "link chain 30",
        "hard link",
        "socket",
        "nothing",
        "nothing/",
        "nothing/x",
        "file/",
        "file/x",
        "file/.",
        "file/..",
        "link to secret",
        "./file",
        "../",
        "\n",
        "FILE",
    ];
    let mut paths: Vec<_> = below.iter().map(|name| dir.join(name)).collect();
    paths.push(dir.join(OsStr::from_bytes(b"\xff\xfe")));
    paths.push(dir.join("nul\0byte"));
    paths.extend([255, 256, 300, 4000, 5000].map(|len| dir.join("x".repeat(len))));
    paths.extend([100, 190, 2000, 3000].map(|len| dir.join("./".repeat(len)).join("file")));
    let elsewhere = [
        "",
        "/",
        "//",
        "/..",
        "\0",
        ".",
        "/proc/self/stat",
        "/proc/self/fd",
        "/proc/self/exe",
        "/proc/self/cwd",
        "/proc/none",
        "/proc/self/fd/9999",
        "/proc",
        "/sys",
        "/dev/null",
        "/dev/zero/x",
        "/dev",
        "/dev/shm",
        "/dev/pts",
        "/etc/passwd",
    ];
    paths.extend(elsewhere.map(PathBuf::from));
    paths
}

/// Whether the whole file is read: some have different contents each time.
fn is_read(path: &Path) -> bool {
    !path.starts_with("/proc") && !path.starts_with("/dev")
}

#[test]
fn results_are_those_of_std() {
    let dir = local(false).unwrap_or_else(|| tempfile::tempdir().unwrap());
    let _listener = zoo(dir.path());
    runtime().block_on(async {
        for path in paths(dir.path()) {
            compare(&path, is_read(&path)).await;
        }
        for special in ["fifo", "link to fifo"] {
            compare(&dir.path().join(special), false).await;
        }
        // Links to open files, also of one that is gone, and of a pipe.
        let open = std::fs::File::open(dir.path().join("file")).unwrap();
        let gone = tempfile::tempfile_in(dir.path()).unwrap();
        let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
        for fd in [open.as_raw_fd(), gone.as_raw_fd(), reader.as_raw_fd()] {
            let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
            compare(&path, fd == open.as_raw_fd()).await;
        }
        assert_eq!(fs::read(format!("/proc/self/fd/{}", open.as_raw_fd())).await.unwrap(), b"salmon");
        assert_eq!(fs::read("/proc/self/cmdline").await.unwrap(), std::fs::read("/proc/self/cmdline").unwrap());
    });
}

/// Runs `f` on a thread whose working directory and user are its own, as are those of the threads that it starts.
fn apart(f: impl FnOnce() + Send + 'static) {
    std::thread::spawn(|| {
        // SAFETY: the thread gives up sharing with others, which std does not rely on.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0, "a thread may always do that");
        f();
    })
    .join()
    .unwrap();
}

#[test]
fn results_are_those_of_std_for_a_user_without_permission() {
    let dir = local(false).unwrap_or_else(|| tempfile::tempdir().unwrap());
    let _listener = zoo(dir.path());
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let root = dir.path().to_owned();
    apart(move || {
        // SAFETY: no pointers are passed. The call, unlike that of the C library, is for this thread alone. A user that is not
        // root may not do it, and is one without permission already.
        unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        runtime().block_on(async {
            for path in paths(&root) {
                compare(&path, is_read(&path)).await;
            }
            let secret = File::open(root.join("secret")).await;
            assert_eq!(secret.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        });
    });
}

#[test]
fn paths_from_the_working_directory_are_those_of_the_calling_thread_even_if_it_is_gone() {
    let dir = local(false).unwrap_or_else(|| tempfile::tempdir().unwrap());
    apart(move || {
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("file"), "salmon").unwrap();
        std::env::set_current_dir(&inner).unwrap();
        runtime().block_on(async {
            assert_eq!(fs::read("file").await.unwrap(), b"salmon");
            for path in ["file", "./file", "none", "..", ".", "../inner/file"] {
                compare(Path::new(path), true).await;
            }
            std::fs::remove_dir_all(&inner).unwrap();
            for path in ["file", "./file", "none", "..", ".", "../inner/file", ""] {
                compare(Path::new(path), true).await;
            }
        });
    });
}

#[test]
fn a_task_that_only_uses_cached_files_lets_others_run() {
    let Some(dir) = local(false) else { return };
    let path = dir.path().join("file");
    std::fs::write(&path, "salmon").unwrap();
    let large = dir.path().join("large");
    std::fs::write(&large, vec![b'x'; 1 << 20]).unwrap();
    for (what, rounds, yields_min) in
        [("metadata", 1280, 10), ("open", 1280, 10), ("read", 1280, 10), ("large", 20, 10)]
    {
        let runtime = runtime();
        let turns = Arc::new(AtomicUsize::new(0));
        let (path, large, counter) = (path.clone(), large.clone(), Arc::clone(&turns));
        runtime.block_on(async {
            let other = redd::spawn(async move {
                loop {
                    counter.fetch_add(1, Ordering::Relaxed);
                    redd::task::yield_now().await;
                }
            });
            let user = redd::spawn(async move {
                for _ in 0..rounds {
                    match what {
                        "metadata" => drop(fs::metadata(&path).await.unwrap()),
                        "open" => drop(File::open(&path).await.unwrap()),
                        "read" => drop(fs::read(&path).await.unwrap()),
                        _ => drop(fs::read(&large).await.unwrap()),
                    }
                }
            });
            user.await.unwrap();
            other.abort();
        });
        assert!(!has_thread(&runtime), "{what}");
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= yields_min, "{what}: another task ran {turns} times");
    }
}

#[test]
fn cached_files_need_a_runtime_that_lives() {
    let Some(dir) = local(false) else { return };
    let path = dir.path().join("file");
    std::fs::write(&path, "salmon").unwrap();
    let panics = |future: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(pin!(future)).is_ready())).is_err()
    };
    assert!(panics(Box::pin(async { drop(fs::metadata(&path).await) })));
    assert!(panics(Box::pin(async { drop(fs::read(&path).await) })));
    assert!(panics(Box::pin(async { drop(File::open(&path).await) })));
    let runtime = runtime();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _entered = handle.enter();
    let mut metadata = pin!(fs::metadata(&path));
    assert!(matches!(poll_once(metadata.as_mut()), std::task::Poll::Ready(Err(_))));
}
