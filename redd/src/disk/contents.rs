//! The contents of one file: what was changed since the last sync, and which contents a crash may leave.
//!
//! Called by `host`, `open` and `restore`. No system call is made here.
//!
//! A disk writes sectors of 512 bytes, in any order and at any time. So after a crash each sector has the contents of any moment since
//! the last sync. The length is separate: it is the one of any such moment, too.
//!
//! # Invariants
//! - `sector-history`: a change of a sector survives only if all earlier unsynced changes of this sector do.
//! - `cut-frees`: sectors behind a truncated file are free. If the truncation is lost, no later change of them survives. If it survives,
//!   their old contents do not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::survival::Survival;

/// The unit that a disk writes as a whole, in bytes.
pub(super) const SECTOR: u64 = 512;

/// The sectors with a byte of this range.
fn sectors(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / SECTOR..range.end.div_ceil(SECTOR) }
}

/// The part of `range` that is in this sector.
fn part_in(range: &Range<u64>, sector: u64) -> Range<u64> {
    range.start.max(sector * SECTOR)..range.end.min((sector + 1) * SECTOR)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeKind {
    Write,
    /// The file became shorter. The range is what was cut off.
    Cut,
    /// The file became longer without a write. The range is empty.
    Grow,
}

/// One unsynced change.
#[derive(Clone, Debug)]
struct Change {
    kind: ChangeKind,
    range: Range<u64>,
    /// What was at the start of the range before. Behind it there were zeros.
    old: Vec<u8>,
    lens: [u64; 2],
}

impl Change {
    fn is_resize(&self) -> bool {
        self.lens[0] != self.lens[1]
    }
}

/// Some sectors of a file, and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) len: u64,
    pub(super) sectors: BTreeMap<u64, [u8; SECTOR as usize]>,
}

impl Image {
    fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for sector in sectors(range) {
            let part = part_in(range, sector);
            if let Some(from) = self.sectors.get(&sector) {
                let start = (part.start % SECTOR) as usize;
                let len = (part.end - part.start) as usize;
                bytes[(part.start - range.start) as usize..][..len].copy_from_slice(&from[start..][..len]);
            }
        }
        bytes
    }

    /// Writes `bytes` to `part`, which is in one sector.
    fn write_part(&mut self, part: &Range<u64>, bytes: &[u8]) {
        let sector = self.sectors.entry(part.start / SECTOR).or_insert([0; SECTOR as usize]);
        sector[(part.start % SECTOR) as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Writes `bytes` to the start of `range`, and zeros behind them.
    fn write(&mut self, range: &Range<u64>, bytes: &[u8]) {
        for sector in sectors(range) {
            let part = part_in(range, sector);
            let mut new = vec![0; (part.end - part.start) as usize];
            let from = bytes.get((part.start - range.start) as usize..).unwrap_or_default();
            let len = from.len().min(new.len());
            new[..len].copy_from_slice(&from[..len]);
            self.write_part(&part, &new);
        }
    }
}

/// The unsynced changes of one file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    changes: Vec<Change>,
    /// Sectors that a failed sync has marked as written, although they may not be.
    marked_clean: BTreeSet<u64>,
}

impl Contents {
    pub(super) fn is_synced(&self) -> bool {
        self.changes.is_empty()
    }

    /// How much memory the changes need, about.
    pub(super) fn cost(&self) -> usize {
        self.changes.iter().map(|change| change.old.len() + size_of::<Change>()).sum()
    }

    /// `len` bytes were written at `offset`. `old` is what was there in the file, which had `old_len` bytes.
    pub(super) fn wrote(&mut self, offset: u64, len: u64, old: Vec<u8>, old_len: u64) {
        let range = offset..offset + len;
        sectors(&range).for_each(|sector| _ = self.marked_clean.remove(&sector));
        self.changes.push(Change { kind: ChangeKind::Write, lens: [old_len, old_len.max(range.end)], range, old });
    }

