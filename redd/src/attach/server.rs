//! The thread that takes the requests of this process and replies.
//!
//! Called by `runtime` and `scheduler::rescue` ([`listen`]).
//!
//! # Invariants
//! - `one-process`: the thread belongs to the process that started it. A child of `fork` has none, until it starts a
//!   runtime of its own.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::registry::{Observed, runtimes};
use super::request::{Command, Format, LINE_MAX, PROTOCOL, parse};
use super::trace;
use crate::observe::debug_options::{AttachOption, debug_options};
use crate::observe::metric_blocks::MetricBlocks;
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::{Mutex, thread};
use crate::sys::attach::{self as system, Received, Requests};
use crate::sys::faults::{self, Call};
use crate::sys::fork::Process;
use crate::sys::{self};

/// How long a client may take to send its line (`bounded-reply`).
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take to read the reply.
const REPLY_PATIENCE: Duration = Duration::from_secs(5);

/// How much longer for each MiB of a trace.
const PATIENCE_PER_MIB: Duration = Duration::from_millis(100);
/// How long it may take until a trace ends whose client is gone.
const HANG_UP_CHECK: Duration = Duration::from_millis(100);

/// The time between two samples of `top`: no divisor of the intervals that programs choose.
const SAMPLE_GAP: Duration = Duration::from_micros(9_973);

/// How much is written at once. The time is checked in between.
const PIECE: usize = 32 * 1024;

static LISTENING: OnceLock<Mutex<Option<Process>>> = OnceLock::new();

/// Starts the thread of this process, if it does not run. Without it only requests from outside get no reply, so a thread that the system
/// refuses is no error. The next runtime tries again.
pub(crate) fn listen() {
    let options = debug_options();
    if options.attach == AttachOption::Off && options.dump_on.is_none() {
        return;
    }
    let mut listening = LISTENING.get_or_init(Mutex::default).lock();
    // `one-process`
    if listening.is_some_and(Process::is_current) {
        return;
    }
    if thread::spawn_named("redd-attach".to_owned(), None, take_requests).is_ok() {
        *listening = Some(Process::current());
    }
}

/// Whether the thread of this process was started.
pub(crate) fn is_listening() -> bool {
    LISTENING.get().is_some_and(|listening| listening.lock().is_some_and(Process::is_current))
}

/// The loop of the thread.
fn take_requests() {
    let Ok(Some(requests)) = Requests::open() else { return };
    let options = debug_options();
    let is_open = options.attach != AttachOption::Off;
    if is_open {
        requests.publish();
    }
    if options.dump_on.is_some_and(|signal| !system::on_signal(&requests, signal)) {
        report::report(
            ReportKind::Options,
            format_args!(
                "`dump_on` of the environment variable REDD_DEBUG is ignored: the program handles that signal. Choose another \
                 one; `redd help debug` lists them."
            ),
        );
    }
    loop {
        match requests.wait() {
            Ok(received) => serve(received, &requests),
            Err(error) => {
                return report::report(
                    ReportKind::Own,
                    format_args!("the thread for attach requests ends: waiting for a signal failed: {error}."),
                );
            }
        }
    }
}

/// Does what a signal asks for.
fn serve(received: Received, requests: &Requests) {
    match received {
        Received::Attach(key) if debug_options().attach != AttachOption::Off => attend(|| reply_to(key, requests)),
        Received::Signal => attend(print_dump),
        Received::Attach(_) | Received::Other => {}
    }
}

/// Waits for a part of a trace, and serves other clients meanwhile. False if the client of the trace is gone.
fn pause(stream: &UnixStream, requests: Option<&Requests>, time: Duration) -> bool {
    let ends_at_ms = sys::monotonic_ms() + time.as_millis() as u64;
    loop {
        let left = Duration::from_millis(ends_at_ms.saturating_sub(sys::monotonic_ms()));
        if system::has_hung_up(stream) {
            return false;
        }
        if left.is_zero() {
            return true;
        }
        let step = left.min(HANG_UP_CHECK);
        match requests.map(|requests| (requests, requests.wait_for(Some(step)))) {
            Some((requests, Ok(Some(received)))) => serve(received, requests),
            Some((_, Ok(None))) => {}
            // No thread wakes it.
            Some((_, Err(_))) | None => drop(sys::futex_wait(&AtomicU32::new(0), 0, Some(step))),
        }
    }
}

