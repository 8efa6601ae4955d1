//! The operation behind the `read_u8` … `read_f64_le` methods.
//!
//! Called by `read_ext`. `write_ext::WriteAll` is its counterpart.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::errors::unexpected_eof;
use super::operation::Operation;
use super::{AsyncRead, ReadBuf};

/// The operation of the `read_u8` … `read_f64_le` methods of [`AsyncReadExt`](super::AsyncReadExt).
#[derive(Debug)]
pub struct ReadNumber<N, const LEN: usize> {
    bytes: [u8; LEN],
    len: usize,
    decode: fn([u8; LEN]) -> N,
}

impl<N, const LEN: usize> ReadNumber<N, LEN> {
    #[inline]
    pub(super) fn new(decode: fn([u8; LEN]) -> N) -> Self {
        Self { bytes: [0; LEN], len: 0, decode }
    }
}

impl<R: AsyncRead + ?Sized, N, const LEN: usize> Operation<R> for ReadNumber<N, LEN> {
    type Output = io::Result<N>;

    fn poll_operation(&mut self, mut reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<N>> {
        while self.len < LEN {
            let mut rest = ReadBuf::new(&mut self.bytes[self.len..]);
            ready_or_retry!(reader.as_mut().poll_read(cx, &mut rest));
            let len = rest.filled().len();
            if len == 0 {
                return Poll::Ready(Err(unexpected_eof()));
            }
            self.len += len;
        }
        Poll::Ready(Ok((self.decode)(self.bytes)))
    }
}
