//! The names in all directories of a host: which of them are not synced, and which names a crash may leave.
//!
//! Called by `host`, `open`, `paths` and `restore`. No system call is made here.
//!
//! A name survives if its directory was synced. Of the other changes of names any may survive, in any order.
//!
//! # Invariants
//! - `name-history`: a change of a name survives only if all earlier unsynced changes of this name do.
//! - `rename-whole`: a rename changes two names. Both changes survive or none does.
//! - `moved-stays-reachable`: a rename survives only if each directory on the path to the new name does. So what was moved is at the old
//!   or at the new name.
//! - `removed-is-empty`: the removal of a directory survives only if the removals of all its entries do.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use super::survival::Survival;

/// The number of a file, directory or symbolic link on the disk of its host. It is never used again.
pub(super) type NodeId = u32;

/// The directory `/`.
pub(super) const ROOT: NodeId = 1;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) directory: NodeId,
    pub(super) name: OsString,
}

/// One unsynced change: what some names were, and what they are.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) sets: Vec<(Name, [Option<NodeId>; 2])>,
    /// The names of the directories on the path to where something was moved (`moved-stays-reachable`).
    pub(super) needs: Vec<Name>,
    /// A directory that was removed (`removed-is-empty`).
    pub(super) removed: Option<NodeId>,
}

impl NameChange {
    /// One name that was not there, or is not there any more.
    pub(super) fn of_one(name: Name, change: [Option<NodeId>; 2]) -> Self {
        Self { sets: vec![(name, change)], needs: Vec::new(), removed: None }
    }

    /// Whether it is lost because one of these names is (`name-history`, `moved-stays-reachable`, `removed-is-empty`).
    fn depends_on(&self, names: &BTreeSet<Name>) -> bool {
        let of_removed = |name: &Name| Some(name.directory) == self.removed;
        self.sets.iter().map(|(name, _)| name).chain(&self.needs).any(|name| names.contains(name))
            || (self.removed.is_some() && names.iter().any(of_removed))
    }
}

/// The entries of one directory.
pub(super) type Entries = BTreeMap<OsString, NodeId>;

/// All names of a host.
#[derive(Debug, Default)]
pub(super) struct Names {
    entries: BTreeMap<NodeId, Entries>,
    changes: Vec<NameChange>,
}

impl Names {
    pub(super) fn find(&self, directory: NodeId, name: &OsStr) -> Option<NodeId> {
        self.entries.get(&directory)?.get(name).copied()
    }

    /// The entries of a directory, sorted by name.
    pub(super) fn entries_of(&self, directory: NodeId) -> impl Iterator<Item = (&OsString, NodeId)> {
        self.entries.get(&directory).into_iter().flatten().map(|(name, node)| (name, *node))
    }

    /// How many changes are not synced.
    pub(super) fn unsynced(&self) -> usize {
        self.changes.len()
    }

    /// A change that needs no sync.
    pub(super) fn insert_synced(&mut self, name: Name, node: NodeId) {
        self.set(&name, Some(node));
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.sets.iter().for_each(|(name, [_, new])| self.set(name, *new));
        self.changes.push(change);
    }

    fn set(&mut self, name: &Name, node: Option<NodeId>) {
        let entries = self.entries.entry(name.directory).or_default();
        match node {
            Some(node) => _ = entries.insert(name.name.clone(), node),
            None => _ = entries.remove(&name.name),
        }
    }

    /// All changes of this directory survive from here on, and all changes that these depend on: with a rename the change of the other
    /// name, too (`rename-whole`).
    pub(super) fn synced(&mut self, directory: NodeId) {
        let (mut needed, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let mut left = Vec::new();
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            let is_needed = change.sets.iter().any(|(name, _)| {
                name.directory == directory || removed.contains(&name.directory) || needed.contains(name)
            });
            if is_needed {
                needed.extend(change.sets.into_iter().map(|(name, _)| name).chain(change.needs));
                removed.extend(change.removed);
            } else {
                left.push(change);
            }
        }
        left.reverse();
        self.changes = left;
    }

    /// All changes survive from here on.
    pub(super) fn all_synced(&mut self) {
        self.changes.clear();
    }

    /// The nodes that a crash may bring back, or that have a name.
    pub(super) fn referred(&self) -> BTreeSet<NodeId> {
        let changed = self.changes.iter().flat_map(|change| &change.sets).flat_map(|(_, change)| change).flatten();
        self.entries.values().flat_map(BTreeMap::values).chain(changed).copied().chain([ROOT]).collect()
    }

