//! Threads outside a runtime use wakers and abort handles. They call, send, clone and drop them before, during and
//! after the end of the runtime. Every combination is tested, also under AddressSanitizer.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use redd::runtime::{Builder, LocalRuntime, Runtime};
use redd::task::{AbortHandle, JoinHandle, LocalSet};

/// What a thread outside does to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Wake,
    WakeByRef,
    Clone,
    Drop,
    Abort,
}

const ACTIONS: [Action; 5] = [Action::Wake, Action::WakeByRef, Action::Clone, Action::Drop, Action::Abort];

impl Action {
    /// Whether the action ends the task if the runtime keeps running.
    fn ends(self) -> bool {
        matches!(self, Self::Wake | Self::WakeByRef | Self::Abort)
    }
}

/// When the thread acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The runtime runs until the task has ended.
    Before,
    /// The runtime ends as soon as the task has ended. The thread may not have returned from its call.
    Behind,
    /// The runtime ends at the same time.
    During,
    After,
}

const MOMENTS: [Moment; 4] = [Moment::Before, Moment::Behind, Moment::During, Moment::After];

/// The shared record of one task.
#[derive(Default)]
struct Traces {
    waker: Mutex<Option<Waker>>,
    may_end: AtomicBool,
    is_dropped: AtomicUsize,
    has_ended: AtomicBool,
}

/// Waits until it is woken with `may_end` set. Its output is a value whose drop is counted, like that of the future.
struct Waiting(Arc<Traces>);

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.may_end.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        assert_eq!(self.0.is_dropped.fetch_add(1, Ordering::AcqRel), 0, "dropped once");
        self.0.has_ended.store(true, Ordering::Release);
    }
}

/// A runtime of some kind with one waiting task.
trait Host {
    fn start() -> Self;
    fn spawn(&self, future: Waiting) -> JoinHandle<()>;
    /// Runs the tasks until `is_over`.
    fn run_until(&self, is_over: impl Fn() -> bool);
}

async fn yield_until(is_over: impl Fn() -> bool) {
    while !is_over() {
        redd::task::yield_now().await;
    }
}

struct Workers<const N: usize>(Runtime);

impl<const N: usize> Host for Workers<N> {
    fn start() -> Self {
        Self(Builder::new_multi_thread().worker_threads(N).build().unwrap())
    }
    fn spawn(&self, future: Waiting) -> JoinHandle<()> {
        self.0.spawn(future)
    }
    fn run_until(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            thread::yield_now();
        }
    }
}

struct Current(Runtime);

impl Host for Current {
    fn start() -> Self {
        Self(Builder::new_current_thread().build().unwrap())
    }
    fn spawn(&self, future: Waiting) -> JoinHandle<()> {
        self.0.spawn(future)
    }
    fn run_until(&self, is_over: impl Fn() -> bool) {
        self.0.block_on(yield_until(is_over));
    }
}

struct Local(LocalRuntime);

impl Host for Local {
    fn start() -> Self {
        Self(LocalRuntime::new().unwrap())
    }
    fn spawn(&self, future: Waiting) -> JoinHandle<()> {
        self.0.spawn_local(future)
    }
    fn run_until(&self, is_over: impl Fn() -> bool) {
        self.0.block_on(yield_until(is_over));
    }
}

/// The set is dropped before its runtime.
struct Set(LocalSet, Runtime);

impl Host for Set {
    fn start() -> Self {
        Self(LocalSet::new(), Builder::new_current_thread().build().unwrap())
    }
    fn spawn(&self, future: Waiting) -> JoinHandle<()> {
        self.0.spawn_local(future)
    }
    fn run_until(&self, is_over: impl Fn() -> bool) {
        self.0.block_on(&self.1, yield_until(is_over));
    }
}

/// The number of threads that act at once, each with its own waker and abort handle.
const THREADS: usize = 2;

