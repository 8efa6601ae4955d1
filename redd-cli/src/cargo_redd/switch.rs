//! `cargo redd switch`: puts the facade in the place of Tokio, in `Cargo.toml` and `Cargo.lock`.
//!
//! # Invariants
//! - `both-or-none`: a switch that does not end with a checked graph leaves both files as they were.

use clap::Args;
use nix::sys::signal::Signal;

use crate::explain;
use crate::facade::{Choice, Facade};
use crate::failure::Failure;
use crate::files;
use crate::graph::Graph;
use crate::kept::Kept;
use crate::least;
use crate::lock::{CRATES_IO, Change, Lock, changes};
use crate::manifest::{self, Insertion, Patch};
use crate::program::{Program, Selection};
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(crate) struct Switch {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    selection: Selection,
}

/// Switches, and returns what to print.
pub(crate) fn run(switch: &Switch) -> Result<String, Failure> {
    let program = Program::find(&switch.selection)?;
    let _alone = program.alone()?;
    let kept = Kept::of(&program);
    kept.recover()?;
    let manifest = files::read(&program.manifest)?;
    let in_manifest = |error: String| format!("{}: {error}", files::short(&program.manifest));
    let patches = manifest::patches(&manifest).map_err(in_manifest)?;
    let (facade, insertion) = if let Some(patch) = patches.first() {
        match already(&program, &kept, switch, patch)? {
            Already::On(told) => return Ok(told),
            // The patch was written by hand, and only the lock file is to be moved.
            Already::InManifest(facade) => (facade, Insertion::new(0, String::new())),
        }
    } else {
        let facade = Facade::find(&switch.choice, switch.selection.offline)?;
        if let Some(graph) = is_patched_elsewhere(&program, &facade) {
            return Ok(format!("is on redd already: {}", shown(&graph, &facade)));
        }
        let entry = facade.entry(&program.folder)?;
        let insertion = manifest::add_patch(&manifest, &entry).map_err(in_manifest)?;
        (facade, insertion)
    };
    if let Some(old) = explain::old_compiler(&program, &facade) {
        return Err(Failure::Refused(format!("not switched. {old}. Nothing was changed")));
    }
    files::expect_writable(&program.manifest)?;
    files::expect_writable(&program.lock)?;
    let mut lock = files::read_optional(&program.lock)?;
    // The manifest was put back by hand, or `back` was killed halfway: the original of the lock file is the one that is kept.
    if let Some(old) = kept.switched()?.filter(|old| lock.is_some() && lock == old.lock_after) {
        kept.write_lock(old.lock_before.as_deref())?;
        lock = old.lock_before;
        crate::tell("Cargo.lock was still that of an earlier switch, and is as before that one now");
    }

    let mut signals = Signals::hold()?;
    kept.begin(&manifest, lock.as_deref(), &insertion)?;
    let edited =
        if insertion.text.is_empty() { Ok(()) } else { files::replace(&program.manifest, &insertion.apply(&manifest)) };
    let moved = edited
        .map_err(Failure::NotDone)
        .and_then(|()| move_lock(&program, &facade, lock.as_deref(), &[], &mut signals))
        .and_then(|()| verify(&program, &facade, &[], &mut signals));
    let interrupted = signals.received();
    let (graph, after) = match (moved, interrupted) {
        (Ok(moved), None) => moved,
        (moved, interrupted) => return Err(take_back(&kept, &program, &facade, moved.err(), interrupted)),
    };
    if let Err(error) = kept.finish(&after) {
        return Err(take_back(&kept, &program, &facade, Some(Failure::NotDone(error)), None));
    }
    Ok(tell(&graph, &facade, &insertion, lock.as_deref(), &after, &kept)?)
}

/// What was done.
fn tell(
    graph: &Graph,
    facade: &Facade,
    insertion: &Insertion,
    before: Option<&str>,
    after: &str,
    kept: &Kept<'_>,
) -> Result<String, String> {
    let inserted = match insertion.text.trim() {
        "" => "has had the patch already".to_owned(),
        inserted => inserted.replace("\r\n", "\n").replace('\n', " · "),
    };
    let mut told = format!("switched to redd: {}\n  Cargo.toml   {inserted}\n", shown(graph, facade));
    told += &match before {
        Some(before) => tell_changes(&Lock::parse(before)?, &Lock::parse(after)?),
        None => "  Cargo.lock   is new: there was none\n".to_owned(),
    };
    told += &format!("  {:12} has the originals. `cargo redd back` restores them", files::short(kept.folder()));
    Ok(told)
}

/// A manifest with a patch for redd.
enum Already {
    /// And the program is on it.
    On(String),
    InManifest(Facade),
}

