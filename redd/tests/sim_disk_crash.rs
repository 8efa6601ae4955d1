//! Random programs on a simulated disk, and a crash at their end: each state that it leaves is compared with a plain model.
//!
//! The model keeps the contents of each file at each moment since its last sync, and the names as a list of unsynced changes. It tries
//! all subsets of that list.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use redd::fs::{self, File, OpenOptions};
use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use redd::sim::{Disk, World};
use std::collections::{BTreeMap, BTreeSet};
use std::io::SeekFrom;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, Mutex};
use support::block_on;
use support::crash::around_crash;

const SECTOR: usize = 512;
const SEEDS: u64 = 500;
const DIRS: [&str; 2] = ["/a", "/b"];

/// A directory and a name in it.
type Name = (usize, usize);
type Names = BTreeMap<Name, u64>;

/// What the program does wrong, or does not tell the model. The comparison must notice each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// A file is not synced.
    SyncOfFile,
    /// A directory is not synced.
    SyncOfDirectory,
    /// A rename is a link and a removal.
    TwoStepsForRename,
    /// A write has other bytes.
    OtherBytes,
    /// A file is made longer than it is.
    OtherLength,
    /// Permissions are others.
    OtherMode,
    /// A file is removed.
    Removal,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A name, and the numbers of the files that had it before and after a change.
type NameChange = (Name, Option<u64>, Option<u64>);

/// What may be found in a file.
#[derive(Debug)]
struct Model {
    names: Names,
    /// The unsynced changes of names: what each name was and is.
    changes: Vec<Vec<NameChange>>,
    /// The contents since the last sync, the synced ones first.
    contents: BTreeMap<u64, Vec<Vec<u8>>>,
    /// The same with zeros behind the end of a later truncation.
    cut: BTreeMap<u64, Vec<Vec<u8>>>,
    modes: BTreeMap<u64, Vec<u32>>,
}

/// How often something that may happen has happened.
#[derive(Debug, Default)]
struct Seen {
    lost_names: usize,
    kept_names: usize,
    old_contents: usize,
    new_contents: usize,
    mixed_contents: usize,
    old_modes: usize,
    out_of_order: usize,
}

impl Model {
    fn change(&mut self, sets: Vec<(Name, Option<u64>, Option<u64>)>) {
        for (name, _, new) in &sets {
            match new {
                Some(file) => _ = self.names.insert(*name, *file),
                None => _ = self.names.remove(name),
            }
        }
        self.changes.push(sets);
    }

    fn now(&mut self, file: u64) -> Vec<u8> {
        self.contents[&file].last().unwrap().clone()
    }

    fn sync_file(&mut self, file: u64) {
        let (contents, modes) = (self.contents.get_mut(&file).unwrap(), self.modes.get_mut(&file).unwrap());
        contents.drain(..contents.len() - 1);
        self.cut.remove(&file);
        modes.drain(..modes.len() - 1);
    }

    fn set_len(&mut self, file: u64, len: usize) {
        let mut now = self.now(file);
        let cut = self.cut.entry(file).or_default();
        let all: Vec<_> =
            self.contents[&file].iter().chain(&*cut).map(|moment| moment[..len.min(moment.len())].to_vec()).collect();
        cut.extend(all);
        now.resize(len, 0);
        self.contents.get_mut(&file).unwrap().push(now);
    }

    /// The changes of a directory survive, and what they depend on: earlier changes of the same names.
    fn sync_dir(&mut self, dir: usize) {
        let touches =
            |change: &[(Name, Option<u64>, Option<u64>)], name: Name| change.iter().any(|(other, ..)| *other == name);
        let mut survives: Vec<bool> =
            self.changes.iter().map(|change| change.iter().any(|((other, _), ..)| *other == dir)).collect();
        for later in (0..self.changes.len()).rev() {
            for earlier in (0..later).filter(|_| survives[later]).collect::<Vec<_>>() {
                survives[earlier] |=
                    self.changes[later].iter().any(|(name, ..)| touches(&self.changes[earlier], *name));
            }
        }
        let mut survives = survives.into_iter();
        self.changes.retain(|_| !survives.next().unwrap());
    }

