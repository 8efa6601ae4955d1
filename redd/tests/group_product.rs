//! Task groups in every combination: how a task or its group ends × what else the group is used for × on which runtime.
//!
//! In each combination a group runs tasks of one kind, some of which meet the event. Then: each future and each output is
//! dropped once, each result comes once, the clean-ups have run where they must, and no task is left.
//!
//! `REDD_GROUP="Panic Shield Multi" cargo test -p redd --test group_product` runs one combination.
//!
//! This program has its own `main` instead of the test harness, because it counts. The last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what the other combinations do not need")]
#![allow(clippy::disallowed_methods, reason = "a watchdog is a thread of no runtime")]
#![allow(clippy::mem_forget, reason = "its drop reports a failure")]

mod support;

use std::future::{Future, pending};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::group::{self, OnError, Reason, Supervisor, TaskError, TaskGroup, shield};
use redd::runtime::{Builder, Handle, LocalRuntime, Runtime};
use redd::sync::oneshot;
use redd::task::{AbortHandle, yield_now};

use support::dimension::dimension;
use support::lives::{Counted, Tally, hide_purposes, panic_on_purpose};

dimension!(
    /// What happens to the group or to one of its tasks.
    Event {
        Ok,
        Error,
        Panic,
        /// The `TaskGroup` is dropped.
        Drop,
        /// The task that owns the group is aborted.
        OwnerAborted,
        /// `AbortHandle::abort` of a task.
        Abort,
        Cancel,
        Deadline,
        Shutdown,
        Drain,
    }
);

dimension!(
    /// What else the group is used for.
    Use {
        Plain,
        Shield,
        Defer,
        Limit,
        Order,
        Discarding,
        Blocking,
        Grace,
        /// Tasks have groups of their own, with clean-ups.
        Nested,
        /// Tasks run supervisors.
        Supervised,
    }
);

dimension!(
    /// The kind of runtime.
    On {
        Multi,
        Current,
        Local,
        /// A local runtime with tasks that are not `Send`.
        LocalTasks,
    }
);

type Output = Result<(), Counted>;

/// The number of tasks that are spawned before the event, and of those that end by themselves.
const TASKS: usize = 6;
const ENDING: usize = 3;

/// What a combination shares.
#[derive(Clone)]
struct Case {
    event: Event,
    used: Use,
    on: On,
    futures: Arc<Tally>,
    outputs: Arc<Tally>,
    clean_ups: Arc<Mutex<Vec<usize>>>,
    started: Arc<AtomicUsize>,
    entered_shields: Arc<AtomicUsize>,
    completed_shields: Arc<AtomicUsize>,
    /// The inner groups that were started, and their clean-ups that have run.
    inner_groups: Arc<AtomicUsize>,
    inner_clean_ups: Arc<AtomicUsize>,
}

impl Case {
    fn new(event: Event, used: Use, on: On) -> Self {
        Self {
            event,
            used,
            on,
            futures: Tally::new(),
            outputs: Tally::new(),
            clean_ups: Arc::default(),
            started: Arc::default(),
            entered_shields: Arc::default(),
            completed_shields: Arc::default(),
            inner_groups: Arc::default(),
            inner_clean_ups: Arc::default(),
        }
    }

    /// Starts the group with its tasks. Task 0 meets the event, tasks 1 and 2 end by themselves, and the others wait.
    fn start(&self, go: oneshot::Receiver<()>) -> (TaskGroup<Output>, AbortHandle) {
        let mut builder = TaskGroup::<Output>::builder().name("product").on_error(OnError::CancelOthers);
        builder = match self.used {
            Use::Limit | Use::Order => builder.limit(4),
            Use::Discarding => builder.discarding().on_error(OnError::CancelOthers),
            Use::Grace => builder.grace(Duration::from_millis(1)),
            Use::Plain | Use::Shield | Use::Defer | Use::Blocking | Use::Nested | Use::Supervised => builder,
        };
        if self.event == Event::Deadline {
            builder = builder.deadline(Duration::from_millis(5));
        }
        let group = builder.start();
        if self.used == Use::Defer {
            for number in 0..3 {
                let (clean_ups, held) = (Arc::clone(&self.clean_ups), self.futures.make());
                group.defer(Duration::from_secs(1000), async move {
                    let _held = held;
                    yield_now().await;
                    clean_ups.lock().unwrap().push(number);
                });
            }
        }
        let mut go = Some(go);
        let first = self.spawn(&group, 0, go.take());
        (1..TASKS).for_each(|number| drop(self.spawn(&group, number, None)));
        (group, first)
    }

