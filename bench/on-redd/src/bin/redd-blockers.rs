//! The programs with blocked workers on redd.

#[path = "../../../workloads/blockers.rs"]
mod blockers;

/// What only redd counts.
mod figures {
    use rt::runtime::{Builder, Runtime};

    /// The monitor is a thread of its own.
    pub const HAS_MONITOR: bool = true;

    /// The reports are not what is measured.
    pub fn quiet(_: &mut Builder) {}

    pub fn late_polls_and_rescues(_: &Runtime) -> (u64, u64) {
        (0, 0)
    }
}

fn main() {
    blockers::main();
}
