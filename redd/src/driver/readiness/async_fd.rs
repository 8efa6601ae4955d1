//! [`AsyncFd`]: readiness of a descriptor of a kind that redd does not know.
//!
//! Public in `io::unix`. A thin wrapper of [`Registration`].
//!
//! # Invariants
//! - `leave-before-close`: the registration is the first field, so it is removed from epoll before `inner` closes.

#![expect(unsafe_code, reason = "Tokio's `register` functions are declared unsafe")]

use super::ready::{Interest, Ready};
use super::source::ReadyEvent;
use super::state::Direction;
use crate::driver::Registration;
use crate::observe::waiting::located;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

/// A descriptor that the program owns, with readiness: a device, a socket of another library, an inotify instance.
///
/// - The descriptor must be non-blocking (`O_NONBLOCK`), and of a kind that epoll accepts. Epoll refuses regular files.
/// - [`readable`](Self::readable) and [`writable`](Self::writable) wait and return a guard. Report to the guard if the
///   operation would block; [`try_io`](AsyncFdReadyGuard::try_io) does so for you. Otherwise the readiness stays.
/// - Dropping it ends the registration first, and then drops `T`.
/// - Each of the `poll_` methods wakes one task, the last that polled it. The `async` methods serve any number of
///   tasks.
///
/// # Examples
/// ```
/// use redd::io::unix::AsyncFd;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (receiver, mut sender) = UnixStream::pair()?;
/// receiver.set_nonblocking(true)?;
/// let receiver = AsyncFd::new(receiver)?;
/// sender.write_all(b"spawn")?;
///
/// let mut bytes = [0; 16];
/// let read = loop {
///     let mut guard = receiver.readable().await?;
///     match guard.try_io(|receiver| receiver.get_ref().read(&mut bytes)) {
///         Ok(read) => break read?,
///         Err(_would_block) => continue,
///     }
/// };
/// assert_eq!(&bytes[..read], b"spawn");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct AsyncFd<T: AsRawFd> {
    registration: Registration,
    inner: T,
}

/// The readiness that was seen, so that the program can clear it if the operation would block after all.
///
/// - Dropping the guard leaves the readiness as it is.
///
/// # Examples
/// ```
/// use redd::io::unix::AsyncFd;
/// use std::os::unix::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (socket, _peer) = UnixStream::pair()?;
/// socket.set_nonblocking(true)?;
/// let socket = AsyncFd::new(socket)?;
///
/// let mut guard = socket.writable().await?;
/// assert!(guard.ready().is_writable());
/// guard.clear_ready(); // As after a write that would have blocked.
/// assert_eq!(guard.get_inner().peer_addr()?.as_pathname(), None);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use = "readiness stays until it is cleared through the guard"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    async_fd: &'a AsyncFd<T>,
    event: Option<ReadyEvent>,
}

