//! Injected faults: a test sets which call fails next and how. The function then returns that error instead of
//! calling the system. In programs the check is an empty inline function.
//!
//! Faults are set per thread, so that tests that run side by side do not see each other's.

use std::io;

/// The calls that can be made to fail. One variant for each such function of `sys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "constructed by the doors that exist with all features"))]
pub(crate) enum Call {
    ThreadStart,
    EpollCreate,
    EpollWait,
    EpollCtl,
    EventFd,
    TimerFd,
    Accept,
    Connect,
    Read,
    ReadNow,
    FindCached,
    OpenCached,
    Statx,
    Statfs,
    Write,
    WriteReport,
    PidfdOpen,
    AttachSignal,
    AttachOpen,
    AttachConnect,
    AttachPeer,
    AttachRead,
    AttachWrite,
}

/// Returns `Err` if a test has set this call to fail now.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn check(_call: Call) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
thread_local! {
    static PLANNED: std::cell::RefCell<Vec<(Call, usize, i32)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// See above.
#[cfg(test)]
pub(crate) fn check(call: Call) -> io::Result<()> {
    PLANNED.with_borrow_mut(|planned| {
        let Some(index) = planned.iter().position(|(planned_call, _, _)| *planned_call == call) else {
            return Ok(());
        };
        if planned[index].1 > 0 {
            planned[index].1 -= 1;
            return Ok(());
        }
        let (_, _, errno) = planned.remove(index);
        Err(io::Error::from_raw_os_error(errno))
    })
}

/// The call after the next `skip` calls of this kind on this thread fails with `errno`, once.
#[cfg(test)]
pub(crate) fn plan(call: Call, skip: usize, errno: i32) {
    PLANNED.with_borrow_mut(|planned| planned.push((call, skip, errno)));
}
