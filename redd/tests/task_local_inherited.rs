//! Inherited task-local values: each way to spawn, each end of a task, and values whose clones and drops misbehave.
//!
//! Each test has keys of its own, since tests run on threads of one process. Clones and drops are counted: when a runtime is gone,
//! each value was dropped once.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::cell::Cell;
use std::fmt::Debug;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use redd::group::{Supervisor, TaskGroup};
use redd::runtime::{Builder, Handle, LocalRuntime, Runtime};
use redd::sync::oneshot;
use redd::task::{JoinSet, LocalSet, spawn_blocking, yield_now};
use redd::time::Duration;

use support::lives::panic_text;

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test on each kind of runtime, as a root future and as a task. No task is left behind.
fn on_all<F: Future<Output = ()> + Send + 'static>(test: impl Fn() -> F) {
    let is_empty = || assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task is left");
    for runtime in [current(), multi()] {
        runtime.block_on(test());
        runtime.block_on(async {
            redd::spawn(test()).await.unwrap();
            is_empty();
        });
    }
    LocalRuntime::new().unwrap().block_on(async {
        test().await;
        is_empty();
    });
}

/// How many values there are, and how often one was cloned.
#[derive(Debug, Default)]
struct Lives {
    alive: AtomicUsize,
    clones: AtomicUsize,
}

impl Lives {
    fn value(self: &Arc<Self>, number: u32) -> Value {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Value { number, lives: Arc::clone(self) }
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    fn clones(&self) -> usize {
        self.clones.load(Ordering::SeqCst)
    }
}

/// A number whose clones and drops are counted.
#[derive(Debug)]
struct Value {
    number: u32,
    lives: Arc<Lives>,
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.lives.clones.fetch_add(1, Ordering::SeqCst);
        self.lives.value(self.number)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // An underflow is a value that was dropped twice.
        assert_ne!(self.lives.alive.fetch_sub(1, Ordering::SeqCst), 0);
    }
}

mod elsewhere {
    redd::task_local! {
        /// A key with documentation, an attribute and a visibility.
        #[allow(dead_code, reason = "another attribute")]
        #[inherited]
        #[doc(alias = "first")]
        pub(super) static FIRST: u32;
        pub(super) static ORDINARY: u32;
        #[inherited] pub static SECOND: &'static str;
        #[cfg(any())]
        #[inherited]
        static LEFT_OUT: NoSuchType;
        #[inherited]
        static PRIVATE: Vec<u8>
    }

    pub(super) fn private() -> usize {
        PRIVATE.sync_scope(vec![1, 2], || PRIVATE.with(Vec::len))
    }
}

use elsewhere::{FIRST, ORDINARY, SECOND};

fn seen() -> (Option<u32>, Option<&'static str>, Option<u32>) {
    (FIRST.try_get().ok(), SECOND.try_get().ok(), ORDINARY.try_get().ok())
}

