//! Asynchronous reads and writes of files that block: one operation at a time runs on the blocking pool, with a buffer
//! between it and the task.
//!
//! Called by `fs::file` and `io::stdio`. It is the only import of `blocking` in `io`.
//!
//! - A read fills the buffer on the pool; the task copies out of it. Bytes that were read ahead stay for the next read.
//! - A write is ready as soon as its bytes are in the buffer. The pool writes them afterwards, even if the runtime
//!   shuts down meanwhile. The next operation that can report an error reports the error of the write.
//!
//! # Invariants
//! - `one-in-flight`: `buffer` is `None` exactly while an operation is in flight. The operation owns it, and its
//!   [`RunningOperation`] puts it back, even if the operation never ran or panicked.
//! - `captures-dropped-first`: an operation drops its captures before its end is visible. So a file has one owner when
//!   its operation has ended.
//! - `user-code-outside-lock`: wakers are cloned, woken and dropped, and closures sent to the pool, without the lock.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, Waker, ready};

use super::ReadBuf;
use super::traits::total_len;
use crate::blocking;
use crate::collections::wake_list::wake_guarded;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::{Arc, Mutex, MutexGuard};
use crate::task::coop::{poll_proceed, spend};

/// Maximum number of bytes that one operation moves, unless the file has another limit. As large as in Tokio.
pub(crate) const MAX_OPERATION_BYTES: usize = 2 * 1024 * 1024;

/// A read that needs no thread takes one unit of the budget more for each such number of bytes.
pub(crate) const BYTES_PER_UNIT: usize = 8 * 1024;

/// The kind of an operation, which determines what its result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    /// Fills the buffer.
    Read,
    /// Empties the buffer. It runs even if the runtime shuts down first.
    Write,
    /// Returns a position.
    Seek,
    /// Flushes the target's own buffer.
    Flush,
    /// Returns its result to its caller in another way.
    Other,
}

/// One blocking target, with at most one operation in flight.
#[derive(Debug)]
pub(crate) struct Background {
    shared: Arc<Mutex<BackgroundState>>,
}

#[derive(Debug)]
struct BackgroundState {
    /// `one-in-flight`
    buffer: Option<Buffer>,
    /// The result of the last operation that was not a write, until it is taken or the next operation starts.
    outcome: Option<(OperationKind, io::Result<u64>)>,
    /// The error of a write that was not reported yet.
    write_error: Option<io::Error>,
    /// The last operation was a write that never ran.
    is_write_lost: bool,
    position: u64,
    waiters: Vec<Waker>,
}

impl BackgroundState {
    /// Records the result of an operation that was not a write.
    fn set_outcome(&mut self, kind: OperationKind, result: io::Result<u64>) {
        if let (OperationKind::Seek, Ok(position)) = (kind, &result) {
            self.position = *position;
        }
        self.outcome = Some((kind, result));
    }

    fn is_waiting(&self, waker: &Waker) -> bool {
        self.waiters.iter().any(|waiting| waiting.will_wake(waker))
    }
}