    /// All names that a crash may leave, with whether a change survives that is later than a lost one.
    fn legal_names(&self) -> Vec<(Names, bool)> {
        let mut synced = self.names.clone();
        for (name, old, _) in self.changes.iter().rev().flatten() {
            match old {
                Some(file) => _ = synced.insert(*name, *file),
                None => _ = synced.remove(name),
            }
        }
        let count = self.changes.len();
        let is_legal = |subset: u32| {
            (0..count).filter(|later| subset >> later & 1 == 1).all(|later| {
                (0..later).filter(|earlier| subset >> earlier & 1 == 0).all(|earlier| {
                    let names: BTreeSet<_> = self.changes[earlier].iter().map(|(name, ..)| name).collect();
                    !self.changes[later].iter().any(|(name, ..)| names.contains(name))
                })
            })
        };
        let subsets = (0..1_u32 << count).filter(|subset| is_legal(*subset));
        let apply = |subset: u32| {
            let mut names = synced.clone();
            for (name, _, new) in
                (0..count).filter(|index| subset >> index & 1 == 1).flat_map(|index| &self.changes[index])
            {
                match new {
                    Some(file) => _ = names.insert(*name, *file),
                    None => _ = names.remove(name),
                }
            }
            (names, subset.trailing_ones() != 32 - subset.leading_zeros())
        };
        subsets.map(apply).collect()
    }

    fn check_names(&self, found: &Names, seen: &mut Seen) -> Result<(), String> {
        let legal = self.legal_names();
        let same: Vec<_> = legal.iter().filter(|(names, _)| names == found).collect();
        if same.is_empty() {
            return Err(format!(
                "no crash leaves the names {found:?}; unsynced: {:?}, now: {:?}",
                self.changes, self.names
            ));
        }
        let is_changed = !self.changes.is_empty();
        seen.lost_names += usize::from(is_changed && *found != self.names);
        seen.kept_names += usize::from(is_changed && *found == self.names);
        seen.out_of_order += usize::from(same.iter().all(|(_, is_out_of_order)| *is_out_of_order));
        Ok(())
    }

    fn check_file(&self, file: u64, bytes: &[u8], mode: u32, seen: &mut Seen) -> Result<(), String> {
        let moments = &self.contents[&file];
        if !moments.iter().any(|moment| moment.len() == bytes.len()) {
            return Err(format!("file {file} never had {} bytes", bytes.len()));
        }
        let is_equal = |sector: usize, moment: &[u8]| {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(bytes.len());
            range.into_iter().all(|at| bytes[at] == moment.get(at).copied().unwrap_or(0))
        };
        let sectors = bytes.len().div_ceil(SECTOR);
        for sector in 0..sectors {
            if !moments.iter().chain(self.cut.get(&file).into_iter().flatten()).any(|moment| is_equal(sector, moment)) {
                return Err(format!("sector {sector} of file {file} never had these bytes"));
            }
        }
        if moments.len() > 1 {
            let whole = moments.iter().position(|moment| moment == bytes);
            seen.old_contents += usize::from(whole == Some(0));
            seen.new_contents += usize::from(whole == Some(moments.len() - 1));
            seen.mixed_contents += usize::from(whole.is_none());
        }
        let modes = &self.modes[&file];
        if !modes.contains(&mode) {
            return Err(format!("file {file} has the mode {mode:o}, and not one of {modes:?}"));
        }
        seen.old_modes += usize::from(Some(&mode) != modes.last());
        Ok(())
    }
}

fn path(name: Name) -> String {
    format!("{}/{}", DIRS[name.0], name.1)
}

async fn sync_dir(path: &str) {
    File::open(path).await.unwrap().sync_all().await.unwrap();
}

