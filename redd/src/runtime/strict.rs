//! The future of a strict `block_on`: it panics if there is a diagnosis.
//!
//! Called by `lifecycle`, for `Builder::fail_on_diagnosis`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
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

/// Ends the looks for a call.
struct Ends(Arc<Failure>);

impl Drop for Ends {
    fn drop(&mut self) {
        Failure::end(&self.0);
    }
}

/// Runs the future, and panics if a task of the runtime can never run again: meanwhile, or when the future has ended.
pub(super) async fn strictly<F: Future>(shared: Arc<Shared>, future: F) -> F::Output {
    let failure = Ends(Failure::begin(&shared));
    let mut future = pin!(future);
    let output = poll_fn(|cx| {
        if let Some(text) = failure.0.take(cx.waker()) {
            fail(&text);
        }
        let polled = future.as_mut().poll(cx);
        failure.0.set_wait(waiting::last().and_then(|waits| waits.location));
        polled
    })
    .await;
    drop(failure);
    if let Some(text) = final_look(&shared) {
        fail(&text);
    }
    output
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
