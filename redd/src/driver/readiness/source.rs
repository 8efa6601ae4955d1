//! One registered descriptor ([`Registration`]), and a socket together with its registration ([`Source`]).
//!
//! Called by `net`, `process`, `signal` and `async_fd`. This is the seam of the driver: what these rooms do with a
//! descriptor are operations of a `Source`, so that another kind of driver can stand behind it.
//!
//! # Invariants
//! - `try-first`: an operation tries its system call unless an earlier try has shown that it would block.
//! - `clear-what-was-seen`: a try that would block clears only the readiness that was seen before the try, so an
//!   event that came meanwhile is kept.
//! - `leave-before-close`: a registration leaves epoll before its descriptor is closed.

#![expect(unsafe_code, reason = "reading into memory that is not initialised")]

use super::ready::{Interest, Ready};
use super::slot::{Slot, Waited};
use super::state::{Direction, State};
use crate::collections::wake_list::WakeList;
use crate::driver::Driver;
use crate::io::ReadBuf;
use crate::observe::waiting::{self, WaitKind};
use crate::runtime::context;
use crate::task::coop::poll_proceed;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Inside of the `io::Error` of every operation on a descriptor whose runtime is gone.
#[derive(Debug)]
struct ShutDown;

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the redd runtime that drives this descriptor has shut down: keep the `Runtime` alive as long as its \
             sockets, or take the descriptor out and use it without a runtime",
        )
    }
}

impl Error for ShutDown {}

/// The error of every operation on a descriptor whose runtime is gone.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other(ShutDown)
}

/// Whether `error` is a [`shutdown_error`].
pub(crate) fn is_shutdown_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<ShutDown>())
}

/// What was ready when an operation looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyEvent {
    seen: State,
    pub(crate) ready: Ready,
}

impl ReadyEvent {
    fn new(seen: State, interest: Interest) -> Self {
        Self { seen, ready: seen.ready() & interest.mask() }
    }

    /// The same look, of which only `ready` matters.
    pub(crate) fn with_ready(self, ready: Ready) -> Self {
        Self { ready, ..self }
    }
}

/// What makes an operation wait no longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// An event has said that it is ready.
    Ready,
    /// It is ready, or was never tried (`try-first`).
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

/// One descriptor in one driver's epoll. Dropping it takes the descriptor out again.
#[derive(Debug)]
pub(crate) struct Registration {
    driver: Arc<Driver>,
    fd: RawFd,
    index: u32,
    generation: u32,
}

