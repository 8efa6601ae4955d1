//! `AsyncReadExt`: reading with `await`.
//!
//! Called by user code. The operations that need a file of their own are in `read_number`, `read_to_end` and
//! `read_text`.
//!
//! Long because it is one trait, and each of its 29 methods is written out with an example.
//!
//! # Invariants
//! - `same-buffer`: memory counts as filled only after `ReadBuf::assert_same_buffer` has confirmed that the reader
//!   filled it.

#![expect(unsafe_code, reason = "a `BufMut` is filled before it is initialised")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;

use super::errors::unexpected_eof;
use super::operation::{Operation, OperationFuture};
use super::read_number::ReadNumber;
use super::read_text::ReadToString;
use super::read_to_end::ReadToEnd;
use super::{AsyncRead, Chain, ReadBuf, Take};

/// Methods for reading from anything that implements [`AsyncRead`].
///
/// It is implemented for every such type: import it to call them. `write` counterparts are in
/// [`AsyncWriteExt`](super::AsyncWriteExt).
pub trait AsyncReadExt: AsyncRead {
    /// Returns a reader of all bytes of `self`, then of all bytes of `next`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let header = &b"HTTP/1.1 200 OK\r\n"[..];
    /// let body = &b"salmon"[..];
    /// let mut response = String::new();
    /// header.chain(body).read_to_string(&mut response).await?;
    /// assert_eq!(response, "HTTP/1.1 200 OK\r\nsalmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    fn chain<R>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
        R: AsyncRead,
    {
        Chain::new(self, next)
    }

