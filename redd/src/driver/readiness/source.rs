//! One registered descriptor ([`Registration`]), and a socket together with its registration ([`Source`]).
//!
//! Called by `net`, `process`, `signal` and `async_fd`. These rooms operate on a descriptor only through a `Source`, so
//! the driver can be replaced behind this interface.
//!
//! # Invariants
//! - `try-first`: an operation tries its system call, unless an earlier try has shown that it would block.
//! - `clear-what-was-seen`: a try that would block clears only the readiness that was seen before the try. So an event
//!   that arrives during the try is kept.
//! - `leave-before-close`: a registration is removed from epoll before its descriptor is closed.

#![expect(unsafe_code, reason = "reading into memory that is not initialised")]

use super::ready::{Interest, Ready};
pub(crate) use super::slot::Purpose;
use super::slot::{IoSlot, Waited};
use super::state::{Direction, State};
use crate::collections::wake_list::WakeList;
use crate::current;
use crate::driver::Driver;
use crate::driver::errors::{self, shutdown_error};
use crate::driver::operations::{Socket, close_unregistered};
use crate::io::ReadBuf;
use crate::observe::waiting::{self, WaitKind};
use crate::task::coop::{poll_proceed, poll_proceed_unless_foreign};
use crate::task::current::id_or_zero;
use crate::task::refusal::refused;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The readiness that an operation saw before its try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyEvent {
    seen: State,
    interest: Interest,
    pub(crate) ready: Ready,
}

impl ReadyEvent {
    fn new(seen: State, interest: Interest) -> Self {
        Self { seen, interest, ready: seen.ready() & interest.mask() }
    }

    /// The same event, with only `ready` of its readiness.
    pub(crate) fn with_ready(self, ready: Ready) -> Self {
        Self { ready, ..self }
    }
}

/// The condition that ends a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// An event has reported readiness.
    Ready,
    /// Ready, or never tried (`try-first`).
    WorthTrying,
}

impl Until {
    fn is_met(self, state: State, interest: Interest) -> bool {
        match self {
            Self::Ready => !(state.ready() & interest.mask()).is_empty(),
            Self::WorthTrying => state.is_worth_trying(interest),
        }
    }
}

/// One descriptor in the epoll of one driver. Dropping it removes the descriptor from the epoll.
#[derive(Debug)]
pub(crate) struct Registration {
    driver: Arc<Driver>,
    /// The descriptor, or in a simulated world the number of the socket. Negative after `deregister`.
    number: RawFd,
    index: u32,
    generation: u32,
}

