//! The facade: redd's package `tokio`, in a checkout or a git repository.

use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde_json::Value as Json;
use toml_edit::{Document, Value};

use crate::cargo::Cargo;
use crate::failure::Failure;
use crate::files;
use crate::folder::Folder;
use crate::lock::{Lock, Locked};
use crate::manifest::Replacement;

/// The checkout that this program was built from.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tokio");

/// Where redd is.
#[derive(Debug, Default, Args)]
pub(crate) struct Choice {
    /// The checkout of redd, or its folder `tokio`. Default: the checkout that this program was built from
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// The git repository of redd, in place of a checkout
    #[arg(long, value_name = "URL", conflicts_with = "path")]
    pub(crate) git: Option<String>,
    /// The commit of the repository. Default: the newest one; `switch` writes its name into `Cargo.toml`
    #[arg(long, value_name = "REV", requires = "git")]
    pub(crate) rev: Option<String>,
}

/// A facade that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facade {
    /// The version of Tokio whose API it has.
    pub(crate) version: String,
    /// The oldest Rust that builds it.
    pub(crate) rust_version: Option<String>,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The folder of the package, without symbolic links.
    Path(PathBuf),
    Git {
        url: String,
        rev: String,
    },
}

impl Facade {
    /// Finds the one that was chosen.
    pub(crate) fn find(choice: &Choice, is_offline: bool) -> Result<Self, Failure> {
        if let Some(url) = &choice.git {
            return Self::in_repository(url, choice.rev.as_deref(), is_offline);
        }
        let Some(path) = &choice.path else {
            return Self::at(Path::new(BUILT_FROM)).map_err(|_| {
                Failure::NotDone(format!(
                    "the checkout of redd that this program was built from is no longer at {}. Name a checkout with `--path`, or a \
                     repository with `--git`",
                    Path::new(BUILT_FROM).parent().unwrap_or(Path::new("/")).display()
                ))
            });
        };
        let below = path.join("tokio");
        let folder = if below.join("Cargo.toml").is_file() { &below } else { path };
        Ok(Self::at(folder)?)
    }

    /// The one in the folder.
    pub(crate) fn at(folder: &Path) -> Result<Self, String> {
        let manifest = folder.join("Cargo.toml");
        let shown = folder.display();
        let advice = "Name the checkout of redd with `--path`, or its folder `tokio`";
        if !manifest.is_file() {
            return Err(format!("there is no facade of redd at {shown}: it has no `Cargo.toml`. {advice}"));
        }
        let text = files::read(&manifest)?;
        let document = Document::parse(text.as_str()).map_err(|error| format!("{}: {error}", manifest.display()))?;
        let package = |key: &str| document.get("package")?.get(key)?.as_str().map(str::to_owned);
        let has_redd = document.get("dependencies").is_some_and(|dependencies| dependencies.get("redd").is_some());
        let version = package("version").filter(|_| package("name").as_deref() == Some("tokio") && has_redd);
        let Some(version) = version else {
            let name = package("name").map_or_else(|| "no package".to_owned(), |name| format!("the package `{name}`"));
            return Err(format!("there is no facade of redd at {shown}, but {name}. {advice}"));
        };
        let place = fs::canonicalize(folder).map_err(|error| format!("{shown}: {error}"))?;
        // It may be inherited from the workspace of the checkout.
        let rust_version = package("rust-version").or_else(|| {
            let text = files::read(&place.parent()?.join("Cargo.toml")).ok()?;
            let workspace = Document::parse(text.as_str()).ok()?;
            Some(workspace.get("workspace")?.get("package")?.get("rust-version")?.as_str()?.to_owned())
        });
        Ok(Self { version, rust_version, place: Place::Path(place) })
    }

