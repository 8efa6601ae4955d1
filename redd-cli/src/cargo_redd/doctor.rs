//! `cargo redd doctor`: whether a program runs on redd, and if not, why and what to do.
//!
//! # Invariants
//! - `read-only`: no file of the program is written, but for what an interrupted command has left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::builders;
use crate::config::Configuration;
use crate::explain;
use crate::facade::{Choice, Facade};
use crate::failure::Failure;
use crate::files;
use crate::graph::Graph;
use crate::kept::Kept;
use crate::lock::{CRATES_IO, Lock};
use crate::manifest::{self, Replacement};
use crate::program::{Program, Selection};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    selection: Selection,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    /// Why it is not on redd, or will not be built.
    problems: Vec<String>,
    /// Worth knowing, and no reason to act.
    notes: Vec<String>,
}

/// Returns what to print, and whether all is well.
pub(crate) fn run(doctor: &Doctor) -> Result<(String, bool), Failure> {
    let program = Program::find(&doctor.selection)?;
    let _alone = program.alone()?;
    Kept::of(&program).recover()?;
    let mut findings = Findings::default();
    let configuration = Configuration::of(&program.folder);
    let lock = match files::read_optional(&program.lock)? {
        Some(text) => Lock::parse(&text)?,
        None => {
            findings.problems.push(
                "`cargo generate-lockfile` makes one. So does `cargo redd switch`, if the program depends on Tokio"
                    .to_owned(),
            );
            Lock::default()
        }
    };
    let before = findings.problems.len();
    let patched = patched_facade(&program, &configuration, &lock, &mut findings)?;
    let has_wrong_patch = findings.problems.len() > before;
    let facade = match &patched {
        Some(facade) => Some(facade.clone()),
        // Without one the program can only be described.
        None => Facade::find(&doctor.choice, doctor.selection.offline).ok(),
    };
    // With `--locked`, Cargo writes nothing (`read-only`).
    let graph = match Graph::read(&program, &[], None) {
        Ok(graph) => Some(graph),
        // What is told already is also why Cargo fails: the patch, or a lock file that is missing or has not moved.
        Err(error)
            if (has_wrong_patch && error.contains("tokio"))
                || (error.contains("--locked was passed")
                    && (lock.packages.is_empty() || (patched.is_some() && keeps_registry(&lock)))) =>
        {
            None
        }
        Err(error) => {
            let advice = facade.as_ref().and_then(|facade| explain::advice(&program, facade, &error));
            let advice = advice.map(|advice| format!("{advice}\n  ")).unwrap_or_default();
            findings.problems.push(format!("{advice}`cargo metadata --locked` fails: {}", error.replace('\n', "\n  ")));
            None
        }
    };
    let on = graph.as_ref().zip(patched.as_ref()).filter(|(graph, facade)| explain::is_on(graph, &lock, facade));
    if let Some(facade) = &facade {
        let obstacles = graph.as_ref().map(|graph| explain::obstacles(graph, facade)).unwrap_or_default();
        look_at_lock(&lock, on.is_some(), patched.is_some() && obstacles.is_empty(), facade, &mut findings);
        findings.problems.extend(obstacles);
        findings.problems.extend(explain::old_compiler(&program, facade));
    }
    look_at_targets(&configuration, &mut findings);
    if let Some(place) = configuration.unstable() {
        findings.notes.push(format!("`--cfg tokio_unstable` in {place} is harmless: redd has these parts without it"));
    }
    if let Some(graph) = &graph {
        look_at_members(&program, graph, &mut findings);
    }
    Ok(tell(on, facade.as_ref(), patched.is_some(), &lock, graph.as_ref(), findings))
}