    fn spawn(&self, group: &TaskGroup<Output>, number: usize, go: Option<oneshot::Receiver<()>>) -> AbortHandle {
        let (case, held) = (self.clone(), self.futures.make());
        if self.used == Use::Blocking && number >= ENDING {
            return group.spawn_blocking(move || {
                let _held = held;
                case.started.fetch_add(1, Ordering::SeqCst);
                // The end of the runtime does not ask it.
                while !group::is_cancelled() {
                    std::thread::yield_now();
                }
                Ok(())
            });
        }
        let on = self.on;
        let task = async move {
            let _held = held;
            case.started.fetch_add(1, Ordering::SeqCst);
            match (number, go) {
                (0, Some(go)) => {
                    go.await.unwrap();
                    match case.event {
                        Event::Ok => Ok(()),
                        Event::Error => Err(case.outputs.make()),
                        Event::Panic => panic_on_purpose("task 0"),
                        _ => case.wait().await,
                    }
                }
                (1 | 2, _) => {
                    yield_now().await;
                    Ok(())
                }
                _ => case.wait().await,
            }
        };
        if on == On::LocalTasks {
            let not_send = Rc::new(number);
            group.spawn_local(async move {
                let _not_send = not_send;
                task.await
            })
        } else {
            group.spawn(task)
        }
    }

    /// Waits until it is dropped, as the case wants it.
    async fn wait(&self) -> Output {
        match self.used {
            Use::Shield => {
                self.entered_shields.fetch_add(1, Ordering::SeqCst);
                shield(Duration::from_secs(1000), async {
                    group::cancelled().await;
                    yield_now().await;
                    self.completed_shields.fetch_add(1, Ordering::SeqCst);
                })
                .await;
                pending().await
            }
            Use::Grace => {
                group::cancelled().await;
                Ok(())
            }
            Use::Nested => {
                // The end of the runtime may end the inner task before this one.
                let _ = self.start_inner().close().await;
                pending().await
            }
            Use::Supervised => {
                let case = self.clone();
                let child = move || {
                    let case = case.clone();
                    async move { case.start_inner().close().await.map(drop) }
                };
                let _ = Supervisor::one_for_one().child("child", child).run().await;
                pending().await
            }
            Use::Plain | Use::Defer | Use::Limit | Use::Order | Use::Discarding | Use::Blocking => pending().await,
        }
    }

    /// A group in a task: with a task that waits, and a clean-up.
    fn start_inner(&self) -> TaskGroup<()> {
        let (inner, held, kept) = (TaskGroup::new(), self.futures.make(), self.futures.make());
        self.inner_groups.fetch_add(1, Ordering::SeqCst);
        let clean_ups = Arc::clone(&self.inner_clean_ups);
        inner.defer(Duration::from_secs(1000), async move {
            let _kept = kept;
            yield_now().await;
            clean_ups.fetch_add(1, Ordering::SeqCst);
        });
        inner.spawn(async move {
            let _held = held;
            pending().await
        });
        inner
    }
}

/// The results of a group: how many outputs, and the reasons of the others.
#[derive(Default)]
struct Results {
    outputs: usize,
    errors: usize,
    panics: usize,
    reasons: Vec<Reason>,
}

impl Results {
    fn add(&mut self, result: Result<Output, TaskError>) {
        match result {
            Ok(Ok(())) => self.outputs += 1,
            Ok(Err(_)) => self.errors += 1,
            Err(error) if error.is_panic() => self.panics += 1,
            Err(error) => self.reasons.push(error.reason().unwrap().clone()),
        }
    }

    fn len(&self) -> usize {
        self.outputs + self.errors + self.panics + self.reasons.len()
    }
}

enum AnyRuntime {
    Shared(Runtime),
    Local(LocalRuntime),
}

