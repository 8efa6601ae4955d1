//! A late poll as an event of `tracing`, with that feature. Without it the call does nothing.
//!
//! Called by `scheduler::rescue`.

use crate::scheduler::rescue::LatePoll;

/// Emits a late poll as a warning of target `redd::late_poll`.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only a subscriber reads it"))]
pub(crate) fn emit(late: &LatePoll) {
    #[cfg(feature = "tracing")]
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
