//! The configuration files of Cargo that are in force for a program.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item};

use crate::files;
use crate::manifest::{self, Patch};
use crate::program::cargo_home;

/// The files, the one that goes first at first.
#[derive(Debug)]
pub(crate) struct Configuration {
    files: Vec<(PathBuf, Document<String>)>,
}

impl Configuration {
    /// Those of the folder, of the folders above it and of the user.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut places: Vec<PathBuf> = folder.ancestors().map(|folder| folder.join(".cargo")).collect();
        places.extend(cargo_home());
        let mut files: Vec<(PathBuf, Document<String>)> = Vec::new();
        for place in places {
            // The older name goes first where both exist.
            let file = ["config", "config.toml"].iter().map(|name| place.join(name)).find(|file| file.is_file());
            // One that cannot be read makes every command of Cargo fail, with its own message.
            let read = file.and_then(|file| Some((file.clone(), Document::parse(files::read(&file).ok()?).ok()?)));
            files.extend(read.filter(|(file, _)| !files.iter().any(|(other, _)| other == file)));
        }
        Self { files }
    }

    /// The first value of a key, with its file.
    fn value(&self, keys: &[&str]) -> Option<(&Path, &Item)> {
        self.files.iter().find_map(|(file, document)| {
            let item = keys.iter().try_fold(document.as_item(), |item, key| item.get(key))?;
            Some((file.as_path(), item))
        })
    }

    /// The targets that are built where no option names one.
    pub(crate) fn targets(&self) -> Vec<(String, String)> {
        if let Some(target) = std::env::var("CARGO_BUILD_TARGET").ok().filter(|target| !target.is_empty()) {
            return vec![(target, "CARGO_BUILD_TARGET".to_owned())];
        }
        let Some((file, item)) = self.value(&["build", "target"]) else { return Vec::new() };
        let file = files::short(file);
        let many = item.as_array().into_iter().flatten().filter_map(|target| target.as_str());
        item.as_str().into_iter().chain(many).map(|target| (target.to_owned(), file.clone())).collect()
    }

    /// The folder or the registry on this machine that replaces crates.io, with the file that says so.
    pub(crate) fn vendored(&self) -> Option<(String, String)> {
        let (file, mut name) = self.value(&["source", "crates-io", "replace-with"])?;
        // Replacements may be replaced. More than these make a circle.
        for _ in 0..8 {
            let name_text = name.as_str()?;
            for kind in ["directory", "local-registry"] {
                if let Some((_, folder)) = self.value(&["source", name_text, kind]) {
                    return Some((folder.as_str()?.to_owned(), files::short(file)));
                }
            }
            name = self.value(&["source", name_text, "replace-with"])?.1;
        }
        None
    }

    /// Where `--cfg tokio_unstable` is set.
    pub(crate) fn unstable(&self) -> Option<String> {
        let variables = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"];
        let variable =
            variables.iter().find(|name| std::env::var(name).is_ok_and(|flags| flags.contains("tokio_unstable")));
        let in_file = || {
            self.files.iter().find(|(_, document)| {
                let targets =
                    document.get("target").and_then(Item::as_table_like).into_iter().flat_map(|table| table.iter());
                let build = document.get("build").into_iter();
                let mut tables = targets.map(|(_, item)| item).chain(build);
                tables.any(|table| {
                    table.get("rustflags").is_some_and(|flags| flags.to_string().contains("tokio_unstable"))
                })
            })
        };
        variable.map(|name| (*name).to_owned()).or_else(|| in_file().map(|(file, _)| files::short(file)))
    }

    /// Patches for `tokio`, each with its file. Paths start at the folder that holds `.cargo`.
    pub(crate) fn patches(&self) -> Vec<(PathBuf, Patch)> {
        let patches = |(file, document): &(PathBuf, Document<String>)| {
            let found = manifest::patches(document.raw()).unwrap_or_default();
            found.into_iter().map(|patch| (file.clone(), patch)).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(patches).collect()
    }
}