impl AnyRuntime {
    fn new(on: On) -> Self {
        match on {
            On::Multi => Self::Shared(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
            On::Current => Self::Shared(Builder::new_current_thread().enable_all().build().unwrap()),
            On::Local | On::LocalTasks => Self::Local(LocalRuntime::new().unwrap()),
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Shared(runtime) => runtime.block_on(future),
            Self::Local(runtime) => runtime.block_on(future),
        }
    }

    fn drain(self, within: Duration) -> usize {
        match self {
            Self::Shared(runtime) => runtime.drain(within).len(),
            Self::Local(runtime) => runtime.drain(within).len(),
        }
    }
}

/// Waits until a group that nobody waits for is gone, with its clean-ups.
async fn none_is_alive(case: &Case) {
    // Between the last task and a clean-up no task is alive. The futures of the clean-ups are there from the start.
    while Handle::current().metrics().num_alive_tasks() > 0 || case.futures.dropped() < case.futures.made() {
        yield_now().await;
    }
}

fn run(event: Event, used: Use, on: On) {
    let case = Case::new(event, used, on);
    let runtime = AnyRuntime::new(on);
    let ends_runtime = matches!(event, Event::Shutdown | Event::Drain);
    if ends_runtime {
        end_runtime(&case, runtime);
    } else {
        runtime.block_on(within_runtime(&case));
        drop(runtime);
    }
    case.futures.assert_even("futures, closures and clean-ups");
    case.outputs.assert_even("outputs");
    if used == Use::Defer && event != Event::Shutdown {
        assert_eq!(*case.clean_ups.lock().unwrap(), [2, 1, 0], "the last clean-up runs first");
    }
    let [groups, clean_ups] = [&case.inner_groups, &case.inner_clean_ups].map(|count| count.load(Ordering::SeqCst));
    if event == Event::Shutdown {
        assert_eq!(clean_ups, 0, "there is no runtime to run them");
    } else {
        assert_eq!(clean_ups, groups, "each inner group has cleaned up");
    }
    let has_inner = matches!(used, Use::Nested | Use::Supervised);
    // A deadline may come first.
    assert!(event == Event::Deadline || (groups > 0) == has_inner);
}

/// Waits until each task has started, so that the event meets the same state everywhere. A deadline may come first.
async fn all_started(case: &Case, group: &TaskGroup<Output>) {
    // With a limit of 4: the first four, and two more when two of them have ended.
    let inner = if matches!(case.used, Use::Nested | Use::Supervised) { TASKS - ENDING } else { 0 };
    let has = |count: &AtomicUsize, all| count.load(Ordering::SeqCst) >= all;
    let all_have = || has(&case.started, TASKS) && has(&case.inner_groups, inner);
    while !group.is_cancelled() && !all_have() {
        yield_now().await;
    }
}

async fn within_runtime(case: &Case) {
    let (go, gone) = oneshot::channel();
    if case.event == Event::OwnerAborted {
        let (start, started) = oneshot::channel();
        let inner = case.clone();
        let owner = redd::spawn(async move {
            let (group, _) = inner.start(gone);
            let _keep = go;
            all_started(&inner, &group).await;
            start.send(()).unwrap();
            if inner.used == Use::Order {
                let mut results = group.in_order();
                while results.next().await.is_some() {}
            } else {
                let _ = group.close().await;
            }
        });
        started.await.unwrap();
        owner.abort();
        assert!(owner.await.unwrap_err().is_cancelled());
        none_is_alive(case).await;
        return;
    }
    let (group, first) = case.start(gone);
    if case.used != Use::Order {
        all_started(case, &group).await;
    }
    let spawned = TASKS;
    match case.event {
        Event::Ok | Event::Error | Event::Panic => go.send(()).unwrap(),
        Event::Abort => first.abort(),
        Event::Cancel => group.cancel("the case"),
        Event::Drop => {
            drop(group);
            none_is_alive(case).await;
            return;
        }
        Event::Deadline | Event::OwnerAborted | Event::Shutdown | Event::Drain => {}
    }
    let mut results = Results::default();
    let ends_all = matches!(case.event, Event::Cancel | Event::Deadline | Event::Error | Event::Panic);
    if case.used == Use::Order {
        let mut in_order = group.in_order();
        for number in 0..spawned {
            if number == ENDING && !ends_all {
                in_order.cancel("the others wait forever");
            }
            results.add(in_order.next().await.unwrap());
        }
        assert!(in_order.next().await.is_none());
        in_order.close().await.unwrap();
    } else {
        if !ends_all {
            if case.used != Use::Discarding {
                // The task that meets the event, and those that end.
                for _ in 0..ENDING {
                    results.add(group.next().await.unwrap());
                }
            }
            while group.len() > spawned - ENDING {
                yield_now().await;
            }
            group.cancel("the others wait forever");
        }
        while let Some(result) = group.next().await {
            results.add(result);
        }
        assert_eq!(group.len(), 0);
        group.close().await.unwrap();
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "none is left after `close`");
    check_results(case, &results);
}

/// Nothing is lost, and nothing comes twice.
fn check_results(case: &Case, results: &Results) {
    if case.used == Use::Discarding {
        // The first failure since the last call of `next`.
        assert!((1..=TASKS).contains(&results.len()) && results.outputs == 0);
        let expected = (usize::from(case.event == Event::Error), usize::from(case.event == Event::Panic));
        assert_eq!((results.errors, results.panics), expected);
        return;
    }
    assert_eq!(results.len(), TASKS);
    assert_eq!(results.errors, usize::from(case.event == Event::Error));
    assert_eq!(results.panics, usize::from(case.event == Event::Panic));
    let aborted = results.reasons.iter().filter(|reason| **reason == Reason::Aborted).count();
    assert_eq!(aborted, usize::from(case.event == Event::Abort));
    if case.used == Use::Shield && matches!(case.event, Event::Cancel | Event::Deadline | Event::Error | Event::Panic) {
        // Task 0 waits for its channel, outside of a shield. A deadline may pass before a task has started.
        let [entered, completed] =
            [&case.entered_shields, &case.completed_shields].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(entered, completed, "each shield is completed");
        assert!(entered == TASKS - ENDING || case.event == Event::Deadline);
    }
}

/// The runtime ends while the group is in a task, or was dropped.
fn end_runtime(case: &Case, runtime: AnyRuntime) {
    let (go, gone) = oneshot::channel();
    let group = runtime.block_on(async {
        let (group, _) = case.start(gone);
        all_started(case, &group).await;
        group
    });
    if case.event == Event::Drain {
        runtime.block_on(async { drop(group) });
        assert_eq!(runtime.drain(Duration::from_secs(1000)), 0, "all ends by itself");
    } else {
        let results = if case.used == Use::Discarding { 1 } else { TASKS };
        if case.used == Use::Blocking {
            // The shutdown waits for closures, so they are asked first.
            group.cancel("the runtime ends");
        }
        drop(runtime);
        // The results are there, and can be taken on another runtime.
        let other = Builder::new_current_thread().build().unwrap();
        let mut found = Results::default();
        other.block_on(async {
            while let Some(result) = group.next().await {
                found.add(result);
            }
            let _ = group.close().await;
        });
        assert_eq!(found.len(), results);
    }
    drop(go);
}

fn main() {
    hide_purposes();
    let only = std::env::var("REDD_GROUP").ok();
    let mut count = 0;
    for &event in Event::ALL {
        for &used in Use::ALL {
            for &on in On::ALL {
                let name = format!("{event:?} {used:?} {on:?}");
                if only.as_ref().is_some_and(|only| *only != name) {
                    continue;
                }
                let (done, is_done) = std::sync::mpsc::channel();
                let shown = name.clone();
                let watchdog = std::thread::spawn(move || {
                    if is_done.recv_timeout(Duration::from_secs(120)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                    {
                        println!("REDD_GROUP=\"{shown}\" hangs");
                        std::process::exit(1);
                    }
                });
                let replay = Replay(&name);
                run(event, used, on);
                std::mem::forget(replay);
                done.send(()).unwrap();
                watchdog.join().unwrap();
                count += 1;
            }
        }
    }
    println!("{count} combinations of task groups: nothing lost, nothing twice, no task left");
}

/// Names the combination that fails.
struct Replay<'a>(&'a str);

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        println!("failed: REDD_GROUP=\"{}\" cargo test -p redd --test group_product", self.0);
    }
}
