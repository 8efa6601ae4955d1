//! The programs with blocked workers on redd.

#[path = "../../../workloads/blockers.rs"]
mod blockers;

/// Metrics of rescue, which only redd has.
mod rescue_metrics {
    use rt::runtime::{Builder, Runtime};

    /// The monitor is an extra thread.
    pub const HAS_MONITOR: bool = true;

    /// Writing the reports is not measured.
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