const ALL: (Option<u32>, Option<&'static str>, Option<u32>) = (Some(1), Some("two"), None);
const NONE: (Option<u32>, Option<&'static str>, Option<u32>) = (None, None, None);

/// Sets the two inherited keys, and one that is not.
fn scoped<F: Future>(future: F) -> impl Future<Output = F::Output> {
    FIRST.scope(1, SECOND.scope("two", ORDINARY.scope(3, future)))
}

fn sync_scoped<R>(f: impl FnOnce() -> R) -> R {
    FIRST.sync_scope(1, || SECOND.sync_scope("two", || ORDINARY.sync_scope(3, f)))
}

#[track_caller]
fn assert_all<T: PartialEq + Debug>(seen: impl IntoIterator<Item = T>, each: T, count: usize) {
    let seen: Vec<T> = seen.into_iter().collect();
    assert!(seen.iter().all(|seen| *seen == each), "{seen:?} instead of {each:?}");
    assert_eq!(seen.len(), count);
}

/// Each way to spawn a future that is `Send`, or a closure.
async fn spawn_everywhere() -> Vec<(Option<u32>, Option<&'static str>, Option<u32>)> {
    let task = || async {
        let before = seen();
        yield_now().await;
        assert_eq!(seen(), before, "a later poll, perhaps on another thread");
        before
    };
    let handle = Handle::current();
    let named = || redd::task::Builder::new().name("named");
    let mut joined = vec![
        redd::spawn(task()).await,
        handle.spawn(task()).await,
        named().spawn(task()).unwrap().await,
        named().spawn_on(task(), &handle).unwrap().await,
        spawn_blocking(seen).await,
        redd::task::try_spawn_blocking(seen).unwrap().await,
        handle.spawn_blocking(seen).await,
        named().spawn_blocking(seen).unwrap().await,
        named().spawn_blocking_on(seen, &handle).unwrap().await,
    ];
    let mut set = JoinSet::new();
    drop(set.spawn(task()));
    drop(set.spawn_on(task(), &handle));
    drop(set.spawn_blocking(seen));
    drop(set.spawn_blocking_on(seen, &handle));
    drop(set.build_task().name("named").spawn(task()).unwrap());
    while let Some(result) = set.join_next().await {
        joined.push(result);
    }
    let mut seen_by_all: Vec<_> = joined.into_iter().map(Result::unwrap).collect();
    let group = TaskGroup::builder().name("group").limit(1).deadline(Duration::from_secs(1000)).start();
    drop(group.spawn(task()));
    drop(group.spawn_blocking(seen));
    // A task, and a closure, that a task spawns.
    drop(group.spawn(async move { redd::spawn(redd::spawn(task())).await.unwrap().unwrap() }));
    drop(group.spawn(async move { spawn_blocking(move || redd::spawn(task())).await.unwrap().await.unwrap() }));
    seen_by_all.extend(group.close().await.unwrap());
    seen_by_all
}

const EVERYWHERE: usize = 18;

#[test]
fn every_way_to_spawn_inherits_and_ordinary_keys_do_not() {
    on_all(|| async {
        assert_all(scoped(spawn_everywhere()).await, ALL, EVERYWHERE);
        assert_all(spawn_everywhere().await, NONE, EVERYWHERE);
        assert_eq!(seen(), NONE);
    });
}

#[test]
fn a_runtime_and_its_handle_inherit_from_a_thread_that_is_not_in_it() {
    for runtime in [current(), multi()] {
        let spawn = || {
            let task = runtime.spawn(async { seen() });
            let closure = runtime.spawn_blocking(seen);
            let of_handle = runtime.handle().spawn(async { seen() });
            [task, closure, of_handle]
        };
        let (with, bare) = (sync_scoped(spawn), spawn());
        assert_all(with.map(|task| runtime.block_on(task).unwrap()), ALL, 3);
        assert_all(bare.map(|task| runtime.block_on(task).unwrap()), NONE, 3);
    }
}

/// A task that is not `Send`.
async fn local_task() -> (Option<u32>, Option<&'static str>, Option<u32>) {
    let mine = Rc::new(Cell::new(seen()));
    yield_now().await;
    assert_eq!(seen(), mine.get());
    mine.get()
}

/// Each way to spawn a future that is not `Send`, by the set or runtime that this thread is in.
async fn spawn_locally() -> Vec<(Option<u32>, Option<&'static str>, Option<u32>)> {
    let named = redd::task::Builder::new().name("named");
    let spawned = [redd::task::spawn_local(local_task()), named.spawn_local(local_task()).unwrap()];
    let (mut set, group) = (JoinSet::new(), TaskGroup::new());
    drop(set.spawn_local(local_task()));
    drop(group.spawn_local(local_task()));
    let mut all = set.join_all().await;
    all.extend(group.close().await.unwrap());
    for task in spawned {
        all.push(task.await.unwrap());
    }
    all
}

#[test]
fn local_tasks_inherit() {
    LocalRuntime::new().unwrap().block_on(async {
        assert_all(scoped(spawn_locally()).await, ALL, 4);
        assert_all(spawn_locally().await, NONE, 4);
    });
    for runtime in [current(), multi()] {
        let set = LocalSet::new();
        // The scope is inside of the set, so that the set's tasks are not polled in it.
        assert_all(set.block_on(&runtime, scoped(spawn_locally())), ALL, 4);
        assert_all(set.block_on(&runtime, spawn_locally()), NONE, 4);
        let (with, bare) = (sync_scoped(|| set.spawn_local(local_task())), set.spawn_local(local_task()));
        let on = |set: &LocalSet| redd::task::Builder::new().spawn_local_on(local_task(), set).unwrap();
        let (named, named_bare) = (sync_scoped(|| on(&set)), on(&set));
        let mut joins = JoinSet::new();
        drop(sync_scoped(|| joins.spawn_local_on(local_task(), &set)));
        let joined = set.block_on(&runtime, async { joins.join_next().await.unwrap().unwrap() });
        let (with, named) = set.block_on(&runtime, async { (with.await.unwrap(), named.await.unwrap()) });
        assert_all([joined, with, named], ALL, 3);
        let bare = set.block_on(&runtime, async { (bare.await.unwrap(), named_bare.await.unwrap()) });
        assert_all([bare.0, bare.1], NONE, 2);
    }
}

#[test]
fn a_clean_up_inherits_what_was_set_where_it_was_deferred() {
    on_all(|| async {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let noted = Arc::clone(&noted);
            async move {
                yield_now().await;
                noted.lock().unwrap().push((name, seen()));
            }
        };
        let group = TaskGroup::<()>::new();
        sync_scoped(|| drop(group.defer(Duration::from_secs(9), note("with"))));
        drop(group.defer(Duration::from_secs(9), note("without")));
        FIRST.sync_scope(5, || drop(group.defer(Duration::from_secs(9), note("five"))));
        group.cancel_when(sync_scoped(|| redd::spawn(async { assert_eq!(seen(), ALL) })), "it ended");
        // What is set where the group is closed, and in its tasks, is not theirs.
        sync_scoped(|| drop(group.spawn(pending())));
        assert!(FIRST.scope(7, group.close()).await.is_err());
        let expected = [("five", (Some(5), None, None)), ("without", NONE), ("with", ALL)];
        assert_eq!(*noted.lock().unwrap(), expected);
    });
}

#[test]
fn each_restart_of_a_child_sees_what_its_supervisor_sees() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let (of_start, of_run) = (Arc::clone(&noted), Arc::clone(&noted));
    let supervisor = Supervisor::one_for_one().intensity(3, Duration::from_secs(100)).child("fails", move || {
        of_start.lock().unwrap().push(seen().0);
        let noted = Arc::clone(&of_run);
        async move {
            let of_grandchild = redd::spawn(async { seen().0 }).await.unwrap();
            noted.lock().unwrap().push(of_grandchild);
            Err::<(), _>("again")
        }
    });
    let error = runtime.block_on(async { FIRST.scope(4, supervisor.run()).await.unwrap_err() });
    assert_eq!(error.restarts(), 3);
    assert_all(noted.lock().unwrap().drain(..), Some(4), 8);
}

