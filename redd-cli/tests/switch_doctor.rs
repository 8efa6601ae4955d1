//! `cargo redd doctor` on small programs: what it finds, and what it does not.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod fixture;

use std::fs;

use fixture::{Fixture, MANIFEST, write};

const DOCTOR: [&str; 3] = ["doctor", "--path", "../redd"];
const PATCH: &str = "\n[patch.crates-io]\ntokio = { path = \"../redd/tokio\" }\n";

#[test]
fn a_program_on_redd_gets_one_line_and_one_on_tokio_is_told_how() {
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    assert_eq!(
        fixture.expect_code(&DOCTOR, 1),
        "is not on redd: tokio 1.28.0 of crates.io\n- both packages that ask for it can have 1.54.1, redd's. `cargo redd switch` does it\n"
    );
    assert_eq!(fixture.files(), before);
    fixture.expect(&["switch", "--path", "../redd"]);
    let before = fixture.files();
    assert_eq!(fixture.expect(&["doctor"]), "is on redd: tokio 1.54.1 from ../redd/tokio\n");
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_patch_that_the_lock_file_does_not_let_apply_is_explained() {
    let fixture = Fixture::new(&format!("{MANIFEST}pinned = \"1\"\n"));
    fixture.write("Cargo.toml", &format!("{MANIFEST}pinned = \"1\"\n{PATCH}"));
    // Cargo itself only warns, and writes the patch into the lock file as unused.
    assert!(fixture.cargo(&["metadata", "--format-version=1"]).status.success());
    assert!(fixture.read("Cargo.lock").contains("[[patch.unused]]"));
    let told = fixture.expect_code(&DOCTOR, 1);
    assert!(
        told.contains("`pinned 1.0.0`, which `shop` needs, asks for tokio =1.28.0, and redd has the API of 1.54.1"),
        "{told}"
    );
    assert!(told.contains("`cargo update -p pinned`"), "{told}");
}

#[test]
fn a_newer_tokio_and_one_of_another_source_are_named_with_the_package_that_asks() {
    let fixture = Fixture::without_lock(&[
        ("Cargo.toml", &format!("{MANIFEST}ahead = \"1\"\n")),
        ("src/main.rs", "fn main() {}\n"),
    ]);
    fixture.publish("tokio", "1.60.0", "[features]\nfull = []\n");
    fixture.publish("ahead", "1.0.0", "[dependencies]\ntokio = \"1.55\"\n");
    fixture.lock();
    let told = fixture.expect_code(&DOCTOR, 1);
    assert!(told.contains("`ahead 1.0.0`, which `shop` needs, asks for tokio ^1.55"), "{told}");
    assert!(told.contains("Use a newer redd, or an older version of `ahead`"), "{told}");
    let told = fixture.expect_code(&["switch", "--path", "../redd"], 1);
    assert!(told.contains("not switched. `ahead 1.0.0`") && told.contains("are as before"), "{told}");
}

#[test]
fn an_optional_dependency_that_is_off_asks_for_nothing() {
    let fixture = Fixture::without_lock(&[
        ("Cargo.toml", &format!("{MANIFEST}both = \"1\"\n")),
        ("src/main.rs", "fn main() {}\n"),
    ]);
    let optional = "[dependencies]\ntokio = \"1\"\ntokio-02 = { package = \"tokio\", version = \"0.2\", optional = true }\ntokio-03 = { package \
                    = \"tokio\", version = \"0.3\", optional = true }\n[features]\nold = [\"dep:tokio-02\", \"dep:tokio-03\"]\n";
    fixture.publish("both", "1.0.0", &format!("{optional}[dev-dependencies]\ntokio = \"=1.28.0\"\n"));
    fixture.lock();
    fixture.add_new_packages();
    assert!(fixture.expect_code(&DOCTOR, 1).contains("all 3 packages that ask for it can have 1.54.1"));
    fixture.expect(&["switch", "--path", "../redd"]);
    assert_eq!(fixture.expect(&["doctor"]), "is on redd: tokio 1.54.1 from ../redd/tokio\n");
}

#[test]
fn a_tokio_before_1_0_stays_and_is_no_problem() {
    let fixture = Fixture::new(&format!("{MANIFEST}old-web = \"1\"\n"));
    fixture.expect(&["switch", "--path", "../redd"]);
    let told = fixture.expect(&["doctor"]);
    assert!(
        told.starts_with("is on redd: tokio 1.54.1") && told.contains("note: tokio 0.2.25 stays beside redd"),
        "{told}"
    );
}

#[test]
fn a_wrong_path_is_explained_with_the_right_one() {
    let fixture = Fixture::new(MANIFEST);
    for (path, why) in [
        ("../redd", "is that of redd's checkout. Write `../redd/tokio`"),
        ("../redd/redd", "is another package of redd. It has to end in `/tokio`"),
        ("../nowhere", "where there is no package. A relative path starts at"),
        ("../registry/web-1.0.0", "which is not the facade of redd"),
    ] {
        fixture.write("Cargo.toml", &format!("{MANIFEST}\n[patch.crates-io]\ntokio = {{ path = \"{path}\" }}\n"));
        let told = fixture.expect_code(&DOCTOR, 1);
        assert!(told.contains("Cargo.toml:13: ") && told.contains(why), "{path}: {told}");
        assert!(!told.contains("cargo metadata"), "Cargo fails for the same reason: {told}");
        let told = fixture.expect_code(&["switch", "--path", "../redd"], 1);
        assert!(told.contains("Cargo.toml:13 has a patch for `tokio` already"), "{told}");
    }
}

#[test]
fn a_patch_by_hand_whose_lock_file_has_not_moved_needs_one_command() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write("Cargo.toml", &format!("{MANIFEST}{PATCH}"));
    assert_eq!(
        fixture.expect_code(&DOCTOR, 1),
        "is not on redd: tokio 1.28.0 of crates.io\n- Cargo.lock keeps tokio 1.28.0 of crates.io. `cargo update -p tokio@1.28.0 \
         --precise 1.54.1` moves it to the patch, and so does `cargo redd switch`\n"
    );
}

