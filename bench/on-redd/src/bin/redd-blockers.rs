//! The programs with blocked workers on redd.

#[path = "../../../workloads/blockers.rs"]
mod blockers;

/// Values that only redd counts.
mod figures {
    use rt::runtime::{Builder, Runtime};

    /// The monitor is a thread of its own.
    pub const HAS_MONITOR: bool = true;

    /// The report lines are not measured.
    pub fn quiet(builder: &mut Builder) {
        builder.on_late_poll(|_| {});
    }

    pub fn late_polls_and_rescues(runtime: &Runtime) -> (u64, u64) {
        let metrics = runtime.metrics();
        (metrics.late_polls(), metrics.rescues())
    }
}

fn main() {
    blockers::main();
}
