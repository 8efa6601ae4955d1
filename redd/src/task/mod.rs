//! Tasks: spawning, joining, aborting and grouping them.
//!
//! A task is a future that was passed to a runtime, which polls it until it completes. It costs one slot of memory, so a
//! task per connection or per timer is normal. The guide *Spawning tasks* of the repository explains tasks from the start.
//!
//! | to | use |
//! | task | use |
//! | run a future on its own | [`spawn`]; [`Builder`] to give it a name |
//! | run code that does not await | [`spawn_blocking`], [`block_in_place`] |
//! | wait for the output, or abort | [`JoinHandle`], [`AbortHandle`] |
//! | own several tasks | [`JoinSet`] |
//! | run futures that are not `Send` | [`LocalSet`], [`spawn_local`] |
//! | let other tasks run | [`yield_now`], [`consume_budget`], [`coop`] |
//! | pass a value along with a task | [`task_local!`](crate::task_local), [`LocalKey`] |
//!
//! # Examples
//! ```
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let left = redd::spawn(async { 20 });
//! let right = redd::task::spawn_blocking(|| 22);
//! assert_eq!(left.await.unwrap() + right.await.unwrap(), 42);
//! # });
//! ```

// A task is a slot of a slab (`slab`). It holds a header (`header`) with a state word (`state`), and the future or its output
// (`cell`). It is spawned QUEUED. A worker polls its `Runnable` (`poll`), wakers queue it again (`waker`), and a `JoinHandle`
// reads its output (`join`).
//
// | step | function | guarantee |
// |---|---|---|
// | allocate | `cell::allocate` | 3 references: existence, `Runnable`, `JoinHandle` |
// | poll | `Runnable::run` | the poll lock; a panic is caught |
// | wake | `waker` → `State::wake_by_ref` | at most one `Runnable` |
// | complete | `poll::complete` | the output is published before the joiner is woken |
// | free | `cell::free_slot` | no thread has a pointer |
//
// The files in order; each takes from those above it:
//
// | files | noun |
// |---|---|
// | `id`, `queue_link`, `state` | use no other file of the room |
// | `join_error` | why a task has no output |
// | `header`, `runnable` | a task without its type: its header, references to it, the trait of its scheduler |
// | `slab`, `local_slabs` | the memory of tasks, and the registry of live ones |
// | `describe`, `waker`, `current` | tasks as hooks and reports see them, as wakers, as the one that runs |
// | `inherited`, `inheriting` | values that a task has from the code that spawned it |
// | `budget`, `yield_now`, `poll`, `join`, `ended` | running a task, waiting for its end, and what is left then |
// | `cell` | a task with its type, and how it is made |

mod budget;
pub(crate) mod cell;
pub(crate) mod current;
pub(crate) mod describe;
pub(crate) mod ended;
pub(crate) mod header;
mod id;
pub(crate) mod inherited;
mod inheriting;
mod join;
mod join_error;
pub(crate) mod local_slabs;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/task_life.rs"]
mod models;
pub(crate) mod poll;
pub(crate) mod queue_link;
pub(crate) mod recorded;
pub(crate) mod refusal;
pub(crate) mod runnable;
pub(crate) mod slab;
mod state;
pub(crate) mod waker;
mod yield_now;

pub mod coop {
    //! Cooperative scheduling: a budget limits how long a task runs before it yields.
    //!
    //! Each poll of a task starts with 128 units, and each operation of redd that completes takes one. A read of a file that needs
    //! no thread takes one more for each 8 KiB. With none left, operations return `Pending` and wake the task, so that it goes
    //! to the back of the queue. So a task whose operations are always ready cannot starve the others. Outside of a task, and
    //! inside [`unconstrained`], there is no limit.
    //!
    //! # Examples
    //! ```
    //! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    //! use redd::task::coop::consume_budget;
    //!
    //! let endless = redd::spawn(async {
    //!     loop {
    //!         consume_budget().await;
    //!     }
    //! });
    //! redd::task::yield_now().await;
    //! assert!(!endless.is_finished(), "it has yielded");
    //! endless.abort();
    //! # });
    //! ```

    pub use super::budget::{
        Coop, RestoreOnPending, Unconstrained, consume_budget, cooperative, has_budget_remaining, poll_proceed,
        unconstrained,
    };
    pub(crate) use super::budget::{
        is_of_root, poll_proceed_unless_foreign, set_root_waker, spend, spend_on, with_full, with_full_unless_spent,
        without_limit,
    };
}
pub use crate::blocking::{block_in_place, spawn_blocking, try_spawn_blocking};
pub use crate::group::join_set::JoinSet;
pub use crate::group::local_set::{LocalEnterGuard, LocalSet, spawn_local};
pub use crate::group::task_builder::Builder;
pub use crate::observe::hooks::TaskMeta;
pub use crate::runtime::spawn;
pub use budget::{Unconstrained, consume_budget, unconstrained};
pub use current::{id, try_id};
pub use id::Id;
pub use join::{AbortHandle, JoinHandle};
pub use join_error::JoinError;
pub(crate) use runnable::Runnable;
pub use yield_now::yield_now;

pub use crate::group::task_local::LocalKey;

pub mod futures {
    //! Futures with methods of their own.

    pub use crate::group::task_local::TaskLocalFuture;
}

pub mod join_set {
    //! [`JoinSet`], and the builder that spawns named tasks into it.

    pub use crate::group::join_set::JoinSet;
    pub use crate::group::join_set_builder::JoinSetBuilder as Builder;
}
