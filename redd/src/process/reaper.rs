//! Learning that a process has ended, and waiting for those whose [`Child`](super::Child) was dropped.
//!
//! The system says it through a pidfd in the driver's epoll; where there is no pidfd (before Linux 5.3, or forbidden
//! by a sandbox), through `SIGCHLD`. A dropped child becomes an orphan: an object that is its own waker. It stays
//! registered, and the event of its end makes the thread that harvests it do the waiting.
//!
//! Called by `child`.
//!
//! # Invariants
//! - `by-number`: only single processes are waited for, by number, and only ones that this module holds; so nobody
//!   else's exit status is taken.
//! - `registered-before-asked`: the source is registered before the process is asked whether it has ended; an end
//!   after the question makes an event.
//! - `orphan-or-left-over`: a process that was not waited for is in an orphan, or in `LEFT_OVER` if its runtime has
//!   shut down; whoever starts or drops a child next asks for those.

use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::Readiness;
use crate::driver::{Driver, Source};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::signal::unix::Signal;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Wake, Waker, ready};

/// A process that was not waited for yet.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    end: End,
}

/// How its end is heard of.
#[derive(Debug)]
enum End {
    Pidfd(Readiness<Arc<Source<OwnedFd>>>),
    Signal(Signal),
    /// Not yet: there was no descriptor left. Tried again when it is waited for.
    Unheard(Arc<Driver>),
}

impl Running {
    /// Takes charge of `child`; an error gives it back.
    pub(super) fn new(child: Child, driver: &Arc<Driver>) -> Result<Self, (io::Error, Child)> {
        ask_left_over();
        match End::of(&child, driver) {
            Ok(end) => Ok(Self { child, end }),
            // It runs already, and an error now would look as if it did not.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                Ok(Self { child, end: End::Unheard(Arc::clone(driver)) })
            }
            Err(error) => Err((error, child)),
        }
    }

    /// Polls for the end; the process is waited for when this is ready.
    pub(super) fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        place: Option<&'static Location<'static>>,
    ) -> Poll<io::Result<ExitStatus>> {
        loop {
            // `registered-before-asked`, `by-number`.
            if let Some(status) = self.child.try_wait()? {
                return Poll::Ready(Ok(status));
            }
            if let End::Unheard(driver) = &self.end {
                self.end = End::of(&self.child, driver)?;
                continue;
            }
            match self.end.poll_news(cx) {
                Poll::Ready(news) => news?,
                Poll::Pending => {
                    waiting::note(WaitKind::Process, place);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Nobody is interested any more; it is waited for when it ends (`orphan-or-left-over`).
    pub(super) fn abandon(self) {
        ask_left_over();
        let orphan = Arc::new(Orphan { running: Mutex::new(Some(self)) });
        orphan.wake();
    }
}

impl End {
    fn of(child: &Child, driver: &Arc<Driver>) -> io::Result<Self> {
        let by_pidfd =
            crate::sys::process::pidfd_open(child.id()).and_then(|pidfd| register(pidfd, Arc::clone(driver)));
        match by_pidfd {
            Ok(source) => Ok(Self::Pidfd(Readiness::of(source, Interest::READABLE))),
            // Not the way without a pidfd, which would leave a handler of `SIGCHLD` behind.
            Err(error) if crate::driver::is_shutdown_error(&error) => Err(error),
            Err(_no_pidfd) => Signal::of_children(driver).map(Self::Signal),
        }
    }

    /// Ready: something has happened since the last time, ask the process.
    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Pidfd(news) => {
                news.follow_runtime(|source, driver| register(source.try_clone()?, driver));
                news.poll_news(cx)
            }
            Self::Signal(signal) => match ready!(signal.poll_unbudgeted(cx)) {
                Some(()) => Poll::Ready(Ok(())),
                None => Poll::Ready(Err(crate::driver::readiness::source::shutdown_error())),
            },
            Self::Unheard(_) => Poll::Ready(Ok(())),
        }
    }
}

fn register(pidfd: OwnedFd, driver: Arc<Driver>) -> io::Result<Arc<Source<OwnedFd>>> {
    Source::new_with_driver(driver, pidfd, Interest::READABLE).map(Arc::new)
}

/// A process without a [`Child`](super::Child). `None` once it was waited for.
struct Orphan {
    running: Mutex<Option<Running>>,
}

impl Wake for Orphan {
    /// Called by the thread that harvested the event, with no lock held: asks, and waits on if it was not the end.
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        // Locked while it is polled, so that a wake on another thread is not lost; the only waker that is cloned or
        // dropped under the lock is our own, and we hold another reference.
        let mut slot = self.running.lock();
        let Some(running) = slot.as_mut() else {
            return;
        };
        let Poll::Ready(result) = running.poll_wait(&mut Context::from_waker(&waker), None) else {
            return;
        };
        let running = slot.take();
        drop(slot);
        if let (Err(_), Some(running)) = (result, running) {
            // The runtime has shut down, or the process is not ours to wait for: the next one to ask finds out.
            leave_over(running.child);
        }
    }
}

static LEFT_OVER: OnceLock<Mutex<Vec<Child>>> = OnceLock::new();

fn left_over() -> &'static Mutex<Vec<Child>> {
    LEFT_OVER.get_or_init(Mutex::default)
}

/// Nothing will say when `child` ends: it is asked now and then.
pub(super) fn leave_over(mut child: Child) {
    // An error says that it is not our child any more: somebody else has waited for it, or `SIGCHLD` is ignored.
    if let Ok(None) = child.try_wait() {
        left_over().lock().push(child);
    }
}

/// Waits for those that have ended meanwhile.
pub(super) fn ask_left_over() {
    left_over().lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}
