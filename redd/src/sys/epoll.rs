//! epoll and eventfd: the system calls behind the driver.
//!
//! Called by `driver`.
//!
//! # Invariants
//! - `counter-stays-low`: an eventfd is never left so full that a wake cannot be written.

#![expect(unsafe_code, reason = "system calls")]

use super::faults::{self, Call};
use super::fork::Process;
use super::{check, check_len, timespec};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicBool;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The events that epoll watches for and reports: `libc`'s constants, converted to one type.
pub(crate) mod flags {
    pub(crate) const IN: u32 = libc::EPOLLIN as u32;
    pub(crate) const OUT: u32 = libc::EPOLLOUT as u32;
    pub(crate) const PRI: u32 = libc::EPOLLPRI as u32;
    pub(crate) const ERR: u32 = libc::EPOLLERR as u32;
    pub(crate) const HUP: u32 = libc::EPOLLHUP as u32;
    pub(crate) const RDHUP: u32 = libc::EPOLLRDHUP as u32;
    pub(crate) const ET: u32 = libc::EPOLLET as u32;
}

/// Room for the events of one `epoll_wait`; each thread that parks has its own.
pub(crate) struct EventBuffer {
    /// Those that the last wait brought; its spare room is never touched by us.
    events: Vec<libc::epoll_event>,
    /// The next wait brings at most this many.
    limit: usize,
}

impl EventBuffer {
    /// Room for `capacity` events, at least one.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let limit = capacity.clamp(1, i32::MAX as usize);
        Self { events: Vec::with_capacity(limit), limit }
    }

    /// From now on a wait brings at most `limit` events, and at least one.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, self.events.capacity());
    }

    /// Whether the last wait brought as many events as it could. Then more may be left.
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= self.limit
    }

    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }

    /// Adds an event of a simulated world. Returns whether there was room.
    pub(crate) fn push(&mut self, events: u32, token: u64) -> bool {
        let has_room = !self.is_full();
        if has_room {
            self.events.push(libc::epoll_event { events, u64: token });
        }
        has_room
    }

    fn room(&self) -> libc::c_int {
        libc::c_int::try_from(self.limit).unwrap_or(libc::c_int::MAX)
    }

    /// The events of the last wait: what happened, and the token of the registration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        // The fields are copied out, for the struct is packed on x86.
        self.events.iter().map(|event| (event.events, event.u64))
    }
}

debug_struct!([] EventBuffer as "EventBuffer", self => { limit: self.limit, filled: self.events.len() });