// The shared state is atomics and a lock that does not poison. A panic leaves both consistent.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl Registration {
    /// Registers `fd` with the driver of the runtime that this thread is in.
    #[track_caller]
    pub(crate) fn new(fd: RawFd, interest: Interest) -> io::Result<Self> {
        Self::new_with_driver(current_driver(), fd, interest)
    }

    #[track_caller]
    pub(crate) fn new_with_driver(driver: Arc<Driver>, fd: RawFd, interest: Interest) -> io::Result<Self> {
        if driver.is_simulated() {
            return Err(refused(errors::not_simulated(fd)));
        }
        let (index, generation) = driver.register(fd, interest)?;
        Ok(Self { driver, number: fd, index, generation })
    }

    /// As [`new`](Self::new), for a socket of `net`.
    #[track_caller]
    fn of_socket(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        let driver = current_driver();
        match driver.register_socket(fd, interest) {
            Ok((number, index, generation)) => Ok(Self { driver, number, index, generation }),
            Err(error) if driver.is_simulated() && error.kind() == io::ErrorKind::Unsupported => Err(refused(error)),
            Err(error) => Err(error),
        }
    }

    fn slot(&self) -> &'static IoSlot {
        self.driver.slot(self.index)
    }

    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Removes the descriptor from epoll, and returns the error that a drop ignores.
    pub(crate) fn deregister(mut self) -> io::Result<()> {
        self.driver.forget(std::mem::replace(&mut self.number, -1))
    }

    /// Waits with `wait` until `until` holds.
    // Inlined into each kind of wait: it is in the path of every read and write.
    #[inline(always)]
    fn poll_until(
        &self,
        interest: Interest,
        until: Until,
        wait: impl FnOnce(&'static IoSlot) -> Waited,
    ) -> Poll<io::Result<State>> {
        let slot = self.slot();
        let mut state = slot.state();
        if !until.is_met(state, interest) && !state.is_shutdown() {
            waiting::record(wait_kind(interest), None);
            match wait(slot) {
                Waited::Pending => return Poll::Pending,
                Waited::Ended => return Poll::Ready(Err(shutdown_error())),
                Waited::Ready(now) => state = now,
            }
        }
        Poll::Ready(if state.is_shutdown() { Err(shutdown_error()) } else { Ok(state) })
    }

    fn poll_event(&self, cx: &mut Context<'_>, direction: Direction, until: Until) -> Poll<io::Result<State>> {
        self.poll_until(direction.interest(), until, |slot| {
            waiting::left_waiter(slot.location_of(direction));
            slot.wait(direction, cx.waker(), id_or_zero())
        })
    }

    /// Waits until an event has reported that `direction` is worth trying. Only the last task that waits here is woken.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<ReadyEvent>> {
        let unit = ready!(poll_proceed(cx));
        let state = ready!(self.poll_event(cx, direction, Until::Ready));
        unit.made_progress();
        Poll::Ready(state.map(|state| ReadyEvent::new(state, direction.interest())))
    }

    /// Waits until something of `interest` is ready. Any number of tasks may wait.
    pub(crate) fn readiness(&self, interest: Interest) -> Readiness<&Self> {
        Readiness::of(self, interest)
    }

    /// The caller saw `event`, tried, and reports that its operation would block. A closed direction stays closed.
    pub(crate) fn clear_readiness(&self, event: ReadyEvent) {
        // `clear-what-was-seen`.
        let cleared = event.ready - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
        self.slot().clear(event.seen, cleared);
    }

    /// An operation was tried after `event`, and would block.
    pub(crate) fn clear_after_try(&self, event: ReadyEvent) {
        self.clear_tried(event.seen, event.interest);
    }

    /// `clear-what-was-seen`, including the closed bit of the direction: if it were closed, the operation would not
    /// block. A try of both directions proves nothing about one of them, so then a closed bit stays.
    fn clear_tried(&self, seen: State, interest: Interest) {
        let kept = if is_one_direction(interest) { Ready::EMPTY } else { Ready::READ_CLOSED | Ready::WRITE_CLOSED };
        self.slot().clear(seen, interest.mask() - kept);
    }

    /// Unlike `try-first`, nothing is tried before the first event. For descriptors whose calls succeed too early: a
    /// FIFO that has no writer yet reads like one that has ended.
    pub(crate) fn expect_event(&self) {
        let state = self.slot().state();
        if state.ready().is_empty() {
            // `clear-what-was-seen`: an event that arrives meanwhile is kept.
            self.slot().clear(state, Ready::READABLE | Ready::WRITABLE);
        }
    }

    /// Assumes `ready` until a try shows that it would block, as if an event had reported it.
    pub(crate) fn assume(&self, ready: Ready) {
        let mut wakers = WakeList::new();
        self.slot().on_event(self.generation, ready, &mut wakers);
        wakers.wake_all();
    }

    /// Runs `f` if `interest` is ready or was never tried, and clears the readiness if `f` would block. It does not
    /// wait for a first event, which may be a turn of the driver away (`try-first`). It never waits, so it also works
    /// after the shutdown of the runtime, while the last known readiness lasts.
    pub(crate) fn try_io<R>(&self, interest: Interest, mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.try_io_when(Until::WorthTrying, interest, || retry_interrupted(&mut f))
    }

    /// As [`try_io`](Self::try_io), for a closure of the program. Refused in a world, because the closure would use the shadow of the
    /// socket.
    #[track_caller]
    pub(crate) fn try_user_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self.refuse_user_io() {
            Some(error) => Err(error),
            None => self.try_io_when(Until::WorthTrying, interest, f),
        }
    }

    /// As [`async_io`](Self::async_io), for a closure of the program. Refused as in [`try_user_io`](Self::try_user_io).
    #[track_caller]
    pub(crate) fn async_user_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let refusal = self.refuse_user_io();
        async move {
            match refusal {
                Some(error) => Err(error),
                None => self.async_io(interest, f).await,
            }
        }
    }

    #[track_caller]
    fn refuse_user_io(&self) -> Option<io::Error> {
        if self.driver.is_simulated() { Some(refused(errors::user_io())) } else { None }
    }

    /// As [`try_io`](Self::try_io), but only after an event, because it is not known what `f` does.
    pub(crate) fn try_io_if_ready<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.try_io_when(Until::Ready, interest, f)
    }

    fn try_io_when<R>(&self, until: Until, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let state = self.slot().state();
        if state.is_shutdown() && !Until::Ready.is_met(state, interest) {
            return Err(shutdown_error());
        }
        if !until.is_met(state, interest) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f();
        if would_block(&result) {
            self.clear_tried(state, interest);
        }
        result
    }

    /// Tries `f`, and waits for `direction` each time that it would block. `f` gets the readiness that was seen before
    /// the try.
    // Inlined, as `poll_until` is.
    #[inline(always)]
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(State) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let unit = ready!(poll_proceed(cx));
        loop {
            let state = match ready!(self.poll_event(cx, direction, Until::WorthTrying)) {
                Ok(state) => state,
                Err(error) => {
                    unit.made_progress();
                    return Poll::Ready(Err(error));
                }
            };
            let result = retry_interrupted(|| f(state));
            if would_block(&result) {
                // `clear-what-was-seen`, including the closed bit: the direction is not closed.
                self.slot().clear(state, direction.interest().mask());
                continue;
            }
            unit.made_progress();
            return Poll::Ready(result);
        }
    }

    /// Tries `f`, and waits in the list each time that it would block. So any number of tasks may do this at once.
    pub(crate) async fn async_io<R>(&self, interest: Interest, mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        loop {
            let seen = self.readiness(interest).until_worth_trying().await;
            // A wait alone costs no budget: only an operation makes progress.
            let unit = std::future::poll_fn(poll_proceed).await;
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    unit.made_progress();
                    return Err(error);
                }
            };
            let result = retry_interrupted(&mut f);
            if !would_block(&result) {
                unit.made_progress();
                return result;
            }
            // A closed bit that stays may leave this loop without a reason to wait. Each round costs budget, so that it
            // yields.
            if !is_one_direction(interest) {
                unit.made_progress();
            }
            drop(unit);
            self.clear_tried(seen, interest);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // `leave-before-close`
        if self.number >= 0 {
            self.driver.close(self.number);
        }
        self.driver.end_use(self.index, self.generation);
    }
}

