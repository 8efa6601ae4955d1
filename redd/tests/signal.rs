//! Signals on real runtimes. Each test has a signal of its own, for they share the process.

use redd::runtime::{Builder, Runtime};
use redd::signal::unix::{SignalKind, signal};

/// Sends a signal to this process.
fn send(kind: SignalKind) {
    let number = kind.as_raw_value().to_string();
    let id = std::process::id().to_string();
    let status = std::process::Command::new("kill").args(["-s", &number, &id]).status();
    assert!(status.expect("kill is there").success());
}

#[test]
fn listeners_in_two_runtimes_each_receive_each_signal() {
    let kind = SignalKind::user_defined1();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let runtime = Runtime::new().expect("threads left");
            let mut listener = runtime.block_on(async { signal(kind) }).expect("allowed");
            std::thread::Builder::new().spawn(move || runtime.block_on(listener.recv())).expect("threads left")
        })
        .collect();
    send(kind);
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), Some(()));
    }
}

#[test]
fn a_listener_goes_on_in_another_runtime_when_its_own_is_gone() {
    let kind = SignalKind::user_defined2();
    let first = Runtime::new().expect("threads left");
    let mut listener = first.block_on(async { signal(kind) }).expect("allowed");
    drop(first);
    let second = Runtime::new().expect("threads left");
    for _ in 0..3 {
        send(kind);
        assert_eq!(second.block_on(listener.recv()), Some(()));
    }
}

#[test]
fn ctrl_c_is_awaited_by_several_tasks() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("descriptors left");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4).map(|_| redd::spawn(redd::signal::ctrl_c())).collect();
        redd::task::yield_now().await;
        send(SignalKind::interrupt());
        for task in tasks {
            task.await.expect("no panic").expect("allowed");
        }
    });
}

#[test]
fn a_signal_that_allows_no_handler_is_an_error() {
    let runtime = Runtime::new().expect("threads left");
    runtime.block_on(async {
        for number in [9, 11, 19, 0, -1, 65] {
            assert!(signal(SignalKind::from_raw(number)).is_err());
        }
    });
}

#[test]
#[should_panic(expected = "enter one first")]
fn listening_outside_of_a_runtime_panics() {
    let _ = signal(SignalKind::hangup());
}