    /// Lets Cargo fetch the repository, for a package of our own, to learn the version and the commit.
    fn in_repository(url: &str, rev: Option<&str>, is_offline: bool) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let package = folder.path();
        let failed = |error| Failure::NotDone(format!("{} cannot be written: {error}", package.display()));
        let rev = rev.map(|rev| format!(", rev = {}", quoted(rev))).unwrap_or_default();
        let manifest = format!(
            "[package]\nname = \"asks\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n\n\
             [dependencies]\ntokio = {{ git = {}{rev} }}\n",
            quoted(url)
        );
        fs::write(package.join("Cargo.toml"), manifest)
            .and_then(|()| fs::write(package.join("lib.rs"), ""))
            .map_err(failed)?;
        let ran = Cargo::new(package, is_offline).run(&["metadata", "--format-version=1"], None)?;
        let unusable = |why: &str| Failure::NotDone(format!("the repository {url} cannot be used: {why}"));
        if !ran.succeeded {
            let advice = "Check the address, the commit that `--rev` names, and the network";
            return Err(unusable(&format!("{}. {advice}", root_cause(&ran.error()))));
        }
        let metadata: Json = serde_json::from_str(&ran.output).map_err(|error| unusable(&error.to_string()))?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let found = packages.into_iter().find(|package| package["name"] == "tokio");
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let facade = found.and_then(|tokio| {
            let dependencies = tokio["dependencies"].as_array()?;
            let has_redd = dependencies.iter().any(|dependency| dependency["name"] == "redd");
            let rev = tokio["source"].as_str()?.rsplit_once('#')?.1.to_owned();
            Some(Self {
                version: text(&tokio["version"]).filter(|_| has_redd)?,
                rust_version: text(&tokio["rust_version"]),
                place: Place::Git { url: url.to_owned(), rev },
            })
        });
        facade.ok_or_else(|| unusable("its package `tokio` is not the facade of redd"))
    }

    /// The one that a patch of this folder's manifest is for. None if it is not for redd.
    pub(crate) fn of(replacement: &Replacement, folder: &Path, lock: &Lock) -> Option<Self> {
        match replacement {
            Replacement::Path(path) => Self::at(&folder.join(path)).ok(),
            Replacement::Git { url, .. } => {
                let start = format!("git+{url}");
                let is_there =
                    |package: &&Locked| package.source.as_ref().is_some_and(|source| source.starts_with(&start));
                let mut packages = lock.packages.iter().chain(&lock.unused).filter(is_there);
                let tokio = packages.clone().find(|package| package.name == "tokio")?;
                let is_unused = lock.unused.contains(tokio);
                // A facade that is in use has brought redd.
                if !is_unused && !packages.any(|package| package.name == "redd") {
                    return None;
                }
                let rev = tokio.source.as_ref()?.rsplit_once('#')?.1.to_owned();
                let place = Place::Git { url: url.clone(), rev };
                Some(Self { version: tokio.version.clone(), rust_version: None, place })
            }
            Replacement::Other(_) => None,
        }
    }

    /// What stands behind `tokio =` in a patch of a manifest in this folder.
    pub(crate) fn entry(&self, folder: &Path) -> Result<String, String> {
        Ok(match &self.place {
            Place::Path(path) => format!("{{ path = {} }}", quoted(&written_path(path, folder)?)),
            Place::Git { url, rev } => format!("{{ git = {}, rev = {} }}", quoted(url), quoted(rev)),
        })
    }

    /// The options of Cargo that patch for one command. Paths are absolute, since they would start at Cargo's folder.
    pub(crate) fn options(&self) -> Result<Vec<String>, String> {
        let option =
            |key: &str, value: &str| ["--config".to_owned(), format!("patch.crates-io.tokio.{key}={}", quoted(value))];
        Ok(match &self.place {
            Place::Path(path) => option("path", utf8(path)?).to_vec(),
            Place::Git { url, rev } => [option("git", url), option("rev", rev)].concat(),
        })
    }

    /// For people: a path from here or an address.
    pub(crate) fn shown_place(&self) -> String {
        match &self.place {
            Place::Path(path) => files::short(path),
            Place::Git { url, rev } => format!("{url} at {}", &rev[..rev.len().min(10)]),
        }
    }

    /// Whether the patch in the manifest of this folder is for this facade.
    pub(crate) fn is_of(&self, replacement: &Replacement, folder: &Path) -> bool {
        match (&self.place, replacement) {
            (Place::Path(own), Replacement::Path(path)) => {
                fs::canonicalize(folder.join(path)).is_ok_and(|path| path == *own)
            }
            (Place::Git { url: own, rev }, Replacement::Git { url, reference: Some((key, value)) }) => {
                own == url && key == "rev" && rev.starts_with(value.as_str())
            }
            _ => false,
        }
    }
}

/// The last cause in an error of Cargo. Those before it speak of our own package, which the user does not know.
fn root_cause(error: &str) -> &str {
    error.rsplit_once("Caused by:\n").map_or(error, |(_, cause)| cause).trim()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn utf8(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("the path {} is not UTF-8, which TOML needs. Move the checkout", path.display()))
}

/// Relative if the checkout is inside of the program's folder or beside it, so that both can be moved together; absolute otherwise.
fn written_path(facade: &Path, folder: &Path) -> Result<String, String> {
    let absolute = utf8(facade)?;
    // If the folder is reached through a symbolic link, Cargo would take `..` from another one.
    let real = fs::canonicalize(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_plain = folder.components().all(|part| part != Component::ParentDir);
    if let Ok(below) = facade.strip_prefix(&real) {
        return Ok(utf8(below)?.to_owned());
    }
    match real.parent().filter(|parent| parent.parent().is_some() && real == folder && is_plain) {
        Some(parent) if facade.starts_with(parent) => {
            Ok(format!("../{}", utf8(facade.strip_prefix(parent).unwrap_or(facade))?))
        }
        _ => Ok(absolute.to_owned()),
    }
}