/// Returns the driver of the runtime that this thread is in.
#[track_caller]
pub(crate) fn current_driver() -> Arc<Driver> {
    const WHAT: &str = "An operation that registers a descriptor (a socket, pipe, signal, child process or `AsyncFd`)";
    match current::with_parts(|parts| parts.driver().cloned()) {
        None => current::missing(WHAT),
        Some(None) => current::disabled(WHAT, "the I/O driver", "enable_io"),
        Some(Some(driver)) => driver,
    }
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

// Inlined, as `poll_until` is.
#[inline(always)]
fn retry_interrupted<R>(mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is_one_direction(interest: Interest) -> bool {
    interest == Interest::READABLE || interest == Interest::WRITABLE
}

fn wait_kind(interest: Interest) -> WaitKind {
    if interest.is_writable() && !interest.is_readable() { WaitKind::Writable } else { WaitKind::Readable }
}

/// What has a registration: a reference to one, or a shared `Source`.
pub(crate) trait Registered {
    fn registration(&self) -> &Registration;
}

impl Registered for &Registration {
    fn registration(&self) -> &Registration {
        self
    }
}

impl<S> Registered for Arc<Source<S>> {
    fn registration(&self) -> &Registration {
        &self.registration
    }
}

/// Waits in the list of a registration, any number of times. As a future it waits once.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub(crate) struct Readiness<R: Registered> {
    at: R,
    interest: Interest,
    purpose: Purpose,
    ticket: Option<u64>,
}

impl<R: Registered> Readiness<R> {
    pub(crate) fn of(at: R, interest: Interest) -> Self {
        Self::with_purpose(at, interest, Purpose::Descriptor)
    }

    /// As [`of`](Self::of), for a wait that dumps show as one for something else than the descriptor.
    pub(crate) fn with_purpose(at: R, interest: Interest, purpose: Purpose) -> Self {
        Self { at, interest, purpose, ticket: None }
    }

    /// From its next poll on, dumps show its wait as one for this.
    pub(crate) fn set_purpose(&mut self, purpose: Purpose) {
        self.purpose = purpose;
    }

    pub(crate) fn registration(&self) -> &Registration {
        self.at.registration()
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<State>> {
        let Self { at, interest, purpose, ticket } = self;
        let wait = |slot: &'static IoSlot| {
            let waited = slot.wait_in_list(ticket, *interest, *purpose, cx.waker(), id_or_zero());
            if let Some(ticket) = *ticket {
                waiting::left_numbered(slot, ticket);
            }
            waited
        };
        at.registration().poll_until(*interest, until, wait)
    }

    /// Ready once for each event, which then counts as seen. Costs no budget.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = ready!(self.poll_until(cx, Until::Ready))?;
        self.registration().clear_readiness(ReadyEvent::new(state, self.interest));
        Poll::Ready(Ok(()))
    }

    pub(crate) fn leave_list(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.registration().slot().leave_list(ticket);
        }
    }

    /// If this thread is in another runtime than the registration, moves the wait to what `register` creates there.
    /// Signals and child processes belong to the whole process, so they follow the runtime that polls them. The runtime
    /// in which they began may be gone.
    pub(crate) fn follow_runtime(&mut self, register: impl FnOnce(&R, Arc<Driver>) -> io::Result<R>) {
        let elsewhere = current::with_parts(|parts| {
            let current = parts.driver()?;
            (!Arc::ptr_eq(current, self.registration().driver())).then(|| Arc::clone(current))
        });
        if let Some(Ok(at)) = elsewhere.flatten().map(|driver| register(&self.at, driver)) {
            self.leave_list();
            self.at = at;
        }
    }

    async fn until_worth_trying(mut self) -> io::Result<State> {
        std::future::poll_fn(|cx| self.poll_until(cx, Until::WorthTrying)).await
    }
}

