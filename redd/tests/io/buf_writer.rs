//! `BufWriter` and `BufStream`.

use super::script::{Script, Step, block_on};
use proptest::prelude::*;
use redd::io::*;
use std::io::{Cursor, IoSlice};

#[test]
fn small_writes_are_joined_and_large_ones_bypass_the_buffer() {
    block_on(async {
        let mut writer = BufWriter::with_capacity(4, Script::default());
        writer.write_all(b"sa").await.unwrap();
        writer.write_all(b"l").await.unwrap();
        assert_eq!((writer.buffer(), &writer.get_ref().written[..]), (&b"sal"[..], &b""[..]));
        writer.write_all(b"mo").await.unwrap();
        assert_eq!((writer.buffer(), &writer.get_ref().written[..]), (&b"mo"[..], &b"sal"[..]));
        writer.write_all(b"nroe").await.unwrap();
        assert_eq!((writer.buffer(), &writer.get_ref().written[..]), (&b""[..], &b"salmonroe"[..]));
        writer.shutdown().await.unwrap();
        assert!(writer.get_ref().is_shut_down);
    });
}

#[test]
fn a_failed_flush_continues_where_it_stopped() {
    block_on(async {
        let steps = [Step::Take(2), Step::Interrupted, Step::Pending, Step::Error];
        let mut writer = BufWriter::new(Script::writing(&steps));
        writer.write_all(b"salmon").await.unwrap();
        assert!(writer.flush().await.is_err());
        writer.flush().await.unwrap();
        assert_eq!(writer.into_inner().written, b"salmon");
    });
}

#[test]
fn seeking_flushes_first() {
    block_on(async {
        let mut writer = BufWriter::with_capacity(3, Cursor::new(Vec::new()));
        writer.write_all(b"salmon").await.unwrap();
        writer.write_all(b"ro").await.unwrap();
        assert_eq!(writer.stream_position().await.unwrap(), 8);
        assert_eq!(writer.seek(SeekFrom::Start(2)).await.unwrap(), 2);
        writer.write_all(b"xy").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(writer.into_inner().into_inner(), b"saxyonro");
    });
}

proptest! {
    #[test]
    fn all_bytes_arrive_in_order(
        writes in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..7), 0..4), 0..20),
        capacity in 0..9_usize,
        is_vectored in any::<bool>(),
    ) {
        async fn run<W: AsyncWrite + Unpin>(writes: &[Vec<Vec<u8>>], mut writer: BufWriter<W>) -> W {
            for pieces in writes {
                // Bytes that a vectored write does not accept are written afterwards.
                let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                let taken = writer.write_vectored(&slices).await.unwrap();
                writer.write_all(&pieces.concat()[taken..]).await.unwrap();
                assert!(writer.buffer().len() <= 8);
            }
            writer.flush().await.unwrap();
            writer.into_inner()
        }
        let all = writes.concat().concat();
        let written = if is_vectored {
            block_on(run(&writes, BufWriter::with_capacity(capacity, Vec::new())))
        } else {
            block_on(run(&writes, BufWriter::with_capacity(capacity, Script::default()))).written
        };
        prop_assert_eq!(written, all);
    }
}

#[test]
fn converting_a_buf_writer_of_a_buf_reader_keeps_both_buffers() {
    block_on(async {
        let (mut peer, stream) = duplex(64);
        peer.write_all(b"salmon").await.unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(reader.fill_buf().await.unwrap(), b"salmon");
        let mut writer = BufWriter::new(reader);
        writer.write_all(b"redd").await.unwrap();
        let mut stream = BufStream::from(writer);
        let mut word = [0; 6];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"salmon");
        stream.flush().await.unwrap();
        peer.read_exact(&mut word[..4]).await.unwrap();
        assert_eq!(&word[..4], b"redd");
    });
}

#[test]
fn seeking_a_stream_flushes_and_discards() {
    block_on(async {
        let mut stream = BufStream::with_capacity(1, 8, Cursor::new(b"a\nb\nc\n".to_vec()));
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(stream.seek(SeekFrom::Start(2)).await.unwrap(), 2);
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, "x\n");
    });
}
