//! The originals of a switch, in the folder `.redd` beside the lock file.
//!
//! Called by `switch`, `back` and `trial`.
//!
//! # Invariants
//! - `originals-first`: the originals and what will be inserted are on the disk before a file of the program changes.
//! - `taken-back`: a step that was interrupted, also by `kill -9` or a loss of power, is taken back by the next command.
//! - `edits-stay`: a file that was edited since is not overwritten by its original.
//!
//! # Why not otherwise
//! `target` would not survive `cargo clean`. Files beside the originals would be in `git status`, and `git clean` would remove them:
//! the folder ignores itself. `members = ["*"]` would take it for a package: the folder of such a workspace is below Cargo's home.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::facade::Facade;
use crate::files;
use crate::lock::{CRATES_IO, Lock};
use crate::manifest::{self, Insertion};
use crate::program::{self, Program};

/// Beside the lock file.
const FOLDER: &str = ".redd";

/// Git ignores the folder by itself.
const IGNORED: &str = "*\n";

/// The lock file from before an interruption, where another one was not overwritten.
const LOCK_KEPT: &str = "Cargo.lock.kept";

const ABOUT_FILE: &str = "about-cargo-redd.txt";
const ABOUT: &str = "The program's Cargo.toml and Cargo.lock from before `cargo redd switch`. `cargo redd back` puts them back and removes \
                     this folder. By hand: copy Cargo.toml.before and Cargo.lock.before over the files above.\n";

/// The folder of one program.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    program: &'a Program,
    folder: PathBuf,
}

/// What the folder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switched {
    pub(crate) manifest_before: String,
    /// None if there was no lock file.
    pub(crate) lock_before: Option<String>,
    pub(crate) insertion: Insertion,
    /// None if the switch was interrupted.
    pub(crate) lock_after: Option<String>,
}

impl Switched {
    pub(crate) fn manifest_after(&self) -> String {
        self.insertion.apply(&self.manifest_before)
    }
}

/// What became of a file that should be as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// Byte for byte.
    Whole,
    /// It was edited since, and only the insertion was taken out.
    Insertion,
    /// It was edited since, and nothing of ours is in it.
    Untouched,
}

