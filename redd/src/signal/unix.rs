//! Signals by kind: [`signal`] gives a [`Signal`] to receive from.
//!
//! # Invariants
//! - `count-is-truth`: what is received is a difference between the process's count of the signal and the count this
//!   listener saw last; readiness only says when to compare.

use super::registry::{self, Number};
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::{Readiness, current_driver};
use crate::driver::{Driver, Source};
use crate::observe::waiting::{self, WaitKind};
use crate::task::coop::poll_proceed;
use libc::c_int;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A kind of signal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// The signal with this number, also one that has no name here. [`signal`] checks it.
    pub const fn from_raw(signal: c_int) -> Self {
        Self(signal)
    }

    /// The number of this signal.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }
}

/// Kinds with a name.
macro_rules! kinds {
    ($($name:ident: $SIGNAL:ident, $doc:literal;)*) => {
        impl SignalKind {$(
            #[doc = $doc]
            pub const fn $name() -> Self {
                Self(libc::$SIGNAL)
            }
        )*}
    };
}

kinds! {
    alarm: SIGALRM, "`SIGALRM`: a timer of the process has run out.";
    child: SIGCHLD, "`SIGCHLD`: a child process has changed its state.";
    hangup: SIGHUP, "`SIGHUP`: the terminal is gone; services reload their configuration.";
    interrupt: SIGINT, "`SIGINT`: Ctrl-C.";
    io: SIGIO, "`SIGIO`: a descriptor with signal-driven I/O is ready.";
    pipe: SIGPIPE, "`SIGPIPE`: a write to a pipe that nobody reads.";
    quit: SIGQUIT, "`SIGQUIT`: Ctrl-\\.";
    terminate: SIGTERM, "`SIGTERM`: the polite request to end.";
    user_defined1: SIGUSR1, "`SIGUSR1`.";
    user_defined2: SIGUSR2, "`SIGUSR2`.";
    window_change: SIGWINCH, "`SIGWINCH`: the terminal has another size.";
}

impl From<c_int> for SignalKind {
    fn from(signal: c_int) -> Self {
        Self(signal)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

/// Listens to signals of `kind`, which this process receives from now on instead of what the system would do.
///
/// - The handler stays until the process ends, also when no [`Signal`] is left.
/// - Other handlers that were installed through the signal-hook crate are called too.
///
/// # Panics
/// Outside of a runtime, and in one that was built without I/O.
///
/// # Errors
/// There is no such signal, it does not allow a handler (`SIGKILL`, `SIGSTOP`, and the signals of crashes), or there
/// are no descriptors left.
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let driver = current_driver();
    let number = Number::new(kind.0)?;
    Signal::listen(number, &driver)
}

/// A listener for one kind of signal. Made by [`signal`].
///
/// - Signals that come between two calls of [`recv`](Self::recv) are kept, as one: the system merges them too.
/// - Each listener receives each signal, in whichever runtime it is polled.
#[must_use = "signals are received by calling `recv`"]
pub struct Signal {
    number: Number,
    /// The count when this listener last looked (`count-is-truth`).
    seen: u64,
    news: Readiness<Arc<Source<OwnedFd>>>,
}

impl Signal {
    /// Listens to the ends of children; for `process`, where there is no pidfd.
    #[cfg(feature = "process")]
    pub(crate) fn of_children(driver: &Arc<Driver>) -> io::Result<Self> {
        Self::listen(Number::new(libc::SIGCHLD)?, driver)
    }

    fn listen(number: Number, driver: &Arc<Driver>) -> io::Result<Self> {
        let source = registry::source(number, driver)?;
        Ok(Self {
            number,
            // What no runtime has noticed yet is the first thing to receive, as in Tokio.
            seen: number.published(),
            news: Readiness::of(source, Interest::READABLE),
        })
    }

    /// Waits for the next signal. `None`: the runtime has shut down, and there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped: the signal is received by the next call.
    ///
    /// # Examples
    /// ```no_run
    /// use redd::signal::unix::{SignalKind, signal};
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let mut hangups = signal(SignalKind::hangup())?;
    /// while hangups.recv().await.is_some() {
    ///     println!("reloading the configuration");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<()>> {
        self.recv_at(Location::caller())
    }

    /// As [`recv`](Self::recv), for that place.
    pub(super) async fn recv_at(&mut self, place: &'static Location<'static>) -> Option<()> {
        poll_fn(|cx| self.poll_recv_at(cx, Some(place))).await
    }

    /// Polls for the next signal, as [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv_at(cx, None)
    }

    fn poll_recv_at(&mut self, cx: &mut Context<'_>, place: Option<&'static Location<'static>>) -> Poll<Option<()>> {
        let unit = ready!(poll_proceed(cx));
        let received = self.poll_unbudgeted(cx);
        match received {
            Poll::Ready(_) => unit.made_progress(),
            Poll::Pending => waiting::note(WaitKind::Signal, place),
        }
        received
    }

    /// [`poll_recv`](Self::poll_recv) for those who take their unit of the budget themselves.
    pub(crate) fn poll_unbudgeted(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.news.follow_runtime(|_, driver| registry::source(self.number, &driver));
        loop {
            let count = self.number.count();
            if count != self.seen {
                self.seen = count;
                self.number.publish(count);
                self.news.leave_list();
                return Poll::Ready(Some(()));
            }
            // Cleared first, then compared: `count-is-truth`.
            if let Err(_shut_down) = ready!(self.news.poll_event(cx)) {
                return Poll::Ready(None);
            }
        }
    }
}

debug_struct!([] Signal as "Signal", self => { number: self.number, seen: self.seen, .. });
