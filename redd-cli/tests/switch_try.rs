//! `cargo redd try` on a small program, which is built and run.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "programs run in real time")]

mod fixture;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fixture::{Fixture, MANIFEST, text};

/// Prints which runtime it has and what it reads, and ends with the code that it was given. It looks at its lock file while it runs.
const MAIN: &str = r#"
fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap();
    println!("on {}; the lock file has tokio 1.28.0: {}", tokio::name(), lock.contains("name = \"tokio\"\nversion = \"1.28.0\""));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    println!("read {line}by {:?}", std::env::var("BY"));
    std::process::exit(std::env::args().nth(1).map_or(0, |code| code.parse().unwrap()));
}
"#;

#[test]
fn a_program_runs_on_redd_and_no_file_is_changed() {
    let fixture = Fixture::new(MANIFEST);
    fixture.write("src/main.rs", MAIN);
    // A runner of the user stays in force.
    fixture.write(".cargo/config.toml", "[target.'cfg(all())']\nrunner = [\"env\", \"BY=runner\"]\n");
    let before = fixture.files();
    let manifest_time = fs::metadata(fixture.program.join("Cargo.toml")).unwrap().modified().unwrap();
    let mut command = fixture.command(&["try", "--path", "../redd", "--", "run", "--quiet", "--", "7"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a line\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "on redd; the lock file has tokio 1.28.0: true\nread a line\nby Ok(\"runner\")\n");
    assert_eq!(fixture.files(), before);
    assert_eq!(fs::metadata(fixture.program.join("Cargo.toml")).unwrap().modified().unwrap(), manifest_time);
    assert!(!fixture.program.join(".redd").exists());
    let folders: Vec<_> =
        fs::read_dir(fixture.program.join("target")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, ["redd"], "what is built for Tokio stays as it is");
    // Without a change, and with a command that builds nothing.
    let told = fixture.expect(&["try", "--path", "../redd", "--", "tree", "-i", "tokio"]);
    assert!(told.starts_with("tokio v1.54.1 ("), "{told}");
    assert_eq!(fixture.files(), before);
    assert_eq!(fixture.redd(&["try", "--path", "../redd", "--", "no-such-command"]).status.code(), Some(101));
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_program_without_a_lock_file_has_none_afterwards() {
    let fixture = Fixture::new(MANIFEST);
    fs::remove_file(fixture.program.join("Cargo.lock")).unwrap();
    fixture.expect(&["try", "--path", "../redd", "--", "check", "--quiet"]);
    assert!(!fixture.program.join("Cargo.lock").exists());
}

#[test]
fn a_program_that_cannot_be_on_redd_is_left_alone_and_told_why() {
    let fixture = Fixture::new(&format!("{MANIFEST}pinned = \"1\"\n"));
    let before = fixture.files();
    let told = fixture.expect_code(&["try", "--path", "../redd"], 1);
    assert!(told.contains("the program cannot be tried. `pinned 1.0.0`"), "{told}");
    assert_eq!(fixture.files(), before);
    assert!(!fixture.program.join(".redd").exists());
}

/// Waits at most a minute.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A made-up Cargo for one command: it hands everything to the real one, but waits at `build` as if it downloaded.
fn slow_cargo(fixture: &Fixture) -> std::path::PathBuf {
    let path = fixture.root().join("slow-cargo");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let script = format!("#!/bin/sh\ncase \" $* \" in *' build '*) exec sleep 50;; esac\nexec '{cargo}' \"$@\"\n");
    fixture::write(&path, &script);
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&path, permissions).unwrap();
    path
}

/// Whether this process ignores the signal. Children inherit that: `nohup` does it to SIGHUP, and a shell to SIGINT in the background.
fn is_ignored(signal: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    (u64::from_str_radix(ignored.trim(), 16).unwrap() >> (signal - 1)) & 1 == 1
}

#[test]
fn a_signal_reaches_cargo_and_the_lock_file_is_restored() {
    // What is ignored does not end Cargo, and should not.
    for (signal, _) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)].into_iter().filter(|(_, number)| !is_ignored(*number))
    {
        let fixture = Fixture::new(MANIFEST);
        let before = fixture.files();
        let mut command = fixture.command(&["try", "--path", "../redd", "--", "build"]);
        let mut child = command.env("CARGO", slow_cargo(&fixture)).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        // It is printed when the lock file has the facade.
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("tokio 1.54.1 from ../redd/tokio, built in target/redd"), "{line}");
        assert!(fixture.read("Cargo.lock").contains("1.54.1"));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), None, "the same signal ends both");
        assert_eq!(fixture.files(), before, "{signal}");
        assert!(!fixture.program.join(".redd").exists());
    }
}

#[test]
fn after_kill_9_the_next_command_restores_the_lock_file() {
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    let mut command = fixture.command(&["try", "--path", "../redd", "--", "build"]);
    let mut child = command.env("CARGO", slow_cargo(&fixture)).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    until("there is a child", || fs::read_to_string(&children).is_ok_and(|list| !list.trim().is_empty()));
    let sleeping = fs::read_to_string(&children).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = Command::new("kill").arg(sleeping.trim()).status();
    assert_ne!(fixture.files(), before);
    let told = fixture.expect_code(&["doctor", "--path", "../redd"], 1);
    assert!(told.contains("`cargo redd try` was interrupted: Cargo.lock is as before again"), "{told}");
    assert_eq!(fixture.files(), before);
    assert!(!fixture.program.join(".redd").exists());
}

