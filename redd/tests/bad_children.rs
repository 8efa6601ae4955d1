//! Child processes that cannot be started, and calls on a child that has exited. This is a test binary of its own:
//! `bad_input` says why.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use redd::process::Command;

use support::bad::{assert_kind, run, with_nul};

#[test]
fn a_child_that_cannot_be_started_is_an_error_and_leaves_nothing_behind() {
    if support::emulation::skips("bad_children", "its `vfork` does not return why a child did not start") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, b"\x7fnot an ELF").unwrap();
    std::fs::set_permissions(&garbage, std::fs::Permissions::from_mode(0o755)).unwrap();
    run(async {
        assert_kind(Command::new("/no/such/program").spawn(), ErrorKind::NotFound);
        assert_kind(Command::new("no-such-program-in-any-path").status().await, ErrorKind::NotFound);
        assert_kind(Command::new(&plain).output().await, ErrorKind::PermissionDenied);
        assert_kind(Command::new(folder.path()).spawn(), ErrorKind::PermissionDenied);
        assert_eq!(Command::new(&garbage).spawn().unwrap_err().raw_os_error(), Some(libc::ENOEXEC));
        assert_kind(Command::new("true").current_dir("/no/such/folder").spawn(), ErrorKind::NotFound);
        assert_kind(Command::new(with_nul()).spawn(), ErrorKind::InvalidInput);
        assert_kind(Command::new("true").arg(with_nul()).spawn(), ErrorKind::InvalidInput);
        assert_kind(Command::new("true").env("NAME", with_nul()).spawn(), ErrorKind::InvalidInput);
        assert_kind(Command::new("true").current_dir(with_nul()).spawn(), ErrorKind::InvalidInput);
        assert!(Command::new("true").status().await.unwrap().success());
    });
}

#[test]
fn killing_a_child_that_has_exited_does_nothing() {
    run(async {
        let mut child = Command::new("true").spawn().unwrap();
        assert!(child.wait().await.unwrap().success());
        assert!(child.id().is_none());
        child.start_kill().unwrap();
        assert!(child.wait().await.unwrap().success(), "the status is kept");
    });
}