/// The facade of a patch in the manifest or in a configuration file. What is wrong with a patch is a problem.
fn patched_facade(
    program: &Program,
    configuration: &Configuration,
    lock: &Lock,
    findings: &mut Findings,
) -> Result<Option<Facade>, Failure> {
    let text = files::read(&program.manifest)?;
    let own = manifest::patches(&text).map_err(|error| format!("{}: {error}", files::short(&program.manifest)))?;
    let own = own.into_iter().map(|patch| (program.manifest.clone(), program.folder.clone(), patch));
    let folder = |file: &Path| file.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned();
    let configured = configuration.patches().into_iter().map(|(file, patch)| (file.clone(), folder(&file), patch));
    let mut found = None;
    for (file, folder, patch) in configured.chain(own) {
        let place = format!("{}:{}", files::short(&file), patch.line);
        if patch.of != "crates-io" {
            findings.problems.push(format!(
                "{place} replaces tokio of {}, and not that of crates.io. Write it below `[patch.crates-io]`",
                patch.of
            ));
        } else if let Some(facade) = Facade::of(&patch.replacement, &folder, lock) {
            found = found.or(Some(facade));
        } else {
            findings.problems.push(format!("{place}: {}", wrong(&patch.replacement, &folder)));
        }
    }
    Ok(found)
}

/// Why a patch is not for redd.
fn wrong(replacement: &Replacement, folder: &Path) -> String {
    match replacement {
        Replacement::Path(path) => {
            let at = folder.join(path);
            if at.join("tokio/Cargo.toml").is_file() && Facade::at(&at.join("tokio")).is_ok() {
                return format!(
                    "the path of the patch is that of redd's checkout. Write `{}`",
                    Path::new(path).join("tokio").display()
                );
            }
            let sibling = at.parent().map(|parent| parent.join("tokio"));
            if sibling.is_some_and(|sibling| Facade::at(&sibling).is_ok()) {
                return "the path of the patch is another package of redd. It has to end in `/tokio`".to_owned();
            }
            if at.join("Cargo.toml").is_file() {
                return format!("the patch is for {path}, which is not the facade of redd");
            }
            format!(
                "the patch is for {path}, where there is no package. A relative path starts at {}",
                files::short(folder)
            )
        }
        Replacement::Git { url, .. } => {
            format!(
                "the patch is for {url}. The lock file has nothing of it yet, or it is not redd. `cargo redd switch --git URL` checks that"
            )
        }
        Replacement::Other(entry) => format!("the patch `{entry}` is not one for redd: that has a `path` or `git`"),
    }
}

/// Whether the lock file has a Tokio 1.x of the registry.
fn keeps_registry(lock: &Lock) -> bool {
    lock.tokios().any(|tokio| tokio.source.as_deref() == Some(CRATES_IO))
}

/// What the lock file says of Tokio and redd.
fn look_at_lock(lock: &Lock, is_on: bool, is_fit: bool, facade: &Facade, findings: &mut Findings) {
    let is_unused = lock.unused.iter().any(|package| package.name == "tokio");
    let registry = lock.tokios().find(|tokio| tokio.source.as_deref() == Some(CRATES_IO));
    if let Some(tokio) = registry.filter(|_| is_fit && !is_on) {
        let unused = if is_unused { ", and has the patch as unused" } else { "" };
        findings.problems.push(format!(
            "Cargo.lock keeps tokio {} of crates.io{unused}. `cargo update -p tokio@{} --precise {}` moves it to the patch, and so does `cargo redd switch`",
            tokio.version, tokio.version, facade.version
        ));
    }
    let others: Vec<String> = lock
        .tokios()
        .filter(|tokio| tokio.source.is_some() && tokio.source.as_deref() != Some(CRATES_IO))
        .map(|tokio| format!("tokio {} of {}", tokio.version, explain::short_source(tokio.source.as_deref())))
        .collect();
    if lock.tokios().count() > 1 {
        let versions: Vec<_> = lock
            .tokios()
            .map(|tokio| format!("{} of {}", tokio.version, explain::short_source(tokio.source.as_deref())))
            .collect();
        findings.problems.push(format!(
            "there are {} Tokios, whose types and runtimes do not fit together: {}. `cargo tree -d` shows what asks for them",
            versions.len(),
            versions.join(", ")
        ));
    } else if !is_on && !others.is_empty() {
        findings
            .problems
            .push(format!("the lock file has {}, which a patch of crates.io does not replace", others.join(", ")));
    }
    for old in lock.packages.iter().filter(|package| package.name == "tokio" && package.version.starts_with("0.")) {
        findings.notes.push(format!(
            "tokio {} stays beside redd: redd has the API of 1.x. `cargo tree -i tokio@{0}` shows what asks for it",
            old.version
        ));
    }
    let redds: Vec<_> = lock.packages.iter().filter(|package| package.name == "redd").collect();
    if redds.len() > 1 {
        let places: Vec<_> = redds
            .iter()
            .map(|redd| format!("{} of {}", redd.version, explain::short_source(redd.source.as_deref())))
            .collect();
        findings.problems.push(format!(
            "there are {} packages `redd`, so {0} runtimes that know nothing of each other: {}. Take `redd` from where the patch takes `tokio`",
            places.len(),
            places.join(", ")
        ));
    }
}

