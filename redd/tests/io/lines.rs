//! Lines and segments.

use super::script::{Script, Step, block_on, poll_once};
use proptest::prelude::*;
use redd::io::*;
use std::pin::{Pin, pin};
use std::string::FromUtf8Error;

/// The stream in random chunks, with pauses and interruptions between them.
fn pieces(alphabet: &'static [u8]) -> impl Strategy<Value = Vec<Step>> {
    let piece = proptest::collection::vec(proptest::sample::select(alphabet), 1..8);
    let step = prop_oneof![
        5 => piece.prop_map(Step::Owned),
        1 => Just(Step::Pending),
        1 => Just(Step::Interrupted),
    ];
    proptest::collection::vec(step, 0..24)
}

fn joined(steps: &[Step]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in steps {
        if let Step::Owned(piece) = step {
            bytes.extend_from_slice(piece);
        }
    }
    bytes
}

proptest! {
    #[test]
    fn read_until_agrees_with_std(steps in pieces(b"abc;"), capacity in 1..20_usize) {
        let bytes = joined(&steps);
        let mut expected = &bytes[..];
        let mut reader = BufReader::with_capacity(capacity, Script::reading(&steps));
        block_on(async {
            loop {
                let (mut ours, mut theirs) = (b"x".to_vec(), b"x".to_vec());
                let len = reader.read_until(b';', &mut ours).await.unwrap();
                prop_assert_eq!(len, std::io::BufRead::read_until(&mut expected, b';', &mut theirs).unwrap());
                prop_assert_eq!(ours, theirs);
                if len == 0 {
                    return Ok(());
                }
            }
        })?;
    }

    #[test]
    fn lines_and_segments_agree_with_std(steps in pieces(b"ab\r\n"), capacity in 1..20_usize) {
        let bytes = joined(&steps);
        let mut lines = BufReader::with_capacity(capacity, Script::reading(&steps)).lines();
        let mut segments = BufReader::with_capacity(capacity, Script::reading(&steps)).split(b'a');
        block_on(async {
            for line in std::io::BufRead::lines(&bytes[..]) {
                prop_assert_eq!(lines.next_line().await.unwrap(), Some(line.unwrap()));
            }
            prop_assert_eq!(lines.next_line().await.unwrap(), None);
            for segment in std::io::BufRead::split(&bytes[..], b'a') {
                let Ok(segment) = segment else { unreachable!("memory does not fail") };
                prop_assert_eq!(segments.next_segment().await.unwrap(), Some(segment));
            }
            prop_assert_eq!(segments.next_segment().await.unwrap(), None);
            Ok(())
        })?;
    }
}

#[test]
fn read_line_keeps_text_before_an_error_and_rejects_invalid_utf_8() {
    block_on(async {
        for before in ["", "a "] {
            let mut line = before.to_owned();
            let steps = [Step::Data(b"salmon"), Step::Error];
            let mut reader = BufReader::new(Script::reading(&steps));
            assert_eq!(reader.read_line(&mut line).await.unwrap_err().kind(), ErrorKind::Other);
            assert_eq!(line, format!("{before}salmon"));

            let mut line = before.to_owned();
            let error = AsyncBufReadExt::read_line(&mut &b"sal\xff\n"[..], &mut line).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(line, before);

            let steps = [Step::Data(b"sal\xff"), Step::Error];
            let mut reader = BufReader::new(Script::reading(&steps));
            assert_eq!(reader.read_line(&mut line).await.unwrap_err().kind(), ErrorKind::Other);
            assert_eq!(line, before);
        }
    });
}

#[test]
fn read_until_continues_after_a_drop() {
    let steps = [Step::Data(b"sal"), Step::Pending, Step::Data(b"mon;roe")];
    let mut reader = BufReader::new(Script::reading(&steps));
    let mut buf = Vec::new();
    assert!(poll_once(pin!(reader.read_until(b';', &mut buf))).is_pending());
    assert_eq!(block_on(reader.read_until(b';', &mut buf)).unwrap(), 4);
    assert_eq!(buf, b"salmon;");
}

#[test]
fn fill_buf_returns_bytes_until_they_are_consumed() {
    block_on(async {
        let steps = [Step::Pending, Step::Data(b"salmon"), Step::Error];
        let mut reader = BufReader::new(Script::reading(&steps));
        assert_eq!(reader.fill_buf().await.unwrap(), b"salmon");
        reader.consume(3);
        assert_eq!(reader.fill_buf().await.unwrap(), b"mon");
        reader.consume(3);
        assert!(reader.fill_buf().await.is_err());
        assert_eq!(reader.fill_buf().await.unwrap(), b"");
    });
}

#[test]
fn the_traits_are_dyn_compatible() {
    block_on(async {
        let mut reader: Box<dyn AsyncBufRead + Send + Unpin> = Box::new(&b"one\ntwo"[..]);
        let mut line = String::new();
        AsyncBufReadExt::read_line(&mut reader, &mut line).await.unwrap();
        let mut pinned: Pin<Box<dyn AsyncRead>> = Box::pin(reader);
        line.clear();
        AsyncReadExt::read_to_string(&mut pinned, &mut line).await.unwrap();
        assert_eq!(line, "two");
    });
}

#[test]
fn an_unfinished_line_survives_a_drop_and_an_error() {
    let steps = [Step::Data(b"sal\xc3"), Step::Pending, Step::Data(b"\xa9"), Step::Error, Step::Data(b"mon\nroe")];
    let mut lines = BufReader::new(Script::reading(&steps)).lines();
    assert!(poll_once(pin!(lines.next_line())).is_pending());
    assert!(block_on(lines.next_line()).is_err());
    let mut next = || block_on(lines.next_line()).unwrap();
    assert_eq!(next().as_deref(), Some("sal\u{e9}mon"));
    assert_eq!(next().as_deref(), Some("roe"));
    assert_eq!(next(), None);
}

#[test]
fn a_line_of_invalid_utf_8_is_skipped_and_its_bytes_are_in_the_error() {
    let mut lines = (&b"one\n\xff\xfe\r\ntwo\n\xff"[..]).lines();
    let mut next = || block_on(lines.next_line());
    assert_eq!(next().unwrap().as_deref(), Some("one"));
    let error = next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let error = error.into_inner().unwrap().downcast::<FromUtf8Error>().unwrap();
    assert_eq!(error.into_bytes(), b"\xff\xfe");
    assert_eq!(next().unwrap().as_deref(), Some("two"));
    assert!(next().is_err());
    assert_eq!(next().unwrap(), None);
}
