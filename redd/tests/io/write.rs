//! Writing, from one slice and from several.

use super::script::{Script, Step, block_on};
use bytes::Buf;
use redd::io::*;
use std::io::{Cursor, IoSlice};

#[test]
fn write_all_continues_after_short_and_interrupted_writes() {
    block_on(async {
        let steps = [Step::Take(2), Step::Interrupted, Step::Pending, Step::Take(1)];
        let mut writer = Script::writing(&steps);
        writer.write_all(b"salmon").await.unwrap();
        assert_eq!(writer.written, b"salmon");
        let mut full = Script::writing(&[Step::Take(2), Step::Take(0)]);
        let error = full.write_all(b"salmon").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn write_all_buf_advances_by_what_was_written() {
    block_on(async {
        let mut buf = Buf::chain(&b"sal"[..], &b"mon"[..]);
        let mut writer = Script::writing(&[Step::Take(2), Step::Interrupted, Step::Error]);
        assert!(writer.write_all_buf(&mut buf).await.is_err());
        assert_eq!(buf.remaining(), 4);
        writer.write_all_buf(&mut buf).await.unwrap();
        assert_eq!(writer.written, b"salmon");
    });
}

#[test]
fn vectored_writers_receive_all_slices_at_once() {
    block_on(async {
        let mut buf = Buf::chain(&b"sal"[..], &b"mon"[..]);
        let mut vec = Vec::new();
        assert_eq!(vec.write_buf(&mut buf).await.unwrap(), 6);
        assert_eq!(vec.write_buf(&mut buf).await.unwrap(), 0);
        let pieces = [IoSlice::new(b""), IoSlice::new(b"ro"), IoSlice::new(b"e")];
        assert_eq!(vec.write_vectored(&pieces).await.unwrap(), 3);
        assert_eq!(vec, b"salmonroe");
        // A writer that is not vectored writes the first slice that is not empty.
        assert_eq!(Script::default().write_vectored(&pieces).await.unwrap(), 2);
    });
}

#[test]
fn a_cursor_accepts_what_fits() {
    block_on(async {
        let mut memory = [0; 4];
        let mut cursor = Cursor::new(&mut memory[..]);
        assert_eq!(cursor.write(b"sal").await.unwrap(), 3);
        assert_eq!(cursor.write(b"mon").await.unwrap(), 1);
        let error = cursor.write_all(b"on").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
        assert_eq!(&memory, b"salm");
    });
}
