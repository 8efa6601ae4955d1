//! Signals on real runtimes. Each test uses a signal of its own, because all tests share the process.

#![expect(unsafe_code, reason = "raises signals")]

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{join, join_all};
use redd::runtime::{Builder, Runtime};
use redd::signal::unix::{SignalKind, signal};

/// Sends a signal to this thread; its handler has run when this returns.
fn send(kind: SignalKind) {
    // SAFETY: no pointers are passed.
    let failed = unsafe { libc::raise(kind.as_raw_value()) };
    assert_eq!(failed, 0, "a signal to oneself is allowed");
}

#[test]
fn every_listener_in_every_runtime_receives_each_signal() {
    let kind = SignalKind::user_defined1();
    let runtimes = [Runtime::new().expect("threads left"), Runtime::new().expect("threads left")];
    let listen = |runtime: &Runtime| runtime.block_on(async { signal(kind) }).expect("allowed");
    let mut listeners: Vec<_> = (0..10).map(|index| listen(&runtimes[index % 2])).collect();
    for _ in 0..3 {
        let all = join_all(listeners.iter_mut().map(|listener| listener.recv()));
        let (received, ()) = block_on(join(all, async { send(kind) }));
        assert_eq!(received, [Some(()); 10]);
    }
    for runtime in runtimes {
        assert_eq!(runtime.metrics().io_driver_fd_registered_count(), 1, "listeners share a descriptor");
    }
}

#[test]
fn signals_between_two_calls_are_kept_as_one_and_earlier_ones_are_not_seen() {
    let kind = SignalKind::quit();
    let runtime = Runtime::new().expect("threads left");
    runtime.block_on(async {
        let mut early = signal(kind).expect("allowed");
        send(kind);
        send(kind);
        assert_eq!(early.recv().await, Some(()));
        assert_eq!(early.recv().now_or_never(), None);
        let mut late = signal(kind).expect("allowed");
        assert_eq!(late.recv().now_or_never(), None);
        send(kind);
        assert_eq!(late.recv().await, Some(()));
    });
}

#[test]
fn a_new_listener_receives_a_signal_that_no_driver_poll_has_seen() {
    let kind = SignalKind::io();
    let runtime = Builder::new_current_thread().enable_all().build().expect("descriptors left");
    runtime.block_on(async {
        drop(signal(kind).expect("allowed"));
        send(kind);
        let mut listener = signal(kind).expect("allowed");
        assert_eq!(listener.recv().now_or_never(), Some(Some(())));
        send(kind);
        // There is nothing else to do, so the runtime polls its driver.
        redd::time::sleep(std::time::Duration::from_millis(1)).await;
        let mut late = signal(kind).expect("allowed");
        assert_eq!(late.recv().now_or_never(), None);
        assert_eq!(listener.recv().now_or_never(), Some(Some(())));
    });
}

#[test]
fn a_shut_down_runtime_ends_the_listener() {
    let runtime = Runtime::new().expect("threads left");
    let mut listener = runtime.block_on(async { signal(SignalKind::window_change()) }).expect("allowed");
    assert_eq!(listener.recv().now_or_never(), None);
    drop(runtime);
    assert_eq!(block_on(listener.recv()), None);
}

#[test]
fn a_listener_works_in_another_runtime_after_its_own_has_ended() {
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
        // The C library reserves signal 33.
        for number in [9, 11, 19, 33, 0, -1, 65, 100_000] {
            let error = signal(SignalKind::from_raw(number)).expect_err("refused");
            assert!(number == 33 || error.kind() == std::io::ErrorKind::Other);
        }
    });
}

#[test]
#[should_panic(expected = "enter one first")]
fn listening_outside_of_a_runtime_panics() {
    let _ = signal(SignalKind::hangup());
}

#[test]
fn a_dump_names_the_line_that_waits_for_ctrl_c() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("descriptors left");
    runtime.block_on(async {
        let line = line!() + 1;
        let task = redd::spawn(async { redd::signal::ctrl_c().await });
        redd::task::yield_now().await;
        let dump = runtime.handle().dump().await.to_string();
        assert!(dump.contains(&format!("waits: Signal at {}:{line}:", file!())), "{dump}");
        task.abort();
    });
}
