//! What is known of the tasks of a runtime and of their waits: what dumps are made of.
//!
//! Called by `handle` (dumps). It polls nothing and wakes nothing. No lock is held while another part is read, so the parts
//! are of slightly different moments.

use std::ptr;
use std::sync::Arc;

use crate::observe::coarse;
use crate::observe::nodes::NodeInfo;
use crate::observe::roots::RootInfo;
use crate::observe::shields;
use crate::observe::task_info::TaskInfo;
use crate::observe::waiter::WaiterInfo;
use crate::scheduler::choices::Flavor;
use crate::scheduler::rescue::sleeps_with_root;
use crate::scheduler::shared::Shared;
use crate::task::{Id, local_slabs};

/// The tasks and closures of a runtime that have not ended, those of the `LocalSet`s that run in it, the futures of `block_on`, and the waits that its parts know of. A wait belongs to the task
/// with its id, which may be a task of another runtime.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) tasks: Vec<TaskInfo>,
    pub(crate) waiters: Vec<WaiterInfo>,
    /// The task groups and supervisors.
    pub(crate) nodes: Vec<NodeInfo>,
}

pub(crate) fn collect(shared: &Arc<Shared>) -> Collected {
    let mut tasks = describe_tasks(shared);
    // Most tasks have one wait.
    let mut waiters = Vec::with_capacity(tasks.len());
    waiters.extend(tasks.iter_mut().filter_map(|task| task.joined.take().map(|joined| *joined)));
    shared.parts.timers.collect(&mut waiters);
    shields::rename_timers(&mut waiters);
    shared.parts.driver.collect(&mut waiters);
    shared.describe_running(&mut tasks);
    // The polls of a future on the thread that runs the tasks have no mark.
    let may_run = shared.config.flavor != Flavor::MultiThread && !sleeps_with_root(shared);
    let describe = |root: RootInfo| describe_root(RootInfo { is_polled: root.is_polled || may_run, ..root });
    tasks.extend(shared.roots.describe().into_iter().map(describe));
    // Last: a task that has begun meanwhile is not among the tasks.
    let nodes = shared.nodes.describe();
    Collected { tasks, waiters, nodes }
}

/// The tasks and closures of a runtime, and the tasks of the `LocalSet`s that run in it.
pub(super) fn describe_tasks(shared: &Shared) -> Vec<TaskInfo> {
    let mut tasks = shared.slab.describe_live();
    for slab in local_slabs::of_runtime(ptr::from_ref(&shared.parts).addr()) {
        tasks.extend(slab.describe_live());
    }
    tasks
}