/// Set once the kernel has answered that it does not have `epoll_pwait2` (before Linux 5.11), or a sandbox forbids it.
/// Miri does not have it and stops the program at the call.
static ROUND_TO_MS: AtomicBool = AtomicBool::new(cfg!(miri));

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    /// The only process that changes it: a forked child would change its parent's.
    owner: Process,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        faults::check(Call::EpollCreate)?;
        // SAFETY: no pointers are passed; the returned descriptor is ours alone.
        unsafe {
            let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(Self { fd: OwnedFd::from_raw_fd(fd), owner: Process::current() })
        }
    }

    pub(crate) fn add(&self, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        faults::check(Call::EpollCtl)?;
        if !self.owner.is_current() {
            return Err(of_parent());
        }
        // Miri stops the program at this flag, and has no socket that would report it.
        let events = if cfg!(miri) { events & !flags::PRI } else { events };
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: `event` lives across the call; the kernel checks the descriptor.
        unsafe {
            check(libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event))?;
        }
        Ok(())
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        faults::check(Call::EpollCtl)?;
        if !self.owner.is_current() {
            return Ok(());
        }
        // SAFETY: no event is read for a delete; the kernel checks the descriptor.
        unsafe {
            check(libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()))?;
        }
        Ok(())
    }

    /// Waits for events, at most for `timeout`. An interrupted wait ends with none.
    pub(crate) fn wait(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        buffer.clear();
        if !self.owner.is_current() {
            return Err(of_parent());
        }
        match faults::check(Call::EpollWait).and_then(|()| self.wait_once(buffer, timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn wait_once(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        let ms = match timeout {
            None => -1,
            Some(Duration::ZERO) => 0,
            Some(timeout) => {
                // Relaxed: only a hint which call to try first.
                if !ROUND_TO_MS.load(Ordering::Relaxed) {
                    match self.wait_precise(buffer, timeout) {
                        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                            ROUND_TO_MS.store(true, Ordering::Relaxed);
                        }
                        result => return result,
                    }
                }
                ms_rounded_up(timeout)
            }
        };
        // SAFETY: the buffer has room for that many events, and lives across the call.
        unsafe {
            let events = buffer.events.as_mut_ptr();
            let filled = check(libc::epoll_wait(self.fd.as_raw_fd(), events, buffer.room(), ms))?;
            // The kernel has filled that many.
            buffer.events.set_len(filled as usize);
        }
        Ok(())
    }

    /// `epoll_pwait2` takes nanoseconds.
    fn wait_precise(&self, buffer: &mut EventBuffer, timeout: Duration) -> io::Result<()> {
        let spec = timespec(timeout);
        // SAFETY: the buffer has room for that many events; it and `spec` live across the call; no signal mask.
        let filled = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                buffer.events.as_mut_ptr(),
                buffer.room(),
                &raw const spec,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let filled = usize::try_from(filled).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has filled that many.
        unsafe { buffer.events.set_len(filled) };
        Ok(())
    }
}

/// The epoll belongs to the process that forked this one.
fn of_parent() -> io::Error {
    io::Error::other("the runtime belongs to the parent of this forked process")
}

/// Never early: a timer that is looked at too soon costs another turn.
fn ms_rounded_up(timeout: Duration) -> libc::c_int {
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
}

/// A counter in the kernel that makes its epoll fire.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        faults::check(Call::EventFd)?;
        // SAFETY: no pointers are passed; the returned descriptor is ours alone.
        unsafe {
            let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Adds one, which is an edge for all waiting epolls.
    pub(crate) fn signal(&self) {
        // A full counter (after 2^64 wakes) refuses the write and would give no edge: empty it and write again
        // (`counter-stays-low`). No other error is possible on a descriptor that we own.
        while let Err(error) = self.add_one() {
            if error.kind() != io::ErrorKind::WouldBlock && error.kind() != io::ErrorKind::Interrupted {
                debug_assert!(false, "an eventfd refused a write: {error}");
                return;
            }
            self.drain();
        }
    }

    /// As [`signal`](Self::signal), for a signal handler: one system call, no allocation, `errno` as before.
    pub(crate) fn signal_in_handler(&self) {
        // SAFETY: the address of this thread's `errno` is valid on this thread.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; a handler may run between any two instructions, so the value is put back below.
        let before = unsafe { *errno };
        // A full counter is out of reach for signals (`counter-stays-low`), and nothing can be done about it here.
        let _ = self.add_one();
        // SAFETY: as above.
        unsafe { *errno = before };
    }

    /// Another descriptor for the same counter: it can be registered beside the first one.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        faults::check(Call::EventFd)?;
        self.0.try_clone()
    }

    fn add_one(&self) -> io::Result<usize> {
        let one = 1_u64;
        // SAFETY: eight bytes are read from a live `u64`.
        check_len(unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) })
    }

    /// Sets the counter to zero.
    pub(crate) fn drain(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes are written to a live `u64`. If the counter is empty it returns `EAGAIN`, which is harmless.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_below_a_millisecond_is_rounded_up_and_not_to_zero() {
        assert_eq!(ms_rounded_up(Duration::from_nanos(1)), 1);
        assert_eq!(ms_rounded_up(Duration::from_millis(7)), 7);
        assert_eq!(ms_rounded_up(Duration::from_micros(7_001)), 8);
        assert_eq!(ms_rounded_up(Duration::MAX), libc::c_int::MAX);
    }

    #[test]
    fn a_full_counter_still_gives_an_edge() {
        let (epoll, eventfd) = (Epoll::new().expect("descriptors left"), EventFd::new().expect("descriptors left"));
        epoll.add(eventfd.as_raw_fd(), flags::IN | flags::ET, 9).expect("a fresh eventfd");
        let full = u64::MAX - 1;
        // SAFETY: eight bytes of a live `u64`.
        check_len(unsafe { libc::write(eventfd.as_raw_fd(), (&raw const full).cast(), 8) })
            .expect("the counter was zero");
        let mut buffer = EventBuffer::with_capacity(4);
        epoll.wait(&mut buffer, None).expect("waits");
        assert_eq!(buffer.iter().count(), 1);
        eventfd.signal();
        epoll.wait(&mut buffer, Some(Duration::ZERO)).expect("waits");
        assert_eq!(buffer.iter().map(|(_, token)| token).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn an_interrupted_wait_ends_without_events_and_other_errors_are_returned() {
        let epoll = Epoll::new().expect("descriptors left");
        let mut buffer = EventBuffer::with_capacity(4);
        faults::plan(Call::EpollWait, 0, libc::EINTR);
        epoll.wait(&mut buffer, None).expect("no error");
        assert_eq!(buffer.iter().count(), 0);
        faults::plan(Call::EpollWait, 0, libc::EINVAL);
        let error = epoll.wait(&mut buffer, None).expect_err("planned");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        faults::plan(Call::EpollCreate, 0, libc::EMFILE);
        assert_eq!(Epoll::new().expect_err("planned").raw_os_error(), Some(libc::EMFILE));
    }
}
