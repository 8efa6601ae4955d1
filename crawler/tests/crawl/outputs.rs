//! The files and the standard output that results go to.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redd::process::Command;
use redd::time::timeout;

use crate::runs::{run, run_to, scratch, stderr, stdout};
use crate::server::{missing, page, serve};

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
    for option in ["--json", "--csv", "--save"] {
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
async fn a_symbolic_link_stays_one() {
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
async fn one_failed_output_leaves_the_others_and_the_report() {
    let (home, _) = counted_site().await;
    let (csv, name) = scratch("other.csv");
    // Through a descriptor: a crawler that replaced `/dev/full` would harm the machine.
    let script = "exec \"$0\" --json /proc/self/fd/3 --csv \"$1\" \"$2\" 3>/dev/full";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_redd-crawl"), &name, &home]).kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), command.output()).await.expect("the crawl ends").unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("--json /proc/self/fd/3"), "{}", stderr(&output));
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
