//! Events for `tracing`, with that feature. Without it the calls do nothing (`lib.rs` has their twin).
//!
//! Called by `scheduler::rescue`.

use crate::scheduler::rescue::LatePoll;

/// A late poll, as a warning of target `redd::late_poll`.
pub(crate) fn late_poll(late: &LatePoll) {
    tracing::warn!(
        target: "redd::late_poll",
        task = late.task_id().map(tracing::field::display),
        name = late.task_name(),
        spawned_at = late.spawned_at().map(tracing::field::display),
        has_ended = late.has_ended(),
        computed_ms = late.cpu_time().map(|time| time.as_millis() as u64),
        elapsed_ms = late.elapsed().as_millis() as u64,
        cpu = ?late.cpu_use(),
        system_call = late.system_call(),
        wait_channel = late.wait_channel(),
        action = ?late.action(),
        "{late}"
    );
}
