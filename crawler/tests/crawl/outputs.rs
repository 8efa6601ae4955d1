//! The files and the standard output that results are written to.

use std::os::unix::fs::FileTypeExt as _;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use redd::net::unix::pipe;
use redd::process::{Child, Command};
use redd::time::timeout;

use crate::runs::{program, run, run_to, scratch, state_folder, stderr, stdout};
use crate::server::{Act, missing, page, serve};

/// The options that write files.
const OPTIONS: [&str; 7] = ["--json", "--csv", "--junit", "--markdown", "--sarif", "--html", "--save"];

/// A site of one page, and the number of requests that it received.
async fn counted_site() -> (String, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let home = serve(move |path| {
        seen.fetch_add(1, Ordering::Relaxed);
        if path == "/" { page("") } else { missing() }
    })
    .await;
    (home, requests)
}

#[redd::test]
async fn an_output_that_cannot_be_written_is_noticed_before_the_first_request() {
    let (home, requests) = counted_site().await;
    for option in OPTIONS {
        for path in ["/no/such/folder/file", env!("CARGO_TARGET_TMPDIR")] {
            let output = run(&[option, path, &home]).await;
            assert_eq!(output.status.code(), Some(3), "{option} {path}");
            let text = stderr(&output);
            assert!(text.contains(option) && text.contains(path), "{text}");
        }
    }
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[redd::test]
async fn outputs_that_would_overwrite_each_other_are_refused() {
    let (home, requests) = counted_site().await;
    let (_file, name) = scratch("same");
    for arguments in [&["--json", "-", "--csv", "-", &*home][..], &["--save", &name, "--csv", &name, &home]] {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("--csv"), "{}", stderr(&output));
    }
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[redd::test]
async fn a_device_is_written_to_and_not_replaced() {
    let (home, _) = counted_site().await;
    // Not `/dev/stdout`: a crawler that replaced it would harm the machine.
    let output = run(&["--json", "/proc/self/fd/1", &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"pages\""), "{}", stdout(&output));
}

#[redd::test]
async fn a_symbolic_link_stays_a_link() {
    let (home, _) = counted_site().await;
    let (target, _) = scratch("link-target.json");
    let (link, name) = scratch("link.json");
    std::fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(run(&["--json", &name, &home]).await.status.code(), Some(0));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&target).unwrap().contains("\"pages\""));
}

#[redd::test]
async fn one_output_that_fails_after_the_crawl_leaves_the_others_and_the_report() {
    let pipe = fifo("failing").await;
    let reader = std::sync::Mutex::new(Some(pipe::OpenOptions::new().open_receiver(&pipe).unwrap()));
    let home = serve(move |path| {
        // The crawl is under way, so the pipe was opened. It is never read.
        drop(reader.lock().unwrap().take());
        if path == "/" { page("") } else { missing() }
    })
    .await;
    let (csv, name) = scratch("other.csv");
    let output = run(&["--json", &pipe, "--csv", &name, &home]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("--json {pipe}")), "{}", stderr(&output));
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(std::fs::read_to_string(csv).unwrap().contains("good"));
    assert!(stdout(&output).contains("good"), "{}", stdout(&output));
}

#[redd::test]
async fn a_failed_start_leaves_files_as_they_were() {
    let (home, _) = counted_site().await;
    let (json, name) = scratch("kept.json");
    std::fs::write(&json, "old").unwrap();
    let output = run(&["--json", &name, "--csv", "/no/such/folder/file", &home]).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(&json).unwrap(), "old");
    assert!(!json.with_extension("json.part").exists());
}

#[redd::test]
async fn a_closed_pipe_is_an_output_that_was_not_written() {
    let (home, _) = counted_site().await;
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(reader);
    let output = run_to(Stdio::from(std::os::fd::OwnedFd::from(writer)), &[&home]).await;
    assert_eq!(output.status.code(), Some(3));
}

/// A named pipe of the tests' own.
async fn fifo(name: &str) -> String {
    let (_, name) = scratch(name);
    assert!(Command::new("mkfifo").arg(&name).status().await.unwrap().success());
    name
}

/// Runs the binary from a script, in which `$0` is the binary and the arguments follow.
async fn run_script(script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_redd-crawl")]).args(arguments).kill_on_drop(true);
    command.env("XDG_STATE_HOME", state_folder());
    timeout(Duration::from_secs(60), command.output()).await.expect("the crawl ends").unwrap()
}

