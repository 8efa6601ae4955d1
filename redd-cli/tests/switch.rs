//! `cargo redd switch` and `back` on small programs.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod fixture;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fixture::{Fixture, MANIFEST, write};

const SWITCH: [&str; 3] = ["switch", "--path", "../redd"];

#[test]
fn a_program_is_switched_with_its_old_lock_file_and_back_byte_for_byte() {
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    let told = fixture.expect(&SWITCH);
    assert_eq!(
        told,
        "switched to redd: tokio 1.54.1 from ../redd/tokio\n  \
           Cargo.toml   [patch.crates-io] · tokio = { path = \"../redd/tokio\" }\n  \
           Cargo.lock   tokio 1.28.0 → 1.54.1\n    \
             raised   bytes 1.4.0 → 1.12.2 (redd needs newer versions)\n    \
             added    memchr 2.7.0, redd 0.1.0 (redd needs them)\n    \
             removed  mio 0.8.6 (only Tokio or an older version needed them)\n  \
           .redd        has the originals. `cargo redd back` restores them\n"
    );
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/switching.md")).unwrap();
    assert!(guide.contains(&format!("$ cargo redd switch\n{told}")), "the guide shows what is printed");
    assert_eq!(
        fixture.read("Cargo.toml"),
        format!("{MANIFEST}\n[patch.crates-io]\ntokio = {{ path = \"../redd/tokio\" }}\n")
    );
    assert!(fixture.read("Cargo.lock").contains("name = \"web\"\nversion = \"1.0.0\""), "packages that fit stay");
    assert!(fixture.expect(&SWITCH).starts_with("switched already: tokio 1.54.1 from ../redd/tokio"));
    // `cargo clean` and `git clean` leave the originals.
    assert_eq!(fixture.read(".redd/.gitignore"), "*\n");
    let told = fixture.expect(&["back"]);
    assert_eq!(told, "back on tokio 1.28.0: Cargo.toml and Cargo.lock are byte for byte as before the switch\n");
    assert!(guide.contains(&format!("$ cargo redd back\n{told}")), "the guide shows what is printed");
    assert_eq!(fixture.files(), before);
    assert!(!fixture.program.join(".redd").exists());
    assert!(fixture.expect(&["back"]).contains("nothing to take back"));
}

