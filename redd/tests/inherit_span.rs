//! Spans that tasks inherit, with the feature `tracing`: with the option of the runtime or of a group, and without.
//!
//! One subscriber for the process keeps the stack of each thread's spans, and counts the handles of each span.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, OnceLock};

use redd::group::TaskGroup;
use redd::runtime::{Builder, Handle, LocalRuntime, Runtime};
use redd::task::{JoinSet, LocalSet, spawn_blocking, yield_now};
use redd::time::Duration;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Span, Subscriber, info_span};
use tracing_core::span::Current;

thread_local! {
    static STACK: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// The spans that are not closed: their metadata, and the number of handles.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<HashMap<u64, (&'static Metadata<'static>, usize)>>>);

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.lock().unwrap().insert(id, (span.metadata(), 1));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        STACK.with_borrow_mut(|stack| stack.push(id.clone()));
    }

    fn exit(&self, id: &Id) {
        STACK.with_borrow_mut(|stack| {
            let at = stack.iter().rposition(|entered| entered == id).expect("it was entered on this thread");
            stack.remove(at);
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().get_mut(&id.into_u64()).expect("it is open").1 += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.0.lock().unwrap();
        let handles = &mut spans.get_mut(&id.into_u64()).expect("it is open").1;
        *handles -= 1;
        let is_closed = *handles == 0;
        if is_closed {
            spans.remove(&id.into_u64());
        }
        is_closed
    }

    fn current_span(&self) -> Current {
        let Some(id) = STACK.with_borrow(|stack| stack.last().cloned()) else {
            return Current::none();
        };
        let metadata = self.0.lock().unwrap()[&id.into_u64()].0;
        Current::new(id, metadata)
    }
}

/// The subscriber of this process.
fn spans() -> &'static Spans {
    static SPANS: OnceLock<Spans> = OnceLock::new();
    SPANS.get_or_init(|| {
        let spans = Spans::default();
        tracing::subscriber::set_global_default(spans.clone()).unwrap();
        spans
    })
}

/// The innermost span of the program on this thread.
fn current() -> Option<&'static str> {
    let name = Span::current().metadata().map(|metadata| metadata.name());
    name.filter(|name| !name.starts_with("runtime."))
}

/// The number of open spans with this name. Each test has names of its own.
fn open(name: &str) -> usize {
    spans().0.lock().unwrap().values().filter(|(metadata, _)| metadata.name() == name).count()
}

fn runtimes(inherits: bool) -> [Runtime; 2] {
    let mut multi = Builder::new_multi_thread();
    [&mut Builder::new_current_thread(), multi.worker_threads(2)]
        .map(|builder| builder.enable_all().inherit_span(inherits).build().unwrap())
}

async fn task() -> Option<&'static str> {
    let before = current();
    yield_now().await;
    assert_eq!(current(), before, "a later poll");
    before
}

/// Each way to spawn, in the current span.
fn spawn_all() -> impl Future<Output = Vec<Option<&'static str>>> {
    let mut set = JoinSet::new();
    drop(set.spawn(task()));
    drop(set.spawn_blocking(current));
    let grandchild = redd::spawn(async { redd::spawn(task()).await.unwrap() });
    let of_closure = spawn_blocking(|| redd::spawn(task()));
    let group = TaskGroup::new();
    drop(group.spawn(task()));
    drop(group.spawn_blocking(current));
    let tasks = [redd::spawn(task()), Handle::current().spawn(task()), spawn_blocking(current), grandchild];
    async move {
        let mut all = set.join_all().await;
        all.extend(group.close().await.unwrap());
        all.push(of_closure.await.unwrap().await.unwrap());
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    }
}

const ALL: usize = 9;

#[test]
fn every_spawn_inherits_the_span_if_the_runtime_says_so() {
    spans();
    for (inherits, expected) in [(true, Some("of runtime")), (false, None)] {
        for runtime in runtimes(inherits) {
            let all = runtime.block_on(async {
                let waiting = info_span!("of runtime").in_scope(spawn_all);
                let all = waiting.await;
                assert_eq!(current(), None);
                all
            });
            assert_eq!(all, [expected; ALL]);
            // Outside of a span, there is none.
            assert_eq!(runtime.block_on(async { spawn_all().await }), [None; ALL]);
        }
    }
    assert_eq!(open("of runtime"), 0);
}

