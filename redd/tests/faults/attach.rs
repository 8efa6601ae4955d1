//! Attach requests: each system call of the thread that replies fails in turn. For the program nothing changes, and the next client
//! is served.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redd::runtime::{Builder, Rescue};

use crate::attach_client::{Client, send, taker};
use crate::inject::{
    CONNECT, CONTROL, FaultPoint, GET_OPTION, OPEN, RECV, SEND, SET_OPTION, SIGNAL_WAIT, SOCKET, STATUS,
};
use crate::{Case, case, resources, workers};

pub(crate) const CASES: &[Case] = &[
    case("each call of an attach request fails in turn", "has none", each_call_fails_in_turn),
    case("the thread for attach requests can wait for no signal", "has none", no_signal_can_be_waited_for),
];

/// What a request calls: the name, and an error that the call may have.
const POINTS: &[(&str, &FaultPoint, i32)] = &[
    ("open", &OPEN, libc::EMFILE),
    ("open", &OPEN, libc::EACCES),
    ("statx", &STATUS, libc::EIO),
    ("socket", &SOCKET, libc::EMFILE),
    ("connect", &CONNECT, libc::EAGAIN),
    ("connect", &CONNECT, libc::ECONNREFUSED),
    ("getsockopt", &GET_OPTION, libc::EINVAL),
    ("ioctl", &CONTROL, libc::EINVAL),
    ("setsockopt", &SET_OPTION, libc::EINVAL),
    ("recv", &RECV, libc::ECONNRESET),
    ("recv", &RECV, libc::EAGAIN),
    ("recv", &RECV, libc::EINTR),
    ("write", &SEND, libc::EPIPE),
    ("write", &SEND, libc::EAGAIN),
    ("write", &SEND, libc::EINTR),
    ("sigtimedwait", &SIGNAL_WAIT, libc::EINTR),
];

/// The whole reply to a client whom nothing disturbs.
fn ask() -> String {
    let client = Client::new();
    let mut stream = client.connect();
    stream.write_all(b"redd-attach/1 dump text\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("ok ") && reply.contains("`asked`"), "{reply}");
    reply
}

/// A client that gets what it gets: perhaps no connection. The thread serves one client after the other. So when the next one has its
/// reply, this one has got all.
fn disturbed_client() {
    let client = Client::new();
    send(client.key);
    let is_over = AtomicBool::new(false);
    let converse = || {
        while !is_over.load(Ordering::SeqCst) {
            if let Ok((mut stream, _)) = client.listener.accept() {
                let _ = stream.set_nonblocking(false);
                let _ = stream.write_all(b"redd-attach/1 dump text\n");
                let _ = stream.read_to_end(&mut Vec::new());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(converse);
        ask();
        is_over.store(true, Ordering::SeqCst);
    });
}

fn each_call_fails_in_turn() {
    // With no more threads than it has after its first task.
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).rescue(Rescue::off()).enable_all().name("asked").build().unwrap();
    runtime.spawn(std::future::pending::<()>());
    runtime.block_on(runtime.spawn(async {})).unwrap();
    let (thread, _) = taker();
    ask();
    let before = resources();
    for (name, point, errno) in POINTS {
        // Counts the calls of that thread alone, and fails none.
        point.fail_on(thread, 0, 0, *errno);
        let first = point.calls();
        ask();
        // So that the thread waits again.
        ask();
        let calls = (point.calls() - first).div_ceil(2);
        assert!(calls > 0, "no request calls {name}");
        for call in 0..calls {
            point.fail_on(thread, call, 1, *errno);
            disturbed_client();
            assert!(point.has_failed(), "{name}, call {call} of {calls}");
            assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
        }
        println!("{name}: {calls} calls, each failed once with error {errno}");
    }
    let after = resources();
    assert_eq!((after.0, after.1), (before.0, before.1), "threads and descriptors");
    assert_eq!(taker().0, thread, "it is the same thread");
}

fn no_signal_can_be_waited_for() {
    SIGNAL_WAIT.fail(0, u64::MAX, libc::EINVAL);
    let runtime = workers(2);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_there = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("redd-attach"))
    };
    // The thread ends, and the program goes on.
    crate::until(|| SIGNAL_WAIT.calls() > 0 && !threads().any(is_there));
    assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
    drop(runtime);
    let again = workers(2);
    assert_eq!(again.block_on(again.spawn(async { 1 })).unwrap(), 1);
}