    /// Reads some bytes into the front of `buf` and returns their number.
    ///
    /// - 0 means the end of the stream, or that `buf` is empty.
    /// - It may read less than `buf` holds. [`read_exact`](Self::read_exact) fills all of it.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no byte was read.
    ///
    /// # Errors
    /// The errors of the reader, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, mut server) = redd::io::duplex(64);
    /// client.write_all(b"salmon").await?;
    /// drop(client);
    ///
    /// let mut received = Vec::new();
    /// let mut buf = [0; 4];
    /// loop {
    ///     let len = server.read(&mut buf).await?;
    ///     if len == 0 {
    ///         break;
    ///     }
    ///     received.extend_from_slice(&buf[..len]);
    /// }
    /// assert_eq!(received, b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read<'a>(&'a mut self, buf: &'a mut [u8]) -> OperationFuture<'a, Self, Read<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Read { buf })
    }

    /// Reads some bytes, appends them to `buf` and returns their number.
    ///
    /// - 0 means the end of the stream, or that `buf` has no room. A `Vec` always has room.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no byte was read.
    ///
    /// # Panics
    /// If the reader replaces the `ReadBuf` that it has to fill.
    ///
    /// # Errors
    /// The errors of the reader, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"redd salmon"[..];
    /// let mut buf = bytes::BytesMut::with_capacity(64);
    /// while reader.read_buf(&mut buf).await? > 0 {}
    /// assert_eq!(buf, "redd salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_buf<'a, B>(&'a mut self, buf: &'a mut B) -> OperationFuture<'a, Self, ReadIntoBuf<'a, B>>
    where
        Self: Unpin,
        B: BufMut + ?Sized,
    {
        OperationFuture::new(self, ReadIntoBuf { buf })
    }

    /// Fills all of `buf` and returns its length.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was read before a drop is in `buf`, but its length is unknown.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends before `buf` is full, and the errors of the
    /// reader. Then a part of `buf` may be filled.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, ErrorKind};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"salmon"[..];
    /// let mut buf = [0; 4];
    /// reader.read_exact(&mut buf).await?;
    /// assert_eq!(&buf, b"salm");
    /// assert_eq!(reader.read_exact(&mut buf).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_exact<'a>(&'a mut self, buf: &'a mut [u8]) -> OperationFuture<'a, Self, ReadExact<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadExact { buf: ReadBuf::new(buf) })
    }

    /// Reads a one-byte `u8`.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[7][..];
    /// assert_eq!(reader.read_u8().await?, 7);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u8(&mut self) -> OperationFuture<'_, Self, ReadNumber<u8, 1>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u8::from_be_bytes))
    }

    /// Reads a one-byte `i8`.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xfe][..];
    /// assert_eq!(reader.read_i8().await?, -2);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i8(&mut self) -> OperationFuture<'_, Self, ReadNumber<i8, 1>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i8::from_be_bytes))
    }

    /// Reads a `u16` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[2, 5][..];
    /// assert_eq!(reader.read_u16().await?, 517);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u16(&mut self) -> OperationFuture<'_, Self, ReadNumber<u16, 2>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u16::from_be_bytes))
    }

    /// Reads a `u16` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[5, 2][..];
    /// assert_eq!(reader.read_u16_le().await?, 517);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u16_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<u16, 2>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u16::from_le_bytes))
    }

    /// Reads a `i16` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xff, 0xfe][..];
    /// assert_eq!(reader.read_i16().await?, -2);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i16(&mut self) -> OperationFuture<'_, Self, ReadNumber<i16, 2>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i16::from_be_bytes))
    }

    /// Reads a `i16` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xfe, 0xff][..];
    /// assert_eq!(reader.read_i16_le().await?, -2);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i16_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<i16, 2>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i16::from_le_bytes))
    }

    /// Reads a `u32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 1, 11][..];
    /// assert_eq!(reader.read_u32().await?, 267);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u32(&mut self) -> OperationFuture<'_, Self, ReadNumber<u32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u32::from_be_bytes))
    }

    /// Reads a `u32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[11, 1, 0, 0][..];
    /// assert_eq!(reader.read_u32_le().await?, 267);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u32_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<u32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u32::from_le_bytes))
    }

    /// Reads a `i32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xff, 0xff, 0x7a, 0x33][..];
    /// assert_eq!(reader.read_i32().await?, -34_253);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i32(&mut self) -> OperationFuture<'_, Self, ReadNumber<i32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i32::from_be_bytes))
    }

    /// Reads a `i32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0x33, 0x7a, 0xff, 0xff][..];
    /// assert_eq!(reader.read_i32_le().await?, -34_253);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i32_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<i32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i32::from_le_bytes))
    }

    /// Reads a `u64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 0, 0, 0, 0x0e, 0x04, 0xcd][..];
    /// assert_eq!(reader.read_u64().await?, 918_733);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u64(&mut self) -> OperationFuture<'_, Self, ReadNumber<u64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u64::from_be_bytes))
    }

    /// Reads a `u64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xcd, 0x04, 0x0e, 0, 0, 0, 0, 0][..];
    /// assert_eq!(reader.read_u64_le().await?, 918_733);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u64_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<u64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u64::from_le_bytes))
    }

    /// Reads a `i64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0x80, 0, 0, 0, 0, 0, 0, 0][..];
    /// assert_eq!(reader.read_i64().await?, i64::MIN);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i64(&mut self) -> OperationFuture<'_, Self, ReadNumber<i64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i64::from_be_bytes))
    }

    /// Reads a `i64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 0, 0, 0, 0, 0, 0x80][..];
    /// assert_eq!(reader.read_i64_le().await?, i64::MIN);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i64_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<i64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i64::from_le_bytes))
    }

    /// Reads a `u128` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2][..];
    /// assert_eq!(reader.read_u128().await?, 258);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u128(&mut self) -> OperationFuture<'_, Self, ReadNumber<u128, 16>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u128::from_be_bytes))
    }

    /// Reads a `u128` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
    /// assert_eq!(reader.read_u128_le().await?, 258);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_u128_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<u128, 16>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(u128::from_le_bytes))
    }

    /// Reads a `i128` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xff; 16][..];
    /// assert_eq!(reader.read_i128().await?, -1);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i128(&mut self) -> OperationFuture<'_, Self, ReadNumber<i128, 16>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i128::from_be_bytes))
    }

    /// Reads a `i128` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut bytes = [0xff; 16];
    /// bytes[15] = 0x7f;
    /// let mut reader = &bytes[..];
    /// assert_eq!(reader.read_i128_le().await?, i128::MAX);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_i128_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<i128, 16>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(i128::from_le_bytes))
    }

    /// Reads a `f32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0x41, 0x48, 0, 0][..];
    /// assert_eq!(reader.read_f32().await?, 12.5);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_f32(&mut self) -> OperationFuture<'_, Self, ReadNumber<f32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(f32::from_be_bytes))
    }

    /// Reads a `f32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 0x48, 0x41][..];
    /// assert_eq!(reader.read_f32_le().await?, 12.5);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_f32_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<f32, 4>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(f32::from_le_bytes))
    }

    /// Reads a `f64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0xbf, 0xe0, 0, 0, 0, 0, 0, 0][..];
    /// assert_eq!(reader.read_f64().await?, -0.5);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_f64(&mut self) -> OperationFuture<'_, Self, ReadNumber<f64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(f64::from_be_bytes))
    }

    /// Reads a `f64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future loses the bytes that it has read.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends within the number, and the errors of the
    /// reader.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &[0, 0, 0, 0, 0, 0, 0xe0, 0xbf][..];
    /// assert_eq!(reader.read_f64_le().await?, -0.5);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn read_f64_le(&mut self) -> OperationFuture<'_, Self, ReadNumber<f64, 8>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadNumber::new(f64::from_le_bytes))
    }

    /// Appends all bytes up to the end of the stream to `buf` and returns their number.
    ///
    /// - If the bytes fit the capacity of `buf`, it does not grow.
    /// - The length is up to the sender. Put [`take`](Self::take) before it where the sender is not trusted.
    ///
    /// # Cancel safety
    /// What was read before a drop is in `buf`.
    ///
    /// # Panics
    /// If the reader replaces the `ReadBuf` that it has to fill.
    ///
    /// # Errors
    /// The errors of the reader; what was read before is in `buf`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut reader = &b"salmon"[..];
    /// let mut bytes = b"redd ".to_vec();
    /// assert_eq!(reader.read_to_end(&mut bytes).await?, 6);
    /// assert_eq!(bytes, b"redd salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_to_end<'a>(&'a mut self, buf: &'a mut Vec<u8>) -> OperationFuture<'a, Self, ReadToEnd<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadToEnd::new(buf))
    }

    /// Appends all text up to the end of the stream to `dst` and returns its length in bytes.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was read before a drop is lost. `dst` keeps the text that it had.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the bytes are not UTF-8, and the errors of the reader. `dst`
    /// keeps the text that it had.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, ErrorKind};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut text = String::new();
    /// assert_eq!((&b"salmon"[..]).read_to_string(&mut text).await?, 6);
    /// let error = (&b"\xff"[..]).read_to_string(&mut text).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidData);
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn read_to_string<'a>(&'a mut self, dst: &'a mut String) -> OperationFuture<'a, Self, ReadToString<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, ReadToString::new(dst))
    }

    /// Returns a reader of at most the next `limit` bytes of `self`.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut stream = &b"salmon, and much more"[..];
    /// let mut body = String::new();
    /// (&mut stream).take(6).read_to_string(&mut body).await?;
    /// assert_eq!(body, "salmon");
    /// assert_eq!(stream, b", and much more");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

