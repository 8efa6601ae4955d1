//! An alarm: an epoll hears it go off, and any thread may set it, put it off or stop it meanwhile.
//!
//! Called by `scheduler::rescue`.

#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::faults::{self, Call};
use super::{check, timespec};

/// A timer of the system, monotonic: it does not run while the machine is suspended.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        faults::check(Call::TimerFd)?;
        // SAFETY: no pointers are passed; the descriptor that comes back is ours alone.
        unsafe {
            let fd = check(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Lets it go off after `delay`, or not at all; what was set before is forgotten.
    pub(crate) fn set(&self, delay: Option<Duration>) {
        // Zero would stop it.
        let delay = delay.map_or(Duration::ZERO, |delay| delay.max(Duration::from_nanos(1)));
        let spec = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(delay) };
        // SAFETY: `spec` is read during the call only.
        let set = check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) });
        debug_assert!(set.is_ok(), "a timer that we own takes every delay: {set:?}");
    }
}

/// For an epoll, edge-triggered: it need not be read.
impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::epoll::{Epoll, EventBuffer, flags};

    #[test]
    fn an_alarm_may_be_set_again_before_and_after_it_went_off() {
        let (alarm, epoll) = (Alarm::new().expect("descriptors left"), Epoll::new().expect("descriptors left"));
        epoll.add(alarm.as_raw_fd(), flags::IN | flags::ET, 7).expect("a fresh timer");
        let mut buffer = EventBuffer::with_capacity(4);
        alarm.set(Some(Duration::from_secs(3600)));
        for _ in 0..2 {
            alarm.set(Some(Duration::ZERO));
            epoll.wait(&mut buffer, None).expect("waits");
            assert_eq!(buffer.iter().map(|(_, token)| token).collect::<Vec<_>>(), [7]);
        }
        alarm.set(Some(Duration::ZERO));
        alarm.set(None);
        epoll.wait(&mut buffer, Some(Duration::ZERO)).expect("waits");
        faults::plan(Call::TimerFd, 0, libc::EMFILE);
        assert_eq!(Alarm::new().expect_err("planned").raw_os_error(), Some(libc::EMFILE));
    }
}