#[test]
fn a_lock_file_that_the_switch_made_is_removed() {
    let fixture = Fixture::new(MANIFEST);
    fs::remove_file(fixture.program.join("Cargo.lock")).unwrap();
    let before = fixture.files();
    assert!(fixture.expect(&SWITCH).contains("Cargo.lock   is new"));
    assert!(fixture.expect(&["back"]).contains("Cargo.lock, which the switch made, is removed"));
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_program_whose_dependency_accepts_no_such_tokio_stays_as_it_is() {
    let fixture = Fixture::new(&format!("{MANIFEST}pinned = \"1\"\n"));
    let before = fixture.files();
    let told = fixture.expect_code(&SWITCH, 1);
    assert!(told.contains("`pinned 1.0.0`") && told.contains("=1.28.0"), "{told}");
    assert_eq!(fixture.files(), before);
    assert!(!fixture.program.join(".redd").exists());
}

/// Switches and takes back, and expects the same bytes. Returns the switched manifest.
fn there_and_back(fixture: &Fixture) -> String {
    let before = fixture.files();
    fixture.expect(&SWITCH);
    let switched = fixture.read("Cargo.toml");
    let told = fixture.expect(&["back"]);
    assert!(told.contains("byte for byte"), "{told}");
    assert_eq!(fixture.files(), before);
    switched
}

#[test]
fn every_form_of_a_manifest_is_the_same_afterwards() {
    let fixture = Fixture::new(MANIFEST);
    let other = "[package]\nname = \"other\"\nversion = \"1.0.0\"\n";
    write(&fixture.root().join("other/Cargo.toml"), other);
    write(&fixture.root().join("other/src/lib.rs"), "");
    for manifest in [
        MANIFEST.trim_end().to_owned(),
        MANIFEST.replace('\n', "\r\n"),
        format!("\u{feff}{MANIFEST}"),
        format!("{MANIFEST}\n[patch.crates-io] # ours\nother = {{ path = \"../other\" }} # kept\n\n[features]\n"),
        format!("{MANIFEST}\n[patch]\ncrates-io = {{ other = {{ path = \"../other\" }} }}"),
        format!("patch.crates-io.other.path = \"../other\"\n{MANIFEST}"),
    ] {
        fixture.write("Cargo.toml", &manifest);
        assert!(fixture.cargo(&["metadata", "--format-version=1"]).status.success());
        let switched = there_and_back(&fixture);
        assert_eq!(switched.matches("\r\n").count() > 0, manifest.contains("\r\n"), "{switched}");
        assert_eq!(switched.matches("# ").count(), manifest.matches("# ").count());
    }
}

#[test]
fn edits_since_the_switch_are_kept() {
    let fixture = Fixture::new(MANIFEST);
    fixture.expect(&SWITCH);
    let edited = fixture.read("Cargo.toml").replace("web = \"1\"", "web = \"1.1\" # newer") + "\n[features]\n";
    fixture.write("Cargo.toml", &edited);
    assert!(fixture.cargo(&["metadata", "--format-version=1"]).status.success());
    let told = fixture.expect(&["back"]);
    assert!(told.starts_with("back on tokio 1."), "{told}");
    assert!(told.contains("Cargo.toml  was edited since: only the patch is taken out"), "{told}");
    assert!(told.contains("but for what changed since: "), "{told}");
    // The newer `web` needs a newer Tokio than the one from before, and Cargo chooses it.
    assert!(told.contains("tokio 1.28.0 → 1.54.1") && told.contains("web 1.0.0 → 1.1.0"), "{told}");
    assert_eq!(fixture.read("Cargo.toml"), MANIFEST.replace("web = \"1\"", "web = \"1.1\" # newer") + "\n[features]\n");
    let lock = fixture.read("Cargo.lock");
    assert!(lock.contains("name = \"bytes\"\nversion = \"1.4.0\"") && !lock.contains("name = \"redd\""), "{lock}");
    assert!(!fixture.program.join(".redd").exists());
}

#[test]
fn a_patch_that_was_written_by_hand_is_taken_back_without_the_originals() {
    let fixture = Fixture::new(MANIFEST);
    fixture.expect(&SWITCH);
    fs::remove_dir_all(fixture.program.join(".redd")).unwrap();
    let told = fixture.expect(&["back"]);
    assert!(told.starts_with("back on tokio 1.54.1") && told.contains("its originals in .redd are gone"), "{told}");
    assert!(!fixture.read("Cargo.lock").contains("name = \"redd\""));
    assert!(!fixture.read("Cargo.toml").contains("tokio = { path"));
}

#[test]
fn a_patch_that_was_written_by_hand_without_the_lock_file_is_completed() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write("Cargo.toml", &format!("{MANIFEST}\n[patch.crates-io]\ntokio = {{ path = \"../redd/tokio\" }}\n"));
    let before = fixture.files();
    let told = fixture.expect(&["switch"]);
    assert!(told.contains("Cargo.toml   has had the patch already\n  Cargo.lock   tokio 1.28.0 → 1.54.1"), "{told}");
    assert!(fixture.expect(&["doctor"]).starts_with("is on redd"));
    assert_eq!(fixture.files().0, before.0);
    // The originals of a switch are not replaced by a second one.
    fs::copy(fixture.program.join(".redd/Cargo.lock.before"), fixture.program.join("Cargo.lock")).unwrap();
    let told = fixture.expect_code(&["switch"], 1);
    assert!(told.contains("Cargo does not use it") && told.contains("Nothing was changed"), "{told}");
    fixture.expect(&["back"]);
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_second_tokio_from_elsewhere_is_told_and_stays() {
    let manifest = MANIFEST.replace("version = \"1.20\"", "path = \"../registry/tokio-1.28.0\"");
    let fixture = Fixture::new(&manifest);
    let before = fixture.files();
    let told = fixture.expect_code(&["doctor", "--path", "../redd"], 1);
    assert!(told.contains("there are 2 Tokios") && told.contains("1.28.0 of a path"), "{told}");
    let told = fixture.expect_code(&SWITCH, 1);
    assert!(
        told.contains("there would be tokio 1.28.0 of a path and tokio 1.28.0 of crates.io")
            && told.contains("are as before"),
        "{told}"
    );
    assert_eq!(fixture.files(), before);
}

#[test]
fn what_is_in_the_folder_of_the_originals_already_stays() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write(".redd/README", "mine\n");
    fixture.write(".redd/.gitignore", "mine\n");
    there_and_back(&fixture);
    assert_eq!(
        (fixture.read(".redd/README"), fixture.read(".redd/.gitignore")),
        ("mine\n".to_owned(), "mine\n".to_owned())
    );
}