impl<R: Registered + Unpin> Future for Readiness<R> {
    type Output = io::Result<ReadyEvent>;

    /// Costs a unit of the budget, because readiness stays until an operation clears it.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let unit = ready!(poll_proceed_unless_foreign(cx));
        let state = ready!(self.poll_until(cx, Until::Ready));
        unit.made_progress();
        Poll::Ready(state.map(|state| ReadyEvent::new(state, self.interest)))
    }
}

impl<R: Registered> Drop for Readiness<R> {
    fn drop(&mut self) {
        self.leave_list();
    }
}

/// What a short read or write proves, that is, one that moved fewer bytes than it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// Nothing is left for now. For pipes and TCP streams: it saves the call that would return `WouldBlock`.
    WouldBlock,
    /// Nothing: Unix streams stop at ancillary data, and terminals at the end of a line.
    Nothing,
}

/// An open descriptor and its registration. The fields are dropped in order: the descriptor is removed from epoll, and
/// then it is closed (`leave-before-close`).
pub(crate) struct Source<S> {
    registration: Registration,
    io: S,
}

/// Shows the descriptor alone, which is what programs log. A simulated socket is shown with its addresses in the world.
impl<S: fmt::Debug> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Registration { driver, number, .. } = &self.registration;
        if driver.is_simulated() {
            return f.write_str(driver.describe(*number).as_deref().unwrap_or("a socket that was closed"));
        }
        self.io.fmt(f)
    }
}

impl<S: AsFd> Source<S> {
    /// Registers `io`, which must not block.
    #[track_caller]
    pub(crate) fn new(io: S, interest: Interest) -> io::Result<Self> {
        Self::new_with_driver(current_driver(), io, interest)
    }