// What is shared are atomics and a lock that does not poison; a panic leaves both whole.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl Registration {
    /// Registers `fd` with the driver of the runtime that this thread is in.
    #[track_caller]
    pub(crate) fn new(fd: RawFd, interest: Interest) -> io::Result<Self> {
        Self::new_with_driver(current_driver(), fd, interest)
    }

    pub(crate) fn new_with_driver(driver: Arc<Driver>, fd: RawFd, interest: Interest) -> io::Result<Self> {
        let (index, generation) = driver.register(fd, interest)?;
        Ok(Self { driver, fd, index, generation })
    }

    fn slot(&self) -> &Slot {
        self.driver.slot(self.index)
    }

    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Takes the descriptor out of epoll; says what dropping hides.
    pub(crate) fn deregister(self) -> io::Result<()> {
        self.driver.leave_epoll(self.fd)
        // Dropping tries once more, and is told that the descriptor is not there.
    }

    fn poll_event(&self, cx: &mut Context<'_>, direction: Direction, until: Until) -> Poll<io::Result<State>> {
        let slot = self.slot();
        let mut state = slot.state();
        let interest = direction.interest();
        if !until.is_met(state, interest) && !state.is_shutdown() {
            waiting::note(wait_kind(interest), None);
            match slot.wait(direction, cx.waker()) {
                Waited::Pending => return Poll::Pending,
                Waited::Ready(now) => state = now,
            }
        }
        Poll::Ready(if state.is_shutdown() { Err(shutdown_error()) } else { Ok(state) })
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<ReadyEvent>> {
        let unit = ready!(poll_proceed(cx));
        let state = ready!(self.poll_event(cx, direction, Until::Ready))?;
        unit.made_progress();
        Poll::Ready(Ok(ReadyEvent::new(state, direction.interest())))
    }

    /// Waits until an event has said that reading is worth trying. Only the last task that waits here is woken.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyEvent>> {
        self.poll_ready(cx, Direction::Read)
    }

    /// As [`poll_read_ready`](Self::poll_read_ready), for writing.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyEvent>> {
        self.poll_ready(cx, Direction::Write)
    }

    /// Waits until something of `interest` is ready. Any number of tasks may wait.
    #[track_caller]
    pub(crate) fn readiness(&self, interest: Interest) -> Readiness<'_> {
        self.readiness_at(interest, Location::caller())
    }

    /// As [`readiness`](Self::readiness), for an `async` block that has noted its caller's place before.
    pub(crate) fn readiness_at(&self, interest: Interest, place: &'static Location<'static>) -> Readiness<'_> {
        Readiness { registration: self, interest, ticket: None, place }
    }

    fn poll_state_in_list(
        &self,
        cx: &mut Context<'_>,
        ticket: &mut Option<u64>,
        interest: Interest,
        until: Until,
        place: Option<&'static Location<'static>>,
    ) -> Poll<io::Result<State>> {
        let slot = self.slot();
        let mut state = slot.state();
        if !until.is_met(state, interest) && !state.is_shutdown() {
            waiting::note(wait_kind(interest), place);
            match slot.wait_in_list(ticket, interest, cx.waker()) {
                Waited::Pending => return Poll::Pending,
                Waited::Ready(now) => state = now,
            }
        }
        Poll::Ready(if state.is_shutdown() { Err(shutdown_error()) } else { Ok(state) })
    }

    /// [`readiness`](Self::readiness) without a future, and without the budget: `ticket` is the caller's place in the
    /// list, which it gives back with [`leave_list`](Self::leave_list) before it drops the registration.
    pub(crate) fn poll_readiness(
        &self,
        cx: &mut Context<'_>,
        ticket: &mut Option<u64>,
        interest: Interest,
    ) -> Poll<io::Result<ReadyEvent>> {
        let polled = self.poll_state_in_list(cx, ticket, interest, Until::Ready, None);
        Poll::Ready(Ok(ReadyEvent::new(ready!(polled)?, interest)))
    }

    pub(crate) fn leave_list(&self, ticket: &mut Option<u64>) {
        if let Some(ticket) = ticket.take() {
            self.slot().leave_list(ticket);
        }
    }

    /// Someone looked at `event`, tried, and says that it would block. The end of a direction stays.
    pub(crate) fn clear_readiness(&self, event: ReadyEvent) {
        // `clear-what-was-seen`.
        let cleared = event.ready - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
        self.slot().clear(event.seen, cleared);
    }

    /// Nothing is tried before the first event, unlike `try-first`: for descriptors whose calls succeed too early, as a
    /// FIFO that nobody has opened for writing yet reads like one that has ended.
    pub(crate) fn expect_event(&self) {
        let state = self.slot().state();
        if state.ready().is_empty() {
            // `clear-what-was-seen`: an event that comes meanwhile is kept.
            self.slot().clear(state, Ready::READABLE | Ready::WRITABLE);
        }
    }

    /// Takes `ready` for granted until a try shows that it would block, as if there had been an event.
    pub(crate) fn assume(&self, ready: Ready) {
        let mut wakers = WakeList::new();
        self.slot().on_event(self.generation, ready, &mut wakers);
        wakers.wake_all();
    }

    /// Runs `f` if `interest` is ready, and clears the readiness if it would block. Never waits, so it goes on working after
    /// the runtime's end for as long as what was seen last is there.
    pub(crate) fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let state = self.slot().state();
        let event = ReadyEvent::new(state, interest);
        if event.ready.is_empty() {
            return Err(if state.is_shutdown() { shutdown_error() } else { io::ErrorKind::WouldBlock.into() });
        }
        let result = f();
        if would_block(&result) {
            self.clear_readiness(event);
        }
        result
    }

    fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(State) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let unit = ready!(poll_proceed(cx));
        loop {
            let state = ready!(self.poll_event(cx, direction, Until::WorthTrying))?;
            let result = retry_interrupted(|| f(state));
            if would_block(&result) {
                // `clear-what-was-seen`, with the end of the direction: it is not there.
                self.slot().clear(state, direction.interest().mask());
                continue;
            }
            unit.made_progress();
            return Poll::Ready(result);
        }
    }

    /// Tries `f`, and waits for reading as often as it would block.
    pub(crate) fn poll_read_io<R>(
        &self,
        cx: &mut Context<'_>,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(cx, Direction::Read, |_| f())
    }

    /// As [`poll_read_io`](Self::poll_read_io), for writing.
    pub(crate) fn poll_write_io<R>(
        &self,
        cx: &mut Context<'_>,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(cx, Direction::Write, |_| f())
    }

    /// Tries `f`, and waits in the list as often as it would block; so any number of tasks may do this at once.
    #[track_caller]
    pub(crate) fn async_io<'a, R, F>(
        &'a self,
        interest: Interest,
        f: F,
    ) -> impl Future<Output = io::Result<R>> + use<'a, R, F>
    where
        F: FnMut() -> io::Result<R>,
    {
        let place = Location::caller();
        self.async_io_at(interest, place, f)
    }

    async fn async_io_at<R>(
        &self,
        interest: Interest,
        place: &'static Location<'static>,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let readiness = self.readiness_at(interest, place);
            let seen = readiness.until_worth_trying().await?;
            // Waiting alone costs no budget: only an operation makes progress.
            let unit = std::future::poll_fn(poll_proceed).await;
            let result = retry_interrupted(&mut f);
            if !would_block(&result) {
                unit.made_progress();
                return result;
            }
            // `clear-what-was-seen`. What a try in both directions says about the end of one is not known, so an end
            // stays; then this loop may find no reason to wait, and pays for each round so that it yields.
            let is_one = interest == Interest::READABLE || interest == Interest::WRITABLE;
            let kept = if is_one {
                drop(unit);
                Ready::EMPTY
            } else {
                unit.made_progress();
                Ready::READ_CLOSED | Ready::WRITE_CLOSED
            };
            self.slot().clear(seen, interest.mask() - kept);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // `leave-before-close`. A descriptor that its user closed behind our back has left by itself.
        let _ = self.driver.leave_epoll(self.fd);
        self.driver.end_use(self.index, self.generation);
    }
}

