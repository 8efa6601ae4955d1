//! The packages that are built, as `cargo metadata` shows them.
//!
//! Called by `switch` and `doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::facade::{Facade, Place};
use crate::program::Program;
use crate::signals::Signals;

/// A package with what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) source: Option<String>,
    pub(crate) manifest: PathBuf,
    pub(crate) wishes: Vec<Wish>,
}

/// A dependency on a Tokio.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) requirement: String,
    /// None for a path.
    pub(crate) source: Option<String>,
    /// `dev`, `build`, or none.
    pub(crate) kind: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    /// By id: the ids that it depends on.
    dependencies: BTreeMap<String, Vec<String>>,
    pub(crate) members: BTreeSet<String>,
    pub(crate) target_folder: PathBuf,
}

impl Graph {
    /// Asks Cargo, without a change of the lock file, and for this machine alone: packages of others need not be there.
    pub(crate) fn read(program: &Program, options: &[String], signals: Option<&mut Signals>) -> Result<Self, String> {
        let mut arguments = options.to_vec();
        arguments.extend(["metadata", "--format-version=1", "--locked"].map(str::to_owned));
        if let Some(host) = host(program) {
            arguments.extend(["--filter-platform".to_owned(), host]);
        }
        let ran = program.cargo.run(&arguments, signals)?;
        if !ran.succeeded {
            return Err(ran.error());
        }
        let metadata = serde_json::from_str(&ran.output).map_err(|error| format!("`cargo metadata`: {error}"))?;
        Ok(Self::new(&metadata))
    }

    fn new(metadata: &Json) -> Self {
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let ids = |value: &Json| list(value).iter().filter_map(text).collect::<Vec<_>>();
        let wish = |dependency: &Json| {
            (dependency["name"] == "tokio").then(|| Wish {
                requirement: text(&dependency["req"]).unwrap_or_default(),
                source: text(&dependency["source"]),
                kind: text(&dependency["kind"]),
            })
        };
        let package = |package: &Json| {
            Some(Package {
                id: text(&package["id"])?,
                name: text(&package["name"])?,
                version: text(&package["version"])?,
                source: text(&package["source"]),
                manifest: text(&package["manifest_path"])?.into(),
                wishes: list(&package["dependencies"]).iter().filter_map(wish).collect(),
            })
        };
        let nodes = list(&metadata["resolve"]["nodes"]);
        let dependencies: BTreeMap<_, _> =
            nodes.iter().filter_map(|node| Some((text(&node["id"])?, ids(&node["dependencies"])))).collect();
        let packages = list(&metadata["packages"]).iter().filter_map(package).collect::<Vec<_>>();
        let packages = packages.into_iter().filter(|package| dependencies.contains_key(&package.id)).collect();
        let members = ids(&metadata["workspace_members"]).into_iter().collect();
        let target_folder = text(&metadata["target_directory"]).unwrap_or_default().into();
        Self { packages, dependencies, members, target_folder }
    }

    /// Each Tokio of the major version that redd has the API of.
    pub(crate) fn tokios(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.name == "tokio" && package.version.starts_with("1."))
    }

    /// The Tokios that this package has, of any version.
    pub(crate) fn tokios_of<'a>(&'a self, package: &Package) -> impl Iterator<Item = &'a Package> {
        let dependencies = self.dependencies.get(&package.id);
        let is_had = move |other: &&Package| dependencies.is_some_and(|dependencies| dependencies.contains(&other.id));
        self.packages.iter().filter(|other| other.name == "tokio").filter(is_had)
    }

    /// The packages that depend on this one.
    pub(crate) fn dependents<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Package> {
        let depends = move |package: &&Package| {
            self.dependencies.get(&package.id).is_some_and(|dependencies| dependencies.iter().any(|other| other == id))
        };
        self.packages.iter().filter(depends)
    }
}

impl Package {
    /// Whether it is this facade.
    pub(crate) fn is(&self, facade: &Facade) -> bool {
        let folder = self.manifest.parent().unwrap_or(Path::new("/"));
        let is_there = match &facade.place {
            Place::Path(path) => self.source.is_none() && fs::canonicalize(folder).is_ok_and(|folder| folder == *path),
            Place::Git { rev, .. } => {
                self.source.as_ref().is_some_and(|source| source.starts_with("git+") && source.ends_with(rev))
            }
        };
        is_there && self.version == facade.version
    }
}

/// The machine that the program's compiler builds for by default.
fn host(program: &Program) -> Option<String> {
    let mut rustc = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = rustc.arg("-vV").current_dir(&program.folder).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}