    #[track_caller]
    pub(crate) fn new_with_driver(driver: Arc<Driver>, io: S, interest: Interest) -> io::Result<Self> {
        let fd = io.as_fd().as_raw_fd();
        Ok(Self { registration: Registration::new_with_driver(driver, fd, interest)?, io })
    }
}

impl<S> Source<S> {
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Returns the descriptor without its registration.
    pub(crate) fn into_inner(self) -> io::Result<S> {
        self.registration.deregister()?;
        Ok(self.io)
    }

    /// Reads available bytes into the unfilled part of `buf`.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, short: Short) -> Poll<io::Result<()>>
    where
        S: AsFd,
    {
        debug_assert!(!self.registration.driver.is_simulated(), "a simulated socket is read by `poll_recv`");
        self.poll_fill(cx, buf, short, |unfilled| crate::sys::read_uninit(self.io.as_fd(), unfilled))
    }

    /// As [`poll_read`](Self::poll_read), with a read that initialises as many bytes as it returns.
    // Inlined into each kind of read, as the wait is.
    #[inline(always)]
    fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        short: Short,
        read: impl Fn(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: `read` writes initialised bytes into it, or nothing.
        let unfilled = unsafe { buf.unfilled_mut() };
        let read = ready!(self.registration.poll_io(cx, Direction::Read, |seen| {
            let read = read(unfilled)?;
            if short != Short::Nothing && 0 < read && read < unfilled.len() {
                // `clear-what-was-seen`. A closed bit stays, because the end comes after these bytes.
                self.registration.slot().clear(seen, Ready::READABLE);
            }
            Ok(read)
        }))?;
        // SAFETY: `read` has written the first `read` bytes of it.
        unsafe { buf.assume_init(read) };
        buf.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Writes as much as the system accepts.
    pub(crate) fn poll_write<'a>(&'a self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>
    where
        &'a S: Write,
    {
        self.poll_short_write(cx, buf.len(), || self.checked_write(|mut io| io.write(buf)))
    }

    /// Writes as much of several buffers as the system accepts.
    pub(crate) fn poll_write_vectored<'a>(
        &'a self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        &'a S: Write,
    {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_short_write(cx, len, || self.checked_write(|mut io| io.write_vectored(bufs)))
    }

    fn checked_write<'a>(&'a self, write: impl FnOnce(&'a S) -> io::Result<usize>) -> io::Result<usize> {
        debug_assert!(!self.registration.driver.is_simulated(), "a simulated socket is written by `poll_send`");
        crate::sys::faults::check(crate::sys::faults::Call::Write)?;
        write(&self.io)
    }

    /// A write of `len` bytes in all. A shorter one has filled the system's buffer, so the next one waits at once.
    #[inline]
    fn poll_short_write(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        write: impl Fn() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.registration.poll_io(cx, Direction::Write, |seen| {
            let written = write()?;
            if 0 < written && written < len {
                self.registration.slot().clear(seen, Ready::WRITABLE);
            }
            Ok(written)
        })
    }
}

/// Streams of sockets: their operations are those of `operations`.
impl<S: AsFd> Source<S> {
    /// Registers a socket, which must not block.
    #[track_caller]
    pub(crate) fn of_socket(io: S, interest: Interest) -> io::Result<Self> {
        match Registration::of_socket(io.as_fd(), interest) {
            Ok(registration) => Ok(Self { registration, io }),
            Err(error) => {
                close_unregistered(io.as_fd());
                Err(error)
            }
        }
    }

    #[inline]
    pub(crate) fn socket(&self) -> Socket<'_> {
        Socket::new(&self.registration.driver, self.registration.number, self.io.as_fd())
    }

    /// As [`poll_read`](Self::poll_read), for a socket.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, short: Short) -> Poll<io::Result<()>> {
        self.poll_fill(cx, buf, short, |unfilled| self.socket().read(unfilled))
    }

    /// As [`poll_write`](Self::poll_write), for a socket.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_short_write(cx, buf.len(), || self.socket().send(buf))
    }

    /// As [`poll_write_vectored`](Self::poll_write_vectored), for a socket.
    pub(crate) fn poll_send_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_short_write(cx, len, || self.socket().send_vectored(bufs))
    }
}

