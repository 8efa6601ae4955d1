//! `copy_bidirectional`: both directions between two streams, as in a proxy.
//!
//! Called by user code.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::copy::CopyBuffer;
use super::{AsyncRead, AsyncWrite, DEFAULT_BUFFER_BYTES};
use crate::observe::waiting;

/// Copies from `a` to `b` and from `b` to `a` until both have ended, and returns the number of bytes of each direction.
///
/// - When one direction ends, its writer is shut down and the other direction continues.
/// - It stops at the first error and does not shut the streams down then.
/// - It holds two buffers of 8 KiB while it runs.
///
/// # Cancel safety
/// Not cancel safe: dropping the future loses bytes that were read and not yet written.
///
/// # Errors
/// As [`copy()`](super::copy()), from either direction.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // client <-> proxy <-> server
/// let (mut client, mut to_client) = redd::io::duplex(64);
/// let (mut to_server, mut server) = redd::io::duplex(64);
/// let proxy = redd::spawn(async move { redd::io::copy_bidirectional(&mut to_client, &mut to_server).await });
///
/// client.write_all(b"request").await?;
/// client.shutdown().await?;
/// let mut request = String::new();
/// server.read_to_string(&mut request).await?;
/// assert_eq!(request, "request");
/// server.write_all(b"reply").await?;
/// server.shutdown().await?;
/// assert_eq!(proxy.await.unwrap()?, (7, 5));
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> impl Future<Output = io::Result<(u64, u64)>>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    copy_bidirectional_with_sizes(a, b, DEFAULT_BUFFER_BYTES, DEFAULT_BUFFER_BYTES)
}

/// Copies in both directions, as [`copy_bidirectional`] does, with buffers of these sizes in bytes.
///
/// # Cancel safety
/// Not cancel safe: dropping the future loses bytes that were read and not yet written.
///
/// # Panics
/// If one of the sizes is zero.
///
/// # Errors
/// As `copy_bidirectional`.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Small requests, large downloads.
/// let mut client = redd::io::join(&b"GET salmon"[..], Vec::new());
/// let mut server = redd::io::join(&b"salmon"[..], Vec::new());
/// let (up, down) = redd::io::copy_bidirectional_with_sizes(&mut client, &mut server, 1024, 256 * 1024).await?;
/// assert_eq!((up, down), (10, 6));
/// assert_eq!(client.writer(), b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn copy_bidirectional_with_sizes<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b_buf_size: usize,
    b_to_a_buf_size: usize,
) -> impl Future<Output = io::Result<(u64, u64)>>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let location = Location::caller();
    async move {
        assert!(a_to_b_buf_size > 0, "`a_to_b_buf_size` must be greater than 0: nothing could ever be copied");
        assert!(b_to_a_buf_size > 0, "`b_to_a_buf_size` must be greater than 0: nothing could ever be copied");
        let mut a_to_b = Direction::Copying(CopyBuffer::new(a_to_b_buf_size));
        let mut b_to_a = Direction::Copying(CopyBuffer::new(b_to_a_buf_size));
        poll_fn(|cx| {
            // Both directions are polled each time, so that neither waits for the other.
            let a_to_b = waiting::locate(a_to_b.poll(cx, Pin::new(&mut *a), Pin::new(&mut *b)), location)?;
            let b_to_a = waiting::locate(b_to_a.poll(cx, Pin::new(&mut *b), Pin::new(&mut *a)), location)?;
            Poll::Ready(Ok((ready!(a_to_b), ready!(b_to_a))))
        })
        .await
    }
}

/// The progress of one direction.
#[derive(Debug)]
enum Direction {
    Copying(CopyBuffer),
    ShuttingDown(u64),
    Done(u64),
}

impl Direction {
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        loop {
            match self {
                Direction::Copying(buffer) => {
                    let copied = ready!(buffer.poll_copy(cx, reader.as_mut(), writer.as_mut()))?;
                    *self = Direction::ShuttingDown(copied);
                }
                Direction::ShuttingDown(copied) => {
                    ready!(writer.as_mut().poll_shutdown(cx))?;
                    *self = Direction::Done(*copied);
                }
                Direction::Done(copied) => return Poll::Ready(Ok(*copied)),
            }
        }
    }
}