/// A manifest with a patch for `tokio`: the one that is wanted, or one that is not ours to change.
fn already(program: &Program, kept: &Kept<'_>, switch: &Switch, patch: &Patch) -> Result<Already, Failure> {
    let place = format!("{}:{}", files::short(&program.manifest), patch.line);
    let lock = files::read_optional(&program.lock)?.map_or_else(|| Ok(Lock::default()), |text| Lock::parse(&text))?;
    let own = Facade::of(&patch.replacement, &program.folder, &lock).filter(|_| patch.of == "crates-io");
    let Some(own) = own else {
        return Err(Failure::Refused(format!(
            "{place} has a patch for `tokio` already, and it is not one for redd. Remove it first, if the program can do without it. Nothing \
             was changed"
        )));
    };
    let wants_other = switch.choice.path.is_some() || switch.choice.git.is_some();
    if wants_other
        && !Facade::find(&switch.choice, switch.selection.offline)?.is_of(&patch.replacement, &program.folder)
    {
        return Err(Failure::Refused(format!(
            "{place} has a patch for another redd. Take it back first: `cargo redd back`. Nothing was changed"
        )));
    }
    match Graph::read(program, &[], None) {
        Ok(graph) if explain::is_on(&graph, &lock, &own) => {
            Ok(Already::On(format!("switched already: {}", shown(&graph, &own))))
        }
        // The originals of an earlier switch are not replaced.
        _ if kept.switched()?.is_some() => Err(Failure::Refused(format!(
            "{place} has the patch for redd already, but Cargo does not use it. `cargo redd doctor` says why, and `cargo redd back` restores \
             what was before. Nothing was changed"
        ))),
        _ => Ok(Already::InManifest(own)),
    }
}

/// A patch in a configuration file of Cargo.
fn is_patched_elsewhere(program: &Program, facade: &Facade) -> Option<Graph> {
    let lock = Lock::parse(&files::read_optional(&program.lock).ok()??).ok()?;
    // Most programs have a Tokio of the registry, and Cargo need not be asked.
    if !lock.tokios().any(|tokio| tokio.source.as_deref() != Some(CRATES_IO)) {
        return None;
    }
    let graph = Graph::read(program, &[], None).ok()?;
    explain::is_on(&graph, &lock, facade).then_some(graph)
}

/// Moves Tokio in the lock file to the facade, and no more than that needs.
pub(crate) fn move_lock(
    program: &Program,
    facade: &Facade,
    lock: Option<&str>,
    options: &[String],
    signals: &mut Signals,
) -> Result<(), Failure> {
    let mut arguments = options.to_vec();
    let before = lock.map(Lock::parse).transpose()?;
    let locked = before.iter().flat_map(Lock::tokios).find(|tokio| tokio.source.as_deref() == Some(CRATES_IO));
    match locked {
        Some(tokio) => {
            let package = format!("{CRATES_IO}#tokio@{}", tokio.version);
            arguments.extend(["update", "-p", &package, "--precise", &facade.version].map(str::to_owned));
        }
        // Adds what the lock file lacks, and makes one if there is none.
        None => arguments.extend(["metadata", "--format-version=1"].map(str::to_owned)),
    }
    // The lock file may hold packages back that redd needs newer. Each turn frees those of one conflict.
    let mut freed: Vec<Vec<String>> = Vec::new();
    loop {
        let ran = program.cargo.run(&arguments, Some(signals))?;
        if ran.succeeded {
            return least::lower(program, lock, options, signals);
        }
        let error = ran.error();
        let held = explain::held_back(&error);
        // Alone at first, and with what holds them if they still conflict.
        let next = [held.iter().take(1).cloned().collect(), held]
            .into_iter()
            .find(|held| !held.is_empty() && !freed.contains(held));
        let Some(next) = next.filter(|_| freed.len() < FREED_MAX && signals.received().is_none()) else {
            return Err(Failure::Refused(error));
        };
        let mut arguments = options.to_vec();
        arguments.push("update".to_owned());
        next.iter().for_each(|package| arguments.extend(["-p".to_owned(), package.clone()]));
        if !program.cargo.run(&arguments, Some(signals))?.succeeded {
            return Err(Failure::Refused(error));
        }
        freed.push(next);
    }
}

/// How many conflicts are resolved.
const FREED_MAX: usize = 20;

