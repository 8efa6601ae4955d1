//! Every live task of a runtime: its name, and everything it waits on. Made by
//! [`Handle::snapshot`](crate::runtime::Handle::snapshot) and [`Handle::dump`](crate::runtime::Handle::dump).
//!
//! Called by `runtime`. Each file takes from those above it:
//!
//! | file | noun |
//! |---|---|
//! | `wait` | one wait of a task, and what it waits for |
//! | `task` | one task, and all of them by their ids |
//! | `node` | a task group or a supervisor |
//! | `groups` | equal tasks, counted |
//! | `wait_text` | a wait as text |
//! | `node_text` | a task group or a supervisor as text |
//! | `diagnosis` | something that is wrong with them |
//! | `join` | tasks and waiters, joined into tasks with their waits |
//! | `rules` | what is wrong, and how it is known |
//! | `text` | groups as lines |
//! | `tree` | tasks below those that spawned them |
//! | `json` | all of it as JSON |
//! | `snapshot` | the dump |
//!
//! # Why not otherwise
//! Tokio polls each task once more and takes a backtrace at the leaf that would wait. redd's waiters record the task and the
//! line that wait. So a dump polls nothing, wakes no task, and can be taken from any thread at any time. It shows every wait
//! of a task, also of one that polls only some of its futures. It contains the lines that wait, and not the calls above them.

mod diagnosis;
mod groups;
mod join;
mod json;
mod node;
mod node_text;
pub(crate) mod rules;
mod snapshot;
mod task;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod text;
mod tree;
mod wait;
mod wait_text;

pub use super::unjoined::Unjoined;
pub(crate) use diagnosis::DiagnosisHook;
pub use diagnosis::{Diagnosis, StuckTask};
pub use node::{Cancelled, Child, ChildStage, CleanUp, Node, NodeKind, ShutdownPhase};
pub use snapshot::Dump;
pub use task::{InShield, Membership, Role, Root, Task, TaskState, Tasks, Trace};
pub use tree::Tree;
pub use wait::{Taken, Wait, What};