/// The future of a `block_on` as a task.
fn describe_root(root: RootInfo) -> TaskInfo {
    TaskInfo {
        id: Id::OUTSIDE,
        location: root.location,
        name: None,
        age: coarse::age(root.started_ms),
        parent: None,
        polls: 0,
        since_polled: None,
        joined: None,
        waiting: root.waiting,
        is_running: root.is_polled,
        is_complete: false,
        is_queued: false,
        is_blocking: false,
        is_internal: false,
        is_root: true,
        has_handle: false,
        wakers: None,
        thread: None,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]
    #![allow(clippy::wildcard_enum_match_arm, reason = "a test is about few of the subjects")]

    use std::future::{pending, poll_fn};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::*;
    use crate::io::AsyncReadExt;
    use crate::observe::WaitKind;
    use crate::observe::waiter::Subject;
    use crate::runtime::{Builder, Handle, Runtime};
    use crate::signal::unix::{SignalKind, signal};
    use crate::task::{self, JoinHandle, yield_now};
    use crate::time::sleep;

    const HOUR: Duration = Duration::from_secs(3600);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn collected() -> Collected {
        collect(&Handle::current().shared)
    }

    impl Collected {
        fn task(&self, id: task::Id) -> &TaskInfo {
            self.tasks.iter().find(|task| task.id == id).unwrap()
        }

        fn waiters_of(&self, id: task::Id) -> Vec<&WaiterInfo> {
            self.waiters.iter().filter(|waiter| waiter.task == id.number()).collect()
        }
    }

    async fn settle() {
        for _ in 0..4 {
            yield_now().await;
        }
    }

    #[test]
    fn a_task_knows_the_task_that_spawned_it_and_counts_its_polls() {
        runtime().block_on(async {
            let outer = crate::spawn(async {
                let inner = crate::spawn(async {
                    settle().await;
                    pending::<()>().await;
                });
                let closure = task::spawn_blocking(|| {
                    let collected = collected();
                    let info = collected.task(task::id());
                    (info.parent, info.is_running, info.since_polled.is_some())
                });
                (inner.id(), closure.await.unwrap())
            });
            let id = outer.id();
            assert_eq!((collected().task(id).parent, collected().task(id).polls), (None, 0));
            assert!(collected().task(id).since_polled.is_none());
            let (inner, closure) = outer.await.unwrap();
            settle().await;
            let collected = collected();
            assert_eq!((collected.task(inner).parent, collected.task(inner).polls), (Some(id), 5));
            assert!(collected.task(inner).since_polled.is_some());
            assert_eq!(closure, (Some(id), true, true));
        });
    }

    #[test]
    fn a_join_names_the_task_that_waits() {
        runtime().block_on(async {
            let joined = crate::spawn(pending::<()>());
            let id = joined.id();
            let joiner = crate::spawn(joined);
            settle().await;
            let collected = collected();
            let waiters = collected.waiters_of(joiner.id());
            let [WaiterInfo { kind: WaitKind::Join, location: Some(location), subject: Subject::Task(number), .. }] =
                waiters[..]
            else {
                panic!("{waiters:?}")
            };
            // The poll is inside of redd, so the line of the spawn stands for it (`user-line`).
            assert_eq!((*number, *location), (id.number(), collected.task(id).location));
        });
    }

    #[test]
    fn a_join_that_has_been_given_up_is_not_shown() {
        fn joins_of(id: task::Id) -> usize {
            collected().waiters_of(id).len()
        }
        runtime().block_on(async {
            let joined = crate::spawn(pending::<()>());
            let abort = joined.abort_handle();
            let joiner: JoinHandle<()> = crate::spawn(async move {
                let mut joined = Some(joined);
                std::future::poll_fn(|cx| {
                    // The second poll drops the handle.
                    match joined.take() {
                        Some(mut handle) if joins_of(task::id()) == 0 => {
                            assert!(std::pin::Pin::new(&mut handle).poll(cx).is_pending());
                            assert_eq!(joins_of(task::id()), 1);
                            joined = Some(handle);
                            cx.waker().wake_by_ref();
                        }
                        _ => {}
                    }
                    std::task::Poll::<()>::Pending
                })
                .await;
            });
            settle().await;
            assert_eq!(joins_of(joiner.id()), 0);
            assert_eq!(
                collected().tasks.iter().filter(|task| !task.is_root).count(),
                2,
                "the joined task was detached and not aborted"
            );
            abort.abort();
        });
    }

    fn kinds(waiters: &[&WaiterInfo]) -> Vec<WaitKind> {
        let mut kinds: Vec<_> = waiters.iter().map(|waiter| waiter.kind).collect();
        kinds.sort_by_key(|kind| *kind as u8);
        kinds
    }

    #[test]
    fn every_wait_of_a_select_is_shown() {
        runtime().block_on(async {
            let (ours, _theirs) = crate::net::UnixStream::pair().unwrap();
            let fd = ours.as_raw_fd();
            let joined = crate::spawn(pending::<()>());
            let task = crate::spawn(async move {
                crate::select! {
                    _ = ours.readable() => {}
                    () = sleep(HOUR) => {}
                    _ = joined => {}
                }
            });
            settle().await;
            let collected = collected();
            let waiters = collected.waiters_of(task.id());
            assert_eq!(kinds(&waiters), [WaitKind::Timer, WaitKind::Join, WaitKind::Readable]);
            for waiter in waiters {
                match &waiter.subject {
                    Subject::Deadline { remaining } => {
                        assert!(*remaining <= HOUR + Duration::from_millis(1) && *remaining > HOUR / 2)
                    }
                    Subject::Task(id) => assert_ne!(*id, task.id().number()),
                    Subject::Descriptor { fd: shown, about } => {
                        assert_eq!((*shown, about.as_deref()), (fd, Some("unix stream")));
                    }
                    other => panic!("{other:?}"),
                }
            }
            task.abort();
        });
    }

    #[test]
    fn a_wait_for_a_set_is_shown_as_one_for_a_task_of_it() {
        runtime().block_on(async {
            let task = crate::spawn(async {
                let mut set = crate::task::JoinSet::new();
                let ready = set.spawn(async {}).id();
                let waiting = [set.spawn(pending()).id(), set.spawn(pending()).id()];
                assert_eq!(set.join_next_with_id().await.unwrap().unwrap().0, ready);
                crate::select! {
                    _ = set.join_next() => waiting,
                    () = sleep(HOUR) => waiting,
                }
            });
            settle().await;
            let collected = collected();
            let waiters = collected.waiters_of(task.id());
            assert_eq!(kinds(&waiters), [WaitKind::Timer, WaitKind::Join]);
            let joined = waiters.iter().find_map(|waiter| match waiter.subject {
                Subject::Task(id) => Some(id),
                _ => None,
            });
            let of_set = collected.tasks.iter().find(|of_set| Some(of_set.id.number()) == joined).unwrap();
            assert_eq!(of_set.parent, Some(task.id()));
            task.abort();
        });
    }

    #[test]
    fn each_socket_of_a_task_has_its_own_line() {
        runtime().block_on(async {
            let (first, _other) = crate::net::UnixStream::pair().unwrap();
            let (mut second, _other_too) = crate::net::UnixStream::pair().unwrap();
            let fds = [first.as_raw_fd(), second.as_raw_fd()];
            let line = line!();
            let task = crate::spawn(async move {
                let mut byte = [0];
                let first = async { drop(first.readable().await) };
                let second = async { drop(second.read_exact(&mut byte).await) };
                crate::join!(first, second)
            });
            settle().await;
            let collected = collected();
            for (fd, line) in fds.into_iter().zip([line + 3, line + 4]) {
                let waiters = collected.waiters_of(task.id()).into_iter();
                let of_fd = waiters
                    .filter(|waiter| matches!(waiter.subject, Subject::Descriptor { fd: shown, .. } if shown == fd));
                let locations: Vec<_> = of_fd.map(|waiter| waiter.location.map(|at| (at.file(), at.line()))).collect();
                assert_eq!(locations, [Some((file!(), line))]);
            }
            task.abort();
        });
    }

    #[test]
    fn both_directions_of_a_socket_and_any_number_of_tasks_are_shown() {
        runtime().block_on(async {
            let (ours, _theirs) = crate::net::UnixStream::pair().unwrap();
            // So that it is not writable.
            while ours.try_write(&[0; 4096]).is_ok() {}
            let ours = Arc::new(ours);
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let ours = Arc::clone(&ours);
                    crate::spawn(async move { ours.readable().await })
                })
                .collect();
            let writer = crate::spawn(async move {
                poll_fn(|cx| {
                    assert!(ours.poll_read_ready(cx).is_pending());
                    ours.poll_write_ready(cx)
                })
                .await
            });
            settle().await;
            let collected = collected();
            for task in &tasks {
                assert_eq!(kinds(&collected.waiters_of(task.id())), [WaitKind::Readable]);
            }
            assert_eq!(kinds(&collected.waiters_of(writer.id())), [WaitKind::Readable, WaitKind::Writable]);
            tasks.iter().for_each(JoinHandle::abort);
            writer.abort();
        });
    }

    #[test]
    fn a_wait_that_has_ended_is_not_shown() {
        runtime().block_on(async {
            let (mut ours, theirs) = crate::net::UnixStream::pair().unwrap();
            let task = crate::spawn(async move {
                let mut byte = [0];
                ours.read_exact(&mut byte).await.unwrap();
                sleep(HOUR).await;
            });
            settle().await;
            assert_eq!(kinds(&collected().waiters_of(task.id())), [WaitKind::Readable]);
            theirs.try_write(b"x").unwrap();
            while kinds(&collected().waiters_of(task.id())) != [WaitKind::Timer] {
                yield_now().await;
            }
            task.abort();
        });
    }

    #[test]
    fn waits_for_processes_and_signals_name_them_and_those_of_redd_itself_are_not_shown() {
        runtime().block_on(async {
            let mut child = crate::process::Command::new("sleep").arg("3600").kill_on_drop(true).spawn().unwrap();
            let abandoned = crate::process::Command::new("sleep").arg("3600").spawn().unwrap();
            let (process, left) = (child.id().unwrap(), abandoned.id().unwrap());
            let waits = crate::spawn(async move { child.wait().await });
            let drops = crate::spawn(async move {
                drop(abandoned);
                pending::<()>().await;
            });
            let kind = SignalKind::user_defined2();
            let listens = crate::spawn(async move { signal(kind).unwrap().recv().await });
            settle().await;
            let collected = collected();
            let waiters = collected.waiters_of(waits.id());
            assert!(matches!(waiters[..], [WaiterInfo { kind: WaitKind::Process, subject: Subject::Process(id), .. }] if *id == process));
            let waiters = collected.waiters_of(listens.id());
            assert!(matches!(waiters[..], [WaiterInfo { kind: WaitKind::Signal, subject: Subject::Signal(number), .. }] if *number == kind.as_raw_value()));
            assert!(collected.waiters_of(drops.id()).is_empty());
            std::process::Command::new("kill").arg(left.to_string()).status().unwrap();
            waits.abort();
        });
    }

    #[test]
    fn tasks_of_a_set_closures_and_roots_are_listed() {
        fn listed() -> Vec<(bool, bool, Option<WaitKind>)> {
            let all = collected().tasks.into_iter();
            all.map(|task| (task.is_root, task.is_blocking, task.waiting.map(|(kind, _)| kind))).collect()
        }
        runtime().block_on(async {
            let set = crate::task::LocalSet::new();
            let local = set.spawn_local(sleep(HOUR));
            assert!(!listed().contains(&(false, false, Some(WaitKind::Timer))), "it has not run");
            set.run_until(settle()).await;
            assert!(listed().contains(&(false, false, Some(WaitKind::Timer))));
            assert_eq!(kinds(&collected().waiters_of(local.id())), [WaitKind::Timer]);
            drop(set);
            assert_eq!(listed(), [(true, false, None)]);
            let (send, receive) = std::sync::mpsc::channel::<()>();
            let closure = task::spawn_blocking(move || receive.recv());
            assert!(listed().contains(&(false, true, None)));
            drop(send);
            drop(closure.await);
            assert_eq!(listed(), [(true, false, None)]);
        });
    }

    #[test]
    fn a_root_that_waits_is_seen_from_another_thread() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (send, receive) = crate::sync::oneshot::channel::<()>();
        let thread = crate::primitives::thread::spawn_named("root".into(), None, move || {
            let timer = async { crate::time::timeout(HOUR, receive).await };
            drop(handle.block_on(timer));
        })
        .unwrap();
        loop {
            let collected = collect(&runtime.handle().shared);
            let root = collected.tasks.iter().find(|task| task.is_root);
            if let Some(Some((kind, _))) = root.map(|root| root.waiting) {
                assert_eq!((kind, root.unwrap().is_running), (WaitKind::Oneshot, false));
                assert!(collected.waiters.iter().any(|waiter| waiter.task == 0 && waiter.kind == WaitKind::Timer));
                break;
            }
            crate::primitives::thread::yield_now();
        }
        send.send(()).unwrap();
        thread.join().unwrap();
        assert!(collect(&runtime.handle().shared).tasks.is_empty());
    }
}