#[test]
fn a_scope_in_the_task_is_its_own() {
    on_all(|| async {
        let task = FIRST.sync_scope(1, || {
            redd::spawn(async {
                let mut seen_here = vec![FIRST.get()];
                seen_here.push(FIRST.scope(2, async { redd::spawn(async { FIRST.get() }).await.unwrap() }).await);
                seen_here.push(FIRST.get());
                seen_here.push(FIRST.sync_scope(3, || redd::spawn(async { FIRST.get() })).await.unwrap());
                seen_here.push(redd::spawn(async { FIRST.get() }).await.unwrap());
                seen_here
            })
        });
        assert_eq!(task.await.unwrap(), [1, 2, 1, 3, 1]);
        assert_eq!(seen(), NONE);
    });
}

#[test]
fn a_value_that_was_taken_is_not_inherited() {
    current().block_on(async {
        let mut future = Box::pin(FIRST.scope(1, async { redd::spawn(async { seen() }).await.unwrap() }));
        assert_eq!(future.as_mut().take_value(), Some(1));
        assert_eq!(future.await, NONE);
        // Taken in the middle of the outer scope.
        let inner = FIRST.scope(2, async { seen() });
        let outer = FIRST.scope(1, async {
            let mut inner = Box::pin(inner);
            assert_eq!(inner.as_mut().take_value(), Some(2));
            let during = inner.await;
            (during, redd::spawn(async { seen().0 }).await.unwrap())
        });
        assert_eq!(outer.await, (NONE, Some(1)));
    });
}

