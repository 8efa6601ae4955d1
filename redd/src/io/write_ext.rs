//! `AsyncWriteExt`: writing with `await`.
//!
//! Called by user code.
//!
//! Long because it is one trait, and each of its 29 methods is written out with an example.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;

use super::AsyncWrite;
use super::errors::write_zero;
use super::operation::{Operation, OperationFuture};

/// Methods for writing to anything that implements [`AsyncWrite`].
///
/// It is implemented for every such type: import it to call them. `read` counterparts are in
/// [`AsyncReadExt`](super::AsyncReadExt).
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes some bytes from the front of `src` and returns their number.
    ///
    /// - 0 means that the writer accepts no more bytes, or that `src` is empty.
    /// - It may write less than all of `src`. [`write_all`](Self::write_all) writes all of it.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no byte was written.
    ///
    /// # Errors
    /// The errors of the writer, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// // The pipe has room for four bytes.
    /// let (mut client, _server) = redd::io::duplex(4);
    /// assert_eq!(client.write(b"salmon").await?, 4);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn write<'a>(&'a mut self, src: &'a [u8]) -> OperationFuture<'a, Self, Write<'a>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Write { bytes: src })
    }

    /// Writes some bytes from the front of `bufs`, taken as one sequence, and returns their number.
    ///
    /// - A writer that is not [vectored](AsyncWrite::is_write_vectored) writes only from the first slice that is not
    ///   empty.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no byte was written.
    ///
    /// # Errors
    /// The errors of the writer, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    /// use std::io::IoSlice;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// let bufs = [IoSlice::new(b"redd "), IoSlice::new(b"salmon")];
    /// assert_eq!(writer.write_vectored(&bufs).await?, 11);
    /// assert_eq!(writer, b"redd salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn write_vectored<'a, 'b>(&'a mut self, bufs: &'a [IoSlice<'b>]) -> OperationFuture<'a, Self, WriteVectored<'a, 'b>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteVectored { slices: bufs })
    }

    /// Writes some bytes from the front of `src`, advances `src` past them and returns their number.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no byte was written.
    ///
    /// # Errors
    /// The errors of the writer, [`Interrupted`](io::ErrorKind::Interrupted) included.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, _server) = redd::io::duplex(4);
    /// let mut message = bytes::Bytes::from("salmon");
    /// assert_eq!(client.write_buf(&mut message).await?, 4);
    /// assert_eq!(message, "on");
    /// assert!(message.has_remaining());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn write_buf<'a, B>(&'a mut self, src: &'a mut B) -> OperationFuture<'a, Self, WriteBuf<'a, B>>
    where
        Self: Unpin + Sized,
        B: Buf,
    {
        OperationFuture::new(self, WriteBuf { buf: src })
    }

    /// Writes all of `src` and advances it with each write.
    ///
    /// # Cancel safety
    /// After a drop `src` holds exactly the bytes that are not written yet: call it again with the same `src` to
    /// continue.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use bytes::{Buf, Bytes};
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut words = Bytes::from("redd ").chain(Bytes::from("salmon"));
    /// let mut sent = Vec::new();
    /// sent.write_all_buf(&mut words).await?;
    /// assert_eq!(sent, b"redd salmon");
    /// assert!(!words.has_remaining());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn write_all_buf<'a, B>(&'a mut self, src: &'a mut B) -> OperationFuture<'a, Self, WriteAllBuf<'a, B>>
    where
        Self: Unpin + Sized,
        B: Buf,
    {
        OperationFuture::new(self, WriteAllBuf { buf: src })
    }

    /// Writes all of `src`.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how much was written. [`write_all_buf`](Self::write_all_buf) keeps
    /// count.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, mut server) = redd::io::duplex(4);
    /// // The pipe is smaller than the message, so one side waits for the other.
    /// let write = async {
    ///     client.write_all(b"salmon").await?;
    ///     client.shutdown().await
    /// };
    /// let mut text = String::new();
    /// let (written, read) = redd::join!(write, server.read_to_string(&mut text));
    /// written?;
    /// assert_eq!(read?, 6);
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn write_all<'a>(&'a mut self, src: &'a [u8]) -> OperationFuture<'a, Self, WriteAll<&'a [u8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(src))
    }

    /// Writes a one-byte `u8`.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u8(7).await?;
    /// assert_eq!(writer, [7]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u8(&mut self, n: u8) -> OperationFuture<'_, Self, WriteAll<[u8; 1]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a one-byte `i8`.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i8(-2).await?;
    /// assert_eq!(writer, [0xfe]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i8(&mut self, n: i8) -> OperationFuture<'_, Self, WriteAll<[u8; 1]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `u16` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u16(517).await?;
    /// assert_eq!(writer, [2, 5]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u16(&mut self, n: u16) -> OperationFuture<'_, Self, WriteAll<[u8; 2]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `u16` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u16_le(517).await?;
    /// assert_eq!(writer, [5, 2]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u16_le(&mut self, n: u16) -> OperationFuture<'_, Self, WriteAll<[u8; 2]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `i16` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i16(-2).await?;
    /// assert_eq!(writer, [0xff, 0xfe]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i16(&mut self, n: i16) -> OperationFuture<'_, Self, WriteAll<[u8; 2]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `i16` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i16_le(-2).await?;
    /// assert_eq!(writer, [0xfe, 0xff]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i16_le(&mut self, n: i16) -> OperationFuture<'_, Self, WriteAll<[u8; 2]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `u32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u32(267).await?;
    /// assert_eq!(writer, [0, 0, 1, 11]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u32(&mut self, n: u32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `u32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u32_le(267).await?;
    /// assert_eq!(writer, [11, 1, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u32_le(&mut self, n: u32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `i32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i32(-34_253).await?;
    /// assert_eq!(writer, [0xff, 0xff, 0x7a, 0x33]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i32(&mut self, n: i32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `i32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i32_le(-34_253).await?;
    /// assert_eq!(writer, [0x33, 0x7a, 0xff, 0xff]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i32_le(&mut self, n: i32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `u64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u64(918_733).await?;
    /// assert_eq!(writer, [0, 0, 0, 0, 0, 0x0e, 0x04, 0xcd]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u64(&mut self, n: u64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `u64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u64_le(918_733).await?;
    /// assert_eq!(writer, [0xcd, 0x04, 0x0e, 0, 0, 0, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u64_le(&mut self, n: u64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `i64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i64(i64::MIN).await?;
    /// assert_eq!(writer, [0x80, 0, 0, 0, 0, 0, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i64(&mut self, n: i64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `i64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i64_le(i64::MIN).await?;
    /// assert_eq!(writer, [0, 0, 0, 0, 0, 0, 0, 0x80]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i64_le(&mut self, n: i64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `u128` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u128(258).await?;
    /// assert_eq!(writer, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u128(&mut self, n: u128) -> OperationFuture<'_, Self, WriteAll<[u8; 16]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `u128` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_u128_le(258).await?;
    /// assert_eq!(writer, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_u128_le(&mut self, n: u128) -> OperationFuture<'_, Self, WriteAll<[u8; 16]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `i128` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i128(-1).await?;
    /// assert_eq!(writer, [0xff; 16]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i128(&mut self, n: i128) -> OperationFuture<'_, Self, WriteAll<[u8; 16]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `i128` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_i128_le(i128::MAX).await?;
    /// assert_eq!(writer[15], 0x7f);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_i128_le(&mut self, n: i128) -> OperationFuture<'_, Self, WriteAll<[u8; 16]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `f32` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_f32(12.5).await?;
    /// assert_eq!(writer, [0x41, 0x48, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_f32(&mut self, n: f32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `f32` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_f32_le(12.5).await?;
    /// assert_eq!(writer, [0, 0, 0x48, 0x41]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_f32_le(&mut self, n: f32) -> OperationFuture<'_, Self, WriteAll<[u8; 4]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Writes a `f64` in big-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_f64(-0.5).await?;
    /// assert_eq!(writer, [0xbf, 0xe0, 0, 0, 0, 0, 0, 0]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_f64(&mut self, n: f64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_be_bytes()))
    }

    /// Writes a `f64` in little-endian order.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a drop it is unknown how many bytes of `n` were written.
    ///
    /// # Errors
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more bytes, and the errors of the writer.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = Vec::new();
    /// writer.write_f64_le(-0.5).await?;
    /// assert_eq!(writer, [0, 0, 0, 0, 0, 0, 0xe0, 0xbf]);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    fn write_f64_le(&mut self, n: f64) -> OperationFuture<'_, Self, WriteAll<[u8; 8]>>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, WriteAll::new(n.to_le_bytes()))
    }

    /// Waits until everything written has reached its destination.
    ///
    /// - A socket has no buffer of its own, so this does nothing. [`BufWriter`](super::BufWriter), files and the
    ///   standard streams need it.
    ///
    /// # Cancel safety
    /// Call it again after a drop to continue.
    ///
    /// # Errors
    /// The errors of the writer. For a file, that includes the error of a write that was accepted earlier.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncWriteExt, BufWriter};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut writer = BufWriter::new(Vec::new());
    /// writer.write_all(b"salmon").await?;
    /// assert!(writer.get_ref().is_empty());
    /// writer.flush().await?;
    /// assert_eq!(writer.get_ref(), b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn flush(&mut self) -> OperationFuture<'_, Self, Flush>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Flush)
    }

    /// Flushes, and ends the writing direction: the peer reads to the end.
    ///
    /// - A socket can still be read from afterwards.
    ///
    /// # Cancel safety
    /// Call it again after a drop to continue.
    ///
    /// # Errors
    /// The errors of the writer, those of the flush included.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, mut server) = redd::io::duplex(64);
    /// client.write_all(b"request").await?;
    /// client.shutdown().await?;
    ///
    /// let mut request = String::new();
    /// server.read_to_string(&mut request).await?;
    /// assert_eq!(request, "request");
    /// server.write_all(b"response").await?;
    /// let mut response = [0; 8];
    /// client.read_exact(&mut response).await?;
    /// assert_eq!(&response, b"response");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    fn shutdown(&mut self) -> OperationFuture<'_, Self, Shutdown>
    where
        Self: Unpin,
    {
        OperationFuture::new(self, Shutdown)
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}