impl<S> Deref for Source<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.io
    }
}

impl<S: AsFd> AsFd for Source<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::driver::EventBuffer;
    use crate::driver::errors::is_shutdown_error;
    use crate::sync::testing::Wakes;
    use crate::sys::faults::{self, Call};
    use futures::executor::block_on;
    use futures::future::poll_fn;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn pair(driver: &Arc<Driver>) -> (Source<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors left");
        ours.set_nonblocking(true).expect("a socket");
        let both = Interest::READABLE | Interest::WRITABLE;
        let source = Source::new_with_driver(Arc::clone(driver), ours, both).expect("room");
        (source, theirs)
    }

    fn turn_now(driver: &Driver) -> usize {
        let (mut buffer, mut wakers) = (EventBuffer::with_capacity(8), WakeList::new());
        driver.wait(&mut buffer, Some(Duration::ZERO)).expect("a healthy epoll");
        let events = driver.dispatch(&mut buffer, &mut wakers);
        wakers.wake_all();
        events
    }

    fn poll_read(source: &Source<UnixStream>, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut memory = [0; 64];
        let mut buf = ReadBuf::new(&mut memory);
        ready!(source.poll_read(cx, &mut buf, Short::WouldBlock))?;
        Poll::Ready(Ok(buf.filled().to_vec()))
    }

    fn read_some(source: &Source<UnixStream>) -> io::Result<Vec<u8>> {
        block_on(poll_fn(|cx| poll_read(source, cx)))
    }

    #[test]
    fn a_first_try_needs_no_event_and_a_short_read_saves_the_second() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        theirs.write_all(b"early").expect("open");
        faults::plan(Call::Read, 0, libc::EINTR);
        assert_eq!(read_some(&source).expect("retried"), b"early");
        // The short read has shown that nothing is left. Another try would return the planned fault.
        faults::plan(Call::Read, 0, libc::EIO);
        let (_, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        assert!(poll_read(&source, &mut cx).is_pending());
        assert!(source.registration().try_io(Interest::READABLE, || Ok(())).is_err());
        theirs.write_all(b"late").expect("open");
        assert_eq!(turn_now(&driver), 1);
        let read = poll_read(&source, &mut cx);
        assert!(matches!(read, Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::EIO)));
    }

    #[test]
    fn a_clear_with_an_old_event_keeps_the_event_that_came_meanwhile() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        theirs.write_all(b"a").expect("open");
        turn_now(&driver);
        let registration = source.registration();
        let old = block_on(registration.readiness(Interest::READABLE)).expect("ready");
        theirs.write_all(b"b").expect("open");
        turn_now(&driver);
        registration.clear_readiness(old);
        let new = block_on(registration.readiness(Interest::READABLE)).expect("still ready");
        registration.clear_readiness(new);
        let error = registration.try_io(Interest::READABLE, || Ok(()));
        assert_eq!(error.expect_err("cleared").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_dropped_future_leaves_the_list_and_is_not_woken_and_the_others_are_at_shutdown() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        turn_now(&driver);
        let (wakes, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        {
            let mut dropped = std::pin::pin!(source.registration().readiness(Interest::READABLE));
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
        }
        let mut kept = std::pin::pin!(source.registration().readiness(Interest::READABLE));
        assert!(kept.as_mut().poll(&mut cx).is_pending());
        theirs.write_all(b"x").expect("open");
        assert_eq!(turn_now(&driver), 1);
        assert_eq!(wakes.count(), 1);
        assert!(kept.as_mut().poll(&mut cx).is_ready());
        assert_eq!(read_some(&source).expect("open"), b"x");
        let mut listed = std::pin::pin!(source.registration().readiness(Interest::READABLE));
        assert!(listed.as_mut().poll(&mut cx).is_pending());
        assert!(source.registration().poll_ready(&mut cx, Direction::Read).is_pending());
        driver.shutdown();
        assert_eq!(wakes.count(), 3);
        let error = block_on(listed).expect_err("shut down");
        assert!(is_shutdown_error(&error) && !is_shutdown_error(&io::Error::other("else")));
        let refused = Source::new_with_driver(Arc::clone(&driver), theirs, Interest::READABLE);
        assert!(is_shutdown_error(&refused.expect_err("shut down")));
    }

    #[test]
    fn an_event_for_an_earlier_use_of_the_slot_is_dropped() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, _theirs) = pair(&driver);
        let (index, generation) = (source.registration.index, source.registration.generation);
        drop(source);
        let (source, _theirs) = pair(&driver);
        assert_eq!(source.registration.index, index);
        let mut wakers = WakeList::new();
        driver.slot(index).on_event(generation, Ready::ALL, &mut wakers);
        assert!(source.registration.slot().state().ready().is_empty());
        assert_eq!(driver.registrations(), 1);
    }

    #[test]
    fn a_refusal_of_epoll_reaches_the_caller_and_keeps_no_slot() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (_kept, theirs) = pair(&driver);
        faults::plan(Call::EpollCtl, 0, libc::ENOSPC);
        let refused = Source::new_with_driver(Arc::clone(&driver), theirs, Interest::READABLE);
        assert_eq!(refused.expect_err("planned").raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(driver.registrations(), 1);
    }

    #[test]
    fn a_limited_wait_leaves_the_rest_in_order_and_says_that_there_may_be_more() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let mut pairs = Vec::from_iter((0..5).map(|_| pair(&driver)));
        let (mut buffer, mut wakers) = (EventBuffer::with_capacity(8), WakeList::new());
        // They are writable.
        driver.wait(&mut buffer, Some(Duration::ZERO)).expect("a healthy epoll");
        assert!(!driver.may_have_more());
        driver.dispatch(&mut buffer, &mut wakers);
        for (_, theirs) in pairs.iter_mut().rev() {
            theirs.write_all(b"x").expect("open");
        }
        let mut served = Vec::new();
        for (limit, has_more) in [(3, true), (2, true), (0, false)] {
            buffer.set_limit(limit);
            driver.wait(&mut buffer, Some(Duration::ZERO)).expect("a healthy epoll");
            assert_eq!(driver.may_have_more(), has_more, "after {served:?}");
            served.extend(buffer.iter().map(|(_, token)| token as u32));
            driver.dispatch(&mut buffer, &mut wakers);
        }
        let in_order = Vec::from_iter(pairs.iter().rev().map(|(source, _)| source.registration.index));
        assert_eq!(served, in_order);
    }

    #[test]
    fn a_wait_that_began_earlier_and_found_nothing_does_not_hide_what_another_one_has_left() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let _pairs = Vec::from_iter((0..2).map(|_| pair(&driver)));
        let (mut buffer, mut wakers) = (EventBuffer::with_capacity(1), WakeList::new());
        let none = EventBuffer::with_capacity(1);
        // They are writable. The other thread's wait began before each of these, and a signal ends it.
        for _ in 0..2 {
            let begun = driver.begin_wait();
            driver.wait(&mut buffer, Some(Duration::ZERO)).expect("a healthy epoll");
            driver.dispatch(&mut buffer, &mut wakers);
            driver.record_fullness(&none, begun);
            assert!(driver.may_have_more());
        }
        driver.wait(&mut buffer, Some(Duration::ZERO)).expect("a healthy epoll");
        assert!(!driver.may_have_more());
    }

    #[test]
    fn a_wake_ends_one_turn_with_the_token() {
        let driver = Driver::new().expect("descriptors left");
        let mut buffer = EventBuffer::with_capacity(1);
        driver.wake();
        driver.wake();
        assert!(driver.wait(&mut buffer, None).expect("a healthy epoll"));
        let again = driver.wait(&mut buffer, Some(Duration::from_micros(50)));
        assert!(!again.expect("a healthy epoll"), "two wakes became one token");
        faults::plan(Call::EpollWait, 0, libc::EINVAL);
        assert!(driver.wait(&mut buffer, None).is_err());
    }
}
