//! Small adapters, and `empty`, `repeat`, `sink`.

use super::script::{Script, block_on, block_on_runtime};
use redd::io::{self, *};
use std::io::{Cursor, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

#[test]
fn a_chain_reads_both_readers_in_order() {
    block_on(async {
        let mut chain = (&b"sal"[..]).chain(&b"mon"[..]);
        assert_eq!(chain.read(&mut []).await.unwrap(), 0);
        let mut all = Vec::new();
        chain.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"salmon");

        let mut line = String::new();
        let mut chain = (&b"sal"[..]).chain(&b"mon\nroe"[..]);
        chain.read_line(&mut line).await.unwrap();
        assert_eq!(line, "salmon\n");
        assert_eq!(chain.into_inner(), (&b""[..], &b"roe"[..]));
    });
}

#[test]
fn take_ends_at_its_limit_and_leaves_the_rest() {
    block_on(async {
        let mut reader = &b"redd\nsalmon"[..];
        let mut text = String::new();
        let mut part = (&mut reader).take(7);
        part.read_line(&mut text).await.unwrap();
        assert_eq!(part.limit(), 2);
        part.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "redd\nsa");
        assert_eq!(part.fill_buf().await.unwrap(), b"");
        part.set_limit(1);
        assert_eq!(part.fill_buf().await.unwrap(), b"l");
        assert_eq!(reader, b"lmon");
    });
}

#[test]
fn take_appends_after_the_filled_part() {
    let mut memory = [0; 6];
    let mut buf = ReadBuf::new(&mut memory);
    buf.put_slice(b"x");
    let mut part = (&b"salmon"[..]).take(3);
    let read = std::future::poll_fn(|cx| AsyncRead::poll_read(std::pin::Pin::new(&mut part), cx, &mut buf));
    block_on(read).unwrap();
    assert_eq!(buf.filled(), b"xsal");
}

#[test]
fn halves_recognise_each_other_and_unsplit_returns_the_stream() {
    let (reader, mut writer) = split(join(Script::default(), Script::default()));
    let (_other_reader, other_writer) = split(join(Script::default(), Script::default()));
    assert!(reader.is_pair_of(&writer) && writer.is_pair_of(&reader));
    assert!(!reader.is_pair_of(&other_writer));
    block_on(writer.write_all(b"salmon")).unwrap();
    assert_eq!(reader.unsplit(writer).writer().written, b"salmon");
}

#[test]
#[should_panic(expected = "Check `is_pair_of` first")]
fn unsplit_of_halves_of_two_streams_panics() {
    let (reader, _) = split(duplex(1).0);
    let (_, writer) = split(duplex(1).0);
    reader.unsplit(writer);
}

#[test]
fn a_panic_of_the_stream_leaves_the_other_half_usable() {
    struct Panicking;
    impl AsyncRead for Panicking {
        fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, _buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            panic!("a reader that panics");
        }
    }
    let (mut reader, mut writer) = split(join(Panicking, Vec::new()));
    let read =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(AsyncReadExt::read(&mut reader, &mut [0]))));
    assert!(read.is_err());
    block_on(writer.write_all(b"salmon")).unwrap();
}

#[test]
fn an_empty_stream_reads_nothing_discards_writes_and_stays_at_0() {
    block_on(async {
        let mut empty = empty();
        let mut buf = Vec::new();
        assert_eq!(empty.read_to_end(&mut buf).await.unwrap(), 0);
        assert_eq!(empty.fill_buf().await.unwrap(), b"");
        empty.write_all(b"salmon").await.unwrap();
        empty.shutdown().await.unwrap();
        assert_eq!(empty.seek(SeekFrom::End(i64::MIN)).await.unwrap(), 0);
    });
}

#[test]
fn a_sink_accepts_all_slices_and_repeat_fills_the_buffer() {
    block_on(async {
        let pieces = [IoSlice::new(b"sal"), IoSlice::new(b""), IoSlice::new(b"mon")];
        assert_eq!(sink().write_vectored(&pieces).await.unwrap(), 6);
        let mut buf = Vec::with_capacity(10);
        let read = repeat(3).read_buf(&mut buf).await.unwrap();
        assert_eq!((read, buf), (10, vec![3; 10]));
    });
}

#[test]
fn seek_moves_and_returns_the_position() {
    block_on(async {
        let mut cursor = Cursor::new(vec![0; 10]);
        assert_eq!(cursor.seek(SeekFrom::End(-3)).await.unwrap(), 7);
        assert_eq!(cursor.seek(SeekFrom::Current(-2)).await.unwrap(), 5);
        assert_eq!(cursor.stream_position().await.unwrap(), 5);
        assert!(cursor.seek(SeekFrom::Current(-6)).await.is_err());
        assert_eq!(cursor.stream_position().await.unwrap(), 5);
        assert_eq!(cursor.rewind().await.unwrap(), 0);
    });
}

#[test]
fn stdout_and_stderr_accept_and_flush_bytes() {
    block_on_runtime(async {
        for _ in 0..3 {
            let mut out = stdout();
            out.write_all(b"").await.unwrap();
            out.write_all(b"\n").await.unwrap();
            out.shutdown().await.unwrap();
            stderr().flush().await.unwrap();
        }
    });
}

#[test]
fn standard_streams_have_descriptors_0_1_and_2() {
    assert_eq!((stdin().as_raw_fd(), stdout().as_raw_fd(), stderr().as_raw_fd()), (0, 1, 2));
    assert_eq!(stdout().as_fd().as_raw_fd(), 1);
}
