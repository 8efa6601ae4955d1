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

/// Calls `$method!` for each kind of number with: name, name of the method, type, its size, conversion, order in words.
macro_rules! for_each_number {
    ($method:ident, $to_or_from_be:ident, $to_or_from_le:ident, $(($number:ident, $len:literal, $big:ident, $little:ident)),*) => {
        $(
            $crate::io::numbers::$method!($big, $number, $len, $to_or_from_be, "big-endian");
            $crate::io::numbers::$method!($little, $number, $len, $to_or_from_le, "little-endian");
        )*
    };
}

/// One method of `AsyncReadExt`.
macro_rules! declare_read_number {
    ($name:ident, $number:ident, $len:literal, $decode:ident, $order:literal) => {
        #[doc = concat!("Reads a ", $order, " `", stringify!($number), "`.")]
        ///
        /// # Cancel safety
        /// Not cancel safe: bytes that were read before a drop are lost.
        ///
        /// # Errors
        /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the stream ends before; else what the reader reports.
        #[inline]
        fn $name(&mut self) -> Awaited<ReadNumber<'_, Self, $number, $len>>
        where
            Self: Unpin,
        {
            ReadNumber::begin(self, $number::$decode)
        }
    };
}

/// One method of `AsyncWriteExt`.
macro_rules! declare_write_number {
    ($name:ident, $number:ident, $len:literal, $encode:ident, $order:literal) => {
        #[doc = concat!("Writes a `", stringify!($number), "`, ", $order, ".")]
        ///
        /// # Cancel safety
        /// Not cancel safe: after a drop nobody knows how many of its bytes were written.
        ///
        /// # Errors
        /// [`WriteZero`](std::io::ErrorKind::WriteZero) if the writer takes no more bytes; else what the writer reports.
        #[inline]
        fn $name(&mut self, n: $number) -> Awaited<WriteNumber<'_, Self, $len>>
        where
            Self: Unpin,
        {
            WriteNumber::begin(self, n.$encode())
        }
    };
}

/// All numeric methods of `AsyncReadExt`.
macro_rules! declare_read_numbers {
    () => {
        $crate::io::numbers::declare_read_number!(read_u8, u8, 1, from_be_bytes, "one-byte");
        $crate::io::numbers::declare_read_number!(read_i8, i8, 1, from_be_bytes, "one-byte");
        $crate::io::numbers::for_each_number!(
            declare_read_number,
            from_be_bytes,
            from_le_bytes,
            (u16, 2, read_u16, read_u16_le),
            (i16, 2, read_i16, read_i16_le),
            (u32, 4, read_u32, read_u32_le),
            (i32, 4, read_i32, read_i32_le),
            (u64, 8, read_u64, read_u64_le),
            (i64, 8, read_i64, read_i64_le),
            (u128, 16, read_u128, read_u128_le),
            (i128, 16, read_i128, read_i128_le),
            (f32, 4, read_f32, read_f32_le),
            (f64, 8, read_f64, read_f64_le)
        );
    };
}

/// All numeric methods of `AsyncWriteExt`.
macro_rules! declare_write_numbers {
    () => {
        $crate::io::numbers::declare_write_number!(write_u8, u8, 1, to_be_bytes, "one byte");
        $crate::io::numbers::declare_write_number!(write_i8, i8, 1, to_be_bytes, "one byte");
        $crate::io::numbers::for_each_number!(
            declare_write_number,
            to_be_bytes,
            to_le_bytes,
            (u16, 2, write_u16, write_u16_le),
            (i16, 2, write_i16, write_i16_le),
            (u32, 4, write_u32, write_u32_le),
            (i32, 4, write_i32, write_i32_le),
            (u64, 8, write_u64, write_u64_le),
            (i64, 8, write_i64, write_i64_le),
            (u128, 16, write_u128, write_u128_le),
            (i128, 16, write_i128, write_i128_le),
            (f32, 4, write_f32, write_f32_le),
            (f64, 8, write_f64, write_f64_le)
        );
    };
}

pub(super) use {
    declare_read_number, declare_read_numbers, declare_write_number, declare_write_numbers, for_each_number,
};
