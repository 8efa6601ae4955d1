//! Reading text into a `String`: the bytes are collected, checked when they are complete, and appended or rejected as a
//! whole.
//!
//! Called by `read_ext::read_to_string` and `buf_read_ext::read_line`.
//!
//! # Invariants
//! - `never-half`: the string gets new text only when the operation is complete, so a drop does not change it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::AsyncRead;
use super::operation::Operation;
use super::read_to_end::VecFill;

/// Collects the bytes for a string. If the string is empty, its allocation holds them, and nothing is copied.
#[derive(Debug)]
pub(super) struct TextBuffer<'a> {
    target: &'a mut String,
    pub(super) bytes: Vec<u8>,
}

/// What happens to text that was read before an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnError {
    Keep,
    Discard,
}

impl<'a> TextBuffer<'a> {
    pub(super) fn new(target: &'a mut String) -> Self {
        let bytes = if target.is_empty() { std::mem::take(target).into_bytes() } else { Vec::new() };
        Self { target, bytes }
    }

    /// Completes the operation: the bytes are appended to the string, or become an error.
    pub(super) fn finish(&mut self, result: io::Result<usize>, on_error: OnError) -> io::Result<usize> {
        if result.is_err() && on_error == OnError::Discard {
            self.bytes.clear();
        }
        let is_text = self.append();
        let len = result?;
        is_text.map(|()| len)
    }

    fn append(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        if self.target.is_empty() {
            match String::from_utf8(bytes) {
                Ok(text) => *self.target = text,
                Err(error) => {
                    let reason = error.utf8_error();
                    // `drop` returns the allocation to the string.
                    self.bytes = error.into_bytes();
                    return Err(io::Error::new(ErrorKind::InvalidData, reason));
                }
            }
            return Ok(());
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            self.target.push_str(text);
            return Ok(());
        }
        // As in Tokio, the error's position counts from the start of the string. Only an error pays for this copy.
        let mut whole = self.target.clone().into_bytes();
        whole.extend_from_slice(&bytes);
        match std::str::from_utf8(&whole) {
            Err(reason) => Err(io::Error::new(ErrorKind::InvalidData, reason)),
            Ok(_) => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Returns the allocation to an empty string (`never-half`: without text in it).
impl Drop for TextBuffer<'_> {
    fn drop(&mut self) {
        if self.target.capacity() == 0 {
            self.bytes.clear();
            if let Ok(empty) = String::from_utf8(std::mem::take(&mut self.bytes)) {
                *self.target = empty;
            }
        }
    }
}

/// The operation of [`AsyncReadExt::read_to_string`](super::AsyncReadExt::read_to_string).
#[derive(Debug)]
pub struct ReadToString<'a> {
    text: TextBuffer<'a>,
    fill: VecFill,
}

impl<'a> ReadToString<'a> {
    pub(super) fn new(target: &'a mut String) -> Self {
        let text = TextBuffer::new(target);
        Self { fill: VecFill::new(&text.bytes), text }
    }
}

impl<R: AsyncRead + ?Sized> Operation<R> for ReadToString<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let result = ready!(self.fill.poll_to_end(reader, &mut self.text.bytes, cx));
        Poll::Ready(self.text.finish(result, OnError::Discard))
    }
}
