//! Cloneable door to a runtime.

use crate::driver::Driver;
use crate::primitives::Arc;
use crate::time::timers::Timers;

/// A door to a runtime: spawn on it, enter it, ask its figures. Cloning is cheap; it does not keep tasks running.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    driver: Option<Arc<Driver>>,
    timers: Option<Timers>,
}

impl Handle {
    /// The I/O driver; `None` if the runtime was built without `enable_io`.
    pub(crate) fn driver(&self) -> Option<&Arc<Driver>> {
        self.shared.driver.as_ref()
    }

    /// The timers; `None` if the runtime was built without `enable_time`.
    pub(crate) fn timers(&self) -> Option<&Timers> {
        self.shared.timers.as_ref()
    }

    /// The wheel on which this thread arms timers: its worker's own, or the last one, shared by threads that are no
    /// worker of this runtime.
    pub(crate) fn timer_slot(&self) -> usize {
        0
    }

    /// A thread that is no worker armed a timer that is earlier than all others on the shared wheel: whoever is parked
    /// with a later deadline looks again.
    ///
    /// The wheel's new deadline was stored before this call with no fence of its own. An implementation that does not
    /// always write to the driver, but first asks whether someone is parked, puts its fence before asking.
    pub(crate) fn unpark_for_timer(&self) {}

    /// Whether `time::pause` may stop this runtime's clock: only with a single worker does *nothing else can run* mean
    /// that time may jump.
    pub(crate) fn allows_pause(&self) -> bool {
        true
    }
}
