//! Child processes on real runtimes.

use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use redd::process::Command;
use redd::runtime::{Builder, Runtime};
use std::process::Stdio;

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("descriptors left")
}

#[test]
fn a_child_is_waited_for_in_another_runtime_than_it_was_started_in() {
    let (first, second) = (one_thread(), one_thread());
    let spawn = || async {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).spawn().expect("cat is there")
    };
    let mut left_alive = first.block_on(spawn());
    assert!(second.block_on(left_alive.wait()).expect("ours").success());
    let mut left_dead = first.block_on(spawn());
    drop(first);
    assert!(second.block_on(left_dead.wait()).expect("ours").success());
}

#[test]
fn many_children_end_at_once_and_each_status_reaches_its_own() {
    let runtime = Runtime::new().expect("threads left");
    runtime.block_on(async {
        let waits: Vec<_> = (0..32)
            .map(|code| {
                redd::spawn(async move {
                    let mut shell = Command::new("sh");
                    shell.arg("-c").arg(format!("exit {code}"));
                    (code, shell.status().await.expect("sh is there").code())
                })
            })
            .collect();
        for wait in waits {
            let (code, status) = wait.await.expect("no panic");
            assert_eq!(status, Some(code));
        }
    });
}

#[test]
fn a_dialogue_with_a_child_goes_line_by_line() {
    one_thread().block_on(async {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cat.spawn().expect("cat is there");
        let mut stdin = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for round in 0..20 {
            let line = format!("round {round}");
            stdin.write_all(line.as_bytes()).await.expect("it reads");
            stdin.write_all(b"\n").await.expect("it reads");
            assert_eq!(lines.next_line().await.expect("open"), Some(line));
        }
        drop(stdin);
        assert_eq!(lines.next_line().await.expect("open"), None);
        assert!(child.wait().await.expect("ours").success());
    });
}

#[test]
fn a_child_in_an_aborted_task_is_killed_if_asked_and_leaves_no_zombie() {
    one_thread().block_on(async {
        let (sender, receiver) = redd::sync::oneshot::channel();
        let task = redd::spawn(async move {
            let mut sleep = Command::new("sleep");
            let mut child = sleep.arg("1000").kill_on_drop(true).spawn()?;
            let _ = sender.send(child.id().expect("runs"));
            child.wait().await
        });
        let id = receiver.await.expect("it starts");
        task.abort();
        assert!(task.await.expect_err("aborted").is_cancelled());
        while std::fs::exists(format!("/proc/{id}")).expect("proc is mounted") {
            redd::task::yield_now().await;
        }
    });
}

#[test]
#[should_panic(expected = "enter one first")]
fn starting_a_child_outside_of_a_runtime_panics_before_it_starts() {
    let _ = Command::new("true").spawn();
}

#[test]
#[should_panic(expected = "enable_io")]
fn starting_a_child_without_io_panics_before_it_starts() {
    let runtime = Builder::new_current_thread().build().expect("no resources");
    runtime.block_on(async {
        let _ = Command::new("true").spawn();
    });
}