#[test]
fn versions_from_before_are_kept_when_cargo_wrote_the_lock_file_after_kill_9() {
    let fixture = Fixture::new(MANIFEST);
    let original = fixture.read("Cargo.lock");
    // What a killed trial leaves, and then a usual build.
    fixture.expect(&["switch", "--path", "../redd"]);
    let with_facade = fixture.read("Cargo.lock");
    fixture.expect(&["back"]);
    fixture.write("Cargo.lock", &with_facade);
    let state = format!("{{\"lock\":{:?}}}\n", original);
    fixture.write(".redd/.gitignore", "*\n");
    fixture.write(".redd/try.json", &state);
    assert!(fixture.cargo(&["metadata", "--format-version=1"]).status.success());
    let now = fixture.read("Cargo.lock");
    assert_ne!(now, original);
    let told = fixture.expect_code(&["doctor", "--path", "../redd"], 1);
    assert!(told.contains("is left as it is. The one from before is in .redd/Cargo.lock.kept"), "{told}");
    assert_eq!((fixture.read("Cargo.lock"), fixture.read(".redd/Cargo.lock.kept")), (now, original.clone()));
    // Conflicts of a merge are not overwritten either.
    let merge = format!("<<<<<<< HEAD\n{original}=======\n{original}>>>>>>> other\n");
    fixture.write("Cargo.lock", &merge);
    fixture.write(".redd/try.json", &state);
    fixture.expect_code(&["doctor", "--path", "../redd"], 2);
    assert_eq!(fixture.read("Cargo.lock"), merge);
}

#[test]
fn a_program_that_is_named_behind_the_dashes_is_the_one_whose_lock_file_is_restored() {
    let fixture = Fixture::new(MANIFEST);
    let other = fixture.root().join("other");
    fixture::write(&other.join("Cargo.toml"), MANIFEST);
    fixture::write(&other.join("src/main.rs"), "fn main() {}\n");
    fs::copy(fixture.program.join("Cargo.lock"), other.join("Cargo.lock")).unwrap();
    let before = (fixture.files(), fs::read(other.join("Cargo.lock")).unwrap());
    for option in [&["--manifest-path", "../other/Cargo.toml"][..], &["--manifest-path=../other/Cargo.toml"]] {
        let told = fixture.expect(&[&["try", "--path", "../redd", "--", "tree", "-i", "tokio"], option].concat());
        assert!(told.starts_with("tokio v1.54.1 ("), "{told}");
        assert_eq!((fixture.files(), fs::read(other.join("Cargo.lock")).unwrap()), before);
    }
}

/// Makes a file that can be run.
fn executable(path: &std::path::Path, text: &str) {
    fixture::write(path, text);
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_command_that_would_call_cargo_without_the_patch_is_refused() {
    let fixture = Fixture::new(MANIFEST);
    executable(&fixture.root().join("bin/cargo-ext"), "#!/bin/sh\nexec cargo tree -i tokio\n");
    executable(&fixture.root().join("bin/cargo-clippy"), "#!/bin/sh\nshift\nexec cargo tree -i tokio \"$@\"\n");
    let path = format!("{}:{}", fixture.root().join("bin").display(), std::env::var("PATH").unwrap());
    let before = fixture.files();
    let run = |name| fixture.command(&["try", "--path", "../redd", "--", name]).env("PATH", &path).output().unwrap();
    let output = run("ext");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("`cargo ext` is a program of its own"), "{}", text(&output));
    // It hands on what stands behind its name.
    assert!(text(&run("clippy")).starts_with("tokio v1.54.1 ("), "{}", text(&run("clippy")));
    assert_eq!(fixture.files(), before);
}

#[test]
fn the_lock_file_is_restored_when_cargo_has_become_the_program() {
    // A shell with the name of Cargo, which opens no lock of a build folder.
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    let (shell, path) = (fixture.root().join("shell/cargo"), fixture.root().join("quick-cargo"));
    fs::create_dir(shell.parent().unwrap()).unwrap();
    fs::copy("/bin/sh", &shell).unwrap();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    executable(
        &path,
        &format!(
            "#!{}\ncase \" $* \" in *' run '*) sleep 0.5; exec sleep 50;; esac\nexec '{cargo}' \"$@\"\n",
            shell.display()
        ),
    );
    let mut command = fixture.command(&["try", "--path", "../redd", "--", "run"]);
    let mut child = command.env("CARGO", path).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
    until("the lock file is restored while the program runs", || fixture.files() == before);
    assert!(child.try_wait().unwrap().is_none());
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
}

#[test]
fn a_usual_command_of_cargo_beside_a_trial_does_not_stop_it() {
    // The first check of the lock file finds that another command has put Tokio back.
    let fixture = Fixture::new(MANIFEST);
    let before = fixture.files();
    let path = fixture.root().join("beside-cargo");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let once = fixture.root().join("once");
    executable(
        &path,
        &format!(
            "#!/bin/sh\ncase \" $* \" in *' --locked '*) [ -e '{0}' ] || {{ touch '{0}'; '{cargo}' metadata --format-version=1 >/dev/null; }};; \
             esac\nexec '{cargo}' \"$@\"\n",
            once.display()
        ),
    );
    let mut command = fixture.command(&["try", "--path", "../redd", "--", "tree", "-i", "tokio"]);
    let output = command.env("CARGO", path).output().unwrap();
    assert!(once.exists());
    assert!(text(&output).starts_with("tokio v1.54.1 ("), "{}", text(&output));
    assert_eq!(fixture.files(), before);
}
