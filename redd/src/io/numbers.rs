//! Numbers of a fixed size: one operation reads them all, `WriteAll` writes them; the methods are generated.
//!
//! Called by `read_ext` and `write_ext`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::operation::Operation;
use super::read_ext::unexpected_eof;
use super::{AsyncRead, ReadBuf};

/// What is awaited after the `read_u8` … `read_f64_le` methods.
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

/// Calls `$declare!` for each kind of number and order of its bytes, with the names of the two methods.
macro_rules! for_each_number {
    ($declare:ident) => {
        $declare!(u8, 1, "a one-byte", from_be_bytes / to_be_bytes: read_u8, write_u8);
        $declare!(i8, 1, "a one-byte", from_be_bytes / to_be_bytes: read_i8, write_i8);
        $declare!(u16, 2, "a big-endian", from_be_bytes / to_be_bytes: read_u16, write_u16);
        $declare!(u16, 2, "a little-endian", from_le_bytes / to_le_bytes: read_u16_le, write_u16_le);
        $declare!(i16, 2, "a big-endian", from_be_bytes / to_be_bytes: read_i16, write_i16);
        $declare!(i16, 2, "a little-endian", from_le_bytes / to_le_bytes: read_i16_le, write_i16_le);
        $declare!(u32, 4, "a big-endian", from_be_bytes / to_be_bytes: read_u32, write_u32);
        $declare!(u32, 4, "a little-endian", from_le_bytes / to_le_bytes: read_u32_le, write_u32_le);
        $declare!(i32, 4, "a big-endian", from_be_bytes / to_be_bytes: read_i32, write_i32);
        $declare!(i32, 4, "a little-endian", from_le_bytes / to_le_bytes: read_i32_le, write_i32_le);
        $declare!(u64, 8, "a big-endian", from_be_bytes / to_be_bytes: read_u64, write_u64);
        $declare!(u64, 8, "a little-endian", from_le_bytes / to_le_bytes: read_u64_le, write_u64_le);
        $declare!(i64, 8, "a big-endian", from_be_bytes / to_be_bytes: read_i64, write_i64);
        $declare!(i64, 8, "a little-endian", from_le_bytes / to_le_bytes: read_i64_le, write_i64_le);
        $declare!(u128, 16, "a big-endian", from_be_bytes / to_be_bytes: read_u128, write_u128);
        $declare!(u128, 16, "a little-endian", from_le_bytes / to_le_bytes: read_u128_le, write_u128_le);
        $declare!(i128, 16, "a big-endian", from_be_bytes / to_be_bytes: read_i128, write_i128);
        $declare!(i128, 16, "a little-endian", from_le_bytes / to_le_bytes: read_i128_le, write_i128_le);
        $declare!(f32, 4, "a big-endian", from_be_bytes / to_be_bytes: read_f32, write_f32);
        $declare!(f32, 4, "a little-endian", from_le_bytes / to_le_bytes: read_f32_le, write_f32_le);
        $declare!(f64, 8, "a big-endian", from_be_bytes / to_be_bytes: read_f64, write_f64);
        $declare!(f64, 8, "a little-endian", from_le_bytes / to_le_bytes: read_f64_le, write_f64_le);
    };
}

/// One method of `AsyncReadExt`.
macro_rules! declare_read_number {
    ($number:ident, $len:literal, $what:literal, $decode:ident / $encode:ident: $read:ident, $write:ident) => {
        #[doc = concat!("Reads ", $what, " `", stringify!($number), "`.")]
        ///
        /// # Cancel safety
        /// Not cancel safe: bytes that were read before a drop are lost.
        ///
        /// # Errors
        /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the stream ends before; else what the reader reports.
        #[inline]
        fn $read(&mut self) -> OperationFuture<'_, Self, ReadNumber<$number, $len>>
        where
            Self: Unpin,
        {
            OperationFuture::new(self, ReadNumber::new($number::$decode))
        }
    };
}

/// One method of `AsyncWriteExt`.
macro_rules! declare_write_number {
    ($number:ident, $len:literal, $what:literal, $decode:ident / $encode:ident: $read:ident, $write:ident) => {
        #[doc = concat!("Writes ", $what, " `", stringify!($number), "`.")]
        ///
        /// # Cancel safety
        /// Not cancel safe: after a drop nobody knows how many of its bytes were written.
        ///
        /// # Errors
        /// [`WriteZero`](std::io::ErrorKind::WriteZero) if the writer takes no more bytes; else what the writer reports.
        #[inline]
        fn $write(&mut self, n: $number) -> OperationFuture<'_, Self, WriteAll<[u8; $len]>>
        where
            Self: Unpin,
        {
            OperationFuture::new(self, WriteAll::new(n.$encode()))
        }
    };
}
