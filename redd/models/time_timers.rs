//! Models of a timer that several threads arm, poll, drop, fire and detach.
//!
//! Each protocol appears twice: as it is, and with a seeded mistake that the model must find.

use std::task::Wake;

use super::*;
use crate::primitives::{Arc, mistake, model};

/// Counts its wakes. The counter is not modelled: it is compared after the threads were joined.
struct Counting(fixed::AtomicUsize);

impl Wake for Counting {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Witness(std::sync::Arc<Counting>);

impl Witness {
    fn new() -> Self {
        Self(std::sync::Arc::new(Counting(fixed::AtomicUsize::new(0))))
    }

    fn waker(&self) -> Waker {
        std::sync::Arc::clone(&self.0).into()
    }

    fn wakes(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }

    fn assert_no_waker_left(&self) {
        assert_eq!(std::sync::Arc::strong_count(&self.0), 1, "wakers are freed");
    }
}

struct NoWorkers;

impl Unpark for NoWorkers {
    fn unpark_for_timer(&self) {}
}

fn one_wheel() -> Arc<Timers> {
    Arc::new(Timers::new(Clock::new(), 0, Weak::<NoWorkers>::new(), Timers::shared_slot))
}

fn arm_at(timers: &Timers, timer: &mut Pin<Box<Timer>>, tick: u64, waker: Waker) -> Arming {
    let deadline = timers.instant_of(tick);
    timer.as_mut().begin_wait(7);
    timer.as_mut().arm(timers.wheels[0], deadline, Some(waker))
}

fn armed_at(timers: &Timers, tick: u64, witness: &Witness) -> Pin<Box<Timer>> {
    let mut timer = Box::pin(Timer::new(timers, Location::caller()));
    let arming = arm_at(timers, &mut timer, tick, witness.waker());
    assert!(matches!(arming, Arming::Armed | Arming::ArmedEarliest));
    timer
}

fn fire(timers: &Timers, now_tick: u64) -> usize {
    let mut wakers = WakeList::new();
    let count = timers.expire(0, now_tick, &mut wakers);
    wakers.wake_all();
    count
}

fn drop_while_firing(disarm: fn(Pin<&mut Timer>) -> Option<Waker>) {
    let timers = one_wheel();
    let (dropped, kept) = (Witness::new(), Witness::new());
    let mut timer = armed_at(&timers, 1, &dropped);
    let thread = crate::primitives::checker::thread::spawn(move || {
        drop(disarm(timer.as_mut()));
        drop(timer);
    });
    fire(&timers, 1);
    // One lap of the lowest level later, another timer is in the slot that the first was in.
    fire(&timers, 64);
    let neighbour = armed_at(&timers, 65, &kept);
    thread.join().expect("it does not panic");
    assert_eq!(fire(&timers, 65), 1, "the neighbour is still linked");
    assert!(dropped.wakes() <= 1);
    assert_eq!(kept.wakes(), 1);
    assert!(neighbour.is_fired());
    dropped.assert_no_waker_left();
    kept.assert_no_waker_left();
    assert_eq!(timers.next_deadline(0), None);
}

model!(loom_a_timer_dropped_while_it_fires_releases_its_waker_once, || drop_while_firing(Timer::disarm));

/// The mistake against `state-under-lock`: a timer that was ARMED before locking is assumed to be linked.
fn disarm_without_recheck(timer: Pin<&mut Timer>) -> Option<Waker> {
    if timer.state() != ARMED {
        return None;
    }
    let entry = &timer.entry;
    let wheel = timer.wheel.expect("an armed timer knows its wheel");
    let waker = wheel.with(|inner| {
        // SAFETY: none: this is the mistake. In the model the entry is alive, and only the list gets mixed up.
        unsafe { inner.wheel.remove(NonNull::from(entry)) };
        wheel.publish(inner);
        entry.waker.with_mut(|waker| {
            // SAFETY: the lock is held.
            unsafe { (*waker).take() }
        })
    });
    entry.state.store(IDLE, Ordering::Relaxed);
    waker
}

mistake!(loom_mistake_a_drop_that_does_not_recheck_under_the_lock, "the neighbour is still linked", || {
    drop_while_firing(disarm_without_recheck)
});

fn poll_while_firing(poll: fn(Pin<&mut Timer>, &Waker) -> TimerState) {
    let timers = one_wheel();
    let (first, second) = (Witness::new(), Witness::new());
    let mut timer = armed_at(&timers, 1, &first);
    let waker = second.waker();
    let thread = crate::primitives::checker::thread::spawn(move || {
        let state = poll(timer.as_mut(), &waker);
        drop(waker);
        (state, timer)
    });
    assert_eq!(fire(&timers, 1), 1);
    let (state, timer) = thread.join().expect("it does not panic");
    match state {
        TimerState::Fired => assert_eq!(first.wakes(), 1),
        TimerState::Waiting => assert_eq!(second.wakes(), 1, "the last waker is woken"),
        TimerState::Idle | TimerState::Detached => panic!("it was armed: {state:?}"),
    }
    assert_eq!(first.wakes() + second.wakes(), 1);
    drop(timer);
    first.assert_no_waker_left();
    second.assert_no_waker_left();
}

model!(loom_a_poll_with_another_waker_while_it_fires_is_ready_or_is_woken, || poll_while_firing(
    |timer, waker| timer.poll(&mut Context::from_waker(waker), || 8)
));

/// The mistake against `state-under-lock`: the waker is stored without checking that the timer is still in the wheel.
fn poll_without_recheck(timer: Pin<&mut Timer>, new: &Waker) -> TimerState {
    if timer.state() != ARMED {
        return TimerState::Fired;
    }
    let wheel = timer.wheel.expect("an armed timer knows its wheel");
    let clone = Some(new.clone());
    wheel.with(|_| {
        timer.entry.waker.with_mut(|waker| {
            // SAFETY: the lock is held.
            unsafe { *waker = clone };
        });
    });
    TimerState::Waiting
}

mistake!(loom_mistake_a_poll_that_does_not_recheck_under_the_lock, "the last waker is woken", || poll_while_firing(
    poll_without_recheck
));

fn reset_after_firing(leave: fn(&TimerEntry) -> Option<Waker>) {
    let timers = one_wheel();
    let (first, second) = (Witness::new(), Witness::new());
    let mut timer = armed_at(&timers, 1, &first);
    let (others, waker) = (Arc::clone(&timers), second.waker());
    let thread = crate::primitives::checker::thread::spawn(move || {
        if timer.is_fired() {
            drop(timer.as_mut().disarm());
            let arming = arm_at(&others, &mut timer, 5, waker);
            assert!(matches!(arming, Arming::Armed | Arming::ArmedEarliest));
        }
        timer
    });
    let wheel = timers.wheels[0];
    let waker = wheel.with(|inner| {
        let entry = inner.wheel.pop_due(1).expect("it is due");
        wheel.publish(inner);
        // SAFETY: it was armed, and its owner waits for FIRED.
        leave(unsafe { entry.as_ref() })
    });
    waker.expect("it was armed with one").wake();
    let timer = thread.join().expect("it does not panic");
    assert_eq!(first.wakes(), 1);
    assert_eq!(fire(&timers, 5), second.wakes());
    assert!(timer.is_fired());
}

model!(loom_a_fired_timer_is_accessed_only_by_its_owner, || reset_after_firing(|entry| {
    // SAFETY: unlinked under the lock, which is held.
    unsafe { TimerEntry::leave(NonNull::from(entry), FIRED) }
}));

mistake!(loom_mistake_a_firing_that_accesses_the_entry_after_storing_fired, "Causality violation", || {
    reset_after_firing(|entry| {
        // The mistake against `last-touch`: the order of the two steps.
        entry.state.store(FIRED, Ordering::Release);
        entry.waker.with_mut(|waker| {
            // SAFETY: none: this is the mistake.
            unsafe { (*waker).take() }
        })
    })
});

mistake!(loom_mistake_a_firing_that_publishes_nothing, "Causality violation", || reset_after_firing(|entry| {
    let waker = entry.waker.with_mut(|waker| {
        // SAFETY: armed, and the lock is held.
        unsafe { (*waker).take() }
    });
    // The mistake against `last-touch`: the owner may see FIRED before the waker is out.
    entry.state.store(FIRED, Ordering::Relaxed);
    waker
}));

fn arm_during_shutdown(shutdown: fn(&Timers)) {
    let timers = one_wheel();
    let witness = Witness::new();
    let mut timer = Box::pin(Timer::new(&timers, Location::caller()));
    let (others, waker) = (Arc::clone(&timers), witness.waker());
    let thread = crate::primitives::checker::thread::spawn(move || {
        let is_gone = matches!(arm_at(&others, &mut timer, 1, waker), Arming::Gone(_));
        (is_gone, timer)
    });
    shutdown(&timers);
    let (is_gone, timer) = thread.join().expect("it does not panic");
    assert_eq!(timer.state(), DETACHED, "no timer waits forever");
    assert_eq!(witness.wakes(), usize::from(!is_gone));
    witness.assert_no_waker_left();
}

model!(loom_a_timer_armed_during_shutdown_is_refused_or_woken, || arm_during_shutdown(Timers::shutdown));

mistake!(loom_mistake_a_shutdown_that_does_not_clear_the_life, "no timer waits forever", || arm_during_shutdown(
    |timers| {
        let mut wakers = WakeList::new();
        // The mistake against `one-life`: the wheel keeps its life.
        timers.wheels[0].take_out(&mut wakers, DETACHED, |inner| inner.wheel.pop_any());
        wakers.wake_all();
    }
));

fn drop_during_reuse(disarm: fn(Pin<&mut Timer>) -> Option<Waker>) {
    let timers = one_wheel();
    let (old, new) = (Witness::new(), Witness::new());
    let mut timer = armed_at(&timers, 3, &old);
    let thread = crate::primitives::checker::thread::spawn(move || {
        drop(disarm(timer.as_mut()));
        drop(timer);
    });
    timers.shutdown();
    // As `Timers::new` does with a wheel that was given back.
    let wheel = timers.wheels[0];
    wheel.open(timers.life, timers.clock.start());
    let successor = armed_at(&timers, 3, &new);
    thread.join().expect("it does not panic");
    fire(&timers, 3);
    assert_eq!(new.wakes(), 1, "the wheel's new timer is still linked");
    drop(successor);
    old.assert_no_waker_left();
}

model!(loom_a_timer_dropped_after_its_runtime_leaves_the_reused_wheel_alone, || drop_during_reuse(Timer::disarm));

mistake!(loom_mistake_a_drop_that_trusts_a_wheel_of_another_life, "the wheel's new timer is still linked", || {
    drop_during_reuse(disarm_without_recheck)
});

model!(loom_neighbours_dropped_by_two_threads_are_both_unlinked, || {
    let timers = one_wheel();
    let (left, right) = (Witness::new(), Witness::new());
    let timer = armed_at(&timers, 7, &left);
    let other = armed_at(&timers, 7, &right);
    let thread = crate::primitives::checker::thread::spawn(move || drop(timer));
    drop(other);
    thread.join().expect("it does not panic");
    assert_eq!(timers.next_deadline(0), None);
    left.assert_no_waker_left();
    right.assert_no_waker_left();
});

/// A walk that describes one timer under each lock, while the timer at which it continues leaves the wheel.
fn walk_while_a_timer_leaves() {
    let timers = one_wheel();
    let witness = Witness::new();
    let [first, mut leaving, last] = [7, 8, 9].map(|task| {
        let mut timer = Box::pin(Timer::new(&timers, Location::caller()));
        let deadline = timers.instant_of(1);
        timer.as_mut().begin_wait(task);
        let arming = timer.as_mut().arm(timers.wheels[0], deadline, Some(witness.waker()));
        assert!(matches!(arming, Arming::Armed | Arming::ArmedEarliest));
        timer
    });
    let thread = crate::primitives::checker::thread::spawn(move || {
        drop(leaving.as_mut().disarm());
        leaving
    });
    let mut waiters = Vec::new();
    timers.collect_by(1, || {}, &mut waiters);
    let leaving = thread.join().expect("it does not panic");
    let tasks: Vec<u64> = waiters.iter().map(|waiter| waiter.task).collect();
    assert!(tasks == [7, 8, 9] || tasks == [7, 9], "the walk has lost its way: {tasks:?}");
    drop((first, leaving, last));
    witness.assert_no_waker_left();
}

model!(loom_a_walk_continues_where_a_timer_has_left, walk_while_a_timer_leaves);

mistake!(
    loom_mistake_a_walk_that_continues_at_a_timer_that_has_left,
    "the walk has lost its way",
    patch "a walk that continues at a timer that has left",
    walk_while_a_timer_leaves
);

/// A walk while the timers fire.
fn walk_while_firing() {
    let timers = one_wheel();
    let witness = Witness::new();
    let (first, second) = (armed_at(&timers, 1, &witness), armed_at(&timers, 1, &witness));
    let walking = timers.clone();
    let thread = crate::primitives::checker::thread::spawn(move || {
        let mut waiters = Vec::new();
        walking.collect_by(1, || {}, &mut waiters);
        waiters.len()
    });
    assert_eq!(fire(&timers, 1), 2);
    assert!(thread.join().expect("it does not panic") <= 2);
    assert!(first.is_fired() && second.is_fired());
}

model!(loom_a_walk_ends_while_the_timers_fire, walk_while_firing);