/// A panic in the reply does not end the thread.
fn attend(reply: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(reply)).is_err() {
        report::report(
            ReportKind::Own,
            format_args!(
                "the reply to an attach request panicked. This is a bug in redd; please report it with the message of the panic."
            ),
        );
    }
}

/// Prints what the tasks of this process do, after the signal of `dump_on`.
fn print_dump() {
    let (runtimes, hidden) = runtimes();
    let text = dump_text(&runtimes, hidden, Format::Text, false);
    report::print(&format!("redd: what process {} does\n{text}", std::process::id()), REPLY_PATIENCE);
}

/// Where a client may have made its directory, in the order in which it tries them.
fn folders() -> impl Iterator<Item = PathBuf> {
    let own = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    ["/tmp", "/dev/shm"].into_iter().map(PathBuf::from).chain(own)
}

/// Connects to the client with this key and replies. A client that cannot be reached, or that is not to be trusted, gets nothing.
fn reply_to(key: u64, requests: &Requests) {
    let name = format!("redd-attach-{key:016x}");
    // A client that dies in the middle is no reason for a report.
    let _ = folders().find_map(|folder| connect(&folder, &name).ok()).map(|stream| converse(&stream, Some(requests)));
}

fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    system::connect(&system::open_rendezvous(folder, name)?)
}

/// Reads the request, and writes the reply. `requests`: what is served during a trace.
fn converse(stream: &UnixStream, requests: Option<&Requests>) -> io::Result<()> {
    let reply = match read_line(&Bounded::new(stream, REQUEST_PATIENCE))? {
        _ if system::is_protected() => Err(
            "the process is not dumpable: it runs with the rights of its file's owner, or has changed its user, or asked the system \
             to keep its memory private. So it does not say what it does"
                .to_owned(),
        ),
        None => Err(format!("a request is one line of at most {LINE_MAX} bytes")),
        Some(line) => parse(&line).and_then(|command| {
            if let Command::Trace(ms) = command {
                return trace::trace(ms, |time| pause(stream, requests, time));
            }
            let (runtimes, hidden) = runtimes();
            Ok((reply(command, &runtimes, hidden)?, Vec::new()))
        }),
    };
    match reply {
        Ok((text, data)) => {
            let patience = REPLY_PATIENCE + PATIENCE_PER_MIB * (data.len() >> 20) as u32;
            let mut bounded = Bounded::new(stream, patience);
            bounded.write_all(format!("ok {}\n", text.len() + data.len()).as_bytes())?;
            bounded.write_all(text.as_bytes())?;
            bounded.write_all(&data)
        }
        Err(sentence) => Bounded::new(stream, REPLY_PATIENCE).write_all(format!("error: {sentence}\n").as_bytes()),
    }
}

/// Reads up to the end of the line. `None` if the line is too long, or has no end.
fn read_line(stream: &Bounded<'_>) -> io::Result<Option<Vec<u8>>> {
    let mut line = [0; LINE_MAX];
    let mut len = 0;
    loop {
        let read = stream.read(&mut line[len..])?;
        let end = line[len..len + read].iter().position(|byte| *byte == b'\n').map(|end| len + end);
        if let Some(end) = end {
            return Ok(Some(line[..end].to_vec()));
        }
        len += read;
        if read == 0 || len == LINE_MAX {
            return Ok(None);
        }
    }
}