#[test]
fn a_task_may_be_spawned_while_the_value_is_read() {
    current().block_on(FIRST.scope(1, async {
        let task = FIRST.with(|number| {
            let number = *number;
            redd::spawn(async move { FIRST.get() == number })
        });
        assert!(task.await.unwrap());
    }));
}

#[test]
fn declarations_keep_their_attributes_and_their_visibility() {
    assert_eq!(elsewhere::private(), 2);
    assert!(FIRST.try_get().unwrap_err().to_string().starts_with("task-local value not set"));
    assert!(catch_unwind(|| FIRST.get()).is_err());
    assert_eq!(format!("{FIRST:?}"), "LocalKey { .. }");
}

#[test]
fn large_futures_and_large_outputs_inherit() {
    on_all(|| async {
        let task = FIRST.sync_scope(1, || {
            redd::spawn(async {
                let large = [1_u8; 100_000];
                yield_now().await;
                (FIRST.get(), large)
            })
        });
        let (first, large) = task.await.unwrap();
        assert_eq!(first + large.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 100_001);
    });
}

#[test]
fn hooks_see_the_location_the_name_and_no_other_number_of_tasks() {
    let spawned = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&spawned);
    let runtime = Builder::new_current_thread()
        .on_task_spawn(move |task| {
            hook.lock().unwrap().push((task.spawned_at().line(), task.name().map(str::to_owned)));
        })
        .build()
        .unwrap();
    let line = sync_scoped(|| {
        let line = line!() + 1;
        drop(redd::task::Builder::new().name("named").spawn_on(async {}, runtime.handle()));
        line
    });
    assert_eq!(*spawned.lock().unwrap(), [(line, Some("named".to_owned()))]);
}

/// The end of a task.
#[derive(Clone, Copy, Debug)]
enum End {
    Output,
    Panic,
    AbortedBeforePoll,
    AbortedLater,
    Detached,
    Shutdown,
    ShutdownBeforePoll,
}

const ENDS: [End; 7] = [
    End::Output,
    End::Panic,
    End::AbortedBeforePoll,
    End::AbortedLater,
    End::Detached,
    End::Shutdown,
    End::ShutdownBeforePoll,
];

redd::task_local! {
    #[inherited]
    static COUNTED: Value;
    #[inherited]
    static COUNTED_TOO: Value;
}

/// Notes what its drop sees.
struct SeenAtDrop(Arc<Mutex<Vec<Option<u32>>>>);

impl Drop for SeenAtDrop {
    fn drop(&mut self) {
        let number = COUNTED.try_with(|value| value.number).ok();
        self.0.lock().unwrap().push(number);
    }
}

async fn end_as(end: End, at_drop: SeenAtDrop, polled: oneshot::Sender<()>) {
    let _at_drop = at_drop;
    yield_now().await;
    let _ = polled.send(());
    let sum = COUNTED.with(|value| value.number) + COUNTED_TOO.with(|value| value.number);
    assert_eq!(sum, 3);
    match end {
        End::Output | End::Detached => {}
        End::Panic => support::lives::panic_on_purpose("the end of a task"),
        End::AbortedBeforePoll | End::AbortedLater | End::Shutdown | End::ShutdownBeforePoll => pending().await,
    }
}