/// As [`AsyncFdReadyGuard`], with the descriptor borrowed mutably.
///
/// # Examples
/// ```
/// use redd::io::unix::AsyncFd;
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (socket, _peer) = UnixStream::pair()?;
/// socket.set_nonblocking(true)?;
/// let mut socket = AsyncFd::new(socket)?;
///
/// let mut guard = socket.writable_mut().await?;
/// let written = guard.try_io(|socket| socket.get_mut().write(b"spawn"));
/// assert_eq!(written.expect("the socket has room")?, 5);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use = "readiness stays until it is cleared through the guard"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    async_fd: &'a mut AsyncFd<T>,
    event: Option<ReadyEvent>,
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers the descriptor of `inner` for reading and writing, with the runtime that this thread is in.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// The system's error: the descriptor is closed, registered already, or of a kind that epoll refuses.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<Self> {
        Self::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`new`](Self::new), for `interest` only.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Self::try_with_interest(inner, interest).map_err(Into::into)
    }

    /// As [`new`](Self::new), but the error returns `inner`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn try_new(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::try_with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`with_interest`](Self::with_interest), but the error returns `inner`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn try_with_interest(inner: T, interest: Interest) -> Result<Self, AsyncFdRegisterError<T>> {
        match Registration::new(inner.as_raw_fd(), interest) {
            Ok(registration) => Ok(Self { registration, inner }),
            Err(cause) => Err(AsyncFdRegisterError { inner, cause }),
        }
    }

    /// As [`try_new`](Self::try_new), with the safety contract of Tokio's function.
    ///
    /// # Safety
    /// The descriptor stays open, and `T` always returns the same one, for as long as this lives. In redd a violation
    /// loses events, but does not break memory safety.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub unsafe fn register(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::try_new(inner)
    }

    /// As [`try_with_interest`](Self::try_with_interest), with the safety contract of Tokio's function.
    ///
    /// # Safety
    /// As [`register`](Self::register).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub unsafe fn register_with_interest(inner: T, interest: Interest) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::try_with_interest(inner, interest)
    }

    /// Returns the object that holds the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the object that holds the descriptor, mutably. Its descriptor must stay the same one.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Ends the registration and returns the object.
    pub fn into_inner(self) -> T {
        // `leave-before-close`.
        let Self { registration, inner } = self;
        drop(registration);
        inner
    }

    /// Polls until reading is worth trying. Only the last task that polled is woken.
    ///
    /// # Errors
    /// The runtime has shut down.
    pub fn poll_read_ready<'a>(&'a self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(self.guard(event)))
    }

    /// As [`poll_read_ready`](Self::poll_read_ready), with a guard that borrows the descriptor mutably.
    ///
    /// # Errors
    /// The runtime has shut down.
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(self.mut_guard(event)))
    }

    /// Polls until writing is worth trying. Only the last task that polled is woken.
    ///
    /// # Errors
    /// The runtime has shut down.
    pub fn poll_write_ready<'a>(&'a self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(self.guard(event)))
    }

    /// As [`poll_write_ready`](Self::poll_write_ready), with a guard that borrows the descriptor mutably.
    ///
    /// # Errors
    /// The runtime has shut down.
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(self.mut_guard(event)))
    }

    /// Waits until something of `interest` is worth trying.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        located(async move { Ok(self.guard(self.registration.readiness(interest).await?)) })
    }

    /// As [`ready`](Self::ready), with a guard that borrows the descriptor mutably.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn ready_mut(&mut self, interest: Interest) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        located(async move {
            let event = self.registration.readiness(interest).await?;
            Ok(self.mut_guard(event))
        })
    }

    /// Waits until reading is worth trying.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        located(async move { Ok(self.guard(self.registration.readiness(Interest::READABLE).await?)) })
    }

    /// As [`readable`](Self::readable), with a guard that borrows the descriptor mutably.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn readable_mut(&mut self) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        located(async move {
            let event = self.registration.readiness(Interest::READABLE).await?;
            Ok(self.mut_guard(event))
        })
    }

    /// Waits until writing is worth trying.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<AsyncFdReadyGuard<'_, T>>> {
        located(async move { Ok(self.guard(self.registration.readiness(Interest::WRITABLE).await?)) })
    }

    /// As [`writable`](Self::writable), with a guard that borrows the descriptor mutably.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: readiness stays until it is cleared.
    ///
    /// # Errors
    /// The runtime has shut down.
    #[track_caller]
    pub fn writable_mut(&mut self) -> impl Future<Output = io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        located(async move {
            let event = self.registration.readiness(Interest::WRITABLE).await?;
            Ok(self.mut_guard(event))
        })
    }

    /// Tries `f` whenever `interest` is ready, until it returns something other than `WouldBlock`.
    ///
    /// # Cancel safety
    /// `f` either has not completed, or its result is returned.
    ///
    /// # Errors
    /// The error of `f`, or that the runtime has shut down.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        located(async move { io_when_ready(&self.registration, interest, || f(&self.inner)).await })
    }

    /// As [`async_io`](Self::async_io); `f` may change the object.
    ///
    /// # Cancel safety
    /// `f` either has not completed, or its result is returned.
    ///
    /// # Errors
    /// The error of `f`, or that the runtime has shut down.
    #[track_caller]
    pub fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        located(async move {
            let Self { registration, inner } = self;
            io_when_ready(registration, interest, || f(inner)).await
        })
    }

    /// Runs `f` if `interest` is ready now, and clears the readiness if `f` returns `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` without a call of `f` if nothing is ready, the error of `f`, or that the runtime has shut down.
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.registration.try_io_if_ready(interest, || f(&self.inner))
    }

    /// As [`try_io`](Self::try_io); `f` may change the object.
    ///
    /// # Errors
    /// As [`try_io`](Self::try_io).
    pub fn try_io_mut<R>(&mut self, interest: Interest, f: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        let Self { registration, inner } = self;
        registration.try_io_if_ready(interest, || f(inner))
    }

    fn guard(&self, event: ReadyEvent) -> AsyncFdReadyGuard<'_, T> {
        AsyncFdReadyGuard { async_fd: self, event: Some(event) }
    }

    fn mut_guard(&mut self, event: ReadyEvent) -> AsyncFdReadyMutGuard<'_, T> {
        AsyncFdReadyMutGuard { async_fd: self, event: Some(event) }
    }

    fn clear(&self, event: &mut Option<ReadyEvent>, cleared: Ready) {
        if let Some(event) = event {
            let (cleared, rest) = (event.ready & cleared, event.ready - cleared);
            self.registration.clear_readiness(event.with_ready(cleared));
            *event = event.with_ready(rest);
        }
    }
}

