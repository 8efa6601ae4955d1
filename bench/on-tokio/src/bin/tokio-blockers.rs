//! The programs with blocked workers on tokio.

#[path = "../../../workloads/blockers.rs"]
mod blockers;

/// Tokio has no rescue.
mod rescue_metrics {
    use rt::runtime::{Builder, Runtime};

    pub const HAS_MONITOR: bool = false;

    pub fn quiet(_: &mut Builder) {}

    pub fn late_polls_and_rescues(_: &Runtime) -> (u64, u64) {
        (0, 0)
    }
}

fn main() {
    blockers::main();
}