/// The text of a reply, or a sentence that says why there is none.
fn reply(command: Command, runtimes: &[Arc<dyn Observed>], hidden: usize) -> Result<String, String> {
    if runtimes.is_empty() && hidden > 0 {
        return Err("its runtimes were built with `Builder::observe(false)`".to_owned());
    }
    Ok(match command {
        Command::Info => json(runtimes, hidden, |_, _, _| {}),
        Command::Dump { format: format @ (Format::Text | Format::Tree), is_whole } => {
            dump_text(runtimes, hidden, format, is_whole)
        }
        Command::Dump { format: Format::Json, is_whole } => json(runtimes, hidden, |_, runtime, out| {
            out.push_str(",\"dump\":");
            runtime.write_dump(out, Format::Json, is_whole);
        }),
        Command::Metrics => {
            let mut blocks = MetricBlocks::default();
            runtimes.iter().for_each(|runtime| runtime.add_metrics(&mut blocks));
            blocks.finish()
        }
        Command::Stack(task) => return stacks(runtimes, task),
        Command::Top(ms) => top(runtimes, hidden, ms),
        Command::Trace(_) => unreachable!("`converse` replies to it"),
    })
}

/// What all tasks of this process do.
fn dump_text(runtimes: &[Arc<dyn Observed>], hidden: usize, format: Format, is_whole: bool) -> String {
    let mut out = String::new();
    for (index, runtime) in runtimes.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        runtime.write_heading(&mut out);
        runtime.write_dump(&mut out, format, is_whole);
    }
    if runtimes.is_empty() {
        out.push_str("No runtime is there now.\n");
    }
    if hidden > 0 {
        let count = report::Count(hidden as u64, "runtime was", "runtimes were");
        // A write to a string does not fail.
        let _ = writeln!(out, "\n{count} built with `Builder::observe(false)`, and not shown.");
    }
    out
}

/// What the threads of all runtimes do, or what one task does.
fn stacks(runtimes: &[Arc<dyn Observed>], task: Option<u64>) -> Result<String, String> {
    let mut out = String::new();
    let mut is_found = task.is_none();
    for runtime in runtimes {
        let before = out.len();
        runtime.write_heading(&mut out);
        let has_any = runtime.write_stacks(&mut out, task);
        is_found |= has_any;
        if task.is_some() && !has_any {
            out.truncate(before);
        }
    }
    match task {
        Some(task) if !is_found => Err(format!("no task has the number {task} now")),
        _ => Ok(out),
    }
}

/// Samples for some time which tasks are polled.
fn top(runtimes: &[Arc<dyn Observed>], hidden: usize, ms: u64) -> String {
    let mut samplers: Vec<_> = runtimes.iter().map(|runtime| Arc::clone(runtime).sampler()).collect();
    let ends_at_ms = sys::monotonic_ms() + ms;
    let mut count = 0;
    loop {
        samplers.iter_mut().for_each(|sampler| sampler.sample());
        count += 1;
        if sys::monotonic_ms() >= ends_at_ms {
            break;
        }
        // No thread wakes it.
        sys::futex_wait(&AtomicU32::new(0), 0, Some(SAMPLE_GAP));
    }
    json(runtimes, hidden, |index, _, out| {
        // A write to a string does not fail.
        let _ = write!(out, ",\"samples\":{count}");
        samplers[index].write_members(out);
    })
}

/// An object with the runtimes of this process. `add` adds members to that of each runtime.
fn json(runtimes: &[Arc<dyn Observed>], hidden: usize, add: impl Fn(usize, &dyn Observed, &mut String)) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let process = std::process::id();
    let mut out = format!(
        "{{\"format\":\"{PROTOCOL}\",\"version\":\"{version}\",\"process\":{process},\"hidden\":{hidden},\"runtimes\":["
    );
    for (index, runtime) in runtimes.iter().enumerate() {
        out.push_str(if index > 0 { ",{" } else { "{" });
        runtime.write_members(&mut out);
        add(index, &**runtime, &mut out);
        out.push('}');
    }
    out.push_str("]}\n");
    out
}

/// A connection that may be used for a limited time (`bounded-reply`).
struct Bounded<'a> {
    stream: &'a UnixStream,
    ends_at_ms: u64,
}