/// Spawns a task with two counted values, and ends it.
async fn meet(end: End, lives: Arc<Lives>, seen: Arc<Mutex<Vec<Option<u32>>>>, is_local: bool) {
    let (sender, polled) = oneshot::channel();
    let spawn = || {
        let future = end_as(end, SeenAtDrop(Arc::clone(&seen)), sender);
        if is_local { redd::task::spawn_local(future) } else { redd::spawn(future) }
    };
    let handle = COUNTED.sync_scope(lives.value(1), || COUNTED_TOO.sync_scope(lives.value(2), spawn));
    match end {
        End::Output => handle.await.unwrap(),
        End::Panic => assert!(handle.await.unwrap_err().is_panic()),
        End::AbortedBeforePoll => {
            handle.abort();
            assert!(handle.await.unwrap_err().is_cancelled());
        }
        End::AbortedLater => {
            polled.await.unwrap();
            handle.abort();
            assert!(handle.await.unwrap_err().is_cancelled());
        }
        End::Detached => {
            drop(handle);
            polled.await.unwrap();
        }
        End::Shutdown => polled.await.unwrap(),
        End::ShutdownBeforePoll => {}
    }
}

#[test]
fn each_value_is_dropped_once_and_is_there_while_the_future_is_dropped() {
    support::lives::hide_purposes();
    for end in ENDS {
        for kind in ["multi", "current", "local set", "local runtime"] {
            let lives = Arc::<Lives>::default();
            let seen = Arc::default();
            let case = |is_local| meet(end, Arc::clone(&lives), Arc::clone(&seen), is_local);
            match kind {
                "multi" => multi().block_on(case(false)),
                "current" => current().block_on(case(false)),
                "local set" => LocalSet::new().block_on(&current(), case(true)),
                _ => LocalRuntime::new().unwrap().block_on(case(true)),
            }
            assert_eq!(lives.alive(), 0, "{end:?} on {kind}");
            assert_eq!(lives.clones(), 2, "{end:?} on {kind}");
            assert_eq!(*seen.lock().unwrap(), [Some(1)], "{end:?} on {kind}");
        }
    }
}

#[test]
fn what_redd_spawns_for_itself_clones_nothing() {
    let lives = Arc::<Lives>::default();
    multi().block_on(COUNTED.scope(lives.value(1), async {
        redd::fs::metadata(".").await.unwrap();
        let _ = redd::net::lookup_host("localhost:80").await;
        let group = TaskGroup::builder().deadline(Duration::from_secs(1000)).grace(Duration::from_secs(1000)).start();
        assert_eq!(lives.clones(), 0);
        drop(group.spawn(async {
            redd::group::cancelled().await;
            COUNTED.with(|value| value.number)
        }));
        assert_eq!(lives.clones(), 1);
        group.cancel("now");
        assert_eq!(group.close().await.unwrap(), [1]);
        assert_eq!(lives.clones(), 1);
    }));
    assert_eq!(lives.alive(), 0);
}

/// Runs a closure when it is cloned, and another one when a clone is dropped.
struct Rude {
    on_clone: fn(),
    on_drop: fn(),
    is_clone: bool,
}

impl Clone for Rude {
    fn clone(&self) -> Self {
        (self.on_clone)();
        Self { is_clone: true, ..*self }
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        if self.is_clone {
            (self.on_drop)();
        }
    }
}

redd::task_local! {
    #[inherited]
    static RUDE: Rude;
    #[inherited]
    static RUDE_TOO: Rude;
}

/// Runs `f` with both keys set.
fn rude<R>(on_clone: fn(), on_drop: fn(), f: impl FnOnce() -> R) -> R {
    let value = || Rude { on_clone, on_drop, is_clone: false };
    RUDE.sync_scope(value(), || RUDE_TOO.sync_scope(value(), f))
}

