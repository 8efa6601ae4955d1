//! What is left of a task that has ended and whose memory was returned.
//!
//! Called by `group`, for the tasks that a set or group owns: it takes the output on the thread where the task ends.

#![expect(unsafe_code, reason = "a task is described from behind a raw pointer")]

use std::sync::Weak;

use super::describe;
use super::join::JoinHandle;
use super::join_error::JoinError;
use super::runnable::{Schedule, TaskRef};
use super::slab::TaskSlab;
use crate::observe::hooks::{PanicHook, UnjoinedPanic};
use crate::observe::task_info::TaskInfo;

/// How a task ended.
pub(crate) enum Ended<T> {
    Output(T),
    Cancelled,
    Panicked(UnreadPanic),
}

/// The panic of a task. If it is dropped without having been read, it is reported.
pub(crate) struct UnreadPanic(Option<Box<Panic>>);

struct Panic {
    error: JoinError,
    task: TaskInfo,
    /// Gone together with the runtime. Then `hook` is what is left of it.
    owner: Option<Weak<dyn Schedule>>,
    hook: Option<PanicHook>,
}

impl<T> JoinHandle<T> {
    /// Takes the output of a task that is known to have ended, and gives up the handle's reference.
    ///
    /// The caller may hold a lock if another reference is left: the output is only moved, and nothing of the user runs.
    pub(crate) fn into_ended(self) -> Ended<T> {
        self.into_output_with(|task, output| match output {
            Ok(output) => Ended::Output(output),
            Err(error) if error.is_panic() => Ended::Panicked(UnreadPanic::new(task, error)),
            Err(_) => Ended::Cancelled,
        })
    }
}

impl UnreadPanic {
    #[cold]
    fn new(task: &TaskRef, error: JoinError) -> Self {
        // SAFETY: a reference to the task is held.
        let slab = unsafe { TaskSlab::of(task.as_raw()) };
        // SAFETY: as above; the slot is not free yet.
        let owner = unsafe { slab.weak_owner_if_open() };
        let hook = slab.hooks.on_unjoined_panic.clone();
        Self(Some(Box::new(Panic { error, task: describe::ended(task), owner, hook })))
    }

    /// Reads the panic.
    pub(crate) fn into_error(mut self) -> JoinError {
        let panic = self.0.take().expect("it is read once, by value");
        panic.error
    }
}

impl Drop for UnreadPanic {
    fn drop(&mut self) {
        let Some(panic) = self.0.take() else { return };
        panic.error.with_message(|message| {
            let unjoined = UnjoinedPanic { task: &panic.task, message };
            match panic.owner.as_ref().and_then(Weak::upgrade) {
                Some(owner) => owner.panic_unjoined(&unjoined),
                None => unjoined.report(panic.hook.as_ref()),
            }
        });
        crate::primitives::user_code::drop_guarded(panic);
    }
}