/// Proof that no operation is in flight. None starts while this exists.
#[derive(Debug)]
pub(crate) struct IdleGuard<'a> {
    background: &'a Background,
    shared: MutexGuard<'a, BackgroundState>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(BackgroundState {
                buffer: Some(Buffer::default()),
                outcome: None,
                write_error: None,
                is_write_lost: false,
                position: 0,
                waiters: Vec::new(),
            })),
        }
    }

    /// Waits until no operation is in flight. Any number of tasks can wait.
    #[inline]
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>, kind: WaitKind) -> Poll<IdleGuard<'_>> {
        match self.try_idle() {
            Some(idle) => Poll::Ready(idle),
            None => self.wait_until_idle(cx, kind),
        }
    }

    fn wait_until_idle(&self, cx: &mut Context<'_>, kind: WaitKind) -> Poll<IdleGuard<'_>> {
        let mut fresh = None;
        loop {
            let mut shared = self.shared.lock();
            if shared.buffer.is_some() {
                if fresh.is_none() {
                    return Poll::Ready(IdleGuard { background: self, shared });
                }
                // The operation has ended meanwhile; another one may start while the waker is dropped.
                drop(shared);
                drop(fresh.take());
                continue;
            }
            if !shared.is_waiting(cx.waker()) {
                let Some(waker) = fresh.take() else {
                    // `user-code-outside-lock`
                    drop(shared);
                    fresh = Some(cx.waker().clone());
                    continue;
                };
                shared.waiters.push(waker);
            }
            drop(shared);
            waiting::record(kind, None);
            return Poll::Pending;
        }
    }

    /// Returns `None` while an operation is in flight.
    #[inline]
    pub(crate) fn try_idle(&self) -> Option<IdleGuard<'_>> {
        let shared = self.shared.lock();
        shared.buffer.is_some().then_some(IdleGuard { background: self, shared })
    }

    /// Reads from what was read ahead, or else at most `max` bytes: with `read_now`, which returns how many bytes it has
    /// added, and if that is `None`, with an operation made by `read`.
    pub(crate) fn poll_read<F>(
        &self,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
        max: usize,
        read_now: impl FnOnce(&mut ReadBuf<'_>, usize) -> Option<io::Result<usize>>,
        read: impl Fn(usize) -> F,
    ) -> Poll<io::Result<()>>
    where
        F: FnOnce(&mut Buffer) -> io::Result<u64> + Send + 'static,
    {
        if target.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let unit = ready!(poll_proceed(cx));
        let mut read_now = Some(read_now);
        loop {
            let mut idle = ready!(self.poll_idle(cx, WaitKind::Readable));
            let outcome = idle.take_outcome(OperationKind::Read);
            if outcome.is_some() || !idle.buffer().is_empty() {
                unit.made_progress();
                let result = outcome.unwrap_or(Ok(0));
                return Poll::Ready(result.map(|_| idle.buffer().copy_to(target)));
            }
            let len = target.remaining().min(max);
            if let Some(result) = read_now.take().and_then(|read_now| read_now(target, len)) {
                unit.made_progress();
                // As if an operation had started.
                idle.shared.outcome = None;
                return Poll::Ready(result.map(|len| spend(len / BYTES_PER_UNIT)));
            }
            idle.start(OperationKind::Read, read(len));
        }
    }

    /// Copies at most `max` bytes into the buffer and starts an operation made by `write`. The argument of `write` is
    /// the number of bytes that were read ahead and are discarded.
    pub(crate) fn poll_write<F>(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        max: usize,
        write: impl FnOnce(i64) -> F,
    ) -> Poll<io::Result<usize>>
    where
        F: FnOnce(&mut Buffer) -> io::Result<u64> + Send + 'static,
    {
        let unit = ready!(poll_proceed(cx));
        let mut idle = ready!(self.poll_idle(cx, WaitKind::Writable));
        unit.made_progress();
        if let Some(error) = idle.take_write_error() {
            return Poll::Ready(Err(error));
        }
        if total_len(slices) == 0 {
            return Poll::Ready(Ok(0));
        }
        let ahead = idle.buffer().discard();
        let len = idle.buffer().fill_from(slices, max);
        idle.start(OperationKind::Write, write(ahead));
        let mut shared = self.shared.lock();
        if std::mem::take(&mut shared.is_write_lost) {
            // These bytes will never be written: report it now rather than from the next operation.
            return Poll::Ready(Err(shared.write_error.take().unwrap_or_else(background_failed)));
        }
        Poll::Ready(Ok(len))
    }

    /// Waits until everything written has reached the target, and returns its error.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unit = ready!(poll_proceed(cx));
        let mut idle = ready!(self.poll_idle(cx, WaitKind::Writable));
        unit.made_progress();
        idle.forget_read();
        Poll::Ready(idle.take_write_error().map_or(Ok(()), Err))
    }
}