#[test]
fn a_clone_that_panics_is_a_panic_of_the_spawn() {
    support::lives::hide_purposes();
    for runtime in [current(), multi()] {
        let held = Arc::new(());
        let moved = Arc::clone(&held);
        runtime.block_on(async {
            let spawn = || redd::spawn(async move { drop(moved) });
            let panics = || support::lives::panic_on_purpose("a clone");
            let caught = rude(panics, || {}, || catch_unwind(AssertUnwindSafe(spawn)));
            assert!(panic_text(&*caught.unwrap_err()).contains("a clone"));
            assert_eq!(Arc::strong_count(&held), 1, "the future was dropped");
            // The thread is as before.
            let task = redd::spawn(async { RUDE.try_with(|_| ()).is_ok() });
            assert!(!task.await.unwrap());
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        });
    }
}

#[test]
fn a_spawn_inside_of_a_clone_inherits_nothing() {
    static SPAWNED: AtomicUsize = AtomicUsize::new(0);
    current().block_on(async {
        let spawns = || {
            drop(redd::spawn(async {
                assert!(RUDE.try_with(|_| ()).is_err());
                SPAWNED.fetch_add(1, Ordering::SeqCst);
            }));
        };
        let task = rude(spawns, || {}, || redd::spawn(async { RUDE_TOO.try_with(|_| ()).is_ok() }));
        assert!(task.await.unwrap());
        assert_eq!(SPAWNED.load(Ordering::SeqCst), 2, "one for each key");
    });
}

#[test]
fn drops_of_values_that_panic_are_the_result_of_the_task() {
    support::lives::hide_purposes();
    let panics = || support::lives::panic_on_purpose("a drop of a value");
    for runtime in [current(), multi()] {
        runtime.block_on(async {
            let ready = rude(|| {}, panics, || redd::spawn(async {}));
            assert!(panic_text(&*ready.await.unwrap_err().into_panic()).contains("a drop of a value"));
            // The panic of the task is the first one.
            let task = async { support::lives::panic_on_purpose("the task") };
            let panicked = rude(|| {}, panics, || redd::spawn(task));
            assert!(panic_text(&*panicked.await.unwrap_err().into_panic()).contains("the task"));
            let aborted = rude(|| {}, panics, || redd::spawn(pending::<()>()));
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_panic());
            let closure = rude(|| {}, panics, || spawn_blocking(|| ()));
            assert!(closure.await.unwrap_err().is_panic());
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        });
    }
}

#[test]
fn a_drop_of_a_value_may_spawn() {
    static SPAWNED: AtomicUsize = AtomicUsize::new(0);
    let spawns = || {
        drop(redd::spawn(async {
            SPAWNED.fetch_add(1, Ordering::SeqCst);
        }));
    };
    for runtime in [current(), multi()] {
        SPAWNED.store(0, Ordering::SeqCst);
        runtime.block_on(async {
            rude(|| {}, spawns, || redd::spawn(async {})).await.unwrap();
            let wait = poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if SPAWNED.load(Ordering::SeqCst) < 2 { Poll::Pending } else { Poll::Ready(()) }
            });
            redd::time::timeout(Duration::from_secs(60), wait).await.unwrap();
        });
        assert_eq!(SPAWNED.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_task_that_is_polled_while_its_key_is_read_ends_with_a_panic_that_says_why() {
    let runtime = current();
    let task = FIRST.sync_scope(1, || runtime.spawn(async { FIRST.get() }));
    let joined = FIRST.sync_scope(2, || FIRST.with(|_| runtime.block_on(task)));
    let text = panic_text(&*joined.unwrap_err().into_panic());
    assert!(text.contains("KEY.get()"), "{text}");
}

#[test]
fn values_go_with_their_tasks_among_threads() {
    redd::task_local! {
        #[inherited]
        static NUMBER: usize;
    }
    const TASKS: usize = 200;
    multi().block_on(async {
        let tasks = (0..TASKS).map(|number| {
            NUMBER.sync_scope(number, || {
                redd::spawn(async move {
                    for _ in 0..20 {
                        yield_now().await;
                        assert_eq!(NUMBER.get(), number);
                        let child: Pin<Box<dyn Future<Output = usize> + Send>> = Box::pin(async { NUMBER.get() });
                        assert_eq!(redd::spawn(child).await.unwrap(), number);
                    }
                })
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}
