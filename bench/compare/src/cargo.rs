//! Builds of the binaries that are measured.
//!
//! Called by `main`, `apps` and `blockers`, and by `serve-uring`.

use std::path::Path;
use std::process::Command;

/// Builds packages of the workspace in this folder, or all if there are none, into the target folder.
pub fn build(workspace: &Path, target: &Path, packages: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).current_dir(workspace);
    for package in packages {
        command.args(["-p", package]);
    }
    let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} does not build; see above", workspace.display())) }
}
