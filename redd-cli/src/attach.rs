//! The client's side of an attach request.
//!
//! 1. Find the thread of the process that takes requests, and its signal, by the thread's name.
//! 2. Make a directory for this user alone in a folder that the process sees too, and listen on a socket in it.
//! 3. Send the signal to that thread, with the key in the directory's name.
//! 4. The process connects. Send the request, and read the reply.
//!
//! The directory is gone again once the process has connected.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::plural::count;
use crate::process::{self, Target};
use crate::system;

/// How long the process may take. It serves one client after the other. Each may take six seconds, and one that does not read a long
/// trace longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a process is asked if it ends the connection without a reply.
const ATTEMPTS: u32 = 5;

/// How much of a reply is read at once.
const BUFFER: usize = 256 * 1024;

/// How long a process that has just been started may take until it takes requests.
const START_PATIENCE: Duration = Duration::from_millis(300);

/// Sends a request to a process. Returns the reply, or why there is none.
pub(crate) fn ask(pid: u32, request: &str) -> Result<Vec<u8>, String> {
    ask_for(pid, request, Duration::ZERO)
}

/// As [`ask`], for a reply that takes the process so long.
pub(crate) fn ask_for(pid: u32, request: &str, time: Duration) -> Result<Vec<u8>, String> {
    let mut reply = Vec::new();
    pass_on_after(pid, request, time, &mut reply).map(|()| reply)
}

/// As [`ask`], for a reply that is written to `out` as it comes. If it ends early, a part has been written.
pub(crate) fn pass_on(pid: u32, request: &str, out: &mut impl Write) -> Result<(), String> {
    pass_on_after(pid, request, Duration::ZERO, out)
}

fn pass_on_after(pid: u32, request: &str, time: Duration, out: &mut impl Write) -> Result<(), String> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match converse(&find(pid)?, request, time, out)? {
            Reply::Whole => return Ok(()),
            Reply::Refused(sentence) => return Err(format!("process {pid} refuses: {}", sentence.escape_debug())),
            // The process waits for a request for a second. On a machine that is overloaded this may be too short for this process.
            Reply::None if attempts < ATTEMPTS => {}
            Reply::None | Reply::Part => {
                return Err(format!("process {pid} ended the connection before it had replied in full"));
            }
        }
    }
}

/// What a process sends.
enum Reply {
    Whole,
    /// A sentence.
    Refused(String),
    /// The connection ended in the middle.
    Part,
    /// It ended before the first line.
    None,
}

/// The process as one that can be asked.
fn find(pid: u32) -> Result<Target, String> {
    let user = process::user(pid).ok_or_else(|| format!("there is no process {pid}"))?;
    let own = system::own_user();
    if own.uid != 0 && own.uid != user.uid {
        return Err(format!(
            "permission denied: process {pid} belongs to user {}, and this is user {}. Only that user and root may ask it",
            process::user_name(user.uid),
            process::user_name(own.uid)
        ));
    }
    let ends_at = Instant::now() + START_PATIENCE;
    let (thread, signal) = loop {
        match process::taker(pid) {
            Some(taker) => break taker,
            None if Instant::now() >= ends_at => return Err(why_closed(pid)),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    Ok(Target { pid, thread, signal, user })
}

/// Why a process has no thread that takes requests.
fn why_closed(pid: u32) -> String {
    let options = process::variable(pid, "REDD_DEBUG").unwrap_or_default();
    if options.split(',').any(|option| option.trim() == "attach=off") {
        return format!("process {pid} may not be asked: it was started with REDD_DEBUG={}", options.escape_debug());
    }
    let runs_redd = process::threads(pid).iter().any(|(_, name)| name.starts_with("redd-"));
    if runs_redd {
        return format!("process {pid} may not be asked: its runtimes were built with `Builder::observe(false)`");
    }
    format!(
        "process {pid} takes no requests: it does not run on redd, or its runtimes were built with `Builder::observe(false)`, or \
         it has only current-thread runtimes that are younger than 100 ms or were blocked before. \
         REDD_DEBUG=attach=on helps in the last case"
    )
}

/// Writes the reply to `out`, as far as it came. The process needs `time` for it.
fn converse(target: &Target, request: &str, time: Duration, out: &mut impl Write) -> Result<Reply, String> {
    let pid = target.pid;
    let meeting = Meeting::arrange(target)?;
    system::send(target, meeting.key).map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => format!("process {pid} has ended, or has begun to run another program"),
        _ => format!("process {pid} cannot be signalled: {error}"),
    })?;
    let mut stream = meeting.wait(pid)?;
    // Now, as this process may be ended before the reply has come.
    drop(meeting);
    let mut first = Vec::new();
    // An error, here and below, is the end of the connection: then the reply lacks something.
    let _ = stream
        .set_read_timeout(Some(PATIENCE + time))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(format!("redd-attach/1 {request}\n").as_bytes()));
    let mut stream = BufReader::new(stream);
    let _ = stream.read_until(b'\n', &mut first);
    let Some(first) = first.strip_suffix(b"\n").map(String::from_utf8_lossy) else { return Ok(Reply::None) };
    let Some(len) = first.strip_prefix("ok ").and_then(|len| len.parse::<usize>().ok()) else {
        return Ok(Reply::Refused(first.strip_prefix("error: ").unwrap_or(&first).to_owned()));
    };
    let (mut buffer, mut got) = (vec![0; BUFFER], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        got += read;
        out.write_all(&buffer[..read]).map_err(|error| format!("the reply cannot be written: {error}"))?;
    }
    Ok(if got == len { Reply::Whole } else { Reply::Part })
}