impl IdleGuard<'_> {
    pub(crate) fn buffer(&mut self) -> &mut Buffer {
        let buffer = self.shared.buffer.as_mut();
        buffer.expect("`one-in-flight`: an `IdleGuard` is made only when the buffer is there")
    }

    /// Takes the result of the last operation, if it was of this kind and was not taken yet.
    pub(crate) fn take_outcome(&mut self, kind: OperationKind) -> Option<io::Result<u64>> {
        let (_, result) = self.shared.outcome.take_if(|outcome| outcome.0 == kind)?;
        Some(result)
    }

    /// Another operation has waited for the end of a read whose future was dropped: its error, or the end of the file, is no longer
    /// news, and the next read asks again. The bytes that it has read stay.
    pub(crate) fn forget_read(&mut self) {
        drop(self.take_outcome(OperationKind::Read));
    }

    pub(crate) fn take_write_error(&mut self) -> Option<io::Error> {
        self.shared.is_write_lost = false;
        self.shared.write_error.take()
    }

    /// The position after the last seek.
    pub(crate) fn position(&self) -> u64 {
        self.shared.position
    }

    /// Records the result of an operation that needed no thread.
    pub(crate) fn end(mut self, kind: OperationKind, result: io::Result<u64>) {
        self.shared.set_outcome(kind, result);
    }

    /// Starts an operation, which takes the buffer. If there is no thread for it, it ends at once with an error.
    #[track_caller]
    pub(crate) fn start<F>(mut self, kind: OperationKind, operation: F)
    where
        F: FnOnce(&mut Buffer) -> io::Result<u64> + Send + 'static,
    {
        let running = RunningOperation {
            shared: Arc::clone(&self.background.shared),
            kind,
            buffer: self.shared.buffer.take().unwrap_or_default(),
            result: None,
        };
        self.shared.outcome = None;
        // `user-code-outside-lock`
        drop(self.shared);
        let work = move || {
            // `captures-dropped-first`: the call consumes the operation, and `running` is dropped after it. If the
            // closure is dropped instead, so are its captures, in the order of these lines.
            let operation = operation;
            let mut running = running;
            let result = operation(&mut running.buffer);
            running.result = Some(result);
            Ok(())
        };
        // The join handles are not needed: dropping `running` ends the operation, however it ended.
        match kind {
            OperationKind::Write => drop(blocking::run_mandatory::<io::Result<()>, _>(work)),
            OperationKind::Read | OperationKind::Seek | OperationKind::Flush | OperationKind::Other => {
                drop(blocking::run(work))
            }
        }
    }
}

/// An operation in flight. Dropping it ends the operation (`one-in-flight`).
struct RunningOperation {
    shared: Arc<Mutex<BackgroundState>>,
    kind: OperationKind,
    buffer: Buffer,
    /// `None` until the operation has run.
    result: Option<io::Result<u64>>,
}

impl Drop for RunningOperation {
    fn drop(&mut self) {
        let has_run = self.result.is_some();
        let result = self.result.take().unwrap_or_else(|| Err(background_failed()));
        if self.kind == OperationKind::Write {
            self.buffer.clear();
        }
        let waiters = {
            let mut shared = self.shared.lock();
            match (self.kind, result) {
                (OperationKind::Write, Ok(_)) => {}
                (OperationKind::Write, Err(error)) => {
                    shared.write_error = Some(error);
                    shared.is_write_lost = !has_run;
                }
                (kind, result) => shared.set_outcome(kind, result),
            }
            shared.buffer = Some(std::mem::take(&mut self.buffer));
            std::mem::take(&mut shared.waiters)
        };
        for waker in waiters {
            wake_guarded(waker);
        }
    }
}

/// The error of an operation that was dropped before it ran, or that panicked.
pub(crate) fn background_failed() -> io::Error {
    blocking::runtime_gone()
}

/// Bytes in transit between a task and the blocking pool.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Initialised once, when it grows. `start..end` is in use.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// The number of bytes in use, as a distance to seek. There are at most `i64::MAX`.
    pub(crate) fn len(&self) -> i64 {
        (self.end - self.start) as i64
    }

    /// Discards what was read ahead and returns its length.
    pub(crate) fn discard(&mut self) -> i64 {
        let len = self.len();
        self.clear();
        len
    }

    fn make_room(&mut self, len: usize) {
        self.clear();
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
    }

    fn copy_to(&mut self, target: &mut ReadBuf<'_>) {
        let len = target.remaining().min(self.end - self.start);
        target.put_slice(&self.bytes[self.start..][..len]);
        self.start += len;
        if self.is_empty() {
            self.clear();
        }
    }

    fn fill_from(&mut self, slices: &[IoSlice<'_>], max: usize) -> usize {
        let len = total_len(slices).min(max);
        self.make_room(len);
        for slice in slices {
            let part = &slice[..slice.len().min(len - self.end)];
            self.bytes[self.end..][..part.len()].copy_from_slice(part);
            self.end += part.len();
        }
        len
    }

    /// Reads once.
    pub(crate) fn read_from(&mut self, mut reader: impl Read, max: usize) -> io::Result<u64> {
        self.make_room(max);
        loop {
            match reader.read(&mut self.bytes[..max]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(len) => {
                    self.end = len.min(max);
                    return Ok(len as u64);
                }
            }
        }
    }

    /// Writes everything.
    pub(crate) fn write_to(&mut self, mut writer: impl Write) -> io::Result<u64> {
        writer.write_all(&self.bytes[self.start..self.end])?;
        Ok((self.end - self.start) as u64)
    }
}

debug_struct!([] Buffer as "Buffer", self => { len: (self.end - self.start), capacity: self.bytes.len() });
