//! What Tokio shows of a program's tasks without `tokio_unstable`: numbers.
//!
//! Called by `watch`.

use tokio::runtime::Handle;

/// The stable metrics of the runtime.
pub(crate) fn describe(runtime: &Handle) -> String {
    let metrics = runtime.metrics();
    let mut text =
        format!("{} live tasks, {} in the global queue\n", metrics.num_alive_tasks(), metrics.global_queue_depth());
    for worker in 0..metrics.num_workers() {
        let (busy, parks) = (metrics.worker_total_busy_duration(worker), metrics.worker_park_count(worker));
        text.push_str(&format!("worker {worker}: busy for {busy:?}, parked {parks} times\n"));
    }
    text
}