#[test]
fn a_program_without_tokio_is_told_that_there_is_nothing_to_replace() {
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    for (dependencies, why) in [
        ("", "no package of the program depends on Tokio 1.x"),
        ("[dependencies]\nredd = { path = \"../redd/redd\" }\n", "the program is on redd by itself"),
    ] {
        let manifest = format!("{manifest}{dependencies}");
        let fixture = Fixture::without_lock(&[("Cargo.toml", &manifest), ("src/main.rs", "fn main() {}\n")]);
        fixture.add_new_packages();
        fixture.lock();
        let before = fixture.files();
        for (command, done) in [("switch", "not switched. "), ("try", "the program cannot be tried. ")] {
            let told = fixture.expect_code(&[command, "--path", "../redd"], 1);
            assert!(told.contains(&format!("{done}{why}")), "{told}");
        }
        assert_eq!(fixture.files(), before);
    }
}

#[test]
fn a_repository_that_cannot_be_had_is_told_without_a_package_of_our_own() {
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    let told = fixture.expect_code(&["switch", "--git", "file:///no/such/repository"], 2);
    assert!(told.contains("the repository file:///no/such/repository cannot be used: "), "{told}");
    assert!(told.contains("Check the address, the commit that `--rev` names, and the network"), "{told}");
    assert!(!told.contains("asks"), "{told}");
    assert_eq!(fixture.files(), before);
}

#[test]
fn patches_of_members_are_ignored_by_cargo_and_those_of_the_configuration_are_not() {
    let fixture = Fixture::without_lock(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"shop\"]\nresolver = \"2\"\n"),
        ("shop/Cargo.toml", &format!("{MANIFEST}{PATCH}")),
        ("shop/src/main.rs", "fn main() {}\n"),
    ]);
    fixture.lock();
    fixture.add_new_packages();
    let told = fixture.expect_code(&DOCTOR, 1);
    assert!(
        told.contains("shop/Cargo.toml:13: Cargo ignores patches of a member of the workspace. Move it to Cargo.toml"),
        "{told}"
    );

    let fixture = Fixture::new(MANIFEST);
    fixture.write(".cargo/config.toml", "[patch.crates-io]\ntokio.path = \"../redd/tokio\"\n");
    let told = fixture.expect_code(&DOCTOR, 1);
    assert!(told.contains("`cargo update -p tokio@1.28.0 --precise 1.54.1`"), "{told}");
    assert!(fixture.cargo(&["update", "-p", "tokio", "--precise", "1.54.1"]).status.success());
    assert!(fixture.expect(&["doctor"]).starts_with("is on redd"));
    assert!(fixture.expect(&["switch", "--path", "../redd"]).starts_with("is on redd already"));
}

