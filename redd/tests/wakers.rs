//! Leaked futures, and wakers that use the object that they wait for. Neither causes harm or a deadlock.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::drop_non_drop, reason = "the end of what was waited for is what is tested")]
#![allow(clippy::disallowed_methods, reason = "a watchdog needs a thread of the outside world")]

mod support;

use std::cell::RefCell;
use std::future::Future;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redd::fs::File;
use redd::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use redd::runtime::{Builder, Runtime};
use redd::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use redd::time::{sleep, timeout};
use support::{Wakes, odd_waker, poll_with};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `test` on its own thread, and fails if it deadlocks.
#[track_caller]
fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    let waited = is_done.recv_timeout(Duration::from_secs(30));
    assert!(waited != Err(std::sync::mpsc::RecvTimeoutError::Timeout), "the test deadlocks");
    thread.join().unwrap();
}

fn poll_read(stream: &mut DuplexStream, waker: &Waker) -> Poll<std::io::Result<usize>> {
    let mut bytes = [0; 4];
    let mut buf = ReadBuf::new(&mut bytes);
    let polled = Pin::new(stream).poll_read(&mut Context::from_waker(waker), &mut buf);
    polled.map_ok(|()| buf.filled().len())
}

fn poll_write(stream: &mut DuplexStream, waker: &Waker) -> Poll<std::io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(waker), b"1234")
}

#[test]
fn a_waker_may_use_the_other_side_of_a_duplex_stream() {
    ends(|| {
        let (mut ours, theirs) = duplex(4);
        let theirs = Rc::new(RefCell::new(Some(theirs)));
        let other = Rc::clone(&theirs);
        let waker = odd_waker::new(move || {
            if let Some(theirs) = &mut *other.borrow_mut() {
                let _ = poll_write(theirs, Waker::noop());
                let _ = poll_read(theirs, Waker::noop());
            }
        });
        // The clone of the waker writes the bytes that this poll waits for.
        assert!(matches!(poll_read(&mut ours, &waker), Poll::Ready(Ok(4))));
        let _ = poll_write(&mut ours, &waker);
        for _ in 0..4 {
            let _ = poll_read(&mut ours, &waker);
            let _ = poll_write(&mut ours, &waker);
        }
        let theirs = theirs.take();
        drop(theirs);
        drop(ours);
    });
}

#[test]
fn a_waker_that_drops_the_other_side_of_a_duplex_stream_ends_the_wait() {
    ends(|| {
        let (mut ours, theirs) = duplex(4);
        let mut theirs = Some(theirs);
        let waker = odd_waker::new(move || drop(theirs.take()));
        assert!(matches!(poll_read(&mut ours, &waker), Poll::Ready(Ok(0))));
    });
}

#[test]
fn a_waker_may_use_the_file_that_it_waits_for() {
    ends(|| {
        runtime().block_on(async {
            for _ in 0..50 {
                let mut std = tempfile::tempfile().unwrap();
                std.write_all(&[7; 64]).unwrap();
                let file = Rc::new(File::from_std(std));
                let other = Rc::clone(&file);
                let waker = odd_waker::new(move || {
                    let _ = poll_with(pin!(other.set_len(3)), Waker::noop());
                    let _ = poll_with(pin!(other.sync_all()), Waker::noop());
                });
                let _ = poll_with(pin!(file.set_len(32)), &waker);
                let _ = poll_with(pin!(file.sync_all()), &waker);
                let _ = poll_with(pin!(file.sync_all()), &waker);
                file.sync_all().await.unwrap();
            }
        });
    });
}

#[test]
fn a_waker_whose_clone_panics_leaves_streams_and_files_usable() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    runtime().block_on(async {
        let (mut ours, mut theirs) = duplex(4);
        let file = File::from_std(tempfile::tempfile().unwrap());
        // The file is busy, so the next operation has to wait.
        let _ = poll_with(pin!(file.set_len(3)), Waker::noop());
        {
            let log = support::wakers::WakerLog::new().panic_in_clone();
            let waker = log.waker();
            assert!(catch_unwind(AssertUnwindSafe(|| poll_read(&mut ours, &waker))).is_err());
            let _ = catch_unwind(AssertUnwindSafe(|| poll_with(pin!(file.set_len(5)), &waker)));
            drop(waker);
            log.assert_ended();
        }
        theirs.write_all(b"x").await.unwrap();
        assert!(matches!(poll_read(&mut ours, Waker::noop()), Poll::Ready(Ok(1))));
        file.set_len(7).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 7);
    });
}