    /// The length was set. `cut` is what was behind the new end.
    pub(super) fn resized(&mut self, old_len: u64, new_len: u64, cut: Vec<u8>) {
        let kind = if new_len < old_len { ChangeKind::Cut } else { ChangeKind::Grow };
        let range = match kind {
            // Sectors are cleared up to their ends: after a failed sync, older bytes may be on the disk behind the old end.
            ChangeKind::Cut => new_len..old_len.next_multiple_of(SECTOR),
            ChangeKind::Write | ChangeKind::Grow => new_len..new_len,
        };
        if kind == ChangeKind::Cut {
            self.marked_clean.retain(|sector| *sector < new_len / SECTOR);
        }
        self.changes.push(Change { kind, range, old: cut, lens: [old_len, new_len] });
    }

    /// The file, which has `len` bytes, was synced: all changes survive from here on. But not those of sectors that a failed sync has
    /// marked as written.
    pub(super) fn synced(&mut self, len: u64) {
        let changes = std::mem::take(&mut self.changes);
        for change in changes.into_iter().filter(|_| !self.marked_clean.is_empty()) {
            if change.kind == ChangeKind::Cut {
                // `cut-frees`: the truncation survives, so nothing before it counts for the sectors behind it.
                self.changes.retain(|earlier| earlier.range.start < change.range.start.next_multiple_of(SECTOR));
            }
            for sector in sectors(&change.range).filter(|sector| self.marked_clean.contains(sector)) {
                let range = part_in(&change.range, sector);
                let is_freed = change.kind == ChangeKind::Cut && range.start % SECTOR == 0;
                if is_freed {
                    continue;
                }
                let old = change.old.get((range.start - change.range.start) as usize..).unwrap_or_default();
                let old = old[..old.len().min((range.end - range.start) as usize)].to_vec();
                self.changes.push(Change { kind: ChangeKind::Write, range, old, lens: [len; 2] });
            }
        }
        if self.changes.is_empty() {
            self.marked_clean.clear();
        }
    }

    /// A sync has failed: the system counts the sectors as written, so a later sync does not write them again.
    pub(super) fn sync_failed(&mut self) {
        self.marked_clean = self.changes.iter().flat_map(|change| sectors(&change.range)).collect();
    }

    /// The sectors that a crash can change.
    pub(super) fn touched(&self) -> BTreeSet<u64> {
        self.changes.iter().flat_map(|change| sectors(&change.range)).collect()
    }

    /// Makes of `image`, which has the touched sectors, what a crash leaves. Everything is synced then. Returns how many changes are lost
    /// as a whole or in part.
    pub(super) fn crash(&mut self, image: &mut Image, survival: &Survival) -> usize {
        let changes = std::mem::take(&mut self.changes);
        self.marked_clean.clear();
        let mut news = Vec::with_capacity(changes.len());
        for change in changes.iter().rev() {
            news.push(image.read(&change.range));
            image.write(&change.range, &change.old);
            image.len = change.lens[0];
        }
        news.reverse();
        // The length is that of one moment: the first of its changes survive.
        let mut resizes_left = survival.keeps_first(changes.iter().filter(|change| change.is_resize()).count());
        let (mut lost, mut lost_changes) = (BTreeSet::new(), 0);
        for (change, new) in changes.iter().zip(&news) {
            let is_len_kept = !change.is_resize() || resizes_left > 0;
            if change.is_resize() && is_len_kept {
                resizes_left -= 1;
                image.len = change.lens[1];
            }
            let is_whole = match change.kind {
                ChangeKind::Grow => is_len_kept,
                ChangeKind::Write => keep_sectors(image, &change.range, new, &mut lost, survival) && is_len_kept,
                ChangeKind::Cut if is_len_kept => {
                    image.write(&change.range, &[]);
                    lost.retain(|sector| *sector < change.range.start.div_ceil(SECTOR));
                    true
                }
                ChangeKind::Cut => {
                    // `cut-frees`. The sector with the new end is not free. Zeros are written to it.
                    let freed = change.range.start.next_multiple_of(SECTOR).min(change.range.end);
                    keep_sectors(image, &(change.range.start..freed), new, &mut lost, survival);
                    lost.extend(sectors(&(freed..change.range.end)));
                    false
                }
            };
            lost_changes += usize::from(!is_whole);
        }
        lost_changes
    }
}

