//! The lines of the shields whose time has begun, so that dumps can tell the timer of a shield from one of the program.
//!
//! Called by `group::shield` after a cancellation, and by `runtime::collect`.
//!
//! # Why not otherwise
//! A timer that knew its purpose would be larger, for all timers of the program.

use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::OnceLock;

use super::waiter::{Subject, WaiterInfo};
use super::waiting::WaitKind;
use crate::primitives::Mutex;

/// A program has few such lines.
static LINES: OnceLock<Mutex<BTreeSet<&'static Location<'static>>>> = OnceLock::new();

/// The time of a shield that was made at `location` begins: it sleeps there from now on.
pub(crate) fn begin_time_at(location: &'static Location<'static>) {
    LINES.get_or_init(Mutex::default).lock().insert(location);
}

/// Renames the timers of shields.
pub(crate) fn rename_timers(waiters: &mut [WaiterInfo]) {
    let Some(lines) = LINES.get() else { return };
    let lines = lines.lock().clone();
    for waiter in waiters {
        let is_timer = matches!(waiter.subject, Subject::Deadline { .. });
        if is_timer && waiter.location.is_some_and(|location| lines.contains(location)) {
            waiter.kind = WaitKind::Shield;
        }
    }
}