/// The driver of the runtime that this thread is in.
#[track_caller]
pub(crate) fn current_driver() -> Arc<Driver> {
    const WHAT: &str = "An operation that registers a descriptor (a socket, pipe, signal, child process or `AsyncFd`)";
    match context::with_current(|handle| handle.driver().cloned()) {
        None => context::missing(WHAT),
        Some(None) => context::disabled(WHAT, "the I/O driver", "enable_io"),
        Some(Some(driver)) => driver,
    }
}

/// The driver of the runtime that this thread is in, if that is another one than `driver`. What waits for the process
/// as a whole (signals, children) follows the runtime that polls it, for the one where it began may be gone.
pub(crate) fn driver_elsewhere(driver: &Arc<Driver>) -> Option<Arc<Driver>> {
    let elsewhere = context::with_current(|handle| {
        let current = handle.driver()?;
        (!Arc::ptr_eq(current, driver)).then(|| Arc::clone(current))
    });
    elsewhere.flatten()
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn retry_interrupted<R>(mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn wait_kind(interest: Interest) -> WaitKind {
    if interest.is_writable() && !interest.is_readable() { WaitKind::Writable } else { WaitKind::Readable }
}

/// Waits in the list of a registration. Made by [`Registration::readiness`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub(crate) struct Readiness<'a> {
    registration: &'a Registration,
    interest: Interest,
    ticket: Option<u64>,
    place: &'static Location<'static>,
}

impl Readiness<'_> {
    fn poll_until(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<State>> {
        let place = Some(self.place);
        let polled = self.registration.poll_state_in_list(cx, &mut self.ticket, self.interest, until, place);
        let state = ready!(polled)?;
        Poll::Ready(Ok(state))
    }

    async fn until_worth_trying(mut self) -> io::Result<State> {
        std::future::poll_fn(|cx| self.poll_until(cx, Until::WorthTrying)).await
    }
}

impl Future for Readiness<'_> {
    type Output = io::Result<ReadyEvent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = ready!(self.poll_until(cx, Until::Ready))?;
        Poll::Ready(Ok(ReadyEvent::new(state, self.interest)))
    }
}

impl Drop for Readiness<'_> {
    fn drop(&mut self) {
        self.registration.leave_list(&mut self.ticket);
    }
}

/// What a read or write that moved less than it was given says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// There is no more now: TCP streams and pipes. Saves the call that would say so.
    WouldBlock,
    /// Nothing: Unix streams stop at ancillary data, terminals at lines.
    Nothing,
}

