//! Unix signals by kind: [`signal`] returns a [`Signal`] to receive from.
//!
//! # Invariants
//! - `count-is-truth`: a listener receives a signal if the process's count differs from the count that it saw last.
//!   Readiness only triggers the comparison.

// Called by users, and by `process` for the ends of children.

use super::registry::{self, Number};
use super::simulated::Listener;
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::{Purpose, Readiness, current_driver};
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
///
/// # Examples
/// ```
/// use redd::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::terminate().as_raw_value(), 15);
/// assert_eq!(SignalKind::from_raw(15), SignalKind::terminate());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// Returns the kind with this signal number, even one without a method here. [`signal`] checks the number.
    pub const fn from_raw(signal: c_int) -> Self {
        Self(signal)
    }

    /// Returns the signal number.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer of the process expired.
    pub const fn alarm() -> Self {
        Self(libc::SIGALRM)
    }

    /// `SIGCHLD`: a child process changed its state.
    pub const fn child() -> Self {
        Self(libc::SIGCHLD)
    }

    /// `SIGHUP`: the terminal was closed. Services reload their configuration on it.
    pub const fn hangup() -> Self {
        Self(libc::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C.
    pub const fn interrupt() -> Self {
        Self(libc::SIGINT)
    }

    /// `SIGIO`: a descriptor with signal-driven I/O is ready.
    pub const fn io() -> Self {
        Self(libc::SIGIO)
    }

    /// `SIGPIPE`: a write to a pipe without a reader.
    pub const fn pipe() -> Self {
        Self(libc::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\.
    pub const fn quit() -> Self {
        Self(libc::SIGQUIT)
    }

    /// `SIGTERM`: a request to terminate.
    pub const fn terminate() -> Self {
        Self(libc::SIGTERM)
    }

    /// `SIGUSR1`: its meaning is up to the program.
    pub const fn user_defined1() -> Self {
        Self(libc::SIGUSR1)
    }

    /// `SIGUSR2`: its meaning is up to the program.
    pub const fn user_defined2() -> Self {
        Self(libc::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal was resized.
    pub const fn window_change() -> Self {
        Self(libc::SIGWINCH)
    }
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

/// Starts listening to signals of `kind`, which replaces the system's default action.
///
/// - The handler stays until the process ends, even when no [`Signal`] is left.
/// - Handlers that were installed through the signal-hook crate are called too.
///
/// # Panics
/// If called outside of a runtime, or in a runtime built without I/O.
///
/// # Errors
/// - There is no such signal, or it does not allow a handler: `SIGKILL`, `SIGSTOP`, and the signals of crashes.
/// - `EMFILE` or `ENFILE`: no descriptors are left.
///
/// # Examples
/// ```
/// use redd::signal::unix::{SignalKind, signal};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// assert!(signal(SignalKind::user_defined1()).is_ok());
/// // SIGKILL does not allow a handler.
/// assert!(signal(SignalKind::from_raw(9)).is_err());
/// # });
/// ```
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let driver = current_driver();
    let number = Number::new(kind.0)?;
    Signal::listen(number, &driver)
}

/// A listener for one kind of signal, returned by [`signal`].
///
/// - Signals that arrive between two calls of [`recv`](Self::recv) are received as one. The system merges them too.
/// - Each listener receives each signal, in any runtime.
#[must_use = "signals are received by calling `recv`"]
pub struct Signal {
    number: Number,
    /// The count that this listener saw last (`count-is-truth`).
    seen: u64,
    news: News,
}

/// Where a listener learns of its signals.
enum News {
    System(Readiness<Arc<Source<OwnedFd>>>),
    /// In a simulated world. It has its own count.
    Simulated(Listener),
}

impl Signal {
    /// Listens to `SIGCHLD`; for `process`, where there is no pidfd.
    #[cfg(feature = "process")]
    pub(crate) fn of_children(driver: &Arc<Driver>, purpose: Purpose) -> io::Result<Self> {
        let mut signal = Self::listen(Number::new(libc::SIGCHLD)?, driver)?;
        signal.set_purpose(purpose);
        Ok(signal)
    }

    /// From its next poll on, dumps show its wait as one for this.
    #[cfg(feature = "process")]
    pub(crate) fn set_purpose(&mut self, purpose: Purpose) {
        if let News::System(news) = &mut self.news {
            news.set_purpose(purpose);
        }
    }

    fn listen(number: Number, driver: &Arc<Driver>) -> io::Result<Self> {
        if let Some(listener) = Listener::new(number) {
            return Ok(Self { number, seen: 0, news: News::Simulated(listener) });
        }
        let source = registry::source(number, driver)?;
        Ok(Self {
            number,
            // A signal that no runtime has seen yet is the first to be received, as in Tokio.
            seen: number.published(),
            news: News::System(Readiness::with_purpose(source, Interest::READABLE, number.into())),
        })
    }

    /// Waits for the next signal. Returns `None` if the runtime has shut down, after which no signal is received.
    ///
    /// # Cancel safety
    /// If the future is dropped, no signal is lost: the next call receives it.
    ///
    /// # Examples
    /// ```
    /// use redd::signal::unix::{SignalKind, signal};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut hangups = signal(SignalKind::hangup())?;
    /// # std::process::Command::new("sh").args(["-c", "kill -HUP $PPID"]).status()?;
    /// let mut reloads = 0;
    /// while hangups.recv().await.is_some() {
    ///     reloads += 1;
    /// #   break;
    /// }
    /// assert_eq!(reloads, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<()>> {
        self.recv_at(Location::caller())
    }

    /// As [`recv`](Self::recv), at that location.
    pub(super) async fn recv_at(&mut self, location: &'static Location<'static>) -> Option<()> {
        poll_fn(|cx| self.poll_recv_at(cx, Some(location))).await
    }

    /// Polls for the next signal; the poll form of [`recv`](Self::recv). Only the task that polled last is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv_at(cx, None)
    }

    pub(super) fn poll_recv_at(
        &mut self,
        cx: &mut Context<'_>,
        location: Option<&'static Location<'static>>,
    ) -> Poll<Option<()>> {
        let unit = ready!(poll_proceed(cx));
        let received = self.poll_unbudgeted(cx);
        match received {
            Poll::Ready(_) => unit.made_progress(),
            Poll::Pending => waiting::rename(WaitKind::Signal, location),
        }
        received
    }

    /// As [`poll_recv`](Self::poll_recv), for callers that take their unit of the budget themselves.
    pub(crate) fn poll_unbudgeted(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let news = match &mut self.news {
            News::System(news) => news,
            News::Simulated(listener) => return listener.poll(cx).map(Some),
        };
        news.follow_runtime(|_, driver| registry::source(self.number, &driver));
        loop {
            let count = self.number.count();
            if count != self.seen {
                self.seen = count;
                self.number.publish(count);
                news.leave_list();
                return Poll::Ready(Some(()));
            }
            // Cleared first, then compared: `count-is-truth`.
            if let Err(_shut_down) = ready!(news.poll_event(cx)) {
                return Poll::Ready(None);
            }
        }
    }
}

debug_struct!([] Signal as "Signal", self => { number: self.number.get(), .. });
