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
}