impl<'a> Kept<'a> {
    pub(crate) fn of(program: &'a Program) -> Self {
        let beside = program.folder.join(FOLDER);
        let is_member = || files::read(&program.manifest).is_ok_and(|text| manifest::takes_as_member(&text, FOLDER));
        let folder = match program::cargo_home() {
            Some(home) if !beside.exists() => {
                let below = home.join("redd").join(program.folder.strip_prefix("/").unwrap_or(&program.folder));
                // The list of members may have been edited since.
                if below.join(".gitignore").exists() || is_member() { below } else { beside }
            }
            _ => beside,
        };
        Self { program, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The switch whose originals are here.
    pub(crate) fn switched(&self) -> Result<Option<Switched>, String> {
        let Some(state) = files::read_optional(&self.file("switch.json"))? else { return Ok(None) };
        let damaged = |what: &str| {
            format!(
                "{} is damaged: {what}. The originals are `Cargo.toml.before` and `Cargo.lock.before` there: copy them back by hand, and \
                 remove the folder",
                files::short(&self.folder)
            )
        };
        let state: Json = serde_json::from_str(&state).map_err(|error| damaged(&format!("switch.json: {error}")))?;
        let manifest_before = files::read(&self.file("Cargo.toml.before")).map_err(|error| damaged(&error))?;
        let at = state["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|at| manifest_before.is_char_boundary(*at));
        let text = state["inserted"].as_str().map(str::to_owned);
        let (Some(at), Some(text)) = (at, text) else { return Err(damaged("switch.json has no insertion")) };
        let lock_before = match state["had_lock"] == true {
            true => Some(files::read(&self.file("Cargo.lock.before")).map_err(|error| damaged(&error))?),
            false => None,
        };
        let lock_after = files::read_optional(&self.file("Cargo.lock.after"))?;
        Ok(Some(Switched { manifest_before, lock_before, insertion: Insertion::new(at, text), lock_after }))
    }

    fn make_folder(&self) -> Result<(), String> {
        // A file that is there is the user's.
        let ignore = self.file(".gitignore");
        let made = fs::create_dir_all(&self.folder).map_err(|error| error.to_string());
        let made = made.and_then(|()| if ignore.exists() { Ok(()) } else { files::replace(&ignore, IGNORED) });
        made.map_err(|error| {
            format!(
                "the originals cannot be kept in the folder {}: {error}. Make it possible to write there. Nothing was changed",
                files::short(&self.folder)
            )
        })
    }

    /// Keeps the originals (`originals-first`).
    pub(crate) fn begin(&self, manifest: &str, lock: Option<&str>, insertion: &Insertion) -> Result<(), String> {
        let kept = self.make_folder().and_then(|()| self.keep(manifest, lock, insertion));
        if kept.is_err() && self.folder.is_dir() {
            // The error that comes first is told.
            let _ = self.forget();
        }
        kept
    }

    /// `switch.json` is the last file: without it nothing was changed yet.
    fn keep(&self, manifest: &str, lock: Option<&str>, insertion: &Insertion) -> Result<(), String> {
        self.make_folder()?;
        files::replace(&self.file(ABOUT_FILE), ABOUT)?;
        files::replace(&self.file("Cargo.toml.before"), manifest)?;
        match lock {
            Some(lock) => files::replace(&self.file("Cargo.lock.before"), lock)?,
            None => files::remove(&self.file("Cargo.lock.before"))?,
        }
        files::remove(&self.file("Cargo.lock.after"))?;
        let state = json!({ "at": insertion.at(), "inserted": insertion.text, "had_lock": lock.is_some() });
        files::replace(&self.file("switch.json"), &format!("{state}\n"))
    }

    /// The switch is complete.
    pub(crate) fn finish(&self, lock: &str) -> Result<(), String> {
        files::replace(&self.file("Cargo.lock.after"), lock)
    }

    /// Removes the folder, unless a trial has something in it.
    pub(crate) fn forget(&self) -> Result<(), String> {
        for name in ["switch.json", "Cargo.lock.after", "Cargo.lock.before", "Cargo.toml.before", ABOUT_FILE] {
            files::remove(&self.file(name))?;
        }
        self.remove_folder()
    }

    fn remove_folder(&self) -> Result<(), String> {
        if ["switch.json", "try.json", LOCK_KEPT].iter().any(|name| self.file(name).exists()) {
            return Ok(());
        }
        files::remove_leftovers(&self.folder);
        let ignore = self.file(".gitignore");
        if files::read_optional(&ignore)?.is_some_and(|text| text == IGNORED) {
            files::remove(&ignore)?;
        }
        match fs::remove_dir(&self.folder) {
            // Something of the user's is in it.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("{} cannot be removed: {error}", self.folder.display())),
            Ok(()) => {
                self.remove_empty_parents();
                Ok(())
            }
        }
    }

    /// Below Cargo's home, those of the folder were made for it alone.
    fn remove_empty_parents(&self) {
        let Some(home) = program::cargo_home() else { return };
        let parents = self.folder.ancestors().skip(1).take_while(|parent| parent.starts_with(home.join("redd")));
        // The first that has something else in it ends this.
        let _ = parents.map(fs::remove_dir).take_while(Result::is_ok).count();
    }

    /// Takes the insertion out of the manifest (`edits-stay`).
    pub(crate) fn restore_manifest(&self, switched: &Switched) -> Result<Restored, String> {
        let now = files::read(&self.program.manifest)?;
        if now == switched.manifest_before {
            return Ok(Restored::Whole);
        }
        if now == switched.manifest_after() {
            files::replace(&self.program.manifest, &switched.manifest_before)?;
            return Ok(Restored::Whole);
        }
        let without = match switched.insertion.take_out(&now) {
            Some(without) => without,
            None if self.has_facade(&now, switched)? => manifest::remove_patch(&now)?,
            None => return Ok(Restored::Untouched),
        };
        files::replace(&self.program.manifest, &without)?;
        Ok(Restored::Insertion)
    }

    /// Whether a manifest has a patch for redd. One for another Tokio is the user's (`edits-stay`).
    fn has_facade(&self, manifest: &str, switched: &Switched) -> Result<bool, String> {
        let lock = switched.lock_after.as_deref().and_then(|lock| Lock::parse(lock).ok()).unwrap_or_default();
        let is_facade = |patch: &manifest::Patch| {
            patch.of == "crates-io" && Facade::of(&patch.replacement, &self.program.folder, &lock).is_some()
        };
        Ok(manifest::patches(manifest)?.iter().any(is_facade))
    }

    /// Puts the lock file back.
    pub(crate) fn write_lock(&self, lock: Option<&str>) -> Result<(), String> {
        match lock {
            Some(lock) if files::read_optional(&self.program.lock).is_ok_and(|now| now.as_deref() == Some(lock)) => {
                Ok(())
            }
            Some(lock) => files::replace(&self.program.lock, lock),
            None => files::remove(&self.program.lock),
        }
    }

    /// Takes back what was interrupted (`taken-back`), and says so.
    pub(crate) fn recover(&self) -> Result<(), String> {
        files::remove_leftovers(&self.program.folder);
        self.recover_trial()?;
        match self.switched()? {
            Some(switched) if switched.lock_after.is_none() => {
                let manifest = self.restore_manifest(&switched)?;
                let lock = self.restore_lock(switched.lock_before.as_deref())?;
                self.forget()?;
                crate::tell("a switch was interrupted, and is taken back");
                self.tell_rest(manifest, lock);
            }
            Some(_) => {}
            None if self.folder.is_dir() => self.forget()?,
            None => {}
        }
        Ok(())
    }

    fn tell_rest(&self, manifest: Restored, lock: Restored) {
        for (file, restored) in [(&self.program.manifest, manifest), (&self.program.lock, lock)] {
            if restored != Restored::Whole {
                crate::tell(&format!("{} was edited since: the edits are kept", files::short(file)));
            }
        }
        if lock == Restored::Untouched && self.file(LOCK_KEPT).exists() {
            crate::tell(&format!("the lock file from before is in {}", files::short(&self.file(LOCK_KEPT))));
        }
    }

    /// The lock file as before, unless it was written since for a program without the facade.
    fn restore_lock(&self, before: Option<&str>) -> Result<Restored, String> {
        let now = files::read_optional(&self.program.lock)?;
        // One that cannot be read was written halfway.
        let lock = now.as_deref().map(Lock::parse).and_then(Result::ok);
        let is_others = lock.is_some_and(|lock| {
            lock.unused.is_empty() && lock.tokios().all(|tokio| tokio.source.as_deref() == Some(CRATES_IO))
        });
        // So was one with conflicts of a merge.
        let is_merged = now.as_ref().is_some_and(|now| now.lines().any(|line| line.starts_with("<<<<<<<")));
        if (is_others || is_merged) && now.as_deref() != before {
            // Cargo without the facade also writes one, and then the versions from before are nowhere else.
            before.map_or(Ok(()), |before| files::replace(&self.file(LOCK_KEPT), before))?;
            return Ok(Restored::Untouched);
        }
        self.write_lock(before)?;
        Ok(Restored::Whole)
    }

    /// Keeps the lock file while a trial uses another one.
    pub(crate) fn begin_trial(&self, lock: Option<&str>) -> Result<(), String> {
        self.make_folder()?;
        let state = json!({ "lock": lock });
        let kept = files::replace(&self.file("try.json"), &format!("{state}\n"));
        if kept.is_err() {
            let _ = self.remove_folder();
        }
        kept
    }

    /// Puts the lock file back after a trial.
    pub(crate) fn end_trial(&self, lock: Option<&str>) -> Result<(), String> {
        self.write_lock(lock)?;
        files::remove(&self.file("try.json"))?;
        self.remove_folder()
    }

    fn recover_trial(&self) -> Result<(), String> {
        let Some(state) = files::read_optional(&self.file("try.json"))? else { return Ok(()) };
        // One that cannot be read was never finished, so nothing was changed.
        if let Ok(state) = serde_json::from_str::<Json>(&state) {
            let lock = self.restore_lock(state["lock"].as_str())?;
            let lock_file = files::short(&self.program.lock);
            crate::tell(&match lock {
                Restored::Untouched => {
                    let kept = self.file(LOCK_KEPT);
                    let before = match kept.exists() {
                        true => format!(". The one from before is in {}", files::short(&kept)),
                        false => String::new(),
                    };
                    format!(
                        "`cargo redd try` was interrupted. {lock_file} was changed since, and is left as it is{before}"
                    )
                }
                Restored::Whole | Restored::Insertion => {
                    format!("`cargo redd try` was interrupted: {lock_file} is as before again")
                }
            });
        }
        files::remove(&self.file("try.json"))?;
        self.remove_folder()
    }
}