/// An open descriptor and its registration. Fields drop in order: it leaves epoll, then it is closed
/// (`leave-before-close`).
#[derive(Debug)]
pub(crate) struct Source<S> {
    registration: Registration,
    io: S,
}

impl<S: AsFd> Source<S> {
    /// Registers `io`, which must not block.
    #[track_caller]
    pub(crate) fn new(io: S, interest: Interest) -> io::Result<Self> {
        Self::new_with_driver(current_driver(), io, interest)
    }

    pub(crate) fn new_with_driver(driver: Arc<Driver>, io: S, interest: Interest) -> io::Result<Self> {
        let fd = io.as_fd().as_raw_fd();
        Ok(Self { registration: Registration::new_with_driver(driver, fd, interest)?, io })
    }
}

impl<S> Source<S> {
    pub(crate) fn get_ref(&self) -> &S {
        &self.io
    }

    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The descriptor without its registration.
    pub(crate) fn into_inner(self) -> io::Result<S> {
        self.registration.deregister()?;
        Ok(self.io)
    }

    /// Reads what is there into the unfilled part of `buf`.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, short: Short) -> Poll<io::Result<()>>
    where
        S: AsFd,
    {
        // SAFETY: the system writes values into it, or nothing.
        let unfilled = unsafe { buf.unfilled_mut() };
        let read = ready!(self.poll_read_uninit(cx, unfilled, short))?;
        // SAFETY: the system has written the first `read` bytes of it.
        unsafe { buf.assume_init(read) };
        buf.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Reads into memory that need not be initialised; the first so many bytes of it are afterwards.
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
        short: Short,
    ) -> Poll<io::Result<usize>>
    where
        S: AsFd,
    {
        self.registration.poll_io(cx, Direction::Read, |seen| {
            let read = crate::sys::read_uninit(self.io.as_fd(), buf)?;
            if short == Short::WouldBlock && 0 < read && read < buf.len() {
                // `clear-what-was-seen`; an end that was seen stays, for it comes after these bytes.
                self.registration.slot().clear(seen, Ready::READABLE);
            }
            Ok(read)
        })
    }

    /// Writes what fits.
    pub(crate) fn poll_write<'a>(&'a self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>
    where
        &'a S: Write,
    {
        self.poll_short_write(cx, buf.len(), |mut io| io.write(buf))
    }

    /// Writes what fits of several buffers.
    pub(crate) fn poll_write_vectored<'a>(
        &'a self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        &'a S: Write,
    {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_short_write(cx, len, |mut io| io.write_vectored(bufs))
    }

    /// A write of `len` bytes in all. One that took less has filled the system's buffer: the next one waits at once.
    fn poll_short_write<'a>(
        &'a self,
        cx: &mut Context<'_>,
        len: usize,
        mut write: impl FnMut(&'a S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.registration.poll_io(cx, Direction::Write, |seen| {
            crate::sys::faults::check(crate::sys::faults::Call::Write)?;
            let written = write(&self.io)?;
            if 0 < written && written < len {
                self.registration.slot().clear(seen, Ready::WRITABLE);
            }
            Ok(written)
        })
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
pub(crate) mod tests {
    use super::*;
    use crate::collections::wake_list::WakeList;
    use crate::driver::EventBuffer;
    use crate::primitives::atomic::{AtomicBool, Ordering};
    use crate::primitives::thread::{JoinHandle, spawn_named};
    use crate::sync::testing::Wakes;
    use crate::sys::faults::{self, Call};
    use futures::executor::block_on;
    use futures::future::{join, join_all, poll_fn};
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A driver that threads of its own turn until this is dropped.
    pub(crate) struct Turned {
        pub(crate) driver: Arc<Driver>,
        is_over: Arc<AtomicBool>,
        threads: Vec<JoinHandle<()>>,
    }

    pub(crate) fn turned() -> Turned {
        turned_by(1)
    }

