//! Signals while a child process runs, so that this process ends only when its work is done.
//!
//! # Invariants
//! - `held-signals`: SIGINT, SIGTERM, SIGHUP and SIGQUIT do not end this process while [`Signals`] exists.
//! - `passed-on-once`: a signal that was sent to this process alone is passed on to the child. One of the terminal is not:
//!   the kernel has sent it to the child, too, and many programs end at once on a second one.

#![expect(unsafe_code, reason = "std sets no signal mask of a child: that is a call between fork and exec")]

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// What is held.
const HELD: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// How often the caller's check runs while the child does.
const TICK: Duration = Duration::from_millis(2);

/// Holds signals from its creation on (`held-signals`).
#[derive(Debug)]
pub(crate) struct Signals {
    set: SigSet,
    descriptor: SignalFd,
    received: Option<Signal>,
}

impl Signals {
    /// Must be called before this process has other threads.
    pub(crate) fn hold() -> Result<Self, String> {
        let mut set = SigSet::from_iter(HELD);
        set.add(Signal::SIGCHLD);
        let failed = |error: Errno| format!("signals cannot be received through a descriptor: {error}");
        set.thread_block().map_err(failed)?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        Ok(Self { set, descriptor, received: None })
    }

    /// Starts a child that gets all signals. std would let it inherit the mask of this thread.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let set = self.set;
        // SAFETY: the closure calls pthread_sigmask alone, which is async-signal-safe, and allocates nothing.
        unsafe { command.pre_exec(move || Ok(set.thread_unblock()?)) };
        command.spawn()
    }

    /// Waits for the child to end. `check` gets its process id and runs from time to time, until it returns false.
    pub(crate) fn wait(&mut self, child: &mut Child, mut check: impl FnMut(u32) -> bool) -> Result<ExitStatus, String> {
        let failed = |error: String| format!("a process cannot be waited for: {error}");
        let mut is_checked = true;
        loop {
            if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
                self.receive(None).map_err(|error| failed(error.to_string()))?;
                return Ok(status);
            }
            is_checked = is_checked && check(child.id());
            let timeout = match is_checked {
                true => PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO),
                false => PollTimeout::NONE,
            };
            match poll(&mut [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(failed(error.to_string())),
            }
            self.receive(i32::try_from(child.id()).ok().map(Pid::from_raw))
                .map_err(|error| failed(error.to_string()))?;
        }
    }

    /// Takes what has come, and passes it on (`passed-on-once`).
    fn receive(&mut self, child: Option<Pid>) -> Result<(), Errno> {
        while let Some(info) = self.descriptor.read_signal()? {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            let Some(signal) = signal.filter(|signal| HELD.contains(signal)) else { continue };
            self.received.get_or_insert(signal);
            if info.ssi_code != libc::SI_KERNEL {
                // It may have ended in this moment.
                child.map(|child| kill(child, signal));
            }
        }
        Ok(())
    }

    /// The first signal so far that would have ended this process.
    pub(crate) fn received(&mut self) -> Option<Signal> {
        // An error means that there is nothing to read.
        let _ = self.receive(None);
        self.received
    }

    /// Ends this process by the signal, as it would have ended without this type. Returns if the signal does not end it.
    pub(crate) fn end_by(self, signal: Signal) {
        let _ = self.set.thread_unblock();
        let _ = kill(Pid::this(), signal);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}
