//! `BufReader` compared with that of std.

use super::script::{Script, Step, block_on};
use proptest::prelude::*;
use redd::io::*;
use std::io::Cursor;
use std::io::{BufRead as _, Read as _, Seek as _};

#[derive(Clone, Debug)]
enum Op {
    Read(usize),
    Fill,
    Consume(usize),
    Seek(SeekFrom),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..12_usize).prop_map(Op::Read),
        Just(Op::Fill),
        (0..6_usize).prop_map(Op::Consume),
        (0..40_u64).prop_map(|n| Op::Seek(SeekFrom::Start(n))),
        (-40..40_i64).prop_map(|n| Op::Seek(SeekFrom::Current(n))),
        (-40..10_i64).prop_map(|n| Op::Seek(SeekFrom::End(n))),
        Just(Op::Seek(SeekFrom::Current(i64::MIN))),
    ]
}

proptest! {
    #[test]
    fn reading_and_seeking_agree_with_std(ops in proptest::collection::vec(op(), 0..30), capacity in 1..9_usize) {
        let bytes: Vec<u8> = (0..32).collect();
        let mut ours = BufReader::with_capacity(capacity, Cursor::new(bytes.clone()));
        let mut theirs = std::io::BufReader::with_capacity(capacity, Cursor::new(bytes));
        block_on(async {
            for op in ops {
                match op {
                    Op::Read(len) => {
                        let (mut a, mut b) = (vec![0; len], vec![0; len]);
                        prop_assert_eq!(ours.read(&mut a).await.unwrap(), theirs.read(&mut b).unwrap());
                        prop_assert_eq!(a, b);
                    }
                    Op::Fill => prop_assert_eq!(ours.fill_buf().await.unwrap(), theirs.fill_buf().unwrap()),
                    Op::Consume(len) => {
                        let len = len.min(ours.buffer().len());
                        ours.consume(len);
                        theirs.consume(len);
                    }
                    Op::Seek(position) => {
                        let (a, b) = (ours.seek(position).await, theirs.seek(position));
                        prop_assert_eq!(a.ok(), b.ok());
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn large_reads_bypass_an_empty_buffer() {
    block_on(async {
        let mut reader = BufReader::with_capacity(2, Script::reading(&[Step::Data(b"salmon")]));
        let mut buf = [0; 3];
        assert_eq!(reader.read(&mut buf).await.unwrap(), 3);
        assert_eq!(reader.buffer(), b"");
        assert_eq!(reader.read(&mut buf[..1]).await.unwrap(), 1);
        assert_eq!(reader.buffer(), b"o");
        assert_eq!(reader.read(&mut buf).await.unwrap(), 1);
    });
}

#[test]
#[should_panic(expected = "capacity must be greater than zero")]
fn a_buffer_of_zero_bytes_panics() {
    BufReader::with_capacity(0, &b""[..]);
}
