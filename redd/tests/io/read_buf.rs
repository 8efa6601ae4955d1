//! `ReadBuf` compared with a vector and a length.

#![expect(unsafe_code, reason = "`assume_init` is called for initialised bytes")]

use bytes::BufMut;
use proptest::prelude::*;
use redd::io::*;
use std::mem::MaybeUninit;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Initialize(usize),
    Advance(usize),
    SetFilled(usize),
    Clear,
    Take(usize, Vec<u8>),
    PutMut(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let some_bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        some_bytes().prop_map(Step::Put),
        (0..12_usize).prop_map(Step::Initialize),
        (0..12_usize).prop_map(Step::Advance),
        (0..20_usize).prop_map(Step::SetFilled),
        Just(Step::Clear),
        ((0..12_usize), some_bytes()).prop_map(|(n, bytes)| Step::Take(n, bytes)),
        some_bytes().prop_map(Step::PutMut),
    ]
}

/// The simple version: a vector of the initialised bytes, and a length.
struct Model {
    known: Vec<u8>,
    filled: usize,
    capacity: usize,
}

impl Model {
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.filled < self.known.len() {
                self.known[self.filled] = *byte;
            } else {
                self.known.push(*byte);
            }
            self.filled += 1;
        }
    }
}

proptest! {
    #[test]
    fn a_read_buf_behaves_like_a_vector_and_a_length(steps in proptest::collection::vec(step(), 0..40)) {
        let mut memory = [MaybeUninit::<u8>::uninit(); 16];
        let mut buf = ReadBuf::uninit(&mut memory);
        let mut model = Model { known: Vec::new(), filled: 0, capacity: 16 };
        for step in steps {
            let room = model.capacity - model.filled;
            match step {
                Step::Put(bytes) if bytes.len() <= room => {
                    buf.put_slice(&bytes);
                    model.put(&bytes);
                }
                Step::PutMut(bytes) if bytes.len() <= room => {
                    BufMut::put(&mut buf, &bytes[..]);
                    model.put(&bytes);
                }
                Step::Initialize(n) if n <= room => {
                    let end = model.filled + n;
                    if model.known.len() < end {
                        model.known.resize(end, 0);
                    }
                    prop_assert_eq!(buf.initialize_unfilled_to(n), &model.known[model.filled..end]);
                }
                Step::Advance(n) if model.filled + n <= model.known.len() => {
                    buf.advance(n);
                    model.filled += n;
                }
                Step::SetFilled(n) if n <= model.known.len() => {
                    buf.set_filled(n);
                    model.filled = n;
                }
                Step::Take(n, bytes) if bytes.len() <= n && n <= room => {
                    let mut part = buf.take(n);
                    prop_assert_eq!(part.capacity(), n);
                    prop_assert!(part.filled().is_empty());
                    part.put_slice(&bytes);
                    // SAFETY: `put_slice` has just written them.
                    unsafe { buf.assume_init(bytes.len()) };
                    buf.advance(bytes.len());
                    model.put(&bytes);
                }
                Step::Clear => {
                    buf.clear();
                    model.filled = 0;
                }
                Step::Put(_) | Step::PutMut(_) | Step::Initialize(_) | Step::Advance(_) | Step::SetFilled(_)
                | Step::Take(..) => {}
            }
            prop_assert_eq!(buf.filled(), &model.known[..model.filled]);
            prop_assert_eq!(buf.initialized(), &model.known[..]);
            prop_assert_eq!(buf.remaining(), model.capacity - model.filled);
            prop_assert_eq!(buf.chunk_mut().len(), buf.remaining_mut());
        }
    }
}

#[test]
#[should_panic(expected = "Write them first")]
fn advancing_over_uninitialised_bytes_panics() {
    ReadBuf::uninit(&mut [MaybeUninit::uninit(); 2]).advance(1);
}

#[test]
#[should_panic(expected = "Advance by the bytes that were written")]
fn an_advance_that_overflows_panics() {
    let mut memory = [0; 2];
    let mut buf = ReadBuf::new(&mut memory);
    buf.advance(1);
    buf.advance(usize::MAX);
}

#[test]
#[should_panic(expected = "Append at most `remaining` bytes")]
fn put_slice_of_more_than_fits_panics() {
    ReadBuf::new(&mut [0; 2]).put_slice(b"abc");
}

#[test]
#[should_panic(expected = "Check `remaining` first")]
fn initialising_more_than_remains_panics() {
    ReadBuf::new(&mut [0; 2]).initialize_unfilled_to(3);
}
