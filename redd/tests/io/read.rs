//! Reading: some bytes, whole streams, text.

use super::script::{Script, Step, block_on, poll_once};
use redd::io::{self, *};
use std::pin::{Pin, pin};
use std::str::Utf8Error;
use std::task::{Context, Poll};

fn script(steps: &[Step]) -> Script {
    Script::reading(steps)
}

#[test]
fn read_returns_interrupted_and_read_exact_retries() {
    block_on(async {
        let steps = [Step::Data(b"sal"), Step::Interrupted, Step::Pending, Step::Data(b"mon")];
        let mut buf = [0; 6];
        assert_eq!(script(&steps).read_exact(&mut buf).await.unwrap(), 6);
        assert_eq!(&buf, b"salmon");
        let error = script(&steps[1..]).read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    });
}

#[test]
fn read_exact_reports_an_early_end() {
    let mut buf = [0; 3];
    let error = block_on(script(&[Step::Data(b"ab")]).read_exact(&mut buf)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(&buf[..2], b"ab");
}

#[test]
fn read_buf_appends_and_returns_zero_without_room() {
    block_on(async {
        let mut vec = b"x".to_vec();
        assert_eq!(script(&[Step::Data(b"yz")]).read_buf(&mut vec).await.unwrap(), 2);
        assert_eq!(vec, b"xyz");
        let mut nothing: &mut [u8] = &mut [];
        assert_eq!(script(&[Step::Data(b"yz")]).read_buf(&mut nothing).await.unwrap(), 0);
    });
}

#[test]
fn read_to_end_does_not_grow_a_vector_of_the_right_size() {
    let bytes: Vec<u8> = (0..80).collect();
    for capacity in [32, 33, 63, 64, 79, 80, 81, 100] {
        for split in 0..80 {
            let steps = [Step::Owned(bytes[..split].to_vec()), Step::Owned(bytes[split..].to_vec())];
            let mut vec = Vec::with_capacity(capacity);
            let steps = if split == 0 { &steps[1..] } else { &steps[..] };
            assert_eq!(block_on(script(steps).read_to_end(&mut vec)).unwrap(), 80);
            assert_eq!(vec, bytes);
            if capacity >= 80 {
                assert_eq!(vec.capacity(), capacity);
            }
        }
    }
}

#[test]
fn read_to_end_keeps_bytes_read_before_an_error() {
    let mut vec = b"a ".to_vec();
    let steps = [Step::Data(b"sal"), Step::Interrupted, Step::Data(b"mon"), Step::Error];
    assert!(block_on(script(&steps).read_to_end(&mut vec)).is_err());
    assert_eq!(vec, b"a salmon");
}

#[test]
fn read_to_end_zeroes_each_byte_at_most_once() {
    /// Initialises the whole buffer, fills one byte, and counts the bytes that had to be zeroed.
    struct Initializing {
        left: usize,
        zeroed: usize,
    }
    impl AsyncRead for Initializing {
        fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.zeroed += buf.capacity() - buf.initialized().len();
            buf.initialize_unfilled();
            if self.left > 0 {
                self.left -= 1;
                buf.advance(1);
            }
            Poll::Ready(Ok(()))
        }
    }
    let mut reader = Initializing { left: 50, zeroed: 0 };
    let mut vec = Vec::with_capacity(100);
    assert_eq!(block_on(reader.read_to_end(&mut vec)).unwrap(), 50);
    assert_eq!(reader.zeroed, 100);
}

/// Replaces the buffer that it is given with its own.
struct Swapping;
impl AsyncRead for Swapping {
    fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        *buf = ReadBuf::new(Box::leak(vec![7; 64].into_boxed_slice()));
        buf.advance(64);
        Poll::Ready(Ok(()))
    }
}

#[test]
#[should_panic(expected = "It must fill that one")]
fn a_replaced_buffer_panics_in_read_buf() {
    let _ = block_on(Swapping.read_buf(&mut Vec::with_capacity(8)));
}

#[test]
#[should_panic(expected = "It must fill that one")]
fn a_replaced_buffer_panics_in_read_to_end() {
    let _ = block_on(Swapping.read_to_end(&mut Vec::new()));
}

#[test]
#[should_panic(expected = "It must fill that one")]
fn a_replaced_buffer_panics_in_take() {
    let _ = block_on(Swapping.take(8).read(&mut [0; 16]));
}

#[test]
fn read_to_string_appends_text_and_rejects_other_bytes_as_a_whole() {
    block_on(async {
        for before in ["", "a "] {
            let mut text = before.to_owned();
            let steps = [Step::Data(b"sal\xc3"), Step::Interrupted, Step::Data(b"\xa9mon")];
            let mut reader = Script::reading(&steps);
            assert_eq!(reader.read_to_string(&mut text).await.unwrap(), 8);
            assert_eq!(text, format!("{before}sal\u{e9}mon"));

            let mut text = before.to_owned();
            let error = (&b"ok\xff"[..]).read_to_string(&mut text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let reason = error.into_inner().unwrap().downcast::<Utf8Error>().unwrap();
            assert_eq!(reason.valid_up_to(), before.len() + 2);
            assert_eq!(text, before);

            let mut reader = Script::reading(&[Step::Data(b"lost"), Step::Error]);
            assert!(reader.read_to_string(&mut text).await.is_err());
            assert_eq!(text, before);
        }
    });
}

#[test]
fn a_drop_changes_neither_the_string_nor_its_allocation() {
    for before in ["", "kept"] {
        let mut text = String::with_capacity(100);
        text.push_str(before);
        let mut reader = Script::reading(&[Step::Data(b"lost"), Step::Pending]);
        assert!(poll_once(pin!(reader.read_to_string(&mut text))).is_pending());
        assert_eq!(text, before);
        assert!(text.capacity() >= 100);
    }
}