/// Waits with a waker that calls `entangled` when it is cloned, woken or dropped. Then `wake` ends the wait.
fn entangle<F: Future>(future: F, entangled: impl FnMut() + 'static, wake: impl FnOnce()) {
    let waker = odd_waker::new(entangled);
    let mut future = pin!(future);
    // The second waker replaces the first one, and the first one replaces the second.
    for waker in [&waker, Waker::noop(), &waker] {
        if poll_with(future.as_mut(), waker).is_ready() {
            return;
        }
    }
    wake();
    let _ = poll_with(future.as_mut(), &waker);
}

#[test]
fn a_waker_may_use_the_lock_or_channel_that_it_waits_for() {
    ends(|| {
        let mutex = Arc::new(Mutex::new(()));
        let held = Arc::clone(&mutex).try_lock_owned().unwrap();
        let other = Arc::clone(&mutex);
        entangle(mutex.lock(), move || drop(other.try_lock()), move || drop(held));

        let lock = Arc::new(RwLock::new(()));
        let held = Arc::clone(&lock).try_write_owned().unwrap();
        let other = Arc::clone(&lock);
        entangle(lock.read(), move || drop(other.try_write()), move || drop(held));

        let semaphore = Arc::new(Semaphore::new(0));
        let (other, last) = (Arc::clone(&semaphore), Arc::clone(&semaphore));
        entangle(semaphore.acquire(), move || other.add_permits(1), move || last.close());

        let notify = Arc::new(Notify::new());
        let (other, last) = (Arc::clone(&notify), Arc::clone(&notify));
        entangle(notify.notified(), move || other.notify_waiters(), move || last.notify_one());

        let barrier = Arc::new(Barrier::new(3));
        let other = Arc::clone(&barrier);
        let enter = move || drop(poll_with(pin!(other.wait()), Waker::noop()));
        let last = enter.clone();
        entangle(barrier.wait(), enter, last);

        let cell = Arc::new(SetOnce::new());
        let (other, last) = (Arc::clone(&cell), Arc::clone(&cell));
        entangle(cell.wait(), move || assert!(other.get().is_none()), move || drop(last.set(1)));

        let (sender, mut receiver) = mpsc::channel(1);
        let last = sender.clone();
        entangle(
            receiver.recv(),
            move || {
                let _ = sender.try_send(1);
            },
            move || drop(last),
        );
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(1).unwrap();
        let receiver = Rc::new(RefCell::new(receiver));
        let other = Rc::clone(&receiver);
        entangle(
            sender.send(2),
            move || {
                let _ = other.borrow_mut().try_recv();
            },
            move || receiver.borrow_mut().close(),
        );

        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        entangle(
            receiver,
            move || {
                let _ = sender.take().map(|sender| sender.send(1));
            },
            || (),
        );

        let (sender, mut receiver) = watch::channel(0);
        let sender = Rc::new(sender);
        let last = Rc::clone(&sender);
        entangle(receiver.changed(), move || sender.send_modify(|value| *value += 1), move || drop(last));

        let (sender, mut receiver) = broadcast::channel(1);
        let last = sender.clone();
        entangle(receiver.recv(), move || drop(sender.send(1)), move || drop(last));
    });
}

#[test]
fn a_waker_may_use_the_timers_of_its_runtime() {
    ends(|| {
        let runtime = Rc::new(runtime());
        let other = Rc::clone(&runtime);
        let _guard = runtime.enter();
        let use_timers = move || {
            let _guard = other.enter();
            let _ = poll_with(pin!(sleep(Duration::from_millis(1))), Waker::noop());
        };
        entangle(sleep(Duration::from_secs(60)), use_timers, || ());
    });
}

/// Polls a future once and leaks it without dropping it.
#[allow(clippy::mem_forget, reason = "forgetting is safe, so it must do no harm")]
fn poll_and_forget<F: Future>(future: F, waker: &Waker) {
    let mut future = Box::pin(future);
    assert!(poll_with(future.as_mut(), waker).is_pending());
    std::mem::forget(future);
}

