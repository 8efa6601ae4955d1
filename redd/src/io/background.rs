//! Blocking reads and writes made asynchronous: one operation at a time runs on the blocking pool, with a buffer
//! between it and the task.
//!
//! Called by `fs::file` and `io::stdio`. The one edge from `io` to `blocking`: it asks for a thread at the door.
//!
//! - A read fills the buffer on the pool; the task copies out of it. Bytes read ahead stay for the next read.
//! - A write is ready as soon as its bytes are in the buffer; the pool writes them afterwards, also when the runtime
//!   shuts down meanwhile. Its error is reported by the next operation that can report one.
//!
//! # Invariants
//! - `one-in-flight`: `buffer` is `None` exactly while an operation is at work; the operation has it, and its [`RunningOperation`]
//!   puts it back, also if it never ran or panicked.
//! - `captures-dropped-first`: an operation drops what it captured before its end is seen, so that a file whose operation has
//!   ended has one owner.
//! - `user-code-outside-lock`: wakers are cloned, woken and dropped, and closures handed to the pool, without the lock.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, Waker, ready};

use super::ReadBuf;
use super::traits::total_len;
use crate::blocking;
use crate::collections::wake_list::wake_guarded;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::{Arc, Mutex, MutexGuard};
use crate::task::coop::poll_proceed;

/// Bytes that one operation moves at most, unless the file says otherwise. The figure is Tokio's.
pub(crate) const MAX_OPERATION_BYTES: usize = 2 * 1024 * 1024;

/// What an operation is, and so what its result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    /// Fills the buffer.
    Read,
    /// Empties the buffer. Runs also if the runtime shuts down first.
    Write,
    /// Answers with a position.
    Seek,
    /// Hands on what the target has buffered itself.
    Flush,
    /// Reports to its caller in another way.
    Other,
}

/// One blocking target with at most one operation at work.
#[derive(Debug)]
pub(crate) struct Background {
    shared: Arc<Mutex<BackgroundState>>,
}

#[derive(Debug)]
struct BackgroundState {
    /// `one-in-flight`
    buffer: Option<Buffer>,
    /// How the last operation ended, until somebody asks or the next one starts. Not for writes.
    outcome: Option<(OperationKind, io::Result<u64>)>,
    /// The error of a write that nobody has heard of yet.
    write_error: Option<io::Error>,
    /// The operation at work was a write that never ran.
    is_write_lost: bool,
    position: u64,
    waiters: Vec<Waker>,
}

impl BackgroundState {
    fn is_waiting(&self, waker: &Waker) -> bool {
        self.waiters.iter().any(|waiting| waiting.will_wake(waker))
    }
}

/// No operation is at work, and none starts while this lives.
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

    /// Waits for the operation at work. Any number of tasks can wait.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>, kind: WaitKind) -> Poll<IdleGuard<'_>> {
        let mut fresh = None;
        loop {
            let mut shared = self.shared.lock();
            if shared.buffer.is_some() {
                if fresh.is_none() {
                    return Poll::Ready(IdleGuard { background: self, shared });
                }
                // The operation has ended meanwhile; another one may begin while the waker is dropped.
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
            waiting::note(kind, None);
            return Poll::Pending;
        }
    }

    /// `None` while an operation is at work.
    pub(crate) fn try_idle(&self) -> Option<IdleGuard<'_>> {
        let shared = self.shared.lock();
        shared.buffer.is_some().then_some(IdleGuard { background: self, shared })
    }

    /// Reads at most `max` bytes with an operation made by `read`, or from what was read ahead.
    pub(crate) fn poll_read<F>(
        &self,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
        max: usize,
        read: impl Fn(usize) -> F,
    ) -> Poll<io::Result<()>>
    where
        F: FnOnce(&mut Buffer) -> io::Result<u64> + Send + 'static,
    {
        if target.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let unit = ready!(poll_proceed(cx));
        loop {
            let mut idle = ready!(self.poll_idle(cx, WaitKind::Readable));
            let outcome = idle.take_outcome(OperationKind::Read);
            if outcome.is_some() || !idle.buffer().is_empty() {
                unit.made_progress();
                let result = outcome.unwrap_or(Ok(0));
                return Poll::Ready(result.map(|_| idle.buffer().copy_to(target)));
            }
            idle.start(OperationKind::Read, read(target.remaining().min(max)));
        }
    }

    /// Puts at most `max` bytes into the buffer and starts the operation that `write` makes, given the number of bytes
    /// that were read ahead and are discarded.
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
            // Nobody will write these bytes: better said now than by the next operation.
            return Poll::Ready(Err(shared.write_error.take().unwrap_or_else(background_failed)));
        }
        Poll::Ready(Ok(len))
    }

    /// Waits until what was written has been handed to the target, and reports its error.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unit = ready!(poll_proceed(cx));
        let mut idle = ready!(self.poll_idle(cx, WaitKind::Writable));
        unit.made_progress();
        Poll::Ready(idle.take_write_error().map_or(Ok(()), Err))
    }
}

impl IdleGuard<'_> {
    pub(crate) fn buffer(&mut self) -> &mut Buffer {
        let buffer = self.shared.buffer.as_mut();
        buffer.expect("`one-in-flight`: an `IdleGuard` is made only when the buffer is there")
    }

    /// How the last operation ended, if it was of this kind and nobody has asked yet.
    pub(crate) fn take_outcome(&mut self, kind: OperationKind) -> Option<io::Result<u64>> {
        let (_, result) = self.shared.outcome.take_if(|outcome| outcome.0 == kind)?;
        Some(result)
    }

    pub(crate) fn take_write_error(&mut self) -> Option<io::Error> {
        self.shared.is_write_lost = false;
        self.shared.write_error.take()
    }

    /// Where the last seek led.
    pub(crate) fn position(&self) -> u64 {
        self.shared.position
    }

    /// Starts an operation, which gets the buffer. If there is no thread for it, it ends at once with an error.
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
            // `captures-dropped-first`: the call consumes the operation, and the running is dropped after it. If the closure is
            // dropped instead, so are its captures, in the order of these lines.
            let operation = operation;
            let mut running = running;
            let result = operation(&mut running.buffer);
            running.result = Some(result);
            Ok(())
        };
        // Nobody waits for the handles: the running tells when the operation has ended, however it did.
        match kind {
            OperationKind::Write => drop(blocking::run_mandatory::<io::Result<()>, _>(work)),
            OperationKind::Read | OperationKind::Seek | OperationKind::Flush | OperationKind::Other => {
                drop(blocking::run(work))
            }
        }
    }
}

/// An operation at work. Its drop is its end (`one-in-flight`).
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
                (kind, result) => {
                    if let (OperationKind::Seek, Ok(position)) = (kind, &result) {
                        shared.position = *position;
                    }
                    shared.outcome = Some((kind, result));
                }
            }
            shared.buffer = Some(std::mem::take(&mut self.buffer));
            std::mem::take(&mut shared.waiters)
        };
        for waker in waiters {
            wake_guarded(waker);
        }
    }
}

/// The operation was dropped before it ran, or it panicked.
pub(crate) fn background_failed() -> io::Error {
    blocking::runtime_gone()
}

/// Bytes on their way between a task and the blocking pool.
#[derive(Default)]
pub(crate) struct Buffer {
    /// All of it is initialised, once; `start..end` is in use.
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

    /// Bytes in use, as a distance to seek; memory is at most `i64::MAX` bytes.
    pub(crate) fn len(&self) -> i64 {
        (self.end - self.start) as i64
    }

    /// Drops what was read ahead, and says how much that was.
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
