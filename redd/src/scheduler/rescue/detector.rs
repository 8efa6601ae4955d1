//! The state of one runtime's detection of stalled workers. `scan` and `monitor` read and write it.

use std::sync::OnceLock;
use std::time::Duration;

use super::monitor_thread::Registration;
use super::options::{Mode, Rescue};
use super::poll_mark;
use super::track::Monitor;
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, AtomicU64};
use crate::sys::alarm::Alarm;

/// `due` of a runtime that is not monitored.
pub(super) const NEVER: u64 = u64::MAX;
/// `due` when the alarm is disarmed.
pub(super) const DISARMED: u64 = 0;

/// Schedules the scans of one runtime. All times are milliseconds since the runtime's start.
#[derive(Debug)]
pub(crate) struct StallDetector {
    /// The earliest time at which a worker scans again.
    pub(super) due: AtomicU64,
    pub(super) disarms_eagerly: AtomicBool,
    pub(super) scan_state: Mutex<ScanState>,
    /// Empty if this runtime is not monitored, or not yet.
    pub(super) alarm: OnceLock<Alarm>,
    pub(super) step: Duration,
    pub(super) threshold: Duration,
    pub(crate) counters: StallCounters,
    pub(super) registration: OnceLock<Registration>,
    /// `not-after-stop` of `alarm`.
    pub(super) monitor: Mutex<Monitor>,
}

/// The counts for metrics.
#[derive(Debug, Default)]
pub(crate) struct StallCounters {
    pub(crate) late_polls: AtomicU64,
    pub(crate) rescues: AtomicU64,
    pub(crate) longest_poll_ms: AtomicU64,
    pub(crate) locations: Mutex<Vec<(&'static std::panic::Location<'static>, u64)>>,
}

#[derive(Debug)]
pub(super) struct ScanState {
    /// By slot.
    pub(super) seen: Vec<Seen>,
    pub(super) is_armed: bool,
    /// When the alarm is to fire, and when it was armed.
    pub(super) expected: u64,
    pub(super) armed_at: u64,
    /// The monitor itself scans, each step.
    pub(super) monitor_is_active: bool,
    pub(super) rapid_rearms: u32,
    pub(super) has_ended: bool,
}

/// What the last scan saw of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) polls: u64,
    pub(super) since: u64,
}

impl Seen {
    pub(super) fn is_polling(self) -> bool {
        poll_mark::is_polling(self.polls)
    }
}

impl StallDetector {
    pub(crate) fn new(rescue: &Rescue) -> Self {
        let is_on = rescue.mode != Mode::Off;
        Self {
            due: AtomicU64::new(if is_on { DISARMED } else { NEVER }),
            disarms_eagerly: AtomicBool::new(false),
            scan_state: Mutex::new(ScanState {
                seen: Vec::new(),
                is_armed: false,
                expected: 0,
                armed_at: 0,
                monitor_is_active: false,
                rapid_rearms: 0,
                has_ended: false,
            }),
            alarm: OnceLock::new(),
            step: rescue.threshold / 2,
            threshold: rescue.threshold,
            counters: StallCounters::default(),
            registration: OnceLock::new(),
            monitor: Mutex::default(),
        }
    }

    pub(super) fn step_ms(&self) -> u64 {
        self.step.as_millis() as u64
    }
}
