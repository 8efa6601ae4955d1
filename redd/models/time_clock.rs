//! Models of a paused clock while work outside of the scheduler ends.
//!
//! A second model has the wrong order as a seeded mistake, which the checker must find.

use super::*;
use crate::primitives::atomic::AtomicBool;
use crate::primitives::checker::thread;
use crate::primitives::{Arc, mistake, model};

/// A blocking closure ends while the scheduler decides. It wakes its task, and then allows a jump.
fn decide_while_work_ends(decide: fn(&Clock, &dyn Fn() -> bool) -> WhenIdle) {
    let clock = Arc::new(Clock::new_paused());
    let is_woken = Arc::new(AtomicBool::new(false));
    clock.inhibit_auto_advance();
    let closure = {
        let (clock, is_woken) = (Arc::clone(&clock), Arc::clone(&is_woken));
        thread::spawn(move || {
            // Relaxed: only the clock's own ordering may publish it.
            is_woken.store(true, Ordering::Relaxed);
            clock.allow_auto_advance();
        })
    };
    let decision = decide(&clock, &|| !is_woken.load(Ordering::Relaxed));
    assert_ne!(decision, WhenIdle::Jump, "time has jumped past a woken task");
    closure.join().expect("the closure does not panic");
    let after = decide(&clock, &|| !is_woken.load(Ordering::Relaxed));
    assert_eq!(after, WhenIdle::HasWork);
}

model!(loom_paused_time_does_not_jump_past_the_end_of_a_blocking_closure, || {
    decide_while_work_ends(|clock, is_idle| clock.when_idle(is_idle));
});

// The mistake against `inhibitors-first`: the closure may end between the two steps.
mistake!(loom_mistake_work_is_looked_for_before_the_inhibitors_are_read, "time has jumped", || {
    decide_while_work_ends(|clock, is_idle| match (is_idle(), clock.can_auto_advance()) {
        (false, _) => WhenIdle::HasWork,
        (true, true) => WhenIdle::Jump,
        (true, false) => WhenIdle::Wait,
    });
});