/// Does random things, and tells the model of them.
async fn run_program(random: &mut Random, mistake: Option<Mistake>) -> Model {
    for dir in DIRS {
        fs::create_dir(dir).await.unwrap();
    }
    sync_dir("/").await;
    let mut model = Model {
        names: Names::new(),
        changes: Vec::new(),
        contents: BTreeMap::new(),
        cut: BTreeMap::new(),
        modes: BTreeMap::new(),
    };
    let steps = 4 + random.below(40);
    for step in 0..steps {
        let name = (random.below(2), random.below(4));
        let other = (random.below(2), random.below(4));
        let errs = mistake.filter(|_| step + 8 > steps);
        let byte = 1 + step as u8;
        if model.changes.len() > 9 {
            sync_dir(DIRS[0]).await;
            model.sync_dir(0);
            sync_dir(DIRS[1]).await;
            model.sync_dir(1);
        }
        let Some(file) = model.names.get(&name).copied() else {
            let mut file = File::create_new(path(name)).await.unwrap();
            let metadata = file.metadata().await.unwrap();
            model.change(vec![(name, None, Some(metadata.ino()))]);
            let len = random.below(2000);
            file.write_all(&vec![byte; len]).await.unwrap();
            file.flush().await.unwrap();
            model.contents.insert(metadata.ino(), vec![Vec::new(), vec![byte; len]]);
            model.modes.insert(metadata.ino(), vec![metadata.mode() & 0o7777]);
            continue;
        };
        match random.below(10) {
            0..3 => {
                let mut now = model.now(file);
                let (at, len) = (random.below(2500), random.below(1500));
                let mut open = OpenOptions::new().write(true).open(path(name)).await.unwrap();
                open.seek(SeekFrom::Start(at as u64)).await.unwrap();
                let written = if errs == Some(Mistake::OtherBytes) { 255 } else { byte };
                open.write_all(&vec![written; len]).await.unwrap();
                open.flush().await.unwrap();
                if len > 0 {
                    now.resize(now.len().max(at + len), 0);
                    now[at..at + len].fill(byte);
                    model.contents.get_mut(&file).unwrap().push(now);
                }
            }
            3 => {
                let len = random.below(2500);
                let open = OpenOptions::new().write(true).open(path(name)).await.unwrap();
                open.set_len(len as u64).await.unwrap();
                if errs == Some(Mistake::OtherLength) {
                    open.set_len(len as u64 + 1).await.unwrap();
                }
                model.set_len(file, len);
            }
            4 => {
                if errs != Some(Mistake::SyncOfFile) {
                    File::open(path(name)).await.unwrap().sync_all().await.unwrap();
                }
                model.sync_file(file);
            }
            5 => {
                if errs != Some(Mistake::SyncOfDirectory) {
                    sync_dir(DIRS[name.0]).await;
                }
                model.sync_dir(name.0);
            }
            6 if model.names.get(&other) != Some(&file) => {
                if errs == Some(Mistake::TwoStepsForRename) {
                    if model.names.contains_key(&other) {
                        continue;
                    }
                    fs::hard_link(path(name), path(other)).await.unwrap();
                    fs::remove_file(path(name)).await.unwrap();
                } else {
                    fs::rename(path(name), path(other)).await.unwrap();
                }
                let replaced = model.names.get(&other).copied();
                model.change(vec![(name, Some(file), None), (other, replaced, Some(file))]);
            }
            7 => {
                fs::remove_file(path(name)).await.unwrap();
                model.change(vec![(name, Some(file), None)]);
            }
            8 if !model.names.contains_key(&other) => {
                fs::hard_link(path(name), path(other)).await.unwrap();
                model.change(vec![(other, None, Some(file))]);
            }
            _ => {
                let mode = 0o600 + random.below(64) as u32;
                let set = if errs == Some(Mistake::OtherMode) { mode | 0o1000 } else { mode };
                fs::set_permissions(path(name), std::fs::Permissions::from_mode(set)).await.unwrap();
                model.modes.get_mut(&file).unwrap().push(mode);
            }
        }
        if errs == Some(Mistake::Removal) {
            let _ = fs::remove_file(path(name)).await;
            sync_dir(DIRS[name.0]).await;
            break;
        }
    }
    model
}

async fn check(model: &Model, seen: &mut Seen) -> Result<(), String> {
    let mut names = Names::new();
    for (dir, text) in DIRS.iter().enumerate() {
        let mut entries = fs::read_dir(text).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let name = entry.file_name().into_string().unwrap().parse().unwrap();
            names.insert((dir, name), entry.metadata().await.unwrap().ino());
        }
    }
    model.check_names(&names, seen)?;
    for (name, id) in names {
        let mut file = File::open(path(name)).await.unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).await.unwrap();
        model.check_file(id, &bytes, file.metadata().await.unwrap().mode() & 0o7777, seen)?;
    }
    Ok(())
}

/// Runs the program of a seed. Returns why the crash has left an illegal state, if it has.
fn run(seed: u64, mistake: Option<Mistake>, is_torn: bool, seen: &Arc<Mutex<Seen>>) -> Option<String> {
    let seen = Arc::clone(seen);
    let before = move || block_on(run_program(&mut Random(seed), mistake));
    let after = move |model| block_on(check(&model, &mut seen.lock().unwrap()));
    let (result, _) = around_crash(World::new(seed).disk(Disk::new().torn(is_torn)), before, after);
    result.err().map(|text| format!("seed {seed}: {text}"))
}