fn act(action: Action, waker: Waker, abort: &AbortHandle) {
    match action {
        Action::Wake => waker.wake(),
        Action::WakeByRef => waker.wake_by_ref(),
        Action::Clone => {
            let clone = waker.clone();
            drop(waker);
            assert!(clone.will_wake(&clone.clone()));
        }
        Action::Drop => drop(waker),
        Action::Abort => {
            abort.abort();
            abort.abort();
        }
    }
}

fn run_combination<H: Host>(action: Action, moment: Moment, keeps_handle: bool) {
    let host = H::start();
    let traces = Arc::new(Traces::default());
    let mut handle = Some(host.spawn(Waiting(Arc::clone(&traces))));
    host.run_until(|| traces.waker.lock().unwrap().is_some());
    let waker = traces.waker.lock().unwrap().take().unwrap();
    let abort = handle.as_ref().unwrap().abort_handle();
    if !keeps_handle {
        handle = None;
    }
    traces.may_end.store(true, Ordering::Release);
    let start = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (waker, abort, start) = (waker.clone(), abort.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                act(action, waker, &abort);
            })
        })
        .collect();
    drop((waker, abort));
    let has_ended = || traces.has_ended.load(Ordering::Acquire);
    let join = || threads.into_iter().for_each(|thread| thread.join().unwrap());
    match moment {
        Moment::Before => {
            start.wait();
            if action.ends() {
                host.run_until(has_ended);
            }
            join();
            assert_eq!(has_ended(), action.ends());
            drop(host);
        }
        Moment::Behind => {
            start.wait();
            if action.ends() {
                host.run_until(has_ended);
            }
            drop(host);
            join();
        }
        Moment::During => {
            start.wait();
            drop(host);
            join();
        }
        Moment::After => {
            drop(host);
            assert!(has_ended(), "the runtime has dropped it");
            start.wait();
            join();
        }
    }
    assert_eq!(traces.is_dropped.load(Ordering::Acquire), 1, "every future is dropped, once");
    if let Some(handle) = handle {
        assert!(handle.is_finished());
        drop(handle);
    }
    assert_eq!(Arc::strong_count(&traces), 1);
}

/// The number of rounds for each combination. The threads interleave differently in each.
const ROUNDS: usize = 40;

fn play_all<H: Host>() {
    for moment in MOMENTS {
        for action in ACTIONS {
            for round in 0..ROUNDS {
                run_combination::<H>(action, moment, round % 2 == 0);
            }
        }
    }
}

#[test]
fn threads_outside_may_use_wakers_of_a_runtime_with_one_worker() {
    play_all::<Workers<1>>();
}

#[test]
fn threads_outside_may_use_wakers_of_a_runtime_with_two_workers() {
    play_all::<Workers<2>>();
}

#[test]
fn threads_outside_may_use_wakers_of_a_current_thread_runtime() {
    play_all::<Current>();
}

#[test]
fn threads_outside_may_use_wakers_of_a_local_runtime() {
    play_all::<Local>();
}

#[test]
fn threads_outside_may_use_wakers_of_a_local_set() {
    play_all::<Set>();
}

/// Each action drops the last waker of a task whose runtime has ended. That also frees the memory of all tasks.
#[test]
fn the_last_waker_frees_what_is_left_of_the_runtime() {
    for action in ACTIONS {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let all: Vec<_> = (0..100).map(|_| Arc::new(Traces::default())).collect();
        let handles: Vec<_> = all.iter().map(|traces| runtime.spawn(Waiting(Arc::clone(traces)))).collect();
        let aborts: Vec<_> = handles.iter().map(JoinHandle::abort_handle).collect();
        let is_there = |traces: &Arc<Traces>| traces.waker.lock().unwrap().is_some();
        while !all.iter().all(is_there) {
            thread::yield_now();
        }
        drop((handles, runtime));
        let threads: Vec<_> = all
            .iter()
            .zip(aborts)
            .map(|(traces, abort)| {
                let waker = traces.waker.lock().unwrap().take().unwrap();
                thread::spawn(move || act(action, waker, &abort))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(all.iter().all(|traces| traces.is_dropped.load(Ordering::Acquire) == 1));
    }
}
