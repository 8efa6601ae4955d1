//! One inner node of a dump's tree: a task group or a supervisor.
//!
//! Made by `join`; read by the other files of the room and by user code.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::task::Id;

/// A [`TaskGroup`](crate::group::TaskGroup) or a [`Supervisor`](crate::group::Supervisor) of a dump.
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
/// use redd::runtime::Handle;
/// use redd::runtime::dump::NodeKind;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::<()>::limit(2).name("downloads").start();
/// for _ in 0..3 {
///     group.spawn(std::future::pending());
/// }
/// let dump = Handle::current().snapshot();
/// let [node] = dump.nodes() else { panic!("{dump}") };
/// assert_eq!(node.name(), Some("downloads"));
/// assert!(matches!(node.kind(), NodeKind::Group { running: 2, queued: 1, limit: Some(2), .. }));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) number: u32,
    pub(super) around: Option<u32>,
    pub(super) created_by: Option<Id>,
    /// The task that made it is in the dump.
    pub(super) has_owner: bool,
    pub(super) created_at: &'static Location<'static>,
    pub(super) age: Duration,
    pub(super) name: Option<Arc<str>>,
    /// Something besides its owner can cancel it.
    pub(super) has_other_cancel: bool,
    pub(super) kind: NodeKind,
}

impl Node {
    /// Returns its number in this dump. It tells the node from others, and from the objects of waits.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns its name, if it was built with one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the line that created it. For a supervisor, it is the one that called `run`.
    pub fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }

    /// Returns the task that created it, which may have ended. `None` if it was created outside of tasks: by the future of
    /// `block_on`, or by a thread.
    pub fn created_by(&self) -> Option<Id> {
        self.created_by
    }

    /// Returns the number of the node that it was created inside of: by a task of that group, or as a child of that supervisor.
    pub fn around(&self) -> Option<u32> {
        self.around
    }

    /// Returns the time since it was created.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns what it is, and what is known of it.
    pub fn kind(&self) -> &NodeKind {
        &self.kind
    }
}

impl Node {
    /// The children of a supervisor.
    pub(super) fn children(&self) -> &[Child] {
        match &self.kind {
            NodeKind::Supervisor { children, .. } => children,
            NodeKind::Group { .. } => &[],
        }
    }

    /// The index of the supervisor's child that runs in this group.
    pub(super) fn child(&self) -> Option<usize> {
        match self.kind {
            NodeKind::Group { child, .. } => child,
            NodeKind::Supervisor { .. } => None,
        }
    }
}

/// The groups in which the children of supervisors run, by the number of the supervisor and the index of the child.
pub(super) fn runs_of_children(nodes: &[Node]) -> HashMap<(u32, usize), &Node> {
    nodes.iter().filter_map(|node| Some(((node.around?, node.child()?), node))).collect()
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// A task group.
    #[non_exhaustive]
    Group {
        /// If it is the run of a supervisor's child: the index of the child.
        child: Option<usize>,
        /// How many tasks may run at a time.
        limit: Option<usize>,
        /// The tasks and closures that run.
        running: usize,
        /// The tasks that wait for a place.
        queued: usize,
        /// The results of tasks that have ended, and that were not taken.
        ended: usize,
        /// The time until the deadline of the group.
        deadline_left: Option<Duration>,
        /// It is being closed, or was dropped: no further task is spawned.
        is_closing: bool,
        /// The `TaskGroup` was dropped, and what is left of it belongs to the runtime.
        is_left: bool,
        /// Why and when it was cancelled.
        cancelled: Option<Cancelled>,
        /// The clean-up that runs.
        clean_up: Option<CleanUp>,
        /// The number of clean-ups that have not begun.
        clean_ups_left: usize,
        /// The phase of a shutdown that it [is in](crate::group::TaskGroupBuilder::in_phase).
        in_phase: Option<ShutdownPhase>,
    },
    /// A supervisor.
    #[non_exhaustive]
    Supervisor {
        /// The name of the function that made it: `one_for_one`, `one_for_all` or `rest_for_one`.
        strategy: &'static str,
        /// The children in the order in which they were added.
        children: Vec<Child>,
    },
}

/// The cancellation of a group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cancelled {
    /// The reason as text.
    pub reason: String,
    /// The time since then.
    pub ago: Duration,
}

/// A phase of a shutdown that a group is in. [`Phases`](crate::group::Phases) has all of them.
///
/// # Examples
/// ```
/// use redd::group::{Phases, TaskGroup};
/// use redd::runtime::Handle;
/// use redd::runtime::dump::NodeKind;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let phases = Phases::new().then("requests", std::time::Duration::from_secs(20));
/// let _group = TaskGroup::<()>::builder().in_phase(&phases, "requests").start();
/// let dump = Handle::current().snapshot();
/// let NodeKind::Group { in_phase: Some(phase), .. } = dump.nodes()[0].kind() else { panic!("{dump}") };
/// assert_eq!(&*phase.name, "requests");
/// assert!(!phase.has_begun);
/// # });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownPhase {
    /// Its name.
    pub name: Arc<str>,
    /// It has begun. If the shutdown was interrupted, all phases count as begun.
    pub has_begun: bool,
    /// Its time is over, or all that it waits for has ended. What is left of the group was cancelled then.
    pub is_over: bool,
}

/// A clean-up that runs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CleanUp {
    /// The task that runs it. `None` if it has just ended.
    pub task: Option<Id>,
    /// The line that called [`defer`](crate::group::TaskGroup::defer).
    pub deferred_at: &'static Location<'static>,
    /// The time that it may take.
    pub within: Duration,
}

/// A child of a supervisor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Child {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub stage: ChildStage,
    /// How often it was started again.
    pub restarts: u64,
    /// The text of its last failure, and the time since then.
    pub last_failure: Option<(Arc<str>, Duration)>,
}

/// What a child of a supervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildStage {
    /// It runs. The node of its group has its tasks.
    Running,
    /// It is started again after this time.
    #[non_exhaustive]
    Waiting {
        /// The time until then.
        remaining: Duration,
    },
    /// It is done, or was stopped.
    Done,
}
