//! Task groups: tasks that end together, clean up, and cannot be forgotten.
//!
//! redd's own; Tokio has no such module. `JoinSet`, `LocalSet` and `task_local!` are in [`task`](crate::task), as in Tokio.
//!
//! | to | use |
//! |---|---|
//! | run many tasks, take their results as they end, and leave none behind | [`TaskGroup`] |
//! | run at most so many at a time | [`TaskGroup::limit`], [`TaskGroup::ready`] |
//! | take the results in the order of the spawns | [`TaskGroup::in_order`] |
//! | run tasks without results, in flat memory | [`TaskGroup::discarding`] |
//! | end tasks after a time, or when another one fails | [`TaskGroupBuilder::deadline`], [`on_error`](TaskGroupBuilder::on_error) |
//! | know inside a task that it should end | [`cancelled`], [`is_cancelled`] |
//! | complete what must not be interrupted | [`shield()`] |
//! | clean up with `.await` | [`TaskGroup::defer`] |
//! | start tasks again that fail | [`Supervisor`] |
//! | end a service step by step, and know what was left | [`Phases`] |
//!
//! # Examples
//! ```
//! use redd::group::TaskGroup;
//!
//! # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let links = |page: u32| (2 * page..=2 * page + 1).filter(|next| *next < 20);
//! let pages = TaskGroup::limit(4).start();
//! pages.spawn(async { 1 });
//! let mut seen = Vec::new();
//! while let Some(page) = pages.next().await {
//!     let page = page?;
//!     seen.push(page);
//!     for next in links(page) {
//!         pages.spawn(async move { next }); // `&self`: spawn while joining.
//!     }
//! }
//! pages.close().await?; // No task is left, and the clean-ups are done.
//! assert_eq!(seen.len(), 19);
//! # Ok::<(), redd::group::TaskError>(()) }).unwrap();
//! ```

mod clean_ups;
mod entry_waker;
mod group_describe;
mod group_end;
mod group_inner;
mod group_places;
mod group_results;
mod group_state;
mod group_task;
mod in_order;
pub(crate) mod join_set;
pub(crate) mod join_set_builder;
pub(crate) mod local_set;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/task_groups.rs"]
pub(crate) mod models;
mod origin;
mod phases;
mod phases_core;
mod phases_drive;
mod phases_group;
mod phases_hold;
mod phases_report;
mod result_queue;
mod scope;
mod set_state;
mod shield;
mod slow_closures;
#[cfg(feature = "stream")]
mod streams;
mod supervised;
mod supervisor;
pub(crate) mod task_builder;
mod task_error;
mod task_group;
mod task_group_builder;
pub(crate) mod task_local;
mod unread_overdue;

pub use in_order::InOrder;
pub use phases::Phases;
pub use phases_hold::Hold;
pub use phases_report::{Left, LeftKind, PhaseReport, Report};
pub use scope::{CancelScope, Reason, cancelled, is_cancelled};
pub use shield::{Shield, shield};
#[cfg(feature = "stream")]
pub use streams::Results;
pub use supervisor::{ChildOutput, Exhausted, Restart, Supervisor};
pub use task_error::{GroupError, TaskError};
pub use task_group::{Deferred, TaskGroup};
pub use task_group_builder::{NoValue, OnError, TaskGroupBuilder};
pub use task_local::{LocalKey, TaskLocalFuture};
