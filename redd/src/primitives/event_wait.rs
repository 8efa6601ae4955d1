//! Where a thread waits for an event outside of this process. In shuttle's models this is part of the schedule.
//!
//! Called by `driver`.

use crate::sys::epoll::{Epoll, EventBuffer};
use std::io;
use std::time::Duration;

/// Waits for events, at most for `timeout`, and puts them into `buffer`. May return early with none.
#[inline]
pub(crate) fn wait_for_events(epoll: &Epoll, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
    epoll.wait(buffer, timeout)
}
