//! Copies, one way and both.

use super::script::{Script, Step, block_on, block_on_runtime, poll_once};
use proptest::prelude::*;
use redd::io::{self, *};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

fn reads() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 1..50).prop_map(Step::Owned),
        1 => Just(Step::Pending),
        1 => Just(Step::Interrupted),
    ];
    proptest::collection::vec(step, 0..20)
}

fn writes() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_usize).prop_map(Step::Take),
        1 => Just(Step::Pending),
        1 => Just(Step::Interrupted),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn all_bytes_are_copied_in_order(reads in reads(), writes in writes(), capacity in 1..20_usize) {
        let mut all = Vec::new();
        for step in &reads {
            if let Step::Owned(piece) = step {
                all.extend_from_slice(piece);
            }
        }
        let mut writer = Script::writing(&writes);
        let mut reader = Script::reading(&reads);
        let (mut from, mut to) = (join(&mut reader, sink()), join(empty(), &mut writer));
        let copied = block_on(copy_bidirectional_with_sizes(&mut from, &mut to, capacity, 1));
        prop_assert_eq!(copied.unwrap(), (all.len() as u64, 0));
        prop_assert_eq!(&writer.written, &all);
        prop_assert!(writer.flushes > 0);

        let mut writer = Script::writing(&writes);
        let mut reader = BufReader::with_capacity(capacity, Script::reading(&reads));
        prop_assert_eq!(block_on(copy_buf(&mut reader, &mut writer)).unwrap(), all.len() as u64);
        prop_assert_eq!(&writer.written, &all);
    }
}

#[test]
fn what_was_written_is_flushed_before_the_copy_waits_for_more() {
    for is_buffered in [false, true] {
        let mut reader = Script::reading(&[Step::Data(b"salmon"), Step::Pending]);
        let mut writer = Script::default();
        if is_buffered {
            let mut reader = BufReader::new(reader);
            assert!(poll_once(pin!(copy_buf(&mut reader, &mut writer))).is_pending());
        } else {
            assert!(poll_once(pin!(copy(&mut reader, &mut writer))).is_pending());
        }
        assert_eq!((writer.flushes, &writer.written[..]), (1, &b"salmon"[..]));
    }
}

#[test]
fn a_copy_continues_to_read_while_the_writer_is_not_ready() {
    let mut reader = Script::reading(&[Step::Data(b"sal"), Step::Data(b"mon")]);
    // Everything in one write.
    let mut writer = Script::writing(&[Step::Pending, Step::Take(6), Step::Error]);
    assert_eq!(block_on(copy(&mut reader, &mut writer)).unwrap(), 6);
    assert_eq!(writer.written, b"salmon");
}

#[test]
fn copies_that_are_always_ready_yield_to_other_tasks() {
    block_on_runtime(async {
        let endless = redd::spawn(async { copy(&mut repeat(1), &mut sink()).await });
        // A user's reader that does not consume the budget.
        struct Endless;
        impl AsyncRead for Endless {
            fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                buf.put_slice(&[1]);
                Poll::Ready(Ok(()))
            }
        }
        let buffered = redd::spawn(async { copy_buf(&mut BufReader::new(Endless), &mut Script::default()).await });
        redd::task::yield_now().await;
        redd::task::yield_now().await;
        endless.abort();
        buffered.abort();
        assert!(endless.await.unwrap_err().is_cancelled());
        assert!(buffered.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn the_end_of_one_direction_shuts_its_writer_down_while_the_other_continues() {
    let (mut client, mut proxy_in) = duplex(64);
    let (mut proxy_out, mut server) = duplex(64);
    let mut proxy = pin!(copy_bidirectional(&mut proxy_in, &mut proxy_out));
    block_on(async {
        client.write_all(b"ping").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(poll_once(proxy.as_mut()).is_pending());
        let mut request = String::new();
        server.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "ping");
        server.write_all(b"salmon").await.unwrap();
        drop(server);
        assert_eq!(proxy.await.unwrap(), (4, 6));
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        assert_eq!(reply, "salmon");
    });
}

#[test]
fn an_error_in_one_direction_ends_both() {
    let mut a = join(Script::reading(&[Step::Pending]), Script::default());
    let mut b = join(Script::reading(&[Step::Error]), Script::default());
    assert!(poll_once(pin!(copy_bidirectional(&mut a, &mut b))).is_ready());
}

#[test]
#[should_panic(expected = "`b_to_a_buf_size` must be greater than 0")]
fn a_buffer_of_zero_bytes_panics() {
    let (mut a, mut b) = (duplex(1).0, duplex(1).0);
    let _ = block_on(copy_bidirectional_with_sizes(&mut a, &mut b, 1, 0));
}
