//! Models of threads that start late: during a shutdown, and as spares that are called.

/// The checker's `Arc` may not be the type of `self`.
use std::sync::Arc as Plain;

use super::super::spares::{Called, ParkedSpare, Spares};
use super::super::worker_states::join_unless_ended;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

/// The data that a start and a shutdown share: how many threads are alive, which of them the shutdown joins, and the standby.
struct SmallRuntime {
    alive: AtomicUsize,
    is_closed: AtomicUsize,
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    spares: crate::primitives::checker::sync::Mutex<Spares>,
    started: AtomicUsize,
    ended: AtomicUsize,
}

impl SmallRuntime {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            alive: AtomicUsize::new(1),
            is_closed: AtomicUsize::new(0),
            threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
            spares: crate::primitives::checker::sync::Mutex::new(Spares::default()),
            started: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    /// The shutdown from the close on. It joins the listed threads.
    fn shut_down(&self) {
        self.is_closed.store(1, Ordering::Release);
        self.release();
        while self.alive.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else { break };
            thread.join().expect("it does not panic");
        }
        let (started, ended) = (self.started.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        assert_eq!(started, ended, "a thread is left");
        assert!(self.spares.lock().unwrap().take_standby().is_none(), "a thread is left waiting");
    }

    fn release(&self) {
        let standby = self.spares.lock().unwrap().take_standby();
        if let Some(parked_spare) = standby {
            parked_spare.call(None);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) == 1
    }
}

/// The only worker leaves, another one starts, and this thread shuts down.
fn start_against_shutdown(starts_under_lock: bool) {
    let runtime = SmallRuntime::new();
    let starter = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            let lock = starts_under_lock.then(|| runtime.threads.lock().unwrap());
            if !join_unless_ended(&runtime.alive) {
                return;
            }
            runtime.started.fetch_add(1, Ordering::Relaxed);
            let late = {
                let runtime = Arc::clone(&runtime);
                thread::spawn(move || {
                    runtime.alive.fetch_sub(1, Ordering::AcqRel);
                    runtime.ended.fetch_add(1, Ordering::Relaxed); // the hook
                })
            };
            lock.unwrap_or_else(|| runtime.threads.lock().unwrap()).push(late);
        })
    };
    runtime.alive.fetch_sub(1, Ordering::AcqRel);
    runtime.shut_down();
    starter.join().expect("it does not panic");
}

model!(loom_start_against_shutdown_leaves_no_thread, || start_against_shutdown(true));

mistake!(loom_start_catches_one_that_is_listed_late, "a thread is left", || start_against_shutdown(false));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standby {
    Right,
    /// It starts although all workers have left.
    StartsAfterTheEnd,
    /// It checks whether the runtime has closed before it takes the lock of the spares.
    ChecksBeforeItWaits,
}

/// The last worker leaves, another thread (the monitor) starts a standby, and this thread shuts down.
fn standby_against_shutdown(standby: Standby) {
    let runtime = SmallRuntime::new();
    let starter = {
        let runtime = Arc::clone(&runtime);
        thread::spawn(move || {
            let mut threads = runtime.threads.lock().unwrap();
            let has_ended = runtime.is_closed() || runtime.alive.load(Ordering::Acquire) == 0;
            if has_ended && standby != Standby::StartsAfterTheEnd {
                return;
            }
            runtime.started.fetch_add(1, Ordering::Relaxed);
            let mine = Arc::clone(&runtime);
            threads.push(thread::spawn(move || {
                let parked_spare = Plain::new(ParkedSpare::default());
                let checked = (standby == Standby::ChecksBeforeItWaits).then(|| mine.is_closed());
                // It does not wait here: a thread that is still listed at the end would wait forever.
                let mut spares = mine.spares.lock().unwrap();
                if !checked.unwrap_or_else(|| mine.is_closed()) {
                    assert_eq!(spares.arrive(&parked_spare, false, 1), None);
                }
                drop(spares);
                mine.ended.fetch_add(1, Ordering::Relaxed);
            }));
        })
    };
    runtime.alive.fetch_sub(1, Ordering::AcqRel);
    runtime.shut_down();
    starter.join().expect("it does not panic");
}

model!(loom_start_a_standby_against_shutdown_leaves_no_thread, || standby_against_shutdown(Standby::Right));

mistake!(loom_start_catches_a_standby_that_starts_after_the_end, "a thread is left", || {
    standby_against_shutdown(Standby::StartsAfterTheEnd);
});

mistake!(loom_start_catches_a_standby_that_checks_before_it_waits, "a thread is left waiting", || {
    standby_against_shutdown(Standby::ChecksBeforeItWaits);
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    UnderTheLock,
    /// The mistake: a call that finds no spare leaves no request.
    NoRequest,
}

/// Two callers, and one standby that is starting. When it is called, it starts a second one.
fn calls_against_arrivals(calls: Calls) {
    let spares = Plain::new(crate::primitives::checker::sync::Mutex::new(Spares::default()));
    let active = Plain::new(AtomicUsize::new(0));
    let first = {
        let (spares, active) = (Plain::clone(&spares), Plain::clone(&active));
        thread::spawn(move || {
            // The second standby arrives after the first was called. Neither waits for a call here.
            for _ in 0..2 {
                let parked_spare = Plain::new(ParkedSpare::default());
                if spares.lock().unwrap().arrive(&parked_spare, true, 2).is_none() {
                    return;
                }
                active.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for _ in 0..2 {
        let called = match calls {
            Calls::UnderTheLock => spares.lock().unwrap().call(2),
            Calls::NoRequest => {
                let standby = spares.lock().unwrap().take_standby();
                match standby {
                    Some(parked_spare) => Called::Standby(parked_spare, 0),
                    None => spares.lock().unwrap().call(0),
                }
            }
        };
        if let Called::Standby(..) = called {
            active.fetch_add(1, Ordering::Relaxed);
        }
    }
    first.join().expect("it does not panic");
    let has_standby = spares.lock().unwrap().take_standby().is_some();
    let active = active.load(Ordering::Relaxed);
    assert!(!has_standby || active == 2, "a standby waits, and a call has found no spare");
    assert!(active > 0, "a standby waits, and a call has found no spare");
}

model!(loom_spares_calls_against_arrivals, || calls_against_arrivals(Calls::UnderTheLock));

mistake!(loom_spares_catches_a_call_that_leaves_no_request, "a call has found no spare", || {
    calls_against_arrivals(Calls::NoRequest);
});
