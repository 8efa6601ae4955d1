//! The task groups and supervisors of a runtime: the inner nodes of a dump's tree.
//!
//! Called by `group`, which adds each of them when it begins and removes it at its end, and by `runtime` for dumps and metrics.
//!
//! # Invariants
//! - `read-outside`: a node is described, and a reference to it dropped, while no lock of the registry is held. The drop of the
//!   last reference removes the node, which takes that lock.
//! - `cheap-to-add`: adding and removing a node takes the lock of one part for a few instructions. Nothing is done for a task.
//!
//! # Why not otherwise
//! A list under one lock would be shared by all threads that serve requests, if each request has a group.

use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::primitives::cache_padded::CachePadded;

/// The parts of a registry, each with its lock. No benchmark chose it.
const PARTS: usize = 8;

/// How many references are copied under one lock. Not measured: each costs about as much as a cache miss.
const COPIED_AT_ONCE: usize = 128;

/// Above this many places, a part that has become empty returns its memory.
const KEPT_PLACES: usize = 1024;

/// A task group or a supervisor.
pub(crate) trait DescribeNode: Send + Sync {
    /// `None` if it has ended. It may take short locks, and runs no user code.
    fn describe(&self) -> Option<NodeInfo>;

    /// The number of tasks that wait for a place in it.
    fn queued(&self) -> usize;
}

/// The nodes of one runtime that have not ended, and what is counted of those that have.
#[derive(Default)]
pub(crate) struct NodeRegistry {
    /// Made for the first node.
    parts: OnceLock<Box<[CachePadded<Mutex<Part>>; PARTS]>>,
    supervisors: AtomicUsize,
    /// How often supervisors have started a child again.
    pub(crate) restarts: AtomicU64,
}

#[derive(Default)]
struct Part {
    places: Vec<Place>,
    /// The index of the first free place; `places.len()` if there is none.
    first_free: usize,
    used: usize,
}

enum Place {
    /// The index of the next free place.
    Free(usize),
    Node(Weak<dyn DescribeNode>),
}

/// Where a node is in its registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeEntry {
    part: usize,
    index: usize,
}

impl NodeRegistry {
    /// Adds a node (`cheap-to-add`). Its owner calls [`remove`](Self::remove) when the node is dropped.
    pub(crate) fn add(&self, node: Weak<dyn DescribeNode>) -> NodeEntry {
        let parts = self.parts.get_or_init(|| Box::new(std::array::from_fn(|_| CachePadded(Mutex::default()))));
        // Allocators put what two threads allocate at addresses that are far from each other.
        let address = node.as_ptr().addr();
        let part = (address >> 6 ^ address >> 12) % PARTS;
        let index = parts[part].0.lock().add(node);
        NodeEntry { part, index }
    }

    pub(crate) fn remove(&self, entry: NodeEntry) {
        let Some(parts) = self.parts.get() else { return };
        let removed = parts[entry.part].0.lock().remove(entry.index);
        drop(removed);
    }

