//! What dumps show of a supervisor: its strategy, and what each of its children does.
//!
//! Called by `supervisor`, which records each change, and by the registry of the runtime (`observe::nodes`).

use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::origin::Origin;
use super::scope::{Context, Scope};
use crate::observe::coarse;
use crate::observe::nodes::{ChildInfo, ChildState, DescribeNode, NodeContent, NodeEntry, NodeInfo, SupervisorInfo};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::runtime::Handle;

/// A supervisor that runs.
pub(super) struct Supervised {
    strategy: &'static str,
    run_at: &'static Location<'static>,
    origin: Origin,
    /// The scope of the group in which it runs.
    around: Option<Arc<Scope>>,
    children: Mutex<Vec<SupervisedChild>>,
    runtime: Handle,
    entry: NodeEntry,
}

struct SupervisedChild {
    name: Arc<str>,
    stage: SupervisedStage,
    restarts: u64,
    /// The text of the last failure, and when that was, on the coarse clock of the process.
    last_failure: Option<(Arc<str>, u32)>,
}

/// What a child does.
#[derive(Clone, Copy, Debug)]
pub(super) enum SupervisedStage {
    Running,
    /// It is started at this time.
    Waiting(Instant),
    Done,
}

impl Supervised {
    /// A supervisor begins, with children of these names.
    pub(super) fn begin<'a>(
        strategy: &'static str,
        run_at: &'static Location<'static>,
        names: impl Iterator<Item = &'a str>,
    ) -> Arc<Self> {
        let runtime = Handle::expect_current("`Supervisor`");
        let children = names.map(|name| SupervisedChild {
            name: Arc::from(name),
            stage: SupervisedStage::Done,
            restarts: 0,
            last_failure: None,
        });
        let children = Mutex::new(children.collect());
        Arc::new_cyclic(|me: &Weak<Self>| {
            let entry = runtime.shared.nodes.add(Weak::clone(me) as Weak<dyn DescribeNode>);
            runtime.shared.nodes.count_supervisor(true);
            Self {
                strategy,
                run_at,
                origin: Origin::here(),
                around: Context::current_scope(),
                children,
                runtime,
                entry,
            }
        })
    }

    /// What tells it from other nodes.
    pub(super) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Records what the children do.
    pub(super) fn set_stages(&self, stages: impl Iterator<Item = SupervisedStage>) {
        let mut children = self.children.lock();
        children.iter_mut().zip(stages).for_each(|(child, stage)| child.stage = stage);
    }

    /// Records that a child has failed, and will be started again.
    pub(super) fn add_failure(&self, index: usize, failure: &str) {
        let (failure, now_ms) = (Arc::from(failure), coarse::now_ms());
        let mut children = self.children.lock();
        let replaced = children.get_mut(index).and_then(|child| child.last_failure.replace((failure, now_ms)));
        drop(children);
        drop(replaced);
    }

    /// Records that a child is started again.
    pub(super) fn add_restart(&self, index: usize) {
        if let Some(child) = self.children.lock().get_mut(index) {
            child.restarts += 1;
        }
        self.runtime.shared.nodes.restarts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.runtime.shared.nodes.remove(self.entry);
        self.runtime.shared.nodes.count_supervisor(false);
    }
}

impl DescribeNode for Supervised {
    fn describe(&self) -> Option<NodeInfo> {
        let now = self.runtime.shared.parts.timers.clock().now();
        let children = {
            let children = self.children.lock();
            let describe = |child: &SupervisedChild| ChildInfo {
                name: Arc::clone(&child.name),
                state: match child.stage {
                    SupervisedStage::Running => ChildState::Running,
                    SupervisedStage::Waiting(at) => ChildState::Waiting(at.saturating_duration_since(now)),
                    SupervisedStage::Done => ChildState::Done,
                },
                restarts: child.restarts,
                last_failure: child.last_failure.clone(),
            };
            children.iter().map(describe).collect()
        };
        Some(NodeInfo {
            address: std::ptr::from_ref(self).addr(),
            around: self.around.as_ref().map_or(0, |scope| Arc::as_ptr(scope).addr()),
            creator: self.origin.creator,
            created_at: self.run_at,
            created_ms: self.origin.created_ms,
            name: None,
            content: NodeContent::Supervisor(SupervisorInfo { strategy: self.strategy, children }),
        })
    }

    fn queued(&self) -> usize {
        0
    }
}
