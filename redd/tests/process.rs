//! Child processes on real runtimes.

use futures::FutureExt;
use futures::executor::block_on;
use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use redd::process::{Child, Command};
use redd::runtime::{Builder, Runtime};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("descriptors left")
}

/// A runtime whose driver is polled on a thread of its own.
fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("descriptors left")
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().expect("the program is there")
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
fn many_children_exit_at_once_and_each_status_reaches_its_waiter() {
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
fn lines_are_exchanged_with_a_child() {
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
fn kill_on_drop_kills_the_child_of_an_aborted_task_and_leaves_no_zombie() {
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
        while is_there(id) {
            redd::task::yield_now().await;
        }
    });
}

/// Whether the process still exists, even as a zombie.
fn is_there(id: u32) -> bool {
    std::fs::exists(format!("/proc/{id}")).expect("proc is mounted")
}

#[test]
fn a_status_stays_available_after_the_wait() {
    one_thread().block_on(async {
        let mut child = spawn(Command::new("sh").args(["-c", "exit 7"]));
        assert!(child.id().is_some());
        assert_eq!(child.wait().await.expect("ours").code(), Some(7));
        assert_eq!(child.id(), None);
        assert_eq!(child.wait().now_or_never().expect("known").expect("ours").code(), Some(7));
        assert_eq!(child.try_wait().expect("ours").expect("known").code(), Some(7));
        child.start_kill().expect("nothing to do");
    });
}

#[test]
fn a_dropped_child_keeps_running_and_is_reaped_by_this_runtime_or_the_next() {
    let (first, second) = (one_thread(), one_thread());
    let start = || {
        let mut child = spawn(Command::new("cat").stdin(Stdio::piped()));
        (child.id().expect("runs"), child.stdin.take())
    };
    first.block_on(async {
        let (id, stdin) = start();
        redd::task::yield_now().await;
        assert!(is_there(id), "it runs on");
        drop(stdin);
        while is_there(id) {
            redd::task::yield_now().await;
        }
    });
    let (id, stdin) = first.block_on(async { start() });
    drop(first);
    drop(stdin);
    while is_there(id) {
        // Starting a child also reaps the children that were left over.
        second.block_on(async { Command::new("true").status().await }).expect("true is there");
    }
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

#[test]
fn a_child_reads_its_input_to_the_end_and_its_output_is_collected() {
    let runtime = one_worker();
    let _guard = runtime.enter();
    let mut cat = Command::new("cat");
    cat.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = spawn(&mut cat);
    let mut stdin = child.stdin.take().expect("piped");
    let text = vec![b'x'; 300_000];
    let (written, output) = block_on(futures::future::join(
        async {
            stdin.write_all(&text).await?;
            drop(stdin);
            io::Result::Ok(())
        },
        child.wait_with_output(),
    ));
    written.expect("it reads");
    let output = output.expect("it ends");
    assert!(output.status.success());
    assert!(output.stdout == text);
}

#[test]
fn waiting_closes_the_input_so_that_the_child_can_end() {
    let runtime = one_worker();
    let _guard = runtime.enter();
    let mut cat = Command::new("cat");
    let mut child = spawn(cat.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdout = child.stdout.take().expect("piped");
    assert!(block_on(child.wait()).expect("ours").success());
    let mut left = Vec::new();
    assert_eq!(block_on(stdout.read_to_end(&mut left)).expect("open"), 0);
}

#[test]
fn a_killed_child_ends_by_the_signal() {
    let runtime = one_worker();
    let _guard = runtime.enter();
    let mut child = spawn(Command::new("sleep").arg("1000"));
    assert!(child.try_wait().expect("ours").is_none());
    assert!(child.wait().now_or_never().is_none());
    block_on(child.kill()).expect("runs");
    let status = child.try_wait().expect("ours").expect("ended");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

#[test]
fn the_output_of_one_child_can_be_the_input_of_another() {
    let runtime = one_worker();
    let _guard = runtime.enter();
    let mut echo = Command::new("echo");
    let mut first = spawn(echo.arg("spawned").stdout(Stdio::piped()));
    let pipe: Stdio = first.stdout.take().expect("piped").try_into().expect("registered");
    let mut cat = Command::new("cat");
    let second = spawn(cat.stdin(pipe).stdout(Stdio::piped()));
    drop(cat);
    let output = block_on(second.wait_with_output()).expect("it ends");
    assert_eq!(output.stdout, b"spawned\n");
    assert!(block_on(first.wait()).expect("ours").success());
}

#[test]
fn pipes_are_moved_out_of_a_child_and_what_is_left_is_dropped_as_a_child() {
    one_thread().block_on(async {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let id = {
            let child = spawn(&mut command);
            let id = child.id().expect("it runs");
            let (mut stdin, mut stdout) = (child.stdin.expect("it is piped"), child.stdout.expect("it is piped"));
            stdin.write_all(b"out").await.expect("cat reads");
            let mut bytes = [0; 3];
            stdout.read_exact(&mut bytes).await.expect("cat writes");
            assert_eq!(&bytes, b"out");
            id
        };
        // As for a whole child: `cat` was killed, and is waited for.
        while is_there(id) {
            redd::task::yield_now().await;
        }

        let Child { stdin, .. } = spawn(&mut command);
        assert!(stdin.is_some());
    });
}

#[test]
fn a_dump_names_the_line_that_waits_for_a_child() {
    let runtime = one_thread();
    runtime.block_on(async {
        let line = line!() + 3;
        let (mut wait, mut output) = (Command::new("sleep"), Command::new("sleep"));
        let tasks = [
            redd::spawn(async move { wait.arg("1000").kill_on_drop(true).status().await.map(drop) }),
            redd::spawn(async move { output.arg("1000").kill_on_drop(true).output().await.map(drop) }),
        ];
        redd::task::yield_now().await;
        let dump = runtime.handle().dump().await.to_string();
        assert!(dump.contains(&format!("waits: Process at {}:{line}:", file!())), "{dump}");
        assert!(!dump.contains("src/process"), "{dump}");
        tasks.iter().for_each(redd::task::JoinHandle::abort);
    });
}
