//! `AsyncFd`: readiness of descriptors that redd did not create.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{join, join_all};
use redd::io::unix::AsyncFd;
use redd::io::{Interest, Ready};
use redd::runtime::{Builder, Runtime};
use std::error::Error;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// A runtime whose driver is polled by its worker and by this thread in `block_on`.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("resources left")
}

fn pair() -> (AsyncFd<UnixStream>, UnixStream) {
    let (inner, theirs) = UnixStream::pair().expect("descriptors left");
    inner.set_nonblocking(true).expect("a socket");
    (AsyncFd::new(inner).expect("room"), theirs)
}

#[test]
fn operations_are_not_tried_before_readiness() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("resources left");
    let _guard = runtime.enter();
    let (ours, _theirs) = pair();
    let refused = ours.try_io(Interest::READABLE, |_| -> io::Result<()> { panic!("nothing is there to read") });
    assert_eq!(refused.expect_err("not ready").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_guard_clears_readiness_only_if_the_operation_would_block() {
    let runtime = runtime();
    let _guard = runtime.enter();
    let (ours, mut theirs) = pair();
    assert!(block_on(ours.writable()).expect("open").ready().is_writable());
    assert!(ours.readable().now_or_never().is_none());
    theirs.write_all(b"ab").expect("open");
    let mut byte = [0];
    for expected in [b'a', b'b'] {
        let mut guard = block_on(ours.readable()).expect("open");
        let read = guard.try_io(|fd| fd.get_ref().read(&mut byte));
        assert_eq!(read.expect("there").expect("open"), 1);
        assert_eq!(byte, [expected]);
    }
    let mut guard = block_on(ours.readable()).expect("readiness is not yet cleared");
    assert!(guard.try_io(|fd| fd.get_ref().read(&mut byte)).is_err());
    assert!(guard.ready().is_empty());
    assert!(ours.readable().now_or_never().is_none());
    let refused = ours.try_io(Interest::READABLE, |_| Ok(()));
    assert_eq!(refused.expect_err("not ready").kind(), io::ErrorKind::WouldBlock);
    assert!(ours.try_io(Interest::WRITABLE, |_| Ok(())).is_ok());
}

#[test]
fn a_matching_clear_leaves_the_other_direction() {
    let runtime = runtime();
    let _guard = runtime.enter();
    let (mut ours, mut theirs) = pair();
    theirs.write_all(b"x").expect("open");
    drop(block_on(join(ours.readable(), ours.writable())));
    let both = Interest::READABLE | Interest::WRITABLE;
    let mut guard = block_on(ours.ready_mut(both)).expect("open");
    assert_eq!(guard.ready(), Ready::READABLE | Ready::WRITABLE);
    guard.clear_ready_matching(Ready::READABLE);
    assert_eq!(guard.ready(), Ready::WRITABLE);
    guard.retain_ready();
    assert!(ours.readable().now_or_never().is_none());
    assert!(ours.writable().now_or_never().is_some());
}

#[test]
fn a_clear_does_not_remove_the_end_of_reading() {
    let runtime = runtime();
    let _guard = runtime.enter();
    let (ours, theirs) = pair();
    theirs.shutdown(std::net::Shutdown::Write).expect("open");
    let mut guard = block_on(ours.readable()).expect("open");
    guard.clear_ready();
    let again = block_on(ours.readable()).expect("open");
    assert!(again.ready().is_read_closed());
}

#[test]
fn async_io_tries_again_after_each_event_for_any_number_of_tasks() {
    let runtime = runtime();
    let _guard = runtime.enter();
    let (ours, mut theirs) = pair();
    let readers = (0..8).map(|_| {
        ours.async_io(Interest::READABLE, |mut inner| {
            let mut byte = [0];
            inner.read(&mut byte).map(|_| byte[0])
        })
    });
    let write = async { theirs.write_all(&[7; 8]).expect("open") };
    let (bytes, ()) = block_on(join(join_all(readers), write));
    assert!(bytes.into_iter().all(|byte| byte.expect("open") == 7));
}

#[test]
fn the_object_is_returned_and_a_refusal_says_why() {
    let runtime = runtime();
    let _guard = runtime.enter();
    let (ours, _theirs) = pair();
    let again = AsyncFd::new(ours.into_inner()).expect("it has left");
    assert!(AsyncFd::new(again.as_fd()).is_err(), "it is registered");
    let file = tempfile::tempfile().expect("a file");
    let error = AsyncFd::try_new(file).expect_err("not pollable");
    assert!(error.to_string().contains("must be open"));
    assert!(error.source().is_some());
    let (file, cause) = error.into_parts();
    assert!(file.metadata().is_ok());
    assert_eq!(cause.raw_os_error(), Some(libc::EPERM));
}

/// Polls a future once and leaks it without dropping it.
#[allow(clippy::mem_forget, reason = "forgetting is safe, so it must do no harm")]
fn poll_and_forget<F: Future>(future: F, waker: &Waker) {
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    std::mem::forget(future);
}

#[test]
fn a_leaked_wait_does_no_harm_to_the_descriptor_or_to_its_next_user() {
    let (count, waker) = counted_waker();
    let runtime = Builder::new_current_thread().enable_all().build().expect("resources left");
    let _guard = runtime.enter();
    for _ in 0..3 {
        let (ours, theirs) = pair();
        poll_and_forget(ours.readable(), &waker);
        poll_and_forget(ours.ready(Interest::READABLE), &waker);
        poll_and_forget(ours.async_io(Interest::READABLE, |_| Ok(())), &waker);
        drop(ours);
        assert_eq!(Arc::strong_count(&count), 2, "the wakers are dropped with the registration");
        drop(theirs);
        // The next registration reuses the slot.
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").expect("open");
        runtime.block_on(async { ours.readable().await.map(drop) }).expect("open");
    }
}

fn counted_waker() -> (Arc<impl Wake + Send + Sync + 'static>, Waker) {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    let nothing = Arc::new(Nothing);
    (Arc::clone(&nothing), Waker::from(nothing))
}