    /// A supervisor was added, or removed.
    pub(crate) fn count_supervisor(&self, is_added: bool) {
        if is_added {
            self.supervisors.fetch_add(1, Ordering::Relaxed);
        } else {
            self.supervisors.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The number of task groups.
    pub(crate) fn groups(&self) -> usize {
        let Some(parts) = self.parts.get() else { return 0 };
        let nodes: usize = parts.iter().map(|part| part.0.lock().used).sum();
        nodes.saturating_sub(self.supervisors.load(Ordering::Relaxed))
    }

    /// The number of tasks that wait for places in groups.
    pub(crate) fn queued(&self) -> usize {
        let mut queued = 0;
        self.for_each(|node| queued += node.queued());
        queued
    }

    /// Describes the nodes.
    pub(crate) fn describe(&self) -> Vec<NodeInfo> {
        let mut nodes = Vec::new();
        self.for_each(|node| nodes.extend(node.describe()));
        nodes
    }

    /// Nodes that are added or removed meanwhile may or may not be among them.
    fn for_each(&self, mut f: impl FnMut(&dyn DescribeNode)) {
        let Some(parts) = self.parts.get() else { return };
        let mut copied: Vec<Arc<dyn DescribeNode>> = Vec::with_capacity(COPIED_AT_ONCE);
        for part in parts.iter() {
            let mut first = 0;
            loop {
                {
                    let part = part.0.lock();
                    let Some(places) = part.places.get(first..).filter(|places| !places.is_empty()) else { break };
                    let nodes = places.iter().take(COPIED_AT_ONCE).filter_map(|place| match place {
                        Place::Node(node) => node.upgrade(),
                        Place::Free(_) => None,
                    });
                    copied.extend(nodes);
                }
                // `read-outside`
                copied.drain(..).for_each(|node| f(&*node));
                first += COPIED_AT_ONCE;
            }
        }
    }
}

impl Part {
    fn add(&mut self, node: Weak<dyn DescribeNode>) -> usize {
        let index = self.first_free;
        self.used += 1;
        match self.places.get_mut(index) {
            Some(place) => {
                if let Place::Free(next) = std::mem::replace(place, Place::Node(node)) {
                    self.first_free = next;
                }
            }
            None => {
                self.places.push(Place::Node(node));
                self.first_free = self.places.len();
            }
        }
        index
    }

    /// Returns what the caller drops without the lock.
    fn remove(&mut self, index: usize) -> (Place, Vec<Place>) {
        let removed = std::mem::replace(&mut self.places[index], Place::Free(self.first_free));
        self.first_free = index;
        self.used -= 1;
        let mut unused = Vec::new();
        if self.used == 0 && self.places.len() > KEPT_PLACES {
            unused = std::mem::take(&mut self.places);
            self.first_free = 0;
        }
        (removed, unused)
    }
}

/// A description of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    /// Tells it from the other nodes of the process while it lives.
    pub(crate) address: usize,
    /// The address of the node that it was made inside of. 0 if there is none.
    pub(crate) around: usize,
    /// The id of the task that made it. 0 if that was no task.
    pub(crate) creator: u64,
    pub(crate) created_at: &'static Location<'static>,
    /// On the coarse clock of the process.
    pub(crate) created_ms: u32,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) content: NodeContent,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeContent {
    Group(Box<GroupInfo>),
    Supervisor(SupervisorInfo),
}

/// What is known of a task group.
#[derive(Clone, Debug)]
pub(crate) struct GroupInfo {
    /// The number of the list in which the group's owner waits, as in `Subject::Permits`. 0 if nothing has waited there.
    pub(crate) waits_in: usize,
    /// If it is the run of a supervisor's child: which one of its children.
    pub(crate) child: Option<usize>,
    pub(crate) limit: Option<usize>,
    /// The results that were not taken.
    pub(crate) ended: usize,
    /// The time until its deadline.
    pub(crate) deadline_left: Option<Duration>,
    /// It waits for its tasks to end, and no further one is spawned.
    pub(crate) is_closing: bool,
    /// The `TaskGroup` was dropped.
    pub(crate) is_left: bool,
    /// Why it was cancelled, and when, on the coarse clock.
    pub(crate) cancelled: Option<(String, u32)>,
    /// The clean-up that runs.
    pub(crate) clean_up: Option<CleanUpInfo>,
    /// The clean-ups that have not begun.
    pub(crate) clean_ups_left: usize,
    /// Something besides the group's owner can cancel it: its deadline, a future, or a handle to its scope.
    pub(crate) has_other_cancel: bool,
    /// The phase of a shutdown that it is in.
    pub(crate) in_phase: Option<PhaseInfo>,
    pub(crate) members: Vec<Member>,
}

/// A phase of a shutdown.
#[derive(Clone, Debug)]
pub(crate) struct PhaseInfo {
    pub(crate) name: Arc<str>,
    pub(crate) has_begun: bool,
    pub(crate) is_over: bool,
}

/// A clean-up that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CleanUpInfo {
    pub(crate) location: &'static Location<'static>,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// A task of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) task: u64,
    pub(crate) role: MemberRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberRole {
    Task,
    /// A task that waits for a place, behind this many others.
    Queued {
        before: usize,
    },
    /// It cancels the group after a time, or when a future completes.
    Watcher,
    CleanUp,
}

/// What is known of a supervisor.
#[derive(Clone, Debug)]
pub(crate) struct SupervisorInfo {
    pub(crate) strategy: &'static str,
    pub(crate) children: Vec<ChildInfo>,
}

#[derive(Clone, Debug)]
pub(crate) struct ChildInfo {
    pub(crate) name: Arc<str>,
    pub(crate) state: ChildState,
    pub(crate) restarts: u64,
    /// Its last failure, and when that was, on the coarse clock.
    pub(crate) last_failure: Option<(Arc<str>, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    Running,
    /// It is started after this time.
    Waiting(Duration),
    Done,
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    struct Numbered(usize);

    impl DescribeNode for Numbered {
        fn describe(&self) -> Option<NodeInfo> {
            None
        }

        fn queued(&self) -> usize {
            self.0
        }
    }

    fn numbered(number: usize) -> Arc<dyn DescribeNode> {
        Arc::new(Numbered(number))
    }

    #[test]
    fn nodes_are_found_until_they_are_removed_and_their_places_are_used_again() {
        let registry = NodeRegistry::default();
        assert_eq!((registry.groups(), registry.queued()), (0, 0));
        let mut kept = Vec::new();
        for number in 1..=10_000 {
            let node = numbered(number);
            kept.push((registry.add(Arc::downgrade(&node)), node));
        }
        assert_eq!((registry.groups(), registry.queued()), (10_000, 50_005_000));
        let places =
            || registry.parts.get().map_or(0, |parts| parts.iter().map(|part| part.0.lock().places.len()).sum());
        for (entry, node) in kept.split_off(1) {
            registry.remove(entry);
            drop(node);
        }
        assert_eq!((registry.groups(), registry.queued()), (1, 1));
        for number in 0..100 {
            let node = numbered(number);
            registry.remove(registry.add(Arc::downgrade(&node)));
        }
        assert_eq!((registry.groups(), registry.queued()), (1, 1));
        assert!(places() <= 10_000, "{} places", places());
        for (entry, node) in kept {
            registry.remove(entry);
            drop(node);
        }
        assert_eq!(registry.groups(), 0);
        assert!(places() < PARTS * (KEPT_PLACES + 1), "{} places", places());
    }

    /// Removes itself in its drop, as groups do. If a lock were held then, this would hang.
    struct RemovesItself(Arc<NodeRegistry>, NodeEntry);

    impl DescribeNode for RemovesItself {
        fn describe(&self) -> Option<NodeInfo> {
            None
        }

        fn queued(&self) -> usize {
            1
        }
    }

    impl Drop for RemovesItself {
        fn drop(&mut self) {
            self.0.remove(self.1);
        }
    }

    #[test]
    fn nodes_come_and_go_while_others_are_read() {
        let registry = Arc::new(NodeRegistry::default());
        let add = || {
            let registry = Arc::clone(&registry);
            Arc::new_cyclic(|me: &Weak<RemovesItself>| {
                let me: Weak<dyn DescribeNode> = Weak::clone(me) as Weak<dyn DescribeNode>;
                let entry = registry.add(me);
                RemovesItself(registry, entry)
            })
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20_000).for_each(|_| drop(add())));
            }
            let kept = add();
            for _ in 0..200 {
                assert!((1..=3).contains(&registry.queued()), "one is kept, and each thread has one at most");
            }
            drop(kept);
        });
        assert_eq!(registry.groups(), 0);
    }
}
