//! One task: its memory, its state, its handles.
//!
//! A task is a future with a place to stand: a slot of a slab ([`slab`]), a word that says what may happen next
//! ([`state`]), the future or its output behind it ([`cell`]). It is spawned QUEUED, its [`Runnable`] is polled by a
//! worker ([`poll`]), wakers queue it again ([`waker`]), a [`JoinHandle`] reads its output ([`join`]).
//!
//! | step | function | what holds |
//! |---|---|---|
//! | memory | `cell::allocate` | 3 references: existence, `Runnable`, `JoinHandle` |
//! | poll | `Runnable::run` | the poll lock; a panic is caught |
//! | wake | `waker` → `State::wake_by_ref` | at most one `Runnable` |
//! | end | `poll::complete` | the output is published before the joiner is woken |
//! | free | `cell::free` | nobody has a pointer |

mod budget;
mod builder;
pub(crate) mod cell;
pub(crate) mod hooks;
mod id;
mod join;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
pub(crate) mod poll;
pub(crate) mod runnable;
pub(crate) mod slab;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
mod state;
pub(crate) mod waker;
mod yield_now;

#[cfg(not(feature = "tracing"))]
pub(crate) mod spans {
    //! No spans: what is asked of them compiles to nothing.

    use super::hooks::TaskHooks;
    use super::waker::WakerOp;

    pub(crate) fn around(hooks: TaskHooks) -> TaskHooks {
        hooks
    }

    #[inline(always)]
    pub(crate) fn spawn_boxed<R>(_: usize, spawn: impl FnOnce() -> R) -> R {
        spawn()
    }

    #[inline]
    pub(super) fn waker(_: WakerOp, _: super::Id) {}
}

pub mod coop {
    //! Cooperative scheduling: how long a task may run before it lets others run.

    pub use super::budget::{
        Coop, RestoreOnPending, Unconstrained, consume_budget, cooperative, has_budget_remaining, poll_proceed,
        unconstrained,
    };
    pub(crate) use super::budget::{
        poll_proceed_unless_foreign, set_root_waker, spend_on, with_full, with_full_unless_spent, without_limit,
    };
}
pub use crate::blocking::{block_in_place, spawn_blocking, try_spawn_blocking};
pub use crate::group::join_set::JoinSet;
pub use crate::group::local_set::{LocalEnterGuard, LocalSet, spawn_local};
pub use crate::runtime::spawn;
pub use budget::{Unconstrained, consume_budget, unconstrained};
pub use builder::Builder;
pub use hooks::TaskMeta;
pub use id::{Id, id, try_id};
pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use runnable::Runnable;
pub use yield_now::yield_now;

pub use crate::group::task_local::LocalKey;

pub mod futures {
    //! Futures that have names because they have methods.

    pub use crate::group::task_local::TaskLocalFuture;
}

pub mod join_set {
    //! `JoinSet`, and its way to spawn named tasks.

    pub use crate::group::join_set::{JoinSet, JoinSetBuilder as Builder};
}
