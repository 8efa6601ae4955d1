//! What the system tells of other processes, by `/proc`.

use std::fs;
use std::path::PathBuf;

/// The name of the thread that takes requests, before the number of its signal.
const TAKER: &str = "redd-attach:";

/// A process that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pid: u32,
    /// The thread that takes requests.
    pub(crate) thread: u32,
    pub(crate) signal: i32,
    pub(crate) user: User,
}

/// The user and group with whose rights a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The numbers of all processes, in order.
pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The threads of a process, with their names.
pub(crate) fn threads(pid: u32) -> Vec<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let named = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, name.trim_end().to_owned()))
    };
    entries.filter_map(named).collect()
}

/// The thread of a process that takes requests, and its signal.
pub(crate) fn taker(pid: u32) -> Option<(u32, i32)> {
    let signal = |name: &str| name.strip_prefix(TAKER)?.parse::<i32>().ok();
    threads(pid).into_iter().find_map(|(thread, name)| {
        let signal = signal(&name)?;
        // Only a thread that blocks signals takes requests. Any other one has the name by chance, and a signal might end it.
        (is_real_time(signal) && blocks_signals(pid, thread)).then_some((thread, signal))
    })
}

/// Whether the thread is still the one that was found.
pub(crate) fn is_taker(target: &Target) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/task/{}/comm", target.pid, target.thread)).unwrap_or_default();
    name.trim_end() == format!("{TAKER}{}", target.signal) && blocks_signals(target.pid, target.thread)
}

fn is_real_time(signal: i32) -> bool {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal)
}

/// Whether the thread blocks the signals that a program usually leaves open.
fn blocks_signals(pid: u32, thread: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap_or_default();
    let Some(mask) = field(&status, "SigBlk").and_then(|mask| u64::from_str_radix(mask, 16).ok()) else { return false };
    [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1]
        .iter()
        .all(|signal| mask & 1 << (signal - 1) != 0)
}

/// The value of a line of a `status` file.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// With whose rights a process runs. `None` if there is no such process.
pub(crate) fn user(pid: u32) -> Option<User> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Real, effective, saved, of the file system.
    let effective = |name| field(&status, name)?.split_ascii_whitespace().nth(1)?.parse().ok();
    Some(User { uid: effective("Uid")?, gid: effective("Gid")? })
}

/// When a process started, in ticks since the system did: with the number it tells a process from all others. `None` if there is no
/// such process.
pub(crate) fn started_at(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may have spaces and brackets, is the second of the fields. The time is the 22nd.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The command line, in one line.
pub(crate) fn command(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| String::from_utf8_lossy(word).escape_debug().to_string()).collect();
    words.join(" ")
}

/// A variable of the environment that a process was started with, if it may be read.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=");
    bytes
        .split(|byte| *byte == 0)
        .find_map(|item| Some(String::from_utf8_lossy(item.strip_prefix(prefix.as_bytes())?).into_owned()))
}

/// The folders in which the process looks for a client's directory, as this process reaches them.
pub(crate) fn folders(Target { pid, thread, .. }: Target) -> Vec<PathBuf> {
    let own = || std::env::var("TMPDIR").ok();
    let third = variable(pid, "TMPDIR").or_else(own).filter(|folder| folder.starts_with('/'));
    let inside = ["/tmp", "/dev/shm"].into_iter().map(str::to_owned).chain(third);
    inside.map(|folder| PathBuf::from(format!("/proc/{pid}/task/{thread}/root{folder}"))).collect()
}

/// How many descriptors a process has open, and how many it may have.
pub(crate) fn descriptors(pid: u32) -> Option<(u64, u64)> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some((open, limit.split_ascii_whitespace().next()?.parse().ok()?))
}

/// The name of a user, or the number.
pub(crate) fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_user_a_command_and_threads_but_takes_no_requests() {
        let pid = std::process::id();
        assert!(all().contains(&pid));
        assert!(user(pid).is_some());
        assert!(!command(pid).is_empty());
        assert!(!threads(pid).is_empty());
        assert!(started_at(pid).is_some_and(|ticks| ticks > 0));
        assert_eq!(started_at(0), None);
        assert_eq!(taker(pid), None);
        assert_eq!(user(0), None);
        assert_eq!(user_name(0), "root");
    }

    #[test]
    fn a_thread_with_the_name_that_blocks_no_signal_is_not_taken_for_one() {
        let (tell, told) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let builder = std::thread::Builder::new().name(format!("{TAKER}{}", libc::SIGRTMAX()));
        let thread = builder.spawn(move || (tell.send(()), released.recv())).expect("a thread");
        told.recv().expect("it runs");
        assert_eq!(taker(std::process::id()), None);
        drop(release);
        thread.join().expect("no panic").1.expect_err("it is let go");
    }
}
