//! A crash of a host: its disk afterwards has what was synced, and some of the rest.
//!
//! Called by the room's `crash`.
//!
//! # Protocol
//! 1. The files of the real disk get the contents that the seed has chosen.
//! 2. The names that survive are made in a new directory. Files are moved there from their old names, or from `removed`.
//! 3. The new directory takes the place of the old one, which is removed with the rest.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::contents::{Contents, Image, SECTOR};
use super::host::{HostDisk, NodeKind, Operation, State, make_accessible, record};
use super::names::{NodeId, ROOT};
use super::survival::Survival;
use crate::primitives::baton::Baton;

impl HostDisk {
    /// The host crashes. Open files fail from here on.
    pub(super) fn crash(&self, baton: &Baton) -> io::Result<()> {
        let kind = baton.choose_with(Survival::KINDS, &|kind| Survival::describe(kind).to_owned());
        let seed = baton.choose_with(u32::MAX as usize, &|seed| format!("number {seed} decides what the crash loses"));
        let survival = Survival::new(kind, seed as u64, self.settings.is_torn);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.incarnation += 1;
        make_accessible(&self.base.join("root"));
        let mut places = BTreeMap::new();
        self.collect_places(state, ROOT, &self.base.join("root"), &mut places);
        let mut lost = state.names.crash(&survival);
        let referred = state.names.referred();
        state.nodes.retain(|node, _| referred.contains(node));
        state.used = 0;
        for (id, node) in &mut state.nodes {
            let modes = node.new_modes.len();
            let kept = survival.keeps_first(modes);
            lost += modes - kept;
            node.mode = kept.checked_sub(1).map_or(node.mode, |last| node.new_modes[last]);
            node.new_modes.clear();
            node.names = 0;
            if let NodeKind::File { len, contents } = &mut node.kind {
                let place = places.entry(*id).or_insert_with(|| self.removed(*id));
                if !contents.is_synced() {
                    let (new_len, lost_changes) = restore_contents(place, contents, &survival)?;
                    *len = new_len;
                    lost += lost_changes;
                    self.stamp(baton, place);
                }
                state.used += *len;
            }
        }
        let new = self.base.join("new");
        self.make_directory(baton, state, ROOT, &new, &mut places)?;
        let old = self.base.join("old");
        fs::rename(self.base.join("root"), &old)?;
        fs::rename(&new, self.base.join("root"))?;
        fs::remove_dir_all(&old)?;
        fs::remove_dir_all(self.base.join("removed"))?;
        DirBuilder::new().mode(0o700).create(self.base.join("removed"))?;
        state.unsynced = 0;
        record(baton, Operation::Crash, lost as u64, kind as u64);
        Ok(())
    }

    /// Where each file with a name is.
    fn collect_places(&self, state: &State, directory: NodeId, real: &Path, places: &mut BTreeMap<NodeId, PathBuf>) {
        for (name, node) in state.names.entries_of(directory) {
            let real = real.join(name);
            match state.nodes[&node].kind {
                NodeKind::Directory => self.collect_places(state, node, &real, places),
                NodeKind::File { .. } => _ = places.insert(node, real),
                NodeKind::Link(_) => {}
            }
        }
    }

    /// Makes a directory with all below it (step 2).
    fn make_directory(
        &self,
        baton: &Baton,
        state: &mut State,
        directory: NodeId,
        real: &Path,
        places: &mut BTreeMap<NodeId, PathBuf>,
    ) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(real)?;
        let entries: Vec<_> = state.names.entries_of(directory).map(|(name, node)| (real.join(name), node)).collect();
        for (real, id) in entries {
            let Some(node) = state.nodes.get_mut(&id) else { continue };
            node.names += 1;
            match &node.kind {
                NodeKind::Directory => self.make_directory(baton, state, id, &real, places)?,
                NodeKind::Link(target) => {
                    symlink(target, &real)?;
                    self.stamp(baton, &real);
                }
                NodeKind::File { .. } => {
                    let place = places.entry(id).or_insert_with(|| self.removed(id));
                    if node.names == 1 {
                        fs::rename(&*place, &real)?;
                        fs::set_permissions(&real, Permissions::from_mode(node.mode))?;
                        *place = real;
                    } else {
                        fs::hard_link(&*place, &real)?;
                    }
                }
            }
        }
        self.stamp(baton, real);
        fs::set_permissions(real, Permissions::from_mode(state.nodes[&directory].mode))
    }
}

/// Gives a file the contents that a crash leaves. Returns its length, and how many changes are lost.
fn restore_contents(place: &Path, contents: &mut Contents, survival: &Survival) -> io::Result<(u64, usize)> {
    fs::set_permissions(place, Permissions::from_mode(0o600))?;
    let file = OpenOptions::new().read(true).write(true).open(place)?;
    let len = file.metadata()?.len(); // Not that of the node: a handle of std may have changed it.
    let mut image = Image { len, sectors: BTreeMap::new() };
    for sector in contents.touched() {
        let mut bytes = [0; SECTOR as usize];
        let end = len.saturating_sub(sector * SECTOR).min(SECTOR) as usize;
        file.read_exact_at(&mut bytes[..end], sector * SECTOR)?;
        image.sectors.insert(sector, bytes);
    }
    let lost = contents.crash(&mut image, survival);
    // What is behind the shorter of the lengths is zero, or one of the sectors.
    file.set_len(image.len.min(len))?;
    file.set_len(image.len)?;
    for (sector, bytes) in &image.sectors {
        let end = image.len.saturating_sub(sector * SECTOR).min(SECTOR) as usize;
        file.write_all_at(&bytes[..end], sector * SECTOR)?;
    }
    Ok((image.len, lost))
}
