//! An alarm: an epoll reports when it goes off. Any thread may set, postpone or stop it meanwhile.
//!
//! Called by `scheduler::rescue`. Under Miri, which has no `timerfd`, a thread implements it: see [`super::thread_alarm`].

#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::faults::{self, Call};
use super::{check, timespec};

#[cfg(miri)]
pub(crate) use super::thread_alarm::ThreadAlarm as Alarm;
#[cfg(not(miri))]
pub(crate) use TimerFd as Alarm;

/// A timer of the system, monotonic: it does not run while the machine is suspended.
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

#[cfg_attr(miri, expect(dead_code, reason = "Miri has no such call"))]
impl TimerFd {
    pub(crate) fn new() -> io::Result<Self> {
        faults::check(Call::TimerFd)?;
        // SAFETY: no pointers are passed; the returned descriptor is ours alone.
        unsafe {
            let fd = check(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Sets the alarm to go off after `delay`, or never. This replaces the previous setting.
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
impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sys::epoll::{Epoll, EventBuffer, flags};

    /// The behaviour of every implementation of an alarm.
    pub(in crate::sys) fn goes_off_as_it_is_set(alarm: RawFd, set: impl Fn(Option<Duration>)) {
        let (epoll, other) = (Epoll::new().expect("descriptors left"), Epoll::new().expect("descriptors left"));
        for epoll in [&epoll, &other] {
            epoll.add(alarm, flags::IN | flags::ET, 7).expect("a fresh timer");
        }
        let mut buffer = EventBuffer::with_capacity(4);
        set(Some(Duration::from_secs(3600)));
        for _ in 0..2 {
            set(Some(Duration::ZERO));
            for epoll in [&epoll, &other] {
                epoll.wait(&mut buffer, None).expect("waits");
                assert_eq!(buffer.iter().map(|(_, token)| token).collect::<Vec<_>>(), [7]);
            }
        }
        epoll.wait(&mut buffer, Some(Duration::from_millis(10))).expect("waits");
        assert_eq!(buffer.iter().count(), 0, "once for each time it is set");
        // The other epoll has its event, so the alarm went off; the first one has not been polled yet.
        set(Some(Duration::ZERO));
        other.wait(&mut buffer, None).expect("waits");
        set(Some(Duration::from_secs(3600)));
        set(None);
        epoll.wait(&mut buffer, Some(Duration::ZERO)).expect("waits");
        assert_eq!(buffer.iter().count(), 0, "what was set before is forgotten");
    }

    #[test]
    fn an_alarm_may_be_set_again_before_and_after_it_went_off() {
        let alarm = Alarm::new().expect("descriptors left");
        goes_off_as_it_is_set(alarm.as_raw_fd(), |delay| alarm.set(delay));
        faults::plan(Call::TimerFd, 0, libc::EMFILE);
        assert_eq!(Alarm::new().expect_err("planned").raw_os_error(), Some(libc::EMFILE));
    }
}