#[test]
fn a_patch_of_another_kind_is_left_alone() {
    let fixture = Fixture::new(MANIFEST);
    for patch in [
        "[patch.crates-io]\ntokio = { path = \"../registry/tokio-1.28.0\" }\n",
        "[patch.\"https://example.com/a\"]\ntokio.git = \"https://example.com/b\"\n",
    ] {
        fixture.write("Cargo.toml", &format!("{MANIFEST}\n{patch}"));
        let before = fixture.files();
        let told = fixture.expect_code(&SWITCH, 1);
        assert!(
            told.contains("Cargo.toml:13 has a patch for `tokio` already, and it is not one for redd. Remove it first"),
            "{told}"
        );
        assert_eq!(fixture.files(), before);
    }
}

#[test]
fn a_workspace_is_switched_at_its_root_from_a_folder_of_a_member() {
    let member = MANIFEST.replace("name    = \"shop\"", "name = \"member\"");
    let fixture = Fixture::without_lock(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"*\"]\nresolver = \"2\"\n"),
        ("member/Cargo.toml", &member),
        ("member/src/main.rs", "fn main() {}\n"),
    ]);
    fixture.lock();
    fixture.add_new_packages();
    let before = fixture.files();
    let output = fixture
        .command(&["switch", "--path", "../../redd/tokio"])
        .current_dir(fixture.program.join("member"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", fixture::text(&output));
    assert!(fixture.read("Cargo.toml").ends_with("\n[patch.crates-io]\ntokio = { path = \"../redd/tokio\" }\n"));
    assert_eq!(fixture.read("member/Cargo.toml"), member);
    // `*` takes every folder for a member, so the originals are elsewhere.
    assert!(!fixture.program.join(".redd").exists());
    assert!(fixture.cargo(&["metadata", "--locked", "--format-version=1"]).status.success());
    fixture.expect(&["back", "--manifest-path", "member/Cargo.toml"]);
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_folder_that_is_no_program_is_told_with_what_to_do() {
    let fixture = Fixture::new(MANIFEST);
    let output = fixture.command(&["doctor"]).current_dir(fixture.root()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(fixture::text(&output).contains("name its `Cargo.toml` with `--manifest-path`"));
    // A package below another one's workspace.
    fixture.write("Cargo.toml", &format!("{MANIFEST}\n[workspace]\n"));
    fixture.write("inner/Cargo.toml", "[package]\nname = \"inner\"\nversion = \"0.1.0\"\n");
    fixture.write("inner/src/lib.rs", "");
    let output = fixture.command(&["switch"]).current_dir(fixture.program.join("inner")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(fixture::text(&output).contains("follow one of its proposals"), "{}", fixture::text(&output));
    for (path, why) in [
        ("nowhere", "it has no `Cargo.toml`"),
        ("../registry/web-1.0.0", "but the package `web`"),
        (".", "but the package `shop`"),
    ] {
        let told = fixture.expect_code(&["switch", "--path", path], 2);
        assert!(told.contains(why) && told.contains("Name the checkout of redd with `--path`"), "{told}");
    }
}

#[test]
fn read_only_files_symbolic_links_and_modes_stay() {
    let fixture = Fixture::new(MANIFEST);
    let manifest = fixture.program.join("Cargo.toml");
    let mode = |mode| fs::set_permissions(&manifest, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o444);
    let told = fixture.expect_code(&SWITCH, 2);
    assert!(told.contains("Cargo.toml is read-only") && told.contains("chmod u+w"), "{told}");
    mode(0o640);
    fixture.expect(&SWITCH);
    assert_eq!(fs::metadata(&manifest).unwrap().permissions().mode() & 0o777, 0o640);
    fixture.expect(&["back"]);
    assert_eq!(fs::metadata(&manifest).unwrap().permissions().mode() & 0o777, 0o640);

    let real = fixture.root().join("real.toml");
    fs::rename(&manifest, &real).unwrap();
    symlink(&real, &manifest).unwrap();
    there_and_back(&fixture);
    assert!(fs::symlink_metadata(&manifest).unwrap().is_symlink());
}

#[test]
fn the_path_is_relative_beside_and_inside_the_program_and_may_have_spaces() {
    let fixture = Fixture::new(MANIFEST);
    let redd = fixture.root().join("redd");
    for (place, path, written) in [
        ("shop/third party/redd", "third party/redd", "third party/redd/tokio"),
        ("a \"b\"/redd", "../a \"b\"/redd/tokio", "../a \\\"b\\\"/redd/tokio"),
    ] {
        let place = fixture.root().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::rename(&redd, &place).unwrap();
        fixture.expect(&["switch", "--path", path]);
        let expected = match written.contains('"') {
            true => "tokio = { path = '../a \"b\"/redd/tokio' }".to_owned(),
            false => format!("tokio = {{ path = \"{written}\" }}"),
        };
        assert!(fixture.read("Cargo.toml").contains(&expected), "{}", fixture.read("Cargo.toml"));
        fixture.expect(&["back"]);
        fs::rename(&place, &redd).unwrap();
    }
    // Elsewhere it is absolute: the program may move.
    let elsewhere = tempfile::TempDir::new().unwrap();
    let place = fs::canonicalize(elsewhere.path()).unwrap().join("redd");
    assert!(std::process::Command::new("cp").arg("-r").args([&redd, &place]).status().unwrap().success());
    let deep = fixture.program.join("programs/deep");
    fs::create_dir_all(&deep).unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "src"] {
        fs::rename(fixture.program.join(name), deep.join(name)).unwrap();
    }
    let output = fixture.command(&["switch", "--path", place.to_str().unwrap()]).current_dir(&deep).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", fixture::text(&output));
    assert!(
        fs::read_to_string(deep.join("Cargo.toml"))
            .unwrap()
            .contains(&format!("\"{}\"", place.join("tokio").display()))
    );
}

#[test]
fn a_git_repository_is_written_with_its_commit() {
    let fixture = Fixture::new(MANIFEST);
    let redd = fixture.root().join("redd");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments).current_dir(&redd);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", fixture::text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "a"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}", redd.display());
    let before = fixture.files();
    // Cargo takes even a local repository for the network.
    let run = |arguments: &[&str]| {
        let output = fixture
            .command(arguments)
            .env_remove("CARGO_NET_OFFLINE")
            .env("CARGO_HOME", fixture.root().join("home"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", fixture::text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&["switch", "--git", &url]);
    assert!(told.starts_with(&format!("switched to redd: tokio 1.54.1 from {url} at {}", &commit[..10])), "{told}");
    assert!(fixture.read("Cargo.toml").contains(&format!("tokio = {{ git = \"{url}\", rev = \"{commit}\" }}")));
    assert!(run(&["doctor"]).starts_with("is on redd: tokio 1.54.1"));
    run(&["back"]);
    assert_eq!(fixture.files(), before);
}

#[test]
fn packages_that_a_vendored_program_lacks_are_told_with_what_to_do() {
    let fixture = Fixture::new(MANIFEST);
    fs::remove_dir_all(fixture.root().join("registry/memchr-2.7.0")).unwrap();
    let before = fixture.files();
    let told = fixture.expect_code(&SWITCH, 1);
    assert!(
        told.contains(
            "the packages that redd needs are not in `registry`, which replaces crates.io in ../.cargo/config.toml"
        ),
        "{told}"
    );
    assert!(told.contains("`cargo vendor`") && told.contains("are as before"), "{told}");
    assert_eq!(fixture.files(), before);
}

#[test]
fn packages_that_cannot_be_downloaded_are_told_with_what_to_do() {
    let fixture = Fixture::new(MANIFEST);
    fs::remove_dir_all(fixture.root().join(".cargo")).unwrap();
    let before = fixture.files();
    let home = fixture.root().join("home");
    for arguments in [&["switch", "--path", "../redd", "--offline"][..], &["doctor"], &["try", "--path", "../redd"]] {
        let output = fixture.command(arguments).env("CARGO_HOME", &home).output().unwrap();
        let told = fixture::text(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("packages are not on this machine") && told.contains("Run it once with the network"),
            "{told}"
        );
        assert_eq!(fixture.files(), before);
    }
}

#[test]
fn a_program_without_tokio_is_not_switched() {
    let fixture = Fixture::new("[package]\nname = \"shop\"\nversion = \"0.1.0\"\n");
    let before = fixture.files();
    let told = fixture.expect_code(&SWITCH, 1);
    assert!(told.contains("no package of the program depends on Tokio 1.x"), "{told}");
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_second_switch_keeps_the_first_lock_file_when_only_the_manifest_was_put_back() {
    // As after `git checkout Cargo.toml`, and after a `back` that was killed between its two files.
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    fixture.expect(&SWITCH);
    fixture.write("Cargo.toml", MANIFEST);
    fixture.expect(&SWITCH);
    fixture.expect(&["back"]);
    assert_eq!(fixture.files(), before);
}

#[test]
fn back_leaves_another_patch_and_the_lock_file_of_another_branch_alone() {
    let fork = |fixture: &Fixture| {
        let edited = fixture.read("Cargo.toml").replace("../redd/tokio", "../registry/tokio-1.54.1");
        fixture.write("Cargo.toml", &edited);
    };
    let branch = |fixture: &Fixture| {
        fixture.write("Cargo.toml", &MANIFEST.replace("web = \"1\"", "web = \"1.1\""));
        fs::remove_file(fixture.program.join("Cargo.lock")).unwrap();
    };
    for edit in [&fork as &dyn Fn(&Fixture), &branch] {
        let fixture = Fixture::new(MANIFEST);
        fixture.expect(&SWITCH);
        edit(&fixture);
        fixture.lock();
        let before = fixture.files();
        fixture.expect(&["back"]);
        assert_eq!(fixture.files(), before);
        assert!(!fixture.program.join(".redd").exists());
    }
}

#[test]
fn back_does_not_choose_between_the_sides_of_a_merge() {
    let fixture = Fixture::new(MANIFEST);
    fixture.expect(&SWITCH);
    let lock = fixture.read("Cargo.lock");
    fixture.write("Cargo.lock", &format!("<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> other\n"));
    let before = fixture.files();
    let told = fixture.expect_code(&["back"], 2);
    assert!(told.contains("Cargo.lock cannot be read") && told.contains("Correct the file, or remove it"), "{told}");
    assert_eq!(fixture.files(), before);
    fixture.write("Cargo.lock", &lock);
    fixture.expect(&["back"]);
}

#[test]
fn a_lock_file_with_crlf_keeps_its_versions_when_the_program_was_edited() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write("Cargo.lock", &fixture.read("Cargo.lock").replace('\n', "\r\n"));
    fixture.expect(&SWITCH);
    fixture.write("Cargo.toml", &(fixture.read("Cargo.toml") + "\n[features]\n"));
    fixture.write("Cargo.lock", &(fixture.read("Cargo.lock") + "\n"));
    let told = fixture.expect(&["back"]);
    assert!(told.contains("has the packages from before the switch"), "{told}");
}

#[test]
fn originals_below_cargos_home_are_found_after_the_members_were_edited() {
    let member = "[package]\nname = \"bb\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let manifest = format!("{MANIFEST}\n[workspace]\nmembers = [\"*b*\"]\n");
    let files = [
        ("Cargo.toml", manifest.as_str()),
        ("src/main.rs", "fn main() {}\n"),
        ("bb/Cargo.toml", member),
        ("bb/src/lib.rs", ""),
    ];
    let fixture = Fixture::without_lock(&files);
    fixture.lock();
    fixture.add_new_packages();
    let before = fixture.files();
    fixture.expect(&SWITCH);
    assert!(!fixture.program.join(".redd").exists());
    fixture.write("Cargo.toml", &fixture.read("Cargo.toml").replace("*b*", "bb"));
    fixture.expect(&["back"]);
    assert_eq!(fixture.files().0, manifest.replace("*b*", "bb").into_bytes());
    assert_eq!(fixture.read("Cargo.lock").into_bytes(), before.1.unwrap());
}

#[test]
fn a_file_that_was_written_halfway_is_removed_by_the_next_command() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write(".Cargo.lock.1234.cargo-redd", "half");
    fixture.write(".Cargo.lock.mine", "mine");
    fixture.expect_code(&["doctor", "--path", "../redd"], 1);
    assert!(!fixture.program.join(".Cargo.lock.1234.cargo-redd").exists());
    assert!(fixture.program.join(".Cargo.lock.mine").exists());
}

#[test]
fn a_file_in_the_place_of_the_folder_of_originals_is_told_and_stays() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write(".redd", "mine");
    let before = fixture.files();
    let told = fixture.expect_code(&SWITCH, 2);
    assert!(told.contains("the originals cannot be kept in the folder .redd: "), "{told}");
    assert!(fixture.expect(&["back"]).contains("nothing to take back"));
    assert_eq!((fixture.files(), fixture.read(".redd")), (before, "mine".to_owned()));
}

/// Cargo, but each command with one of these words waits, or the process that has started it is killed.
fn planted_cargo(fixture: &Fixture, word: &str, action: &str) -> PathBuf {
    let path = fixture.root().join("planted-cargo");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    write(&path, &format!("#!/bin/sh\ncase \" $* \" in *' {word} '*) {action};; esac\nexec '{cargo}' \"$@\"\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_switch_that_is_killed_or_interrupted_in_its_middle_is_taken_back() {
    // Before the lock file is moved, and after it.
    for (word, action) in [("update", "kill -9 $PPID"), ("--locked", "kill -9 $PPID")] {
        let fixture = Fixture::new(MANIFEST);
        let before = fixture.files();
        let mut command = fixture.command(&SWITCH);
        let status = command.env("CARGO", planted_cargo(&fixture, word, action)).status().unwrap();
        assert_eq!(status.code(), None, "it was killed");
        assert_ne!(fixture.files().0, before.0);
        let told = fixture.expect_code(&["back"], 0);
        assert!(told.contains("a switch was interrupted, and is taken back"), "{told}");
        assert_eq!(fixture.files(), before);
        assert!(!fixture.program.join(".redd").exists());
    }
    for word in ["update", "--locked"] {
        let fixture = Fixture::new(MANIFEST);
        let before = fixture.files();
        let mut command = fixture.command(&SWITCH);
        let output =
            command.env("CARGO", planted_cargo(&fixture, word, "kill -TERM $PPID; exec sleep 50")).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            fixture::text(&output).contains("ended by SIGTERM. Cargo.toml and Cargo.lock are as before"),
            "{}",
            fixture::text(&output)
        );
        assert_eq!(fixture.files(), before);
    }
}

#[test]
fn the_real_facade_replaces_the_real_tokio() {
    // The packages are those of this workspace, which are in the cache of the registry.
    let fixture = Fixture::without_lock(&[
        ("Cargo.toml", &MANIFEST.replace("web = \"1\"\n", "")),
        ("src/main.rs", "fn main() {}\n"),
    ]);
    fs::remove_dir_all(fixture.root().join(".cargo")).unwrap();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let told = fixture.expect(&["switch", "--path", checkout.to_str().unwrap()]);
    assert!(told.starts_with("switched to redd: tokio 1."), "{told}");
    let lock = fixture.read("Cargo.lock");
    assert!(lock.contains("name = \"redd\"\n") && !lock.contains("name = \"mio\"\n"), "{lock}");
    assert!(fixture.expect(&["doctor"]).starts_with("is on redd: tokio 1."));
    fixture.expect(&["back"]);
    assert!(!fixture.program.join("Cargo.lock").exists());
}
