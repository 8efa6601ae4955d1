//! Pipes in memory.

use super::script::{block_on, poll_once};
use proptest::prelude::*;
use redd::io::*;
use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::Arc;
use std::task::Wake;
use std::task::{Context, Poll, Waker};

#[test]
fn bytes_written_to_one_stream_are_read_from_the_other() {
    block_on(async {
        let (mut a, mut b) = duplex(32);
        let mut word = [0; 4];
        a.write_all(b"ping").await.unwrap();
        b.write_all(b"pong").await.unwrap();
        b.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        a.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    });
}

#[test]
fn dropping_one_stream_ends_reads_and_fails_writes_of_the_other() {
    block_on(async {
        let (mut a, mut b) = duplex(4);
        a.write_all(b"last").await.unwrap();
        assert!(poll_once(pin!(a.write_all(b"more"))).is_pending());
        drop(a);
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last");
        for bytes in [&b"x"[..], b""] {
            assert_eq!(b.write(bytes).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn operations_of_zero_bytes_never_wait() {
    block_on(async {
        let (mut a, mut b) = duplex(1);
        assert_eq!(b.read(&mut []).await.unwrap(), 0);
        a.write_all(b"x").await.unwrap();
        assert_eq!(a.write(&[]).await.unwrap(), 0);
        assert_eq!(a.write_vectored(&[IoSlice::new(&[])]).await.unwrap(), 0);
    });
}

#[test]
fn a_simplex_ends_only_at_its_shutdown() {
    block_on(async {
        let (mut reader, mut writer) = simplex(8);
        writer.write_all(b"salmon").await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(writer.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"salmon");
    });
}

#[test]
#[should_panic(expected = "Give it room for at least one byte")]
fn a_pipe_of_zero_bytes_panics() {
    duplex(0);
}

/// A waker that uses the same pipe when it is woken or dropped: with the lock held it would deadlock.
struct Meddling(DuplexStream);
impl Wake for Meddling {
    fn wake(self: Arc<Self>) {
        let _ = format!("{:?}", self.0);
    }
}

#[test]
fn wakers_are_woken_and_dropped_without_the_lock() {
    let (mut reader, peer) = duplex(1);
    let waker = Waker::from(Arc::new(Meddling(peer)));
    let mut read = pin!(async { reader.read(&mut [0; 1]).await });
    assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    // Replacing the waker drops the peer, which locks the pipe, closes it, and leaves the end to be read.
    assert!(poll_once(read.as_mut()).is_pending());
    assert!(matches!(poll_once(read.as_mut()), Poll::Ready(Ok(0))));

    let (mut reader, mut writer) = duplex(1);
    let (other, _peer) = duplex(1);
    let waker = Waker::from(Arc::new(Meddling(other)));
    let mut read = pin!(async { reader.read(&mut [0; 1]).await });
    assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    block_on(writer.write_all(b"x")).unwrap();
    assert!(matches!(poll_once(read.as_mut()), Poll::Ready(Ok(1))));
}

proptest! {
    #[test]
    fn a_pipe_is_a_bounded_queue_of_bytes(steps in proptest::collection::vec((any::<bool>(), 0..9_usize), 0..60), max in 1..8_usize) {
        let mut pipe = SimplexStream::new_unsplit(max);
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut next = 0_u8;
        for (is_write, len) in steps {
            if is_write {
                let bytes: Vec<u8> = (0..len).map(|i| next.wrapping_add(i as u8)).collect();
                let halves = bytes.split_at(len / 2);
                let pieces = [IoSlice::new(halves.0), IoSlice::new(halves.1)];
                let room = max - model.len();
                match poll_once(pin!(pipe.write_vectored(&pieces))) {
                    Poll::Pending => prop_assert!(room == 0 && len > 0),
                    Poll::Ready(written) => {
                        let written = written.unwrap();
                        prop_assert_eq!(written, len.min(room));
                        model.extend(&bytes[..written]);
                        next = next.wrapping_add(written as u8);
                    }
                }
            } else {
                let mut buf = vec![0; len];
                match poll_once(pin!(pipe.read(&mut buf))) {
                    Poll::Pending => prop_assert!(model.is_empty() && len > 0),
                    Poll::Ready(read) => {
                        let read = read.unwrap();
                        prop_assert_eq!(read, len.min(model.len()));
                        prop_assert_eq!(&buf[..read], &model.drain(..read).collect::<Vec<_>>()[..]);
                    }
                }
            }
        }
    }
}
