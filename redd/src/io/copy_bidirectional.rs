//! `copy_bidirectional`: both directions between two streams, as a proxy does.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::copy::Progress;
use super::{AsyncRead, AsyncWrite, BufReader, DEFAULT_BUFFER_BYTES, buf_reader::Window};

/// Copies from `a` to `b` and from `b` to `a` until both are at their end; answers with the bytes of both directions.
///
/// - At the end of one direction, its writer is shut down and the other direction goes on.
/// - At the first error it stops; the streams are left as they are.
/// - Holds two buffers of 8 KiB while it runs.
///
/// # Cancel safety
/// Not cancel safe: bytes that were read and not yet written at a drop are lost.
///
/// # Errors
/// As [`copy()`](super::copy()), from either direction.
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    copy_bidirectional_with_sizes(a, b, DEFAULT_BUFFER_BYTES, DEFAULT_BUFFER_BYTES).await
}

/// As [`copy_bidirectional`], with buffers of so many bytes.
///
/// # Cancel safety
/// Not cancel safe: bytes that were read and not yet written at a drop are lost.
///
/// # Panics
/// If one of the sizes is zero.
///
/// # Errors
/// As `copy_bidirectional`.
pub async fn copy_bidirectional_with_sizes<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b_buf_size: usize,
    b_to_a_buf_size: usize,
) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    assert!(a_to_b_buf_size > 0, "`a_to_b_buf_size` must be greater than 0: nothing could ever be copied");
    assert!(b_to_a_buf_size > 0, "`b_to_a_buf_size` must be greater than 0: nothing could ever be copied");
    let mut a_to_b = Direction::Copying(Window::new(a_to_b_buf_size), Progress::default());
    let mut b_to_a = Direction::Copying(Window::new(b_to_a_buf_size), Progress::default());
    poll_fn(|cx| {
        // Both are polled each time, so that neither waits for the other.
        let there = a_to_b.poll(cx, Pin::new(&mut *a), Pin::new(&mut *b))?;
        let back = b_to_a.poll(cx, Pin::new(&mut *b), Pin::new(&mut *a))?;
        Poll::Ready(Ok((ready!(there), ready!(back))))
    })
    .await
}

/// Where one direction stands.
#[derive(Debug)]
enum Direction {
    /// With what was read and is not written yet.
    Copying(Window, Progress),
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
                Direction::Copying(window, progress) => {
                    let mut buffered = BufReader::with_window(reader.as_mut(), std::mem::take(window));
                    let polled = progress.poll_copy(cx, Pin::new(&mut buffered), writer.as_mut());
                    *window = buffered.window;
                    *self = Direction::ShuttingDown(ready!(polled)?);
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
