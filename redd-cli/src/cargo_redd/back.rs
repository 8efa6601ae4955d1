//! `cargo redd back`: takes the switch back.

use std::fs;

use clap::Args;

use crate::facade::Facade;
use crate::failure::Failure;
use crate::files;
use crate::kept::{Kept, Restored, Switched};
use crate::lock::{self, CRATES_IO, Change, Lock, changes};
use crate::manifest;
use crate::program::{Program, Selection};
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(crate) struct Back {
    #[command(flatten)]
    selection: Selection,
}

/// Takes the switch back, and returns what to print.
pub(crate) fn run(back: &Back) -> Result<String, Failure> {
    let program = Program::find(&back.selection)?;
    let _alone = program.alone()?;
    let kept = Kept::of(&program);
    kept.recover()?;
    let mut signals = Signals::hold()?;
    match kept.switched()? {
        Some(switched) => restore(&program, &kept, &switched, &mut signals),
        None => remove_by_hand(&program, &mut signals),
    }
}

/// Restores what `switch` has kept.
fn restore(program: &Program, kept: &Kept<'_>, switched: &Switched, signals: &mut Signals) -> Result<String, Failure> {
    files::expect_writable(&program.manifest)?;
    files::expect_writable(&program.lock)?;
    let manifest_now = files::read(&program.manifest)?;
    let lock_now = files::read_optional(&program.lock)?;
    // With conflicts of a merge, it is not ours to choose.
    let lock = lock_now
        .as_deref()
        .map(Lock::parse)
        .transpose()
        .map_err(|error| format!("{error}\nCorrect the file, or remove it. Nothing was changed"))?;
    let is_edited = lock_now.is_some() && lock_now != switched.lock_after && lock_now != switched.lock_before;
    let manifest = kept.restore_manifest(switched)?;
    if !is_edited && manifest == Restored::Whole {
        kept.write_lock(switched.lock_before.as_deref())?;
        kept.forget()?;
        return Ok(match switched.lock_before {
            Some(_) => format!("back on {}: Cargo.toml and Cargo.lock are byte for byte as before the switch", tokios(program)?),
            None => "back: Cargo.toml is byte for byte as before the switch, and Cargo.lock, which the switch made, is removed".to_owned(),
        });
    }
    // What was added since may need newer packages than there were. Then Cargo chooses more.
    let merged = merge(switched, lock_now.as_deref());
    let without_tokio = merged.as_deref().map(|merged| lock::without(merged, "tokio"));
    // A lock file of another branch may have nothing of the switch. It is no longer that file (`edits-stay` of `kept`).
    let is_others = is_edited && lock.as_ref().is_some_and(|lock| has_no_redd(lock, switched));
    let locks = if is_others { vec![lock_now.clone()] } else { vec![merged, without_tokio, lock_now.clone()] };
    let mut settled = Ok(());
    for lock in locks {
        settled = kept
            .write_lock(lock.as_deref())
            .map_err(Failure::NotDone)
            .and_then(|()| settle(program, signals, is_others));
        if settled.is_ok() || signals.received().is_some() {
            break;
        }
    }
    if let Err(failure) = settled {
        files::replace(&program.manifest, &manifest_now)?;
        kept.write_lock(lock_now.as_deref())?;
        return Err(Failure::NotDone(format!(
            "the program was edited since the switch, and Cargo fails without the facade:\n{}\nNothing was changed. The originals are in {}",
            failure.text(),
            files::short(kept.folder())
        )));
    }
    kept.forget()?;
    let mut told = format!("back on {}\n", tokios(program)?);
    told += match manifest {
        Restored::Whole => "  Cargo.toml  is byte for byte as before the switch\n",
        Restored::Insertion => "  Cargo.toml  was edited since: only the patch is taken out\n",
        Restored::Untouched => "  Cargo.toml  was edited since: the patch was no longer in it\n",
    };
    let before = switched.lock_before.as_deref().map_or_else(|| Ok(Lock::default()), Lock::parse)?;
    let after = Lock::parse(&files::read(&program.lock)?)?;
    told += "  Cargo.lock  ";
    told += &match changes(&before, &after) {
        changes if changes.is_empty() => "has the packages from before the switch".to_owned(),
        changes if switched.lock_before.is_some() => {
            format!(
                "is as before the switch, but for what changed since: {}",
                changes.iter().map(shown).collect::<Vec<_>>().join(", ")
            )
        }
        _ => "stays, since the program was edited. There was none before the switch".to_owned(),
    };
    Ok(told)
}