/// A directory with a socket, which goes away with this value.
struct Meeting {
    listener: UnixListener,
    directory: PathBuf,
    key: u64,
    target: Target,
    /// Kept open: `directory` leads through it.
    _folder: File,
}

impl Meeting {
    fn arrange(target: &Target) -> Result<Self, String> {
        let mut problems = Vec::new();
        for folder in process::folders(*target) {
            match Self::arrange_in(&folder, target) {
                Ok(meeting) => return Ok(meeting),
                Err(error) => problems.push(format!("{}: {error}", folder.display())),
            }
        }
        let is_kept_away =
            fs::metadata(format!("/proc/{}", target.pid)).is_ok_and(|status| status.uid() != target.user.uid);
        let why = if is_kept_away {
            "The system keeps the process from its own user: it is not dumpable (it has changed its user, or runs with the rights of its \
             file's owner)"
        } else {
            "One of these folders must be writable for the user of the process"
        };
        Err(format!("there is no place to meet process {}: {}. {why}", target.pid, problems.join("; ")))
    }

    fn arrange_in(folder: &Path, target: &Target) -> io::Result<Self> {
        let folder = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(folder)?;
        let key = random()?;
        let name = format!("redd-attach-{key:016x}");
        let directory = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
        // As root this process takes the rights of the other one's user for a moment, so that it may enter the directory.
        let listener = system::as_user(target.user, || {
            system::make_directory(&folder, &name)?;
            UnixListener::bind(directory.join("s")).inspect_err(|_| drop(fs::remove_dir(&directory)))
        })??;
        Ok(Self { listener, directory, key, target: *target, _folder: folder })
    }

    /// The connection from the process.
    fn wait(&self, pid: u32) -> Result<UnixStream, String> {
        let failed = |error: io::Error| format!("waiting for process {pid} failed: {error}");
        let ends_at = Instant::now() + PATIENCE;
        self.listener.set_nonblocking(true).map_err(failed)?;
        loop {
            let left = ends_at.saturating_duration_since(Instant::now());
            // In steps, to notice that the process has ended.
            let step = left.min(Duration::from_millis(200));
            if system::is_readable(self.listener.as_fd(), step).map_err(failed)? {
                let (stream, _) = self.listener.accept().map_err(failed)?;
                if system::peer(&stream).map_err(failed)? == pid {
                    stream.set_nonblocking(false).map_err(failed)?;
                    return Ok(stream);
                }
            } else if !process::is_taker(&self.target) {
                return Err(format!("process {pid} has ended, or has begun to run another program"));
            } else if left.is_zero() {
                return Err(why_silent(pid));
            }
        }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let remove = || {
            let _ = fs::remove_file(self.directory.join("s"));
            fs::remove_dir(&self.directory)
        };
        // What is left is empty, and belongs to this user.
        let _ = system::as_user(self.target.user, remove);
    }
}

fn why_silent(pid: u32) -> String {
    let why = match process::descriptors(pid) {
        Some((open, limit)) if open + 4 > limit => {
            format!("It has {open} of {} open, and needs three to reply", count(limit, "descriptor"))
        }
        _ => "It may be stopped, or serve other clients, or not see the folder in which this process waits".to_owned(),
    };
    format!("process {pid} did not reply within {} s. {why}", PATIENCE.as_secs())
}

/// A number that another user cannot guess.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