#[test]
fn local_tasks_inherit_the_span() {
    spans();
    let spawn = || info_span!("of local").in_scope(|| redd::task::spawn_local(task()));
    for runtime in runtimes(true) {
        assert_eq!(LocalSet::new().block_on(&runtime, async { spawn().await.unwrap() }), Some("of local"));
    }
    for runtime in runtimes(false) {
        assert_eq!(LocalSet::new().block_on(&runtime, async { spawn().await.unwrap() }), None);
    }
    let local = Builder::new_current_thread().inherit_span(true).build_local(Default::default()).unwrap();
    assert_eq!(local.block_on(async { spawn().await.unwrap() }), Some("of local"));
    assert_eq!(LocalRuntime::new().unwrap().block_on(async { spawn().await.unwrap() }), None);
    assert_eq!(open("of local"), 0);
}

#[test]
fn a_group_decides_for_its_tasks() {
    spans();
    for by_default in [true, false] {
        for (choice, expected) in [(Some(true), true), (Some(false), false), (None, by_default)] {
            for runtime in runtimes(by_default) {
                runtime.block_on(async {
                    let builder = TaskGroup::<Option<&str>>::builder();
                    let group = match choice {
                        Some(choice) => builder.inherit_span(choice),
                        None => builder,
                    };
                    let group = group.start();
                    let cleaned_up = Arc::new(Mutex::new(None));
                    let noted = Arc::clone(&cleaned_up);
                    let outside = info_span!("of group").in_scope(|| {
                        drop(group.spawn(task()));
                        drop(group.spawn_blocking(current));
                        drop(group.defer(Duration::from_secs(9), async move {
                            let seen = task().await;
                            *noted.lock().unwrap() = Some(seen);
                        }));
                        redd::spawn(task())
                    });
                    let in_group = expected.then_some("of group");
                    let results = info_span!("of close").in_scope(|| group.close()).await.unwrap();
                    assert_eq!(results, [in_group; 2], "{by_default} {choice:?}");
                    assert_eq!(*cleaned_up.lock().unwrap(), Some(in_group), "{by_default} {choice:?}");
                    assert_eq!(outside.await.unwrap(), by_default.then_some("of group"), "the choice is the group's");
                });
            }
        }
    }
    assert_eq!(open("of group"), 0);
}

#[test]
fn a_span_is_open_until_its_tasks_have_ended_however_they_end() {
    struct SeenAtDrop(Arc<Mutex<Vec<Option<&'static str>>>>);
    impl Drop for SeenAtDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(current());
        }
    }
    spans();
    for runtime in runtimes(true) {
        let seen = Arc::default();
        let waiting = || {
            let at_drop = SeenAtDrop(Arc::clone(&seen));
            async move {
                let _at_drop = at_drop;
                pending::<()>().await;
            }
        };
        let task = runtime.block_on(async {
            let [aborted, left] = info_span!("of ends").in_scope(|| [redd::spawn(waiting()), redd::spawn(waiting())]);
            yield_now().await;
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_cancelled());
            assert_eq!(open("of ends"), 1);
            Some(left)
        });
        drop(runtime);
        drop(task);
        assert_eq!(open("of ends"), 0);
        assert_eq!(*seen.lock().unwrap(), [Some("of ends"); 2]);
    }
}

#[test]
fn a_task_does_not_inherit_the_span_that_redd_makes_for_its_parent() {
    spans();
    for runtime in runtimes(true) {
        let names = runtime.block_on(async {
            let child = redd::spawn(async {
                redd::spawn(async { Span::current().metadata().map(|metadata| metadata.name()) }).await.unwrap()
            });
            child.await.unwrap()
        });
        assert_eq!(names, Some("runtime.spawn"), "its own");
        // Each task has entered its own span only: none is entered by another task.
        let depth = runtime.block_on(async {
            redd::spawn(async { redd::spawn(async { STACK.with_borrow(Vec::len) }).await.unwrap() }).await.unwrap()
        });
        assert_eq!(depth, 1);
    }
}