impl<'a> Bounded<'a> {
    fn new(stream: &'a UnixStream, patience: Duration) -> Self {
        Self { stream, ends_at_ms: sys::monotonic_ms() + patience.as_millis() as u64 }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.ends_at_ms.saturating_sub(sys::monotonic_ms()) {
            0 => Err(io::ErrorKind::TimedOut.into()),
            ms => Ok(Some(Duration::from_millis(ms))),
        }
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(self.left()?)?;
            match faults::check(Call::AttachRead).and_then(|()| (&mut &*self.stream).read(buf)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(self.left()?)?;
            let piece = &bytes[..bytes.len().min(PIECE)];
            match faults::check(Call::AttachWrite).and_then(|()| (&mut &*self.stream).write(piece)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle, miri))))]
mod tests {
    use super::*;
    use crate::primitives::atomic::Ordering;
    use crate::primitives::atomic::fixed::AtomicU64;
    use std::os::unix::fs::DirBuilderExt as _;
    use std::os::unix::net::UnixListener;

    /// Meets a client on this thread, whose calls the test makes fail. Returns what the client got; `None` if there was no
    /// connection.
    fn meet() -> Option<String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = u64::from(std::process::id()) << 32 | 1 << 31 | NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("redd-attach-{key:016x}"));
        std::fs::DirBuilder::new().mode(0o700).create(&directory).expect("the folder can be written");
        let listener = UnixListener::bind(directory.join("s")).expect("the folder can be written");
        let waits = listener.try_clone().expect("descriptors left");
        let client = thread::spawn_named("client".to_owned(), None, move || {
            let (mut stream, _) = waits.accept().expect("the test connects in the end");
            let _ = stream.write_all(b"redd-attach/1 info\n");
            let mut reply = String::new();
            stream.read_to_string(&mut reply).map(|_| reply).unwrap_or_default()
        });
        let stream = connect(&std::env::temp_dir(), &directory.file_name().expect("it has one").to_string_lossy());
        let is_connected = stream.is_ok();
        if let Ok(stream) = stream {
            let _ = converse(&stream, None);
        } else {
            // So that the client ends. It may have a connection that was refused afterwards.
            let _ = UnixStream::connect(directory.join("s"));
        }
        let reply = client.expect("it starts").join().expect("no panic");
        std::fs::remove_dir_all(&directory).expect("it is ours");
        is_connected.then_some(reply)
    }

    #[test]
    fn each_call_may_fail_and_the_next_client_is_served() {
        if crate::sys::emulation::skips("attach::server", "an emulator has no directory of descriptors") {
            return;
        }
        for call in [Call::AttachOpen, Call::AttachConnect, Call::AttachPeer] {
            faults::plan(call, 0, libc::EMFILE);
            assert_eq!(meet(), None, "{call:?}");
        }
        for call in [Call::AttachRead, Call::AttachWrite] {
            faults::plan(call, 0, libc::EIO);
            assert_eq!(meet().as_deref(), Some(""), "{call:?}");
            faults::plan(call, 0, libc::EINTR);
            assert!(meet().is_some_and(|reply| reply.starts_with("ok ")), "{call:?}");
        }
    }

    #[test]
    fn a_thread_that_cannot_block_or_wait_for_signals_is_told() {
        let opened = thread::spawn_named("attach".to_owned(), None, || {
            faults::plan(Call::AttachSignal, 0, libc::EINVAL);
            let refused = Requests::open().map(drop);
            let requests = Requests::open().expect("not planned").expect("there are signals");
            faults::plan(Call::AttachSignal, 0, libc::EINVAL);
            (refused, requests.wait().map(drop))
        });
        let (refused, waited) = opened.expect("it starts").join().expect("no panic");
        assert_eq!(refused.expect_err("planned").raw_os_error(), Some(libc::EINVAL));
        assert_eq!(waited.expect_err("planned").raw_os_error(), Some(libc::EINVAL));
    }
}
