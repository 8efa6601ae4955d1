//! The programs with blocked workers on redd.

#[path = "../../../workloads/blockers.rs"]
mod blockers;

/// What only redd counts.
mod figures {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rt::runtime::{Builder, RescueAction, Runtime};

    /// The monitor is a thread of its own.
    pub const HAS_MONITOR: bool = true;

    static LATE_POLLS: AtomicU64 = AtomicU64::new(0);
    static SPARES: AtomicU64 = AtomicU64::new(0);

    /// Counts instead of printing.
    pub fn quiet(builder: &mut Builder) {
        builder.on_late_poll(|late| {
            LATE_POLLS.fetch_add(u64::from(!late.is_reminder()), Ordering::Relaxed);
            SPARES.fetch_add(u64::from(late.action() == RescueAction::StartedSpare), Ordering::Relaxed);
        });
    }

    pub fn late_polls_and_rescues(_: &Runtime) -> (u64, u64) {
        (LATE_POLLS.load(Ordering::Relaxed), SPARES.load(Ordering::Relaxed))
    }
}

fn main() {
    blockers::main();
}
