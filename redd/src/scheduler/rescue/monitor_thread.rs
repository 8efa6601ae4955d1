//! The monitor thread: waits for the alarms of all runtimes, and calls the runtime of each alarm that fires ([`OnAlarm`]).
//!
//! A process has one, started for the first runtime that is monitored. It sleeps in an epoll with the alarms of all runtimes, and
//! never ends. Called by `scan` and `alarm` (register, end); `StallDetector` arms and disarms the alarms. `runtime::diagnose` has an
//! alarm of its own, for all runtimes.
//!
//! # Invariants
//! - `survives`: a panic in a turn is a bug in redd. It is reported, and does not end the thread.
//!
//! # Why not otherwise
//! A thread for each runtime doubles the cost of a short runtime. A program with a runtime on each core would have one idle
//! thread for each.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};

use crate::observe::report::{self, ReportKind};
use crate::primitives::user_code::guarded;
use crate::primitives::{Mutex, thread};
use crate::sys::alarm::Alarm;
use crate::sys::epoll::{Epoll, EventBuffer, flags};
use crate::sys::fork::Process;

/// The monitor of a process. A child of `fork` has none, and must not use its parent's epoll.
#[derive(Debug)]
struct MonitorThread {
    process: Process,
    epoll: Epoll,
    runtimes: Mutex<Runtimes>,
}

#[derive(Debug, Default)]
struct Runtimes {
    next: u64,
    registered: Vec<(u64, Weak<dyn OnAlarm>)>,
}

/// A runtime that is registered with the monitor thread.
pub(crate) trait OnAlarm: Send + Sync {
    /// Its alarm has fired.
    fn on_alarm(self: Arc<Self>);
}

static MONITOR_THREAD: OnceLock<Mutex<Option<Arc<MonitorThread>>>> = OnceLock::new();

impl MonitorThread {
    /// The monitor of this process, which the first call starts.
    fn open() -> io::Result<Arc<Self>> {
        let mut monitor_thread = MONITOR_THREAD.get_or_init(Mutex::default).lock();
        if let Some(monitor_thread) =
            monitor_thread.as_ref().filter(|monitor_thread| monitor_thread.process.is_current())
        {
            return Ok(Arc::clone(monitor_thread));
        }
        let new = Self { process: Process::current(), epoll: Epoll::new()?, runtimes: Mutex::default() };
        let new = Arc::new(new);
        let mine = Arc::clone(&new);
        drop(thread::spawn_named("redd-monitor".to_owned(), None, move || mine.run())?);
        *monitor_thread = Some(Arc::clone(&new));
        Ok(new)
    }

    /// The loop of the thread. It returns only if its epoll fails.
    fn run(&self) {
        let mut events = EventBuffer::with_capacity(16);
        loop {
            if let Err(error) = self.epoll.wait(&mut events, None) {
                return report::report(
                    ReportKind::Own,
                    format_args!(
                        "the monitor ends, so stalled workers are no longer detected: waiting in its epoll failed: \
                         {error}. Its descriptor was closed or changed by other code of this process; find what closes \
                         descriptors that are not its own."
                    ),
                );
            }
            for (_, number) in events.iter() {
                let find = |runtimes: &Runtimes| {
                    runtimes
                        .registered
                        .iter()
                        .find(|(known, _)| *known == number)
                        .and_then(|(_, runtime)| runtime.upgrade())
                };
                let runtime = find(&self.runtimes.lock());
                let result = runtime.map(|runtime| guarded(|| runtime.on_alarm()));
                if let Some(None) = result {
                    // `survives`
                    report::report(
                        ReportKind::Own,
                        format_args!(
                            "the monitor panicked and continues. This is a bug in redd; please report it with the message of \
                             the panic."
                        ),
                    );
                }
            }
        }
    }
}

/// Whether the thread of this process runs.
pub(crate) fn is_running() -> bool {
    let is_own = |monitor_thread: &Arc<MonitorThread>| monitor_thread.process.is_current();
    MONITOR_THREAD.get().is_some_and(|monitor_thread| monitor_thread.lock().as_ref().is_some_and(is_own))
}

/// The registration of a runtime with the monitor thread.
#[derive(Debug)]
pub(crate) struct Registration {
    monitor_thread: Arc<MonitorThread>,
    number: u64,
}

/// Registers a runtime with the monitor. Returns its alarm, which is not armed.
pub(crate) fn register(runtime: Weak<dyn OnAlarm>) -> io::Result<(Registration, Alarm)> {
    let (monitor_thread, alarm) = (MonitorThread::open()?, Alarm::new()?);
    let number = {
        let mut runtimes = monitor_thread.runtimes.lock();
        runtimes.next += 1;
        let number = runtimes.next;
        runtimes.registered.push((number, runtime));
        number
    };
    let registration = Registration { monitor_thread, number };
    if let Err(error) = registration.monitor_thread.epoll.add(alarm.as_raw_fd(), flags::IN | flags::ET, number) {
        registration.leave();
        return Err(error);
    }
    Ok((registration, alarm))
}

impl Registration {
    /// No turn begins for the runtime after this.
    pub(super) fn end(&self, alarm: &Alarm) {
        self.leave();
        // An error would mean that other code has closed the descriptor. Then it is no longer in the epoll.
        let _ = self.monitor_thread.epoll.delete(alarm.as_raw_fd());
    }

    fn leave(&self) {
        self.monitor_thread.runtimes.lock().registered.retain(|(number, _)| *number != self.number);
    }
}
