//! What is known of the tasks of a runtime and of their waits: what dumps are made of.
//!
//! Called by `handle` (dumps). It polls nothing and wakes nothing. No lock is held while another part is read, so the parts
//! are of slightly different moments.

use std::sync::Arc;

use crate::observe::task_info::TaskInfo;
use crate::observe::waiter::WaiterInfo;
use crate::scheduler::shared::Shared;

/// The tasks and closures of a runtime that have not ended, and the waits that its parts know of. A wait belongs to the task
/// with its id, which may be a task of another runtime.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) tasks: Vec<TaskInfo>,
    pub(crate) waiters: Vec<WaiterInfo>,
}

pub(crate) fn collect(shared: &Arc<Shared>) -> Collected {
    let mut tasks = shared.slab.describe_live();
    let waiters = tasks.iter_mut().filter_map(|task| task.joined.take()).collect();
    shared.describe_running(&mut tasks);
    Collected { tasks, waiters }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use std::future::pending;

    use super::*;
    use crate::observe::WaitKind;
    use crate::observe::waiter::Subject;
    use crate::runtime::{Builder, Handle, Runtime};
    use crate::task::{self, JoinHandle, yield_now};

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
            let joiner = crate::spawn(async move { joined.await });
            settle().await;
            let collected = collected();
            let waiters = collected.waiters_of(joiner.id());
            let [WaiterInfo { kind: WaitKind::Join, location: Some(location), subject: Subject::Task(number), .. }] =
                waiters[..]
            else {
                panic!("{waiters:?}")
            };
            // This `await` is inside of redd, so the line of the spawn stands for it (`user-line`).
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
            assert_eq!(collected().tasks.len(), 2, "the joined task was detached and not aborted");
            abort.abort();
        });
    }
}
