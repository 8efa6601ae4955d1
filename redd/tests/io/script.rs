//! A reader and writer that follows a script.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) use super::support::{block_on as block_on_runtime, poll_once};
pub(crate) use futures::executor::block_on;

use redd::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the next call does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(&'static [u8]),
    Owned(Vec<u8>),
    /// A write accepts at most this many bytes.
    Take(usize),
    Interrupted,
    Error,
    /// Pending once; the task is woken immediately.
    Pending,
}

/// Reads and writes follow one list each. After the end of its list, a read returns the end and a write accepts all bytes.
#[derive(Debug, Default)]
pub(crate) struct Script {
    reads: VecDeque<Step>,
    writes: VecDeque<Step>,
    pub written: Vec<u8>,
    pub flushes: usize,
    pub is_shut_down: bool,
}

impl Script {
    pub(crate) fn reading(steps: &[Step]) -> Self {
        Self { reads: steps.iter().cloned().collect(), ..Self::default() }
    }

    pub(crate) fn writing(steps: &[Step]) -> Self {
        Self { writes: steps.iter().cloned().collect(), ..Self::default() }
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = match self.reads.pop_front() {
            None => return Poll::Ready(Ok(())),
            Some(Step::Data(bytes)) => bytes.to_vec(),
            Some(Step::Owned(bytes)) => bytes,
            Some(Step::Take(_)) => unreachable!("a step of a writer"),
            Some(Step::Interrupted) => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Some(Step::Error) => return Poll::Ready(Err(io::Error::other("scripted"))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        let len = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..len]);
        if len < bytes.len() {
            self.reads.push_front(Step::Owned(bytes[len..].to_vec()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = match self.writes.pop_front() {
            None => buf.len(),
            Some(Step::Take(most)) => most.min(buf.len()),
            Some(Step::Data(_) | Step::Owned(_)) => unreachable!("a step of a reader"),
            Some(Step::Interrupted) => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Some(Step::Error) => return Poll::Ready(Err(io::Error::other("scripted"))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        self.written.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut_down = true;
        Poll::Ready(Ok(()))
    }
}