/// See [`AsyncFd::async_io`].
async fn io_when_ready<R>(
    registration: &Registration,
    interest: Interest,
    mut f: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    loop {
        // Each round costs a unit of the budget, because a closed bit may stay and leave no reason to wait.
        let event = registration.readiness(interest).await?;
        match f() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => registration.clear_after_try(event),
            result => return result,
        }
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl<T: AsRawFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `inner` keeps its descriptor open while it is borrowed. By the contract of `AsRawFd` the descriptor
        // is open, and the kernel confirmed that at registration.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

debug_struct!([T: fmt::Debug + AsRawFd] AsyncFd<T> as "AsyncFd", self => { inner: self.inner, .. });

impl<'a, Inner: AsRawFd> AsyncFdReadyGuard<'a, Inner> {
    /// Reports that the operation would block: clears all the readiness that this guard saw, unless a new event has
    /// arrived.
    ///
    /// A closed direction stays closed, because a caller may also call this after a short read. If the operation would
    /// block although the direction was closed, only [`try_io`](Self::try_io) clears that too.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(Ready::ALL);
    }

    /// As [`clear_ready`](Self::clear_ready), for `ready` only.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        self.async_fd.clear(&mut self.event, ready);
    }

    /// Keeps the readiness, as dropping the guard does. Use it to make that explicit.
    pub fn retain_ready(&mut self) {}

    /// Returns the readiness that this guard saw and has not cleared.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Runs `f`, and clears the readiness if it returns `WouldBlock`. If the guard is for one direction alone, that
    /// includes the closed state of the direction.
    ///
    /// # Errors
    /// [`TryIoError`] if `f` would block: wait again. Other errors of `f` are in the `Ok` value.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&'a AsyncFd<Inner>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match f(self.async_fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(event) = self.event.take() {
                    self.async_fd.registration.clear_after_try(event);
                }
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }
}

debug_struct!([Inner: std::fmt::Debug + AsRawFd] AsyncFdReadyGuard<'_, Inner> as "AsyncFdReadyGuard", self => {
    async_fd: self.async_fd,
    ready: self.ready(),
});

impl<Inner: AsRawFd> AsyncFdReadyMutGuard<'_, Inner> {
    /// Reports that the operation would block: clears all the readiness that this guard saw, unless a new event has
    /// arrived.
    ///
    /// A closed direction stays closed, because a caller may also call this after a short read. If the operation would
    /// block although the direction was closed, only [`try_io`](Self::try_io) clears that too.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(Ready::ALL);
    }

    /// As [`clear_ready`](Self::clear_ready), for `ready` only.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        self.async_fd.clear(&mut self.event, ready);
    }

    /// Keeps the readiness, as dropping the guard does. Use it to make that explicit.
    pub fn retain_ready(&mut self) {}

    /// Returns the readiness that this guard saw and has not cleared.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Runs `f`, and clears the readiness if it returns `WouldBlock`. If the guard is for one direction alone, that
    /// includes the closed state of the direction.
    ///
    /// # Errors
    /// [`TryIoError`] if `f` would block: wait again. Other errors of `f` are in the `Ok` value.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&mut AsyncFd<Inner>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match f(self.async_fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(event) = self.event.take() {
                    self.async_fd.registration.clear_after_try(event);
                }
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }
}

debug_struct!([Inner: std::fmt::Debug + AsRawFd] AsyncFdReadyMutGuard<'_, Inner> as "AsyncFdReadyMutGuard", self => {
    async_fd: self.async_fd,
    ready: self.ready(),
});

impl<'a, Inner: AsRawFd> AsyncFdReadyGuard<'a, Inner> {
    /// Returns the [`AsyncFd`] that is ready.
    pub fn get_ref(&self) -> &'a AsyncFd<Inner> {
        self.async_fd
    }

    /// Returns the object in it.
    pub fn get_inner(&self) -> &'a Inner {
        &self.async_fd.inner
    }
}

impl<Inner: AsRawFd> AsyncFdReadyMutGuard<'_, Inner> {
    /// Returns the [`AsyncFd`] that is ready.
    pub fn get_ref(&self) -> &AsyncFd<Inner> {
        self.async_fd
    }

    /// Returns the [`AsyncFd`] that is ready, mutably.
    pub fn get_mut(&mut self) -> &mut AsyncFd<Inner> {
        self.async_fd
    }

    /// Returns the object in it.
    pub fn get_inner(&self) -> &Inner {
        &self.async_fd.inner
    }

    /// Returns the object in it, mutably.
    pub fn get_inner_mut(&mut self) -> &mut Inner {
        &mut self.async_fd.inner
    }
}

/// The operation would block, and its readiness has been cleared: wait again.
#[derive(Debug)]
pub struct TryIoError(());

/// The error of a descriptor that was refused. [`into_parts`](Self::into_parts) returns the object.
///
/// # Examples
/// ```
/// use redd::io::unix::AsyncFd;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let (_file, why) = AsyncFd::try_new(file).unwrap_err().into_parts();
/// assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied, "epoll refuses regular files");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

/// As in Tokio, the name that [`AsyncFdRegisterError`] had before 1.54.
#[doc(hidden)]
#[deprecated(note = "use `AsyncFdRegisterError`")]
pub type AsyncFdTryNewError<T> = AsyncFdRegisterError<T>;

impl<T> AsyncFdRegisterError<T> {
    /// Returns the object, and the reason for the refusal.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

debug_struct!([T] AsyncFdRegisterError<T> as "AsyncFdRegisterError", self => { cause: self.cause, .. });

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the I/O driver refused the descriptor ({}); it must be open, of a kind that can be polled, and not \
             registered twice",
            self.cause
        )
    }
}

impl<T> Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> Self {
        error.cause
    }
}