/// The operation of [`AsyncWriteExt::write`].
#[derive(Debug)]
pub struct Write<'a> {
    bytes: &'a [u8],
}

impl<W: AsyncWrite + ?Sized> Operation<W> for Write<'_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        writer.poll_write(cx, self.bytes)
    }
}

/// The operation of [`AsyncWriteExt::write_vectored`].
#[derive(Debug)]
pub struct WriteVectored<'a, 'b> {
    slices: &'a [IoSlice<'b>],
}

impl<W: AsyncWrite + ?Sized> Operation<W> for WriteVectored<'_, '_> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        writer.poll_write_vectored(cx, self.slices)
    }
}

/// Maximum number of slices in one vectored write; as large as in Tokio.
const MAX_SLICES_PER_WRITE: usize = 64;

/// Writes once from the front of `buf` and advances it.
fn poll_write_buf<W, B>(writer: Pin<&mut W>, buf: &mut B, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
where
    W: AsyncWrite + ?Sized,
    B: Buf + ?Sized,
{
    let len = if writer.is_write_vectored() {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES_PER_WRITE];
        let count = buf.chunks_vectored(&mut slices);
        ready!(writer.poll_write_vectored(cx, &slices[..count]))?
    } else {
        ready!(writer.poll_write(cx, buf.chunk()))?
    };
    buf.advance(len);
    Poll::Ready(Ok(len))
}

