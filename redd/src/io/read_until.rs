//! Reading up to a delimiter.
//!
//! Called by `buf_read_ext` (`read_until`, `read_line`) and by `lines`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::AsyncBufRead;
use super::operation::Operation;

/// Appends bytes up to and including `delimiter` to `buf`. `len` counts them over several polls.
pub(super) fn poll_until<R: AsyncBufRead + ?Sized>(
    mut reader: Pin<&mut R>,
    delimiter: u8,
    buf: &mut Vec<u8>,
    len: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        let available = ready_or_retry!(reader.as_mut().poll_fill_buf(cx));
        let found = memchr::memchr(delimiter, available);
        let used = found.map_or(available.len(), |index| index + 1);
        buf.extend_from_slice(&available[..used]);
        reader.as_mut().consume(used);
        *len += used;
        if found.is_some() || used == 0 {
            return Poll::Ready(Ok(std::mem::take(len)));
        }
    }
}

/// The operation of [`AsyncBufReadExt::read_until`](super::AsyncBufReadExt::read_until).
#[derive(Debug)]
pub struct ReadUntil<'a> {
    delimiter: u8,
    buf: &'a mut Vec<u8>,
    len: usize,
}

impl<'a> ReadUntil<'a> {
    pub(super) fn new(delimiter: u8, buf: &'a mut Vec<u8>) -> Self {
        Self { delimiter, buf, len: 0 }
    }
}

impl<R: AsyncBufRead + ?Sized> Operation<R> for ReadUntil<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_until(reader, self.delimiter, self.buf, &mut self.len, cx)
    }
}
