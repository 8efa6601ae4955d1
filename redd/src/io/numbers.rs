//! Numbers of a fixed size: one future reads them all, one writes them all; the methods are generated.
//!
//! Called by `read_ext` and `write_ext`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::operation::{Awaited, Operation};
use super::read_ext::unexpected_eof;
use super::{AsyncRead, AsyncWrite, ReadBuf, write_zero};

/// What is awaited after the `read_u8` … `read_f64_le` methods.
#[derive(Debug)]
pub struct ReadNumber<'a, R: ?Sized, N, const LEN: usize> {
    reader: &'a mut R,
    bytes: [u8; LEN],
    len: usize,
    decode: fn([u8; LEN]) -> N,
}

impl<'a, R: ?Sized, N, const LEN: usize> ReadNumber<'a, R, N, LEN> {
    #[inline]
    pub(super) fn begin(reader: &'a mut R, decode: fn([u8; LEN]) -> N) -> Awaited<Self> {
        Awaited::new(Self { reader, bytes: [0; LEN], len: 0, decode })
    }
}

impl<R, N, const LEN: usize> Operation for ReadNumber<'_, R, N, LEN>
where
    R: AsyncRead + Unpin + ?Sized,
{
    type Output = io::Result<N>;

    fn poll_operation(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<N>> {
        while self.len < LEN {
            let mut rest = ReadBuf::new(&mut self.bytes[self.len..]);
            ready_or_retry!(Pin::new(&mut *self.reader).poll_read(cx, &mut rest));
            let len = rest.filled().len();
            if len == 0 {
                return Poll::Ready(Err(unexpected_eof()));
            }
            self.len += len;
        }
        Poll::Ready(Ok((self.decode)(self.bytes)))
    }
}

/// What is awaited after the `write_u8` … `write_f64_le` methods.
#[derive(Debug)]
pub struct WriteNumber<'a, W: ?Sized, const LEN: usize> {
    writer: &'a mut W,
    bytes: [u8; LEN],
    len: usize,
}

impl<'a, W: ?Sized, const LEN: usize> WriteNumber<'a, W, LEN> {
    #[inline]
    pub(super) fn begin(writer: &'a mut W, bytes: [u8; LEN]) -> Awaited<Self> {
        Awaited::new(Self { writer, bytes, len: 0 })
    }
}

impl<W, const LEN: usize> Operation for WriteNumber<'_, W, LEN>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<()>;

    fn poll_operation(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.len < LEN {
            let rest = &self.bytes[self.len..];
            let len = ready_or_retry!(Pin::new(&mut *self.writer).poll_write(cx, rest));
            if len == 0 {
                return Poll::Ready(Err(write_zero()));
            }
            self.len += len;
        }
        Poll::Ready(Ok(()))
    }
}

/// Calls `$declare!` for each kind of number and order of its bytes, with the names of the two methods.
macro_rules! for_each_number {
    ($declare:ident) => {
        $declare!(u8, 1, "a one-byte", be: read_u8, write_u8);
        $declare!(i8, 1, "a one-byte", be: read_i8, write_i8);
        $declare!(u16, 2, "a big-endian", be: read_u16, write_u16);
        $declare!(u16, 2, "a little-endian", le: read_u16_le, write_u16_le);
        $declare!(i16, 2, "a big-endian", be: read_i16, write_i16);
        $declare!(i16, 2, "a little-endian", le: read_i16_le, write_i16_le);
        $declare!(u32, 4, "a big-endian", be: read_u32, write_u32);
        $declare!(u32, 4, "a little-endian", le: read_u32_le, write_u32_le);
        $declare!(i32, 4, "a big-endian", be: read_i32, write_i32);
        $declare!(i32, 4, "a little-endian", le: read_i32_le, write_i32_le);
        $declare!(u64, 8, "a big-endian", be: read_u64, write_u64);
        $declare!(u64, 8, "a little-endian", le: read_u64_le, write_u64_le);
        $declare!(i64, 8, "a big-endian", be: read_i64, write_i64);
        $declare!(i64, 8, "a little-endian", le: read_i64_le, write_i64_le);
        $declare!(u128, 16, "a big-endian", be: read_u128, write_u128);
        $declare!(u128, 16, "a little-endian", le: read_u128_le, write_u128_le);
        $declare!(i128, 16, "a big-endian", be: read_i128, write_i128);
        $declare!(i128, 16, "a little-endian", le: read_i128_le, write_i128_le);
        $declare!(f32, 4, "a big-endian", be: read_f32, write_f32);
        $declare!(f32, 4, "a little-endian", le: read_f32_le, write_f32_le);
        $declare!(f64, 8, "a big-endian", be: read_f64, write_f64);
        $declare!(f64, 8, "a little-endian", le: read_f64_le, write_f64_le);
    };
}

/// One method of `AsyncReadExt`.
macro_rules! declare_read_number {
    ($number:ident, $len:literal, $what:literal, be: $read:ident, $write:ident) => {
        declare_read_number!($number, $len, $what, $read, from_be_bytes);
    };
    ($number:ident, $len:literal, $what:literal, le: $read:ident, $write:ident) => {
        declare_read_number!($number, $len, $what, $read, from_le_bytes);
    };
    ($number:ident, $len:literal, $what:literal, $read:ident, $decode:ident) => {
        #[doc = concat!("Reads ", $what, " `", stringify!($number), "`.")]
        ///
        /// # Cancel safety
        /// Not cancel safe: bytes that were read before a drop are lost.
        ///
        /// # Errors
        /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the stream ends before; else what the reader reports.
        #[inline]
        fn $read(&mut self) -> Awaited<ReadNumber<'_, Self, $number, $len>>
        where
            Self: Unpin,
        {
            ReadNumber::begin(self, $number::$decode)
        }
    };
}

/// One method of `AsyncWriteExt`.
macro_rules! declare_write_number {
    ($number:ident, $len:literal, $what:literal, be: $read:ident, $write:ident) => {
        declare_write_number!($number, $len, $what, $write, to_be_bytes);
    };
    ($number:ident, $len:literal, $what:literal, le: $read:ident, $write:ident) => {
        declare_write_number!($number, $len, $what, $write, to_le_bytes);
    };
    ($number:ident, $len:literal, $what:literal, $write:ident, $encode:ident) => {
        #[doc = concat!("Writes ", $what, " `", stringify!($number), "`.")]
        ///
        /// # Cancel safety
        /// Not cancel safe: after a drop nobody knows how many of its bytes were written.
        ///
        /// # Errors
        /// [`WriteZero`](std::io::ErrorKind::WriteZero) if the writer takes no more bytes; else what the writer reports.
        #[inline]
        fn $write(&mut self, n: $number) -> Awaited<WriteNumber<'_, Self, $len>>
        where
            Self: Unpin,
        {
            WriteNumber::begin(self, n.$encode())
        }
    };
}