/// The operation of [`AsyncWriteExt::write_buf`].
#[derive(Debug)]
pub struct WriteBuf<'a, B> {
    buf: &'a mut B,
}

impl<W: AsyncWrite, B: Buf> Operation<W> for WriteBuf<'_, B> {
    type Output = io::Result<usize>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.buf.has_remaining() {
            return Poll::Ready(Ok(0));
        }
        poll_write_buf(writer, self.buf, cx)
    }
}

/// The operation of [`AsyncWriteExt::write_all_buf`].
#[derive(Debug)]
pub struct WriteAllBuf<'a, B> {
    buf: &'a mut B,
}

impl<W: AsyncWrite, B: Buf> Operation<W> for WriteAllBuf<'_, B> {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, mut writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.buf.has_remaining() {
            if ready_or_retry!(poll_write_buf(writer.as_mut(), self.buf, cx)) == 0 {
                return Poll::Ready(Err(write_zero()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The operation of [`AsyncWriteExt::write_all`] and the `write_u8` … `write_f64_le` methods.
#[derive(Debug)]
pub struct WriteAll<B> {
    bytes: B,
    written: usize,
}

impl<B> WriteAll<B> {
    #[inline]
    pub(super) fn new(bytes: B) -> Self {
        Self { bytes, written: 0 }
    }
}

impl<W: AsyncWrite + ?Sized, B: AsRef<[u8]>> Operation<W> for WriteAll<B> {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, mut writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = &self.bytes.as_ref()[self.written..];
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready_or_retry!(writer.as_mut().poll_write(cx, rest)) {
                0 => return Poll::Ready(Err(write_zero())),
                len => self.written += len,
            }
        }
    }
}

/// The operation of [`AsyncWriteExt::flush`].
#[derive(Debug)]
pub struct Flush;

impl<W: AsyncWrite + ?Sized> Operation<W> for Flush {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_flush(cx)
    }
}

/// The operation of [`AsyncWriteExt::shutdown`].
#[derive(Debug)]
pub struct Shutdown;

impl<W: AsyncWrite + ?Sized> Operation<W> for Shutdown {
    type Output = io::Result<()>;

    fn poll_operation(&mut self, writer: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_shutdown(cx)
    }
}
