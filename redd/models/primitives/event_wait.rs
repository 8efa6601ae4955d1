//! A wait for events in shuttle's models, which polls the system from time to time.

use super::clock::sleep_turns;
use crate::sys::epoll::{Epoll, EventBuffer};
use std::io;
use std::time::Duration;

/// Polls until there are events or the time is over, and lets other threads run in between.
pub(crate) fn wait_for_events(epoll: &Epoll, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
    let mut has_events = || {
        epoll.wait(buffer, Some(Duration::ZERO))?;
        Ok(buffer.iter().next().is_some())
    };
    if has_events()? || timeout == Some(Duration::ZERO) {
        return Ok(());
    }
    let mut result = Ok(false);
    let mut is_over = || {
        result = has_events();
        !matches!(result, Ok(false))
    };
    match timeout {
        None => {
            while !is_over() {
                shuttle::thread::yield_now();
            }
        }
        Some(timeout) => {
            sleep_turns(timeout, is_over);
        }
    }
    result.map(drop)
}
