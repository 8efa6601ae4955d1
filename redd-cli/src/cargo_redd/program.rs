//! The program that is switched: the root of its workspace.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::cargo::Cargo;
use crate::failure::Failure;
use crate::files;

/// Which program.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// The `Cargo.toml` of the program. Default: the one of the current folder, or of a folder above it
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// Work without the network
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug)]
pub(crate) struct Program {
    /// The root of the workspace.
    pub(crate) folder: PathBuf,
    pub(crate) manifest: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) cargo: Cargo,
}

/// Where Cargo keeps what it has downloaded, and the user's configuration.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// No other `cargo redd` works in the program's folder meanwhile. The system gives it back when this process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Alone {
    _folder: Flock<File>,
}

impl Program {
    pub(crate) fn find(selection: &Selection) -> Result<Self, Failure> {
        let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be read: {error}"))?;
        let mut arguments = vec!["locate-project".into(), "--workspace".into(), "--message-format=plain".into()];
        if let Some(manifest) = &selection.manifest_path {
            arguments.extend(["--manifest-path".into(), manifest.as_os_str().to_owned()]);
        }
        let ran = Cargo::new(&here, selection.offline).run(&arguments, None)?;
        if !ran.succeeded {
            let error = ran.error();
            let told = if error.contains("believes it's in a workspace when it's not") {
                "Cargo itself cannot build this package: follow one of its proposals"
            } else if error.contains("could not find `Cargo.toml`") || error.contains("manifest path") {
                "there is no program here. Run this in the folder of one, or name its `Cargo.toml` with `--manifest-path`"
            } else {
                "Cargo cannot read the program"
            };
            return Err(Failure::NotDone(format!("{told}.\n{error}")));
        }
        let manifest = PathBuf::from(ran.output.trim_end_matches('\n'));
        let folder = manifest.parent().unwrap_or(Path::new("/")).to_owned();
        let cargo = Cargo::new(&folder, selection.offline);
        Ok(Self { lock: folder.join("Cargo.lock"), folder, manifest, cargo })
    }

    /// Waits until no other `cargo redd` works in the folder.
    pub(crate) fn alone(&self) -> Result<Alone, String> {
        let failed = |error: String| format!("{} cannot be locked: {error}", self.folder.display());
        let open = || File::open(&self.folder).map_err(|error| failed(error.to_string()));
        let locked = match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
            Err((folder, Errno::EWOULDBLOCK)) => {
                crate::tell(&format!("waiting for another `cargo redd` in {}", files::short(&self.folder)));
                Flock::lock(folder, FlockArg::LockExclusive)
            }
            other => other,
        };
        let _folder = locked.map_err(|(_, error)| failed(error.to_string()))?;
        Ok(Alone { _folder })
    }
}