#[test]
fn a_crash_leaves_a_legal_state() {
    for is_torn in [true, false] {
        let seen = Arc::default();
        for seed in 0..SEEDS {
            assert_eq!(run(seed, None, is_torn, &seen), None);
        }
        let seen = seen.lock().unwrap();
        let counts = [
            seen.lost_names,
            seen.kept_names,
            seen.old_contents,
            seen.new_contents,
            seen.mixed_contents,
            seen.old_modes,
            seen.out_of_order,
        ];
        assert!(counts.iter().all(|count| *count >= 10), "what may happen does: {seen:?}");
    }
}

#[test]
fn each_illegal_state_is_noticed() {
    use Mistake::*;
    for mistake in [SyncOfFile, SyncOfDirectory, TwoStepsForRename, OtherBytes, OtherLength, OtherMode, Removal] {
        let seen = Arc::default();
        let found = (0..SEEDS).find_map(|seed| run(seed, Some(mistake), true, &seen));
        assert!(found.is_some(), "{mistake:?}");
    }
}

/// All files below a directory, by their contents.
async fn files_below(dir: &str) -> Vec<String> {
    let (mut files, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = left.pop() {
        let mut entries = fs::read_dir(&dir).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let path = entry.path().to_str().unwrap().to_owned();
            match entry.file_type().await.unwrap().is_dir() {
                true => left.push(path),
                false => files.push(fs::read_to_string(path).await.unwrap()),
            }
        }
    }
    files.sort();
    files
}

/// Moves synced files, and makes, moves and removes directories. Returns how many files there are.
async fn move_files(random: &mut Random) -> usize {
    const FILES: usize = 4;
    let mut dirs = vec!["/tmp".to_owned()];
    for number in 0..FILES {
        let mut file = File::create(format!("/{number}")).await.unwrap();
        file.write_all(number.to_string().as_bytes()).await.unwrap();
        file.sync_all().await.unwrap();
    }
    sync_dir("/").await;
    for step in 0..4 + random.below(30) {
        let dir = dirs[random.below(dirs.len())].clone();
        let into = format!("{dir}/{}", [random.below(4).to_string(), format!("d{step}")][random.below(2)]);
        match random.below(6) {
            // Each of them may fail: for want of the directory, and for one that is not empty or is moved into itself.
            0 => {
                let made = format!("{dir}/d{step}");
                if fs::create_dir(&made).await.is_ok() {
                    dirs.push(made);
                }
            }
            1 => _ = fs::remove_dir(dir).await,
            2 if dir != "/tmp" && fs::metadata(&into).await.is_err() => {
                if fs::rename(&dir, &into).await.is_ok() {
                    dirs.push(into);
                }
            }
            3 if fs::metadata(&dir).await.is_ok() => sync_dir(&dir).await,
            _ => {
                let from = format!("{}/{}", dirs[random.below(dirs.len())], random.below(4));
                let from = if random.below(2) == 0 { format!("/{}", random.below(4)) } else { from };
                let is_free = fs::metadata(&into).await.is_err();
                if is_free && fs::metadata(&from).await.is_ok_and(|metadata| metadata.is_file()) {
                    let _ = fs::rename(from, into).await;
                }
            }
        }
    }
    FILES
}

/// Asserts that each file is there once. Returns how many of them are at the top.
async fn check_files(count: usize) -> usize {
    let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(files_below("/").await, expected);
    let mut top = Vec::new();
    for number in 0..count {
        top.extend(fs::read_to_string(format!("/{number}")).await);
    }
    top.len()
}

#[test]
fn files_that_were_synced_and_only_moved_are_there_once() {
    let (mut moved, mut moved_back) = (0, 0);
    for seed in 0..SEEDS {
        let before = move || {
            block_on(async {
                let count = move_files(&mut Random(seed)).await;
                (count, check_files(count).await)
            })
        };
        let after = |(count, at_top)| (count, at_top, block_on(check_files(count)));
        let ((count, at_top, at_top_again), _) = around_crash(World::new(seed), before, after);
        moved += usize::from(at_top < count);
        moved_back += usize::from(at_top_again > at_top);
    }
    assert!(
        moved > 100 && moved_back > 50,
        "{moved} runs have moved a file, and {moved_back} crashes have moved one back"
    );
}
