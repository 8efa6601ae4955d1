//! A strict `block_on`: it panics if there is a diagnosis.
//!
//! Called by `watched`, for `Builder::fail_on_diagnosis`.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::diagnose::Failure;
use super::look::Look;
use crate::observe::dump::Diagnosis;
use crate::observe::waiting;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::scheduler::shared::Shared;
use crate::sys;

/// The time between the two looks at the end, as in `diagnose`.
const CONFIRM: Duration = Duration::from_millis(10);

/// Panics if a task of the runtime can never run again: meanwhile, or when the future has ended. The drop ends the looks for the call.
pub(super) struct StrictWatch(Arc<Failure>);

impl Drop for StrictWatch {
    fn drop(&mut self) {
        Failure::end(&self.0);
    }
}

impl StrictWatch {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        Self(Failure::begin(shared))
    }

    pub(super) fn before_poll(&self, waker: &Waker) {
        if let Some(text) = self.0.take(waker) {
            fail(&text);
        }
    }

    pub(super) fn after_poll(&self) {
        self.0.set_wait(waiting::last().and_then(|waits| waits.location));
    }

    pub(super) fn end(self, shared: &Arc<Shared>) {
        drop(self);
        if let Some(text) = final_look(shared) {
            fail(&text);
        }
    }
}

fn fail(text: &str) -> ! {
    panic!("a diagnosis, and the runtime was built with `fail_on_diagnosis`:\n{text}")
}

/// What is wrong with the tasks that are left.
fn final_look(shared: &Arc<Shared>) -> Option<String> {
    let look = || Look::at(std::slice::from_ref(shared));
    let mut first = look();
    let is_wrong = |diagnosis: &&Diagnosis| !matches!(diagnosis, Diagnosis::NothingCanHappen { .. });
    first.dump.diagnoses().iter().find(is_wrong)?;
    // No thread wakes it.
    sys::futex_wait(&AtomicU32::new(0), 0, Some(CONFIRM));
    let again = look();
    first.dump.confirm_by(&again.dump);
    let diagnosis = first.dump.diagnoses().iter().find(is_wrong)?;
    Some(format!("{diagnosis}\n\nThe tasks:\n{}", again.dump))
}
