//! Standard error cannot be written to. Each case replaces descriptor 2, and reports through standard output.
//!
//! No case uses the program's panic hook, which writes to standard error itself.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::time::Duration;

use redd::runtime::{Builder, Rescue, Runtime};

use crate::{Case, case, until};

pub(crate) const CASES: &[Case] = &[
    case("standard error is a pipe whose reader has gone", "writes nothing itself", without_a_reader),
    case("standard error is a full pipe that is not read", "writes nothing itself", full_pipe),
    case("standard error is a full socket that is not read", "writes nothing itself", full_socket),
    case("standard error is closed", "writes nothing itself", closed),
    case("standard error is on a full disk", "writes nothing itself", full_disk),
    case("a task blocks while it holds the lock of standard error", "writes nothing itself", locked_by_a_task),
    case("a report is made just before the process ends", "writes nothing itself", written_on_return),
    case("a report follows some that could not be written", "writes nothing itself", told_afterwards),
];

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the system writes two numbers to our own memory.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: the system has just created these descriptors.
    unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) }
}

/// Makes this file descriptor 2. Ignores SIGPIPE, which would end the process if the reader is gone.
fn replace_stderr(with: &impl AsRawFd) {
    // SAFETY: no handler is installed, and the descriptor is open.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        assert_eq!(libc::dup2(with.as_raw_fd(), 2), 2);
    }
}

/// Fills the buffer behind this descriptor. Restores its flags afterwards.
fn fill(file: &impl AsRawFd) {
    let fd = file.as_raw_fd();
    // SAFETY: the bytes outlive the calls.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
        for len in [4096, 1] {
            while libc::write(fd, [b'.'; 4096].as_ptr().cast(), len) > 0 {}
        }
        libc::fcntl(fd, libc::F_SETFL, flags);
    }
}

fn panic_unjoined(runtime: &Runtime) {
    let task = runtime.spawn(async { resume_unwind(Box::new("not joined")) });
    until(|| task.is_finished());
    drop(task);
    let (end, ended) = mpsc::channel::<()>();
    // This panic is reported on the worker.
    drop(runtime.spawn(async move {
        let _end = end;
        resume_unwind(Box::new("not joined"))
    }));
    ended.recv().unwrap_err();
}

/// Causes each kind of report twice. No report may hang, panic or be lost.
fn reports_are_made() {
    for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
        let rescue = Rescue::new().report_after(Duration::from_millis(20));
        let runtime = builder.worker_threads(2).rescue(rescue).enable_all().build().unwrap();
        let _enter = runtime.enter();
        for round in 1..=2 {
            let (beat, beats) = mpsc::channel();
            if runtime.handle().runtime_flavor() == redd::runtime::RuntimeFlavor::MultiThread {
                panic_unjoined(&runtime);
                let metrics = runtime.metrics();
                // The monitor has reported the previous poll, and continues.
                let blocked = runtime.spawn(async move { until(|| metrics.late_polls() >= round) });
                drop(runtime.spawn(async move { beat.send(7).unwrap_or(()) }));
                assert_eq!(beats.recv(), Ok(7));
                futures::executor::block_on(blocked).unwrap();
            }
            let joined = runtime.block_on(async {
                drop(redd::spawn(async { resume_unwind(Box::new("not joined")) }));
                redd::task::yield_now().await;
                redd::spawn(async { 5 }).await.unwrap()
            });
            assert_eq!(joined, 5);
        }
        // After a second, a shutdown reports what it waits for.
        drop(runtime.spawn_blocking(|| std::thread::sleep(Duration::from_millis(1200))));
        drop(_enter);
        drop(runtime);
    }
}

fn without_a_reader() {
    let (reader, writer) = pipe();
    drop(reader);
    replace_stderr(&writer);
    reports_are_made();
}

fn full_pipe() {
    let (reader, writer) = pipe();
    fill(&writer);
    replace_stderr(&writer);
    reports_are_made();
    drop(reader);
}

fn full_socket() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    fill(&far);
    replace_stderr(&far);
    reports_are_made();
    drop(near);
}

fn closed() {
    // SAFETY: std allows that descriptor 2 is closed.
    unsafe { libc::close(2) };
    reports_are_made();
}

fn full_disk() {
    replace_stderr(&File::options().write(true).open("/dev/full").unwrap());
    reports_are_made();
}

fn locked_by_a_task() {
    let (mut reader, writer) = pipe();
    fill(&writer);
    replace_stderr(&writer);
    let (start, started) = mpsc::channel();
    let blocked = std::thread::spawn(move || {
        let mut stderr = std::io::stderr().lock();
        start.send(()).unwrap();
        // This blocks until the pipe is read.
        stderr.write_all(&[b'x'; 1 << 20]).unwrap();
    });
    started.recv().unwrap();
    reports_are_made();
    let reader = std::thread::spawn(move || {
        reader.read(&mut vec![0; 4 << 20]).and_then(|_| std::io::copy(&mut reader, &mut std::io::sink()))
    });
    blocked.join().unwrap();
    // SAFETY: no other code writes to it now.
    unsafe { libc::close(2) };
    drop(writer);
    reader.join().unwrap().unwrap();
}

/// The current content of the pipe.
fn take(reader: &mut File) -> String {
    let mut text = vec![0; 1 << 16];
    let len = reader.read(&mut text).unwrap();
    String::from_utf8(text[..len].to_vec()).unwrap()
}

/// Causes a panic that is reported on this thread, when the handle is dropped.
fn panic_here(runtime: &Runtime) {
    let task = runtime.spawn(async { resume_unwind(Box::new("no stock")) });
    runtime.block_on(redd::task::yield_now());
    assert!(task.is_finished());
    drop(task);
}

fn written_on_return() {
    let (mut reader, writer) = pipe();
    replace_stderr(&writer);
    panic_here(&crate::current_thread());
    let text = take(&mut reader);
    assert!(text.starts_with("redd: task "), "{text}");
    assert!(text.ends_with("set a hook with `Builder::on_unhandled_panic`.\n"), "{text}");
    assert!(text.contains("panicked with \"no stock\", and its `JoinHandle` was not awaited."), "{text}");
}

fn told_afterwards() {
    let (mut reader, writer) = pipe();
    fill(&writer);
    replace_stderr(&writer);
    let runtime = crate::current_thread();
    (0..2).for_each(|_| panic_here(&runtime));
    // SAFETY: no pointers are passed.
    unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    while reader.read(&mut [0; 4096]).is_ok() {}
    (0..2).for_each(|_| panic_here(&runtime));
    let text = take(&mut reader);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].ends_with(" (2 reports could not be written.)"), "{text}");
    assert!(lines[1].ends_with("`Builder::on_unhandled_panic`."), "{text}");
}
