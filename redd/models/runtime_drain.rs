//! Models of what a drain looks at: whether a runtime is quiet, beside the end of the last task of a group.
//!
//! The runtime has no worker: one thread of the model runs what is queued.

use std::sync::Arc;
use std::time::Duration;

use super::is_quiet;
use crate::group::TaskGroup;
use crate::group::models::ends::{count, read, run, start, with_runtime};
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::{mistake, model};

const LONG: Duration = Duration::from_secs(1000);

/// The group has been dropped. Its last task ends, and then its clean-up runs.
fn look_beside_the_last_end() {
    with_runtime(|runtime| {
        let ran = Arc::new(AtomicUsize::new(0));
        {
            let _entered = runtime.enter();
            let group = TaskGroup::new();
            let clean_up = Arc::clone(&ran);
            group.defer(LONG, async move { count(&clean_up) });
            group.spawn(async {});
        }
        let worker = runtime.handle().clone();
        let worker = start(move || run(&worker));
        if is_quiet(&runtime.handle().shared) {
            assert_eq!(read(&ran), 1, "a runtime is quiet after the clean-ups");
        }
        worker.join().expect("it does not panic");
        run(runtime.handle());
        assert!(is_quiet(&runtime.handle().shared), "nothing is left");
        assert_eq!(read(&ran), 1);
    });
}

model!(loom_a_runtime_with_a_clean_up_is_not_quiet, look_beside_the_last_end);

mistake!(
    loom_a_drain_that_does_not_know_groups_is_caught,
    "a runtime is quiet after the clean-ups",
    patch "a drain that does not know groups",
    look_beside_the_last_end
);