/// The operation of [`AsyncReadExt::read`].
#[derive(Debug)]
pub struct Read<'a> {
    buf: &'a mut [u8],
}

impl<R: AsyncRead + ?Sized> Operation<R> for Read<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(self.buf);
        ready!(reader.poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

/// The operation of [`AsyncReadExt::read_buf`].
#[derive(Debug)]
pub struct ReadIntoBuf<'a, B: ?Sized> {
    buf: &'a mut B,
}

impl<R: AsyncRead + ?Sized, B: BufMut + ?Sized> Operation<R> for ReadIntoBuf<'_, B> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.buf.has_remaining_mut() {
            return Poll::Ready(Ok(0));
        }
        // SAFETY: `ReadBuf` writes only initialised bytes.
        let chunk = unsafe { self.buf.chunk_mut().as_uninit_slice_mut() };
        let mut chunk = ReadBuf::uninit(chunk);
        let start = chunk.start();
        ready!(reader.poll_read(cx, &mut chunk))?;
        chunk.assert_same_buffer(start);
        let len = chunk.filled().len();
        // SAFETY: `same-buffer`: the first `len` bytes of the chunk are filled.
        unsafe { self.buf.advance_mut(len) };
        Poll::Ready(Ok(len))
    }
}

/// The operation of [`AsyncReadExt::read_exact`].
#[derive(Debug)]
pub struct ReadExact<'a> {
    buf: ReadBuf<'a>,
}

impl<R: AsyncRead + ?Sized> Operation<R> for ReadExact<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, mut reader: Pin<&mut R>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let remaining = self.buf.remaining();
            if remaining == 0 {
                return Poll::Ready(Ok(self.buf.capacity()));
            }
            ready_or_retry!(reader.as_mut().poll_read(cx, &mut self.buf));
            if self.buf.remaining() == remaining {
                return Poll::Ready(Err(unexpected_eof()));
            }
        }
    }
}