#[test]
fn platforms_flags_and_runtimes_without_drivers_are_told() {
    let fixture = Fixture::new(MANIFEST);
    fixture.expect(&["switch", "--path", "../redd"]);
    fixture.write(
        ".cargo/config.toml",
        "[build]\nrustflags = [\"--cfg\", \"tokio_unstable\"]\ntarget = \"x86_64-unknown-linux-musl\"\n",
    );
    fixture.write("src/main.rs", "fn main() {\n    tokio::runtime::Builder::new_current_thread().build().block_on(tokio::time::sleep(SECOND));\n}\n");
    let told = fixture.expect(&["doctor"]);
    assert!(told.starts_with("is on redd"), "{told}");
    assert!(told.contains("note: `--cfg tokio_unstable` in .cargo/config.toml is harmless"), "{told}");
    assert!(told.contains("note: src/main.rs:2 builds a runtime without `enable_all`"), "{told}");
    for target in ["x86_64-pc-windows-msvc", "wasm32-wasip1", "aarch64-apple-darwin", "aarch64-linux-android"] {
        fixture.write(".cargo/config.toml", &format!("[build]\ntarget = [\"{target}\"]\n"));
        let told = fixture.expect_code(&["doctor"], 1);
        assert!(
            told.contains(&format!(".cargo/config.toml builds for {target}, and redd is for Linux alone")),
            "{told}"
        );
    }
    // A table of a target says nothing of what is built.
    fixture.write(".cargo/config.toml", "[target.x86_64-pc-windows-msvc]\nlinker = \"a\"\n");
    fixture.write("src/main.rs", "fn main() {}\n");
    assert_eq!(fixture.expect(&["doctor"]), "is on redd: tokio 1.54.1 from ../redd/tokio\n");
}

#[test]
fn two_redds_a_missing_lock_file_and_an_old_compiler_are_told() {
    let manifest = format!("{MANIFEST}redd = {{ path = \"../other\" }}\n");
    let fixture = Fixture::without_lock(&[("Cargo.toml", &manifest), ("src/main.rs", "fn main() {}\n")]);
    write(&fixture.root().join("other/Cargo.toml"), "[package]\nname = \"redd\"\nversion = \"0.2.0\"\n");
    write(&fixture.root().join("other/src/lib.rs"), "");
    fixture.lock();
    fixture.add_new_packages();
    fixture.expect(&["switch", "--path", "../redd"]);
    let told = fixture.expect_code(&["doctor"], 1);
    assert!(told.contains("there are 2 packages `redd`, so 2 runtimes that know nothing of each other"), "{told}");

    let fixture = Fixture::new(MANIFEST);
    fs::remove_file(fixture.program.join("Cargo.lock")).unwrap();
    assert_eq!(
        fixture.expect_code(&DOCTOR, 1),
        "is not on redd: there is no Cargo.lock yet\n- `cargo generate-lockfile` makes one. So does `cargo redd switch`, if the program \
         depends on Tokio\n"
    );
    assert!(!fixture.program.join("Cargo.lock").exists(), "the doctor writes nothing");

    let fixture = Fixture::new(MANIFEST);
    fixture.expect(&["switch", "--path", "../redd"]);
    let facade = fixture.root().join("redd/tokio/Cargo.toml");
    let newer = fs::read_to_string(&facade).unwrap().replace("rust-version = \"1.56\"", "rust-version = \"1.999\"");
    write(&facade, &newer);
    let told = fixture.expect_code(&["doctor"], 1);
    assert!(told.contains("and redd needs 1.999 or newer"), "{told}");
    fixture.expect(&["back"]);
    let before = fixture.files();
    for command in ["switch", "try"] {
        let told = fixture.expect_code(&[command, "--path", "../redd"], 1);
        assert!(told.contains("and redd needs 1.999 or newer") && told.contains("Nothing was changed"), "{told}");
    }
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_program_that_depends_on_redd_alone_is_on_redd() {
    let manifest =
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\n\n[dependencies]\nredd = { path = \"../redd/redd\" }\n";
    let fixture = Fixture::without_lock(&[("Cargo.toml", manifest), ("src/main.rs", "fn main() {}\n")]);
    fixture.add_new_packages();
    fixture.lock();
    assert!(fixture.expect(&DOCTOR).starts_with("is on redd by itself"));
}

#[test]
fn a_patch_of_crates_io_by_its_address_is_one() {
    let patch = "[patch.\"https://github.com/rust-lang/crates.io-index\"]\ntokio = { path = \"../redd/tokio\" }\n";
    let fixture = Fixture::new(MANIFEST);
    fixture.write("Cargo.toml", &format!("{MANIFEST}\n{patch}"));
    let before = fixture.files();
    fixture.expect(&["switch"]);
    assert!(fixture.expect(&["doctor"]).starts_with("is on redd: tokio 1.54.1"));
    fixture.expect(&["back"]);
    assert_eq!(fixture.files(), before);
}