    /// The names that a crash leaves. Everything is synced then. Returns how many changes are lost.
    pub(super) fn crash(&mut self, survival: &Survival) -> usize {
        let changes = std::mem::take(&mut self.changes);
        for (name, [old, _]) in changes.iter().rev().flat_map(|change| change.sets.iter().rev()) {
            self.set(name, *old);
        }
        let (mut lost, mut lost_changes) = (BTreeSet::new(), 0);
        for change in changes {
            if survival.keeps() && !change.depends_on(&lost) {
                change.sets.iter().for_each(|(name, [_, new])| self.set(name, *new));
            } else {
                lost.extend(change.sets.into_iter().map(|(name, _)| name));
                lost_changes += 1;
            }
        }
        let mut reachable = BTreeMap::new();
        self.collect_reachable(ROOT, &mut reachable);
        self.entries = reachable;
        lost_changes
    }

    fn collect_reachable(&mut self, directory: NodeId, into: &mut BTreeMap<NodeId, Entries>) {
        let entries = self.entries.remove(&directory).unwrap_or_default();
        let nodes: Vec<_> = entries.values().copied().collect();
        into.insert(directory, entries);
        nodes.into_iter().for_each(|node| {
            if self.entries.contains_key(&node) {
                self.collect_reachable(node, into);
            }
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const A: NodeId = 2;
    const B: NodeId = 3;
    const FILE: NodeId = 9;

    fn name(directory: NodeId, name: &str) -> Name {
        Name { directory, name: name.into() }
    }

    fn rename(from: Name, to: Name, needs: &[Name]) -> NameChange {
        NameChange {
            sets: vec![(from, [Some(FILE), None]), (to, [None, Some(FILE)])],
            needs: needs.to_vec(),
            removed: None,
        }
    }

    /// The directory `a` with the file `f` in it, all synced.
    fn names() -> Names {
        let mut names = Names::default();
        names.insert_synced(name(ROOT, "a"), A);
        names.insert_synced(name(A, "f"), FILE);
        names
    }

    /// The places of the file after crashes of 200 seeds.
    fn after_crashes(make: impl Fn() -> Names) -> BTreeSet<Vec<Name>> {
        let run = |seed| {
            let mut names = make();
            names.crash(&Survival::new(2, seed, true));
            assert_eq!(names.unsynced(), 0);
            let is_file = |(_, node): &(&OsString, NodeId)| *node == FILE;
            let places = names.entries.keys().flat_map(|directory| {
                names
                    .entries_of(*directory)
                    .filter(is_file)
                    .map(|(name, _)| Name { directory: *directory, name: name.clone() })
            });
            places.collect()
        };
        (0..200).map(run).collect()
    }

    #[test]
    fn a_rename_into_a_new_directory_survives_only_with_it() {
        let make = || {
            let mut names = names();
            names.change(NameChange::of_one(name(ROOT, "b"), [None, Some(B)]));
            names.change(rename(name(A, "f"), name(B, "f"), &[name(ROOT, "b")]));
            names
        };
        let both = BTreeSet::from([vec![name(A, "f")], vec![name(B, "f")]]);
        assert_eq!(after_crashes(make), both);
        for synced in [A, B] {
            let make = || {
                let mut names = make();
                names.synced(synced);
                names
            };
            assert_eq!(after_crashes(make), BTreeSet::from([vec![name(B, "f")]]));
        }
    }

    #[test]
    fn a_directory_is_removed_only_with_the_removals_of_its_entries() {
        let make = || {
            let mut names = names();
            names.change(rename(name(A, "f"), name(ROOT, "f"), &[]));
            let removal = NameChange::of_one(name(ROOT, "a"), [Some(A), None]);
            names.change(NameChange { removed: Some(A), ..removal });
            names
        };
        let both = BTreeSet::from([vec![name(A, "f")], vec![name(ROOT, "f")]]);
        assert_eq!(after_crashes(make), both);
    }

    #[test]
    fn a_name_that_was_not_synced_is_lost_or_kept_for_itself() {
        let make = || {
            let mut names = Names::default();
            names.change(NameChange::of_one(name(ROOT, "one"), [None, Some(FILE)]));
            names.change(NameChange::of_one(name(ROOT, "two"), [None, Some(FILE)]));
            names
        };
        let (one, two) = (name(ROOT, "one"), name(ROOT, "two"));
        let all = BTreeSet::from([vec![], vec![one.clone()], vec![two.clone()], vec![one.clone(), two.clone()]]);
        assert_eq!(after_crashes(make), all);
        let with_another_directory = || {
            let mut names = make();
            names.synced(A);
            names
        };
        assert_eq!(after_crashes(with_another_directory), all);
        let make = || {
            let mut names = make();
            names.synced(ROOT);
            names
        };
        assert_eq!(after_crashes(make), BTreeSet::from([vec![one, two]]));
    }
}