/// Writes those sectors of a change that survive. Returns whether all of them do (`sector-history`).
fn keep_sectors(
    image: &mut Image,
    range: &Range<u64>,
    new: &[u8],
    lost: &mut BTreeSet<u64>,
    survival: &Survival,
) -> bool {
    let is_lost_as_a_whole =
        !survival.is_torn && (!survival.keeps() || sectors(range).any(|sector| lost.contains(&sector)));
    let mut is_whole = true;
    for sector in sectors(range) {
        let is_kept = match survival.is_torn {
            true => survival.keeps() && !lost.contains(&sector),
            false => !is_lost_as_a_whole,
        };
        if is_kept {
            let part = part_in(range, sector);
            let len = (part.end - part.start) as usize;
            image.write_part(&part, &new[(part.start - range.start) as usize..][..len]);
        } else {
            lost.insert(sector);
            is_whole = false;
        }
    }
    is_whole
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::primitives::rng::Rng;

    const SIZE: usize = 6;

    /// What a crash may leave, sector by sector.
    struct Model {
        now: Vec<u8>,
        /// The contents of each sector since it was written to the disk.
        sectors: Vec<Vec<Vec<u8>>>,
        is_marked_clean: [bool; SIZE],
        /// How many versions of each sector are older than the last truncation that has freed it.
        freed: [usize; SIZE],
        lens: Vec<usize>,
    }

    impl Model {
        fn sector(&self, index: usize) -> Vec<u8> {
            let mut bytes = self.now.clone();
            bytes.resize(SIZE * SECTOR as usize, 0);
            bytes[index * SECTOR as usize..][..SECTOR as usize].to_vec()
        }

        /// The file was changed. `dirty` are the sectors that were written.
        fn changed(&mut self, dirty: impl Fn(usize) -> bool) {
            for index in 0..SIZE {
                let sector = self.sector(index);
                self.sectors[index].push(sector);
                self.is_marked_clean[index] &= !dirty(index);
            }
            self.lens.push(self.now.len());
        }

        /// As [`changed`](Self::changed). Behind the new end, each older version of the last sector may have zeros (`cut-frees`).
        fn cut(&mut self) {
            let (last, end) = (self.now.len() / SECTOR as usize, self.now.len() % SECTOR as usize);
            let with_zeros = |version: &Vec<u8>| [&version[..end], &vec![0; version.len() - end]].concat();
            let others: Vec<_> = self.sectors[last].iter().map(with_zeros).collect();
            self.sectors[last].extend(others);
            let first_free = last + usize::from(end > 0);
            (first_free..SIZE).for_each(|index| self.freed[index] = self.sectors[index].len());
            self.changed(|sector| sector >= last);
        }

        fn synced(&mut self) {
            for index in 0..SIZE {
                match self.is_marked_clean[index] {
                    true => drop(self.sectors[index].drain(..self.freed[index])),
                    false => self.sectors[index] = vec![self.sector(index)],
                }
            }
            self.freed = [0; SIZE];
            self.lens = vec![self.now.len()];
        }

        fn check(&self, bytes: &[u8], seed: u64) {
            assert!(self.lens.contains(&bytes.len()), "seed {seed}: {} is not one of {:?}", bytes.len(), self.lens);
            for (index, sector) in bytes.chunks(SECTOR as usize).enumerate() {
                let is_legal = self.sectors[index].iter().any(|version| version[..sector.len()] == *sector);
                assert!(is_legal, "seed {seed}: sector {index} never had these bytes");
            }
        }
    }

    /// Changes and syncs a file at random, lets its host crash, and compares. Returns whether anything was lost.
    fn run(seed: u64, is_torn: bool, kind: usize) -> bool {
        let rng = Rng::new(seed);
        let below = |bound: usize| rng.below(bound as u32) as usize;
        let mut contents = Contents::default();
        let first = vec![vec![0; SECTOR as usize]];
        let mut model = Model {
            now: Vec::new(),
            sectors: vec![first; SIZE],
            is_marked_clean: [false; SIZE],
            freed: [0; SIZE],
            lens: vec![0],
        };
        let (mut synced, mut has_failed) = (Vec::new(), false);
        for step in 1..=4 + below(25) {
            let old_len = model.now.len();
            match below(8) {
                0..4 => {
                    let offset = below((SIZE - 2) * SECTOR as usize);
                    let len = 1 + below(2 * SECTOR as usize - 1);
                    let old = model.now[old_len.min(offset)..old_len.min(offset + len)].to_vec();
                    contents.wrote(offset as u64, len as u64, old, old_len as u64);
                    model.now.resize(old_len.max(offset + len), 0);
                    model.now[offset..offset + len].fill(step as u8);
                    let range = sectors(&(offset as u64..(offset + len) as u64));
                    model.changed(|sector| range.contains(&(sector as u64)));
                }
                4 | 5 => {
                    let len = below((SIZE - 1) * SECTOR as usize);
                    contents.resized(old_len as u64, len as u64, model.now[old_len.min(len)..].to_vec());
                    model.now.resize(len, 0);
                    if len < old_len { model.cut() } else { model.changed(|_| false) }
                }
                6 => {
                    contents.synced(old_len as u64);
                    model.synced();
                    synced.clone_from(&model.now);
                }
                _ => {
                    contents.sync_failed();
                    has_failed = true;
                    // A sector with one version is as it is on the disk.
                    let is_changed = |versions: &Vec<Vec<u8>>| versions.iter().any(|version| *version != versions[0]);
                    model.is_marked_clean = std::array::from_fn(|index| is_changed(&model.sectors[index]));
                }
            }
        }
        let mut image = Image { len: model.now.len() as u64, sectors: BTreeMap::new() };
        for sector in contents.touched() {
            image.sectors.insert(sector, model.sector(sector as usize).try_into().expect("it is one sector"));
        }
        contents.crash(&mut image, &Survival::new(kind, rng.next_u64(), is_torn));
        assert!(contents.is_synced());
        let mut bytes = Vec::new();
        for index in 0..SIZE {
            let sector = image.sectors.get(&(index as u64)).map_or_else(|| model.sector(index), |bytes| bytes.to_vec());
            bytes.extend(sector);
        }
        bytes.truncate(image.len as usize);
        model.check(&bytes, seed);
        if kind == 1 && !has_failed {
            assert_eq!(bytes, synced, "seed {seed}: all is lost that was not synced");
        }
        bytes != model.now
    }

    #[test]
    fn a_crash_leaves_each_sector_as_it_was_at_some_moment_since_it_was_written() {
        for is_torn in [false, true] {
            let lost = |kind| (0..300).filter(|seed| run(*seed, is_torn, kind)).count();
            assert_eq!(lost(0), 0);
            for kind in 1..Survival::KINDS {
                let lost = lost(kind);
                assert!((75..300).contains(&lost), "{lost} of 300 crashes have lost something");
            }
        }
    }

    #[test]
    fn bytes_of_a_failed_sync_may_be_lost_after_a_sync_that_succeeds() {
        let is_lost = |fails: bool| {
            let mut contents = Contents::default();
            contents.wrote(0, 4, b"old ".to_vec(), 4);
            if fails {
                contents.sync_failed();
            }
            contents.synced(4);
            let mut bytes = [0; SECTOR as usize];
            bytes[..4].copy_from_slice(b"new ");
            let mut image = Image { len: 4, sectors: BTreeMap::from([(0, bytes)]) };
            contents.crash(&mut image, &Survival::new(1, 1, true));
            image.read(&(0..4)) == b"old "
        };
        assert_eq!([false, true].map(is_lost), [false, true]);
    }
}