fn look_at_targets(configuration: &Configuration, findings: &mut Findings) {
    for (target, place) in configuration.targets() {
        let parts: Vec<&str> = target.split('-').collect();
        let is_linux =
            parts.contains(&"linux") && !["android", "androideabi", "ohos"].iter().any(|system| parts.contains(system));
        let is_known = ["x86_64", "aarch64"].contains(&parts[0]);
        if !is_linux {
            findings
                .problems
                .push(format!("{place} builds for {target}, and redd is for Linux alone. Build it for Linux"));
        } else if !is_known {
            findings.notes.push(format!("{place} builds for {target}. redd is tested on x86-64 and aarch64"));
        }
    }
}

/// Patches that Cargo ignores, and runtimes that are built without timers and I/O.
fn look_at_members(program: &Program, graph: &Graph, findings: &mut Findings) {
    let members: BTreeSet<&PathBuf> = graph
        .packages
        .iter()
        .filter(|package| graph.members.contains(&package.id))
        .map(|package| &package.manifest)
        .collect();
    for member in members {
        if *member != program.manifest {
            let patches = files::read(member).and_then(|text| manifest::patches(&text)).unwrap_or_default();
            for patch in patches.iter().filter(|patch| patch.of != "[replace]") {
                findings.problems.push(format!(
                    "{}:{}: Cargo ignores patches of a member of the workspace. Move it to {}",
                    files::short(member),
                    patch.line,
                    files::short(&program.manifest)
                ));
            }
        }
        for (file, line) in builders::without_drivers(member.parent().unwrap_or(Path::new("/"))) {
            findings.notes.push(format!(
                "{}:{line} builds a runtime without `enable_all`, `enable_io` or `enable_time`: timers and sockets panic there, as in Tokio",
                files::short(&file)
            ));
        }
    }
}

/// The verdict first, then problems and notes.
fn tell(
    on: Option<(&Graph, &Facade)>,
    facade: Option<&Facade>,
    is_patched: bool,
    lock: &Lock,
    graph: Option<&Graph>,
    findings: Findings,
) -> (String, bool) {
    let locked = lock.tokios().next();
    let mut told = match (on, locked) {
        (Some((_, facade)), _) => format!("is on redd: tokio {} from {}", facade.version, facade.shown_place()),
        (None, Some(tokio)) => {
            format!("is not on redd: tokio {} of {}", tokio.version, explain::short_source(tokio.source.as_deref()))
        }
        (None, None) if lock.packages.iter().any(|package| package.name == "redd") => {
            "is on redd by itself: nothing in the lock file depends on Tokio 1.x".to_owned()
        }
        (None, None) if lock.packages.is_empty() => "is not on redd: there is no Cargo.lock yet".to_owned(),
        (None, None) => "is not on redd: nothing in the lock file depends on Tokio 1.x".to_owned(),
    };
    if on.is_none() && !is_patched && findings.problems.is_empty() && locked.is_some() {
        let asking =
            graph.map_or(0, |graph| graph.tokios().map(|tokio| graph.dependents(&tokio.id).count()).sum::<usize>());
        let asking = match asking {
            1 => "the one package that asks".to_owned(),
            2 => "both packages that ask".to_owned(),
            _ => format!("all {asking} packages that ask"),
        };
        told += &match facade {
            Some(facade) => {
                format!("\n- {asking} for it can have {}, redd's. `cargo redd switch` does it", facade.version)
            }
            None => "\n- `cargo redd switch --path DIR` switches it, with a checkout of redd".to_owned(),
        };
    }
    findings.problems.iter().for_each(|problem| told += &format!("\n- {problem}"));
    findings.notes.iter().for_each(|note| told += &format!("\nnote: {note}"));
    let is_on = on.is_some() || (locked.is_none() && lock.packages.iter().any(|package| package.name == "redd"));
    (told, is_on && findings.problems.is_empty())
}
