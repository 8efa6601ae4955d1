//! The signals that this process received, and the runtimes that listen to them.
//!
//! 1. A signal handler may do very little: it increments a count and signals an eventfd.
//! 2. Every runtime that ever had a listener has a duplicate of that eventfd in its epoll. The edge wakes its listeners.
//! 3. Each listener compares the count with the count that it saw last.
//!
//! So no thread is needed, runtimes do not depend on each other, and a runtime that was dropped is removed.
//!
//! Called by `unix`, and by `process` for `SIGCHLD`.
//!
//! # Invariants
//! - `count-then-edge`: the handler counts before it signals the eventfd, and a listener clears its readiness before it reads
//!   the count. So the listener sees the count, or another edge follows.
//! - `never-undone`: a handler, its count and its eventfd live until the process ends.
//! - `published-when-seen`: a signal is published once a runtime's turn, or a listener, has seen it. A new listener starts
//!   from the published count. So a signal that was sent just before is the first that it receives, as in Tokio. An
//!   older signal is not received.

#![expect(unsafe_code, reason = "installs signal handlers")]

use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::{Purpose, Readiness};
use crate::driver::{Driver, Source};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU64;
use crate::sys::epoll::EventFd;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Wake, Waker};

/// Linux has signals 1 to 64.
const NUMBERS: usize = 65;

/// The number of times that each signal was received.
static COUNTS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
/// The part of `COUNTS` that a runtime or listener has seen (`published-when-seen`).
static PUBLISHED: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
static RECORDS: OnceLock<Vec<Mutex<Record>>> = OnceLock::new();

/// One signal: the eventfd of its handler, and its sources in the runtimes that had listeners.
#[derive(Debug, Default)]
struct Record {
    eventfd: Option<&'static EventFd>,
    sources: Vec<Arc<Source<OwnedFd>>>,
}

/// A signal number for which this process may have a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(usize);

impl Number {
    pub(crate) fn new(signal: libc::c_int) -> io::Result<Self> {
        let number = usize::try_from(signal).ok().filter(|number| (1..NUMBERS).contains(number));
        let Some(number) = number else {
            return Err(io::Error::other(format!(
                "there is no signal {signal}: Linux has signals 1 to {}",
                NUMBERS - 1
            )));
        };
        if signal_hook_registry::FORBIDDEN.contains(&signal) {
            return Err(io::Error::other(format!(
                "signal {signal} cannot be listened to: the system does not allow a handler (SIGKILL, SIGSTOP), or \
                 the program cannot go on after it (SIGSEGV, SIGILL, SIGFPE); choose another one"
            )));
        }
        Ok(Self(number))
    }

    pub(crate) fn get(self) -> usize {
        self.0
    }

    /// Returns how often the signal was received since its handler was installed.
    pub(crate) fn count(self) -> u64 {
        // Acquire: sees what the handler's thread did before the signal. Pairs with Release in the handler (`install`).
        COUNTS[self.0].load(Ordering::Acquire)
    }

    /// Returns the count from which a new listener starts.
    pub(crate) fn published(self) -> u64 {
        // Relaxed: only compared with the count.
        PUBLISHED[self.0].load(Ordering::Relaxed)
    }

    /// Records that a runtime or listener has seen `count`.
    pub(crate) fn publish(self, count: u64) {
        // Relaxed: as above.
        PUBLISHED[self.0].fetch_max(count, Ordering::Relaxed);
    }

    fn record(self) -> &'static Mutex<Record> {
        let records = RECORDS.get_or_init(|| (0..NUMBERS).map(|_| Mutex::default()).collect());
        &records[self.0]
    }
}

impl From<Number> for Purpose {
    fn from(number: Number) -> Self {
        Self::Signal(number.0 as i32)
    }
}

/// Returns the source in `driver` that this signal makes ready. Installs the handler if it is missing.
pub(crate) fn source(number: Number, driver: &Arc<Driver>) -> io::Result<Arc<Source<OwnedFd>>> {
    let mut record = number.record().lock();
    let eventfd = match record.eventfd {
        Some(eventfd) => eventfd,
        None => *record.eventfd.insert(install(number)?),
    };
    let source = record.sources.iter().find(|source| Arc::ptr_eq(source.registration().driver(), driver));
    if let Some(source) = source {
        return Ok(Arc::clone(source));
    }
    let duplicate = eventfd.duplicate()?;
    let source = Source::new_with_driver(Arc::clone(driver), duplicate, Interest::READABLE)?;
    let source = Arc::new(source);
    record.sources.push(Arc::clone(&source));
    drop(record);
    let publisher = Arc::new(Publisher {
        number,
        news: Mutex::new(Readiness::with_purpose(Arc::clone(&source), Interest::READABLE, Purpose::Internal)),
    });
    publisher.wake();
    Ok(source)
}

/// Waits on a source like a listener, and is its own waker. It publishes signals that a turn has delivered, even without
/// a listener. Lives until its runtime shuts down.
struct Publisher {
    number: Number,
    news: Mutex<Readiness<Arc<Source<OwnedFd>>>>,
}

impl Wake for Publisher {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut cx = Context::from_waker(&waker);
        // Locked during the poll, so that a wake on another thread is not lost. The only waker that is cloned or dropped
        // under the lock is our own, and we hold another reference.
        let mut news = self.news.lock();
        loop {
            match news.poll_event(&mut cx) {
                // Cleared first, then published: `count-then-edge`.
                Poll::Ready(Ok(())) => self.number.publish(self.number.count()),
                Poll::Pending => return,
                Poll::Ready(Err(_shut_down)) => break,
            }
        }
        news.leave_list();
        let driver = Arc::clone(news.registration().driver());
        drop(news);
        let mut record = self.number.record().lock();
        let index = record.sources.iter().position(|source| Arc::ptr_eq(source.registration().driver(), &driver));
        // Dropped after the lock is released, although other references exist anyway.
        let forgotten = index.map(|index| record.sources.swap_remove(index));
        drop(record);
        drop(forgotten);
    }
}

fn install(number: Number) -> io::Result<&'static EventFd> {
    let eventfd: &'static EventFd = Box::leak(Box::new(EventFd::new()?));
    let count = &COUNTS[number.0];
    let handler = move || {
        // `count-then-edge`. Release: pairs with Acquire in `Number::count`.
        count.fetch_add(1, Ordering::Release);
        eventfd.signal_in_handler();
    };
    // SAFETY: the handler makes one atomic addition and one `write`, which are allowed in handlers, and restores
    // `errno`. What it refers to lives forever (`never-undone`).
    let installed = unsafe { signal_hook_registry::register(number.0 as libc::c_int, handler) };
    match installed {
        Ok(_id) => Ok(eventfd),
        Err(error) => {
            let ours = std::ptr::from_ref(eventfd).cast_mut();
            // SAFETY: made by `Box::leak` above, and no handler was installed that could use it.
            drop(unsafe { Box::from_raw(ours) });
            Err(error)
        }
    }
}