/// Checks that there is one Tokio, and that it is the facade. Returns the graph and the lock file.
pub(crate) fn verify(
    program: &Program,
    facade: &Facade,
    options: &[String],
    signals: &mut Signals,
) -> Result<(Graph, String), Failure> {
    let text = files::read(&program.lock)?;
    let lock = Lock::parse(&text)?;
    if !explain::is_replaced(&lock) {
        let versions: Vec<_> = lock
            .tokios()
            .map(|tokio| format!("{} of {}", tokio.version, explain::short_source(tokio.source.as_deref())))
            .collect();
        return Err(Failure::Refused(match &versions[..] {
            [] if lock.packages.iter().any(|package| package.name == "redd") => {
                "the program is on redd by itself: nothing in it depends on Tokio 1.x".to_owned()
            }
            [] => "no package of the program depends on Tokio 1.x, so there is nothing to replace".to_owned(),
            [version] => format!("{} tokio {version}", explain::KEPT),
            _ => format!(
                "there would be tokio {}, whose types and runtimes do not fit together. A patch replaces that of crates.io alone: take \
                 all from there",
                versions.join(" and tokio ")
            ),
        }));
    }
    let graph = Graph::read(program, options, Some(signals)).map_err(Failure::Refused)?;
    // On this machine it may not be needed at all.
    if let Some(other) = graph.tokios().find(|tokio| !tokio.is(facade)) {
        return Err(Failure::Refused(format!(
            "`tokio` is the package of {}, not the facade",
            other.manifest.display()
        )));
    }
    Ok((graph, text))
}

/// Restores both files, and says why (`both-or-none`).
fn take_back(
    kept: &Kept<'_>,
    program: &Program,
    facade: &Facade,
    failure: Option<Failure>,
    interrupted: Option<Signal>,
) -> Failure {
    let restored = kept.switched().and_then(|switched| {
        let Some(switched) = switched else { return Ok(()) };
        kept.restore_manifest(&switched)?;
        kept.write_lock(switched.lock_before.as_deref())?;
        kept.forget()
    });
    if let Err(error) = restored {
        return Failure::NotDone(format!(
            "the switch failed, and its change cannot be taken back: {error}. Run `cargo redd back`"
        ));
    }
    match (interrupted, failure) {
        (Some(signal), _) => Failure::NotDone(format!("ended by {signal}. Cargo.toml and Cargo.lock are as before")),
        (None, Some(Failure::Refused(error))) => Failure::Refused(format!(
            "not switched. {}\nCargo.toml and Cargo.lock are as before",
            explain::refusal(program, facade, &error)
        )),
        (None, Some(Failure::NotDone(error))) => {
            Failure::NotDone(format!("not switched: {error}\nCargo.toml and Cargo.lock are as before"))
        }
        (None, None) => Failure::NotDone("not switched. Cargo.toml and Cargo.lock are as before".to_owned()),
    }
}

/// `tokio 1.54.1 from ../redd/tokio`.
pub(crate) fn shown(graph: &Graph, facade: &Facade) -> String {
    let version = graph.tokios().next().map_or(facade.version.as_str(), |tokio| tokio.version.as_str());
    format!("tokio {version} from {}", facade.shown_place())
}

/// What moved, came and went, with the reason.
fn tell_changes(before: &Lock, after: &Lock) -> String {
    let needed = after.tokios().next().map(|tokio| after.needed_by(tokio)).unwrap_or_default();
    let mut lines = Lines::default();
    for change in &changes(before, after) {
        let is_needed = needed.contains(change.name());
        match change {
            Change::Moved { name, from, to } if name == "tokio" => lines.tokio = format!("tokio {from} → {to}"),
            Change::Moved { name, from, to } if is_needed => lines.raised.push(format!("{name} {from} → {to}")),
            Change::Moved { name, from, to } => lines.other.push(format!("{name} {from} → {to}")),
            Change::Added { name, version } if is_needed => lines.added.push(format!("{name} {version}")),
            Change::Added { name, version } => lines.came.push(format!("{name} {version}")),
            Change::Removed { name, version } => lines.gone.push(format!("{name} {version}")),
        }
    }
    let mut told = String::new();
    if !lines.tokio.is_empty() {
        told += &format!("  Cargo.lock   {}\n", lines.tokio);
    }
    for (word, packages, why) in [
        ("raised", lines.raised, "redd needs newer versions"),
        ("added", lines.added, "redd needs them"),
        ("moved", lines.other, "other packages that moved need these versions"),
        ("added", lines.came, "packages that moved need them"),
        ("removed", lines.gone, "only Tokio or an older version needed them"),
    ] {
        if !packages.is_empty() {
            told += &format!("    {word:7}  {} ({why})\n", packages.join(", "));
        }
    }
    told
}

#[derive(Debug, Default)]
struct Lines {
    tokio: String,
    raised: Vec<String>,
    added: Vec<String>,
    other: Vec<String>,
    came: Vec<String>,
    gone: Vec<String>,
}