#[redd::test]
async fn a_full_device_is_noticed_before_the_first_request() {
    let (home, requests) = counted_site().await;
    // Through a descriptor: a crawler that replaced `/dev/full` would harm the machine.
    for option in OPTIONS {
        let script = "exec \"$0\" \"$1\" /proc/self/fd/3 \"$2\" 3>/dev/full";
        let output = run_script(script, &[option, &home]).await;
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(&format!("{option} /proc/self/fd/3")), "{}", stderr(&output));
    }
    let output = run_script("exec \"$0\" \"$1\" >/dev/full", &[&home]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[redd::test]
async fn a_full_disk_is_noticed_before_the_first_request() {
    let (home, requests) = counted_site().await;
    let (file, name) = scratch("full-disk.json");
    // The limit refuses the first byte of a file, as a full disk does.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" --json \"$1\" \"$2\"";
    let output = run_script(script, &[&name, &home]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("--json {name}")), "{}", stderr(&output));
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    assert!(!file.exists() && !file.with_extension("json.part").exists());
}

/// Starts the binary with its standard error on a pipe.
fn start(arguments: &[&str]) -> (Child, BufReader<redd::process::ChildStderr>) {
    let mut command = program();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    (child, said)
}

async fn send(signal: &str, child: &Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
}

#[redd::test]
async fn signals_leave_no_unfinished_file_and_exit_3() {
    // The start has a broken link, which is printed at once, and a page that never comes.
    let home = serve(|path| match path {
        "/" => page("<a href=gone>g</a><a href=never>n</a>"),
        "/never" => Act::Hang(String::new()),
        _ => missing(),
    })
    .await;
    for signal in ["-TERM", "-INT"] {
        let (file, name) = scratch(&format!("signal{signal}.json"));
        let (mut child, mut said) = start(&["--json", &name, &home]);
        let mut text = String::new();
        let ending = async {
            said.read_line(&mut text).await.unwrap();
            assert!(!file.with_extension("json.part").exists(), "a file that `kill -9` would leave");
            send(signal, &child).await;
            said.read_line(&mut text).await.unwrap();
            assert!(text.contains("interrupted: finishing"), "{text}");
            send(signal, &child).await;
            said.read_to_string(&mut text).await.unwrap();
            child.wait().await.unwrap()
        };
        let status = timeout(Duration::from_secs(20), ending).await.expect("the crawl ends");
        assert_eq!(status.code(), Some(3), "{signal}: {text}");
        assert!(std::fs::read_to_string(&file).unwrap().contains("\"interrupted\""));
        assert!(!file.with_extension("json.part").exists());
    }
}

#[redd::test]
async fn a_signal_ends_the_wait_for_a_pipe_that_is_not_read() {
    let pipe = fifo("unread").await;
    // More than a pipe holds.
    let links: String =
        (0..2000).map(|link| format!("<a href=mailto:{link:0>100}>m</a><a href=x{link}>x</a>")).collect();
    let body = Arc::new(links);
    let home = serve(move |path| if path == "/" { page(&body) } else { missing() }).await;
    // Opened and not read, so the crawler can open it.
    let reader = pipe::OpenOptions::new().open_receiver(&pipe).unwrap();
    let (mut child, mut said) = start(&["--quiet", "--max-pages", "1500", "--json", &pipe, &home]);
    // The first bytes say that the crawl is over.
    let ending = async {
        reader.readable().await.unwrap();
        send("-TERM", &child).await;
        let mut text = String::new();
        said.read_to_string(&mut text).await.unwrap();
        (child.wait().await.unwrap(), text)
    };
    let (status, text) = timeout(Duration::from_secs(60), ending).await.expect("the crawl ends");
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains(&format!("--json {pipe}: was not written: interrupted")), "{text}");
}

#[redd::test]
async fn a_signal_ends_the_wait_for_a_reader_of_a_pipe() {
    let pipe = fifo("without-reader").await;
    let (file, name) = scratch("beside-a-pipe.json");
    let (mut child, mut said) = start(&["--json", &name, "--csv", &pipe, "localhost:1"]);
    let ending = async {
        // Before the signal handlers are set, the program prints nothing to wait for. It sets a handler before it tries
        // the first output.
        while !has_handler(&child, 15) {
            redd::time::sleep(Duration::from_millis(5)).await;
        }
        send("-TERM", &child).await;
        let mut text = String::new();
        said.read_to_string(&mut text).await.unwrap();
        (child.wait().await.unwrap(), text)
    };
    let (status, text) = timeout(Duration::from_secs(60), ending).await.expect("the crawl ends");
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("nothing was crawled"), "{text}");
    assert!(!file.exists() && !file.with_extension("json.part").exists());
}

/// Whether a process handles a signal, by the system's table.
fn has_handler(child: &Child, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}