    fn turned_by(threads: usize) -> Turned {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (turning, over) = (Arc::clone(&driver), Arc::clone(&is_over));
            let thread = spawn_named("turn".into(), None, move || {
                let (mut buffer, mut wakers) = (EventBuffer::with_capacity(8), WakeList::new());
                while !over.load(Ordering::Relaxed) {
                    turning.turn(&mut buffer, None, &mut wakers).expect("a healthy epoll");
                    wakers.wake_all();
                }
            });
            thread.expect("a test may start a thread")
        };
        let threads = (0..threads).map(start).collect();
        Turned { driver, is_over, threads }
    }

    impl Drop for Turned {
        fn drop(&mut self) {
            self.is_over.store(true, Ordering::Relaxed);
            for thread in self.threads.drain(..) {
                // One token ends one thread, and several may become one.
                while !thread.is_finished() {
                    self.driver.wake();
                    crate::primitives::thread::yield_now();
                }
                thread.join().expect("the turning thread does not panic");
            }
        }
    }

    fn pair(driver: &Arc<Driver>) -> (Source<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors left");
        ours.set_nonblocking(true).expect("a socket");
        let both = Interest::READABLE | Interest::WRITABLE;
        let source = Source::new_with_driver(Arc::clone(driver), ours, both).expect("room");
        (source, theirs)
    }

    fn turn_now(driver: &Driver) -> usize {
        let (mut buffer, mut wakers) = (EventBuffer::with_capacity(8), WakeList::new());
        let turn = driver.turn(&mut buffer, Some(Duration::ZERO), &mut wakers);
        wakers.wake_all();
        turn.expect("a healthy epoll").events
    }

    async fn read_some(source: &Source<UnixStream>) -> io::Result<Vec<u8>> {
        let mut bytes = [MaybeUninit::uninit(); 64];
        let read = poll_fn(|cx| source.poll_read_uninit(cx, &mut bytes, Short::WouldBlock)).await?;
        let mut same = vec![0; read];
        for (to, from) in same.iter_mut().zip(&bytes) {
            // SAFETY: these many bytes were read.
            *to = unsafe { from.assume_init() };
        }
        Ok(same)
    }

    #[test]
    fn a_read_waits_for_bytes_and_then_for_the_end() {
        let turned = turned();
        let (source, mut theirs) = pair(&turned.driver);
        let echo = spawn_named("writer".into(), None, move || {
            for _ in 0..100 {
                theirs.write_all(b"ping").expect("open");
                let mut bytes = [0; 4];
                theirs.read_exact(&mut bytes).expect("open");
            }
        })
        .expect("a test may start a thread");
        block_on(async {
            for _ in 0..100 {
                assert_eq!(read_some(&source).await.expect("open"), b"ping");
                let written = poll_fn(|cx| source.poll_write(cx, b"pong")).await;
                assert_eq!(written.expect("open"), 4);
            }
            assert_eq!(read_some(&source).await.expect("open"), b"");
        });
        echo.join().expect("no panic");
    }

    #[test]
    fn many_threads_turn_one_driver_and_no_edge_is_lost() {
        const ROUNDS: usize = 50;
        let turned = turned_by(3);
        let driver = &turned.driver;
        let echo = |source: Source<UnixStream>, first: bool| async move {
            if first {
                let written = poll_fn(|cx| source.poll_write(cx, b"ball")).await;
                assert_eq!(written.expect("open"), 4);
            }
            for round in 0..ROUNDS {
                assert_eq!(read_some(&source).await.expect("open"), b"ball");
                if !(first && round == ROUNDS - 1) {
                    let written = poll_fn(|cx| source.poll_write(cx, b"ball")).await;
                    assert_eq!(written.expect("open"), 4);
                }
            }
        };
        let games = (0..40).map(|_| {
            let (left, theirs) = pair(driver);
            theirs.set_nonblocking(true).expect("a socket");
            let both = Interest::READABLE | Interest::WRITABLE;
            let right = Source::new_with_driver(Arc::clone(driver), theirs, both);
            join(echo(left, true), echo(right.expect("room"), false))
        });
        block_on(join_all(games));
        assert_eq!(driver.registrations(), 0);
    }

    #[test]
    fn a_first_try_needs_no_event_and_a_short_read_saves_the_second() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        theirs.write_all(b"early").expect("open");
        assert_eq!(block_on(read_some(&source)).expect("open"), b"early");
        // The short read has shown that there is no more: were it tried again, the planned fault would come out.
        faults::plan(Call::Read, 0, libc::EIO);
        let (_, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        let mut bytes = [MaybeUninit::uninit(); 8];
        assert!(source.poll_read_uninit(&mut cx, &mut bytes, Short::WouldBlock).is_pending());
        assert!(source.registration().try_io(Interest::READABLE, || Ok(())).is_err());
        theirs.write_all(b"late").expect("open");
        assert_eq!(turn_now(&driver), 1);
        let read = source.poll_read_uninit(&mut cx, &mut bytes, Short::WouldBlock);
        assert!(matches!(read, Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::EIO)));
    }

    #[test]
    fn an_interrupted_read_is_tried_again() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        theirs.write_all(b"x").expect("open");
        faults::plan(Call::Read, 0, libc::EINTR);
        assert_eq!(block_on(read_some(&source)).expect("retried"), b"x");
    }

    #[test]
    fn a_clear_with_an_old_look_keeps_the_event_that_came_meanwhile() {
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
    fn any_number_of_tasks_wait_in_the_list_and_all_are_woken() {
        let turned = turned();
        let (source, mut theirs) = pair(&turned.driver);
        let registration = source.registration();
        let all = join_all((0..100).map(|_| registration.readiness(Interest::READABLE)));
        let write = async { theirs.write_all(b"x").expect("open") };
        let (events, ()) = block_on(join(all, write));
        assert!(events.into_iter().all(|event| event.expect("open").ready.is_readable()));
    }

    #[test]
    fn a_dropped_future_leaves_the_list_and_is_not_woken() {
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
    }

    #[test]
    fn shutdown_wakes_everyone_and_later_operations_are_errors() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, theirs) = pair(&driver);
        let (wakes, waker) = Wakes::new();
        let mut cx = Context::from_waker(&waker);
        let mut listed = std::pin::pin!(source.registration().readiness(Interest::READABLE));
        assert!(listed.as_mut().poll(&mut cx).is_pending());
        assert!(source.registration().poll_read_ready(&mut cx).is_pending());
        driver.shutdown();
        assert_eq!(wakes.count(), 2);
        let error = block_on(listed).expect_err("shut down");
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(is_shutdown_error(&error) && !is_shutdown_error(&io::Error::other("else")));
        assert!(error.to_string().contains("keep the `Runtime` alive"));
        assert!(block_on(read_some(&source)).is_err());
        assert!(source.registration().try_io(Interest::READABLE, || Ok(())).is_err());
        let refused = Source::new_with_driver(Arc::clone(&driver), theirs, Interest::READABLE);
        assert_eq!(refused.expect_err("shut down").kind(), io::ErrorKind::Other);
    }

    #[test]
    fn an_event_for_an_earlier_use_of_the_slot_is_dropped() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, _theirs) = pair(&driver);
        let index = source.registration.index;
        let generation = source.registration.generation;
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
        let (kept, _theirs) = pair(&driver);
        let (ours, _other) = UnixStream::pair().expect("descriptors left");
        faults::plan(Call::EpollCtl, 0, libc::ENOSPC);
        let refused = Source::new_with_driver(Arc::clone(&driver), ours, Interest::READABLE);
        assert_eq!(refused.expect_err("planned").raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(driver.registrations(), 1);
        drop(kept);
        let file = std::fs::File::open("/proc/self/status").expect("Linux");
        let refused = Source::new_with_driver(driver, file, Interest::READABLE);
        assert_eq!(refused.expect_err("not pollable").raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_wake_ends_one_turn_with_the_token() {
        let driver = Driver::new().expect("descriptors left");
        let (mut buffer, mut wakers) = (EventBuffer::with_capacity(1), WakeList::new());
        driver.wake();
        driver.wake();
        let turn = driver.turn(&mut buffer, None, &mut wakers).expect("a healthy epoll");
        assert!(turn.token && turn.events == 0);
        let turn = driver.turn(&mut buffer, Some(Duration::from_micros(50)), &mut wakers).expect("a healthy epoll");
        assert!(!turn.token, "two wakes became one token");
        faults::plan(Call::EpollWait, 0, libc::EINVAL);
        assert!(driver.turn(&mut buffer, None, &mut wakers).is_err());
    }

    #[test]
    fn a_source_gives_its_socket_back_and_may_be_registered_again() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        let (source, mut theirs) = pair(&driver);
        let ours = source.into_inner().expect("registered");
        let source = Source::new_with_driver(Arc::clone(&driver), ours, Interest::READABLE);
        theirs.write_all(b"x").expect("open");
        assert_eq!(turn_now(&driver), 1);
        assert_eq!(block_on(read_some(&source.expect("free again"))).expect("open"), b"x");
    }
}