/// A test may drop what a leaked future borrows. Later waiters are served, as long as nothing was already assigned to
/// the leaked one.
#[test]
fn a_leaked_wait_does_no_harm_to_what_it_waited_for() {
    let (_, waker) = Wakes::new();
    let runtime = runtime();
    let _guard = runtime.enter();
    for _ in 0..3 {
        let mutex = Mutex::new(0);
        let held = mutex.try_lock().unwrap();
        poll_and_forget(mutex.lock(), &waker);
        drop(held);
        drop(mutex);

        let lock = RwLock::new(0);
        let held = lock.try_write().unwrap();
        poll_and_forget(lock.read(), &waker);
        poll_and_forget(lock.write(), &waker);
        drop(held);
        drop(lock);

        let semaphore = Semaphore::new(0);
        poll_and_forget(semaphore.acquire_many(2), &waker);
        semaphore.add_permits(1);
        semaphore.close();
        drop(semaphore);

        let notify = Notify::new();
        poll_and_forget(notify.notified(), &waker);
        poll_and_forget(notify.notified(), &waker);
        notify.notify_one();
        notify.notify_waiters();
        poll_and_forget(notify.notified(), &waker);
        drop(notify);

        let barrier = Barrier::new(3);
        poll_and_forget(barrier.wait(), &waker);
        drop(barrier);

        let cell = SetOnce::<i32>::new();
        poll_and_forget(cell.wait(), &waker);
        drop(cell);

        let (sender, mut receiver) = mpsc::channel(1);
        poll_and_forget(receiver.recv(), &waker);
        sender.try_send(1).unwrap();
        poll_and_forget(sender.send(2), &waker);
        poll_and_forget(sender.closed(), &waker);
        assert_eq!(receiver.try_recv(), Ok(1));
        drop(receiver);
        drop(sender);

        let (mut sender, mut receiver) = oneshot::channel::<i32>();
        poll_and_forget(&mut receiver, &waker);
        poll_and_forget(sender.closed(), &waker);
        drop(sender);
        drop(receiver);

        let (sender, mut receiver) = watch::channel(0);
        poll_and_forget(receiver.changed(), &waker);
        poll_and_forget(sender.closed(), &waker);
        sender.send(1).unwrap();
        drop(receiver);
        drop(sender);

        let (sender, mut receiver) = broadcast::channel(1);
        poll_and_forget(receiver.recv(), &waker);
        poll_and_forget(sender.closed(), &waker);
        sender.send(1).unwrap();
        drop(receiver);
        drop(sender);

        poll_and_forget(sleep(Duration::from_millis(1)), &waker);
        poll_and_forget(timeout(Duration::from_millis(1), std::future::pending::<()>()), &waker);
        runtime.block_on(sleep(Duration::from_millis(3)));

        let file = File::from_std(tempfile::tempfile().unwrap());
        let mut set_len = Box::pin(file.set_len(1));
        let _ = poll_with(set_len.as_mut(), &waker);
        #[allow(clippy::mem_forget, reason = "as above")]
        std::mem::forget(set_len);
        drop(file);

        let task = redd::spawn(std::future::pending::<()>());
        poll_and_forget(task, &waker);
        let mut set = redd::task::JoinSet::new();
        set.spawn(std::future::pending::<()>());
        poll_and_forget(set.join_next(), &waker);
        drop(set);
    }
    drop(runtime);
}

#[test]
fn a_leaked_wait_on_a_socket_does_no_harm_to_the_next_user_of_its_slot() {
    use redd::net::{TcpListener, UdpSocket, UnixStream};
    let (_, waker) = Wakes::new();
    let runtime = runtime();
    let _guard = runtime.enter();
    for _ in 0..3 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        poll_and_forget(ours.readable(), &waker);
        drop((ours, theirs));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        poll_and_forget(listener.accept(), &waker);
        drop(listener);
        let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
        poll_and_forget(socket.recv_from(&mut [0; 8]), &waker);
        drop(socket);
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.try_write(b"x").unwrap();
        runtime.block_on(ours.readable()).unwrap();
    }
}