/// The lock file from before, with what has changed since the switch.
fn merge(switched: &Switched, now: Option<&str>) -> Option<String> {
    let before = switched.lock_before.as_deref()?;
    Some(match (now, switched.lock_after.as_deref()) {
        (Some(now), Some(after)) => lock::merged(before, after, now),
        _ => before.to_owned(),
    })
}

/// Whether the switch has left nothing in a lock file.
fn has_no_redd(lock: &Lock, switched: &Switched) -> bool {
    let has_redd = |lock: &Lock| lock.packages.iter().any(|package| package.name == "redd");
    let had_redd =
        switched.lock_before.as_deref().and_then(|before| Lock::parse(before).ok()).is_some_and(|lock| has_redd(&lock));
    !has_redd(lock) && !had_redd && lock.unused.is_empty()
}

/// Lets Cargo complete the lock file, and checks that the facade is gone. Another Tokio may be there if it was there before.
fn settle(program: &Program, signals: &mut Signals, may_have_other: bool) -> Result<(), Failure> {
    let ran = program.cargo.run(&["metadata", "--format-version=1"], Some(signals))?;
    if !ran.succeeded {
        return Err(Failure::Refused(ran.error()));
    }
    let lock = Lock::parse(&files::read(&program.lock)?)?;
    match lock.tokios().find(|tokio| tokio.source.as_deref() != Some(CRATES_IO)) {
        Some(tokio) if !may_have_other => Err(Failure::Refused(format!(
            "Cargo.lock has tokio {} of {} still",
            tokio.version,
            tokio.source.as_deref().unwrap_or("a path")
        ))),
        _ => Ok(()),
    }
}

/// A patch that was written by hand, or whose originals were removed.
fn remove_by_hand(program: &Program, signals: &mut Signals) -> Result<String, Failure> {
    let text = files::read(&program.manifest)?;
    let lock_before = files::read_optional(&program.lock)?;
    let lock = lock_before.as_deref().map_or_else(|| Ok(Lock::default()), Lock::parse)?;
    let shown_manifest = files::short(&program.manifest);
    let patches = manifest::patches(&text).map_err(|error| format!("{shown_manifest}: {error}"))?;
    let ours = patches
        .iter()
        .find(|patch| patch.of == "crates-io" && Facade::of(&patch.replacement, &program.folder, &lock).is_some());
    if ours.is_none() {
        return Ok("there is nothing to take back: Cargo.toml has no patch for redd".to_owned());
    }
    files::expect_writable(&program.manifest)?;
    files::expect_writable(&program.lock)?;
    let without = manifest::remove_patch(&text).map_err(|error| format!("{shown_manifest}: {error}"))?;
    files::replace(&program.manifest, &without)?;
    if let Err(failure) = settle(program, signals, false) {
        files::replace(&program.manifest, &text)?;
        Kept::of(program).write_lock(lock_before.as_deref())?;
        return Err(Failure::NotDone(format!(
            "Cargo fails without the facade:\n{}\nNothing was changed",
            failure.text()
        )));
    }
    Ok(format!(
        "back on {}\n  Cargo.toml  the patch is taken out\n  Cargo.lock  has versions of Cargo's choice: the switch was not made by `cargo redd \
         switch`, or its originals in .redd are gone. `git checkout Cargo.lock` restores a lock file that git has",
        tokios(program)?
    ))
}

/// The Tokios of the lock file.
fn tokios(program: &Program) -> Result<String, String> {
    if !fs::exists(&program.lock).unwrap_or(false) {
        return Ok("Tokio".to_owned());
    }
    let lock = Lock::parse(&files::read(&program.lock)?)?;
    let versions: Vec<_> = lock.tokios().map(|tokio| format!("tokio {}", tokio.version)).collect();
    Ok(if versions.is_empty() { "Tokio".to_owned() } else { versions.join(", ") })
}

fn shown(change: &Change) -> String {
    match change {
        Change::Added { name, version } => format!("{name} {version} is new"),
        Change::Removed { name, version } => format!("{name} {version} is gone"),
        Change::Moved { name, from, to } => format!("{name} {from} → {to}"),
    }
}
