//! Signals in a simulated world: each host has signals of its own, which the script of the world sends. The process gets no handler.
//!
//! Called by `unix` for the listeners, and by `script` for what the script of a world sends.
//!
//! # Invariants
//! - `line-is-handler`: a line exists from the first listener of a signal on, until its host crashes. As a handler of the system, it
//!   replaces the default action.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::registry::Number;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::primitives::baton::{self, Baton};

/// The lines of a world, by host, incarnation of the host, and signal.
#[derive(Debug, Default)]
struct Lines(Mutex<BTreeMap<(usize, u32, Number), Arc<Line>>>);

fn lines_of(baton: &Baton) -> Arc<Lines> {
    baton.part(Arc::<Lines>::default)
}

/// One signal of one host.
#[derive(Debug, Default)]
struct Line(Mutex<Received>);

#[derive(Debug, Default)]
struct Received {
    count: u64,
    next_listener: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Received {
    /// Takes the waker of this listener, if it waits.
    fn take_waker(&mut self, listener: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(number, _)| *number == listener)?;
        Some(self.waiting.swap_remove(at).1)
    }
}

fn line_of(baton: &Baton, host: usize, number: Number) -> Option<Arc<Line>> {
    lines_of(baton).0.lock().get(&(host, baton.incarnation(host), number)).map(Arc::clone)
}

/// Whether the program of the host has ever listened to the signal, so that its default action is replaced (`line-is-handler`).
pub(super) fn is_listening(baton: &Baton, host: usize, number: Number) -> bool {
    line_of(baton, host, number).is_some()
}

/// Sends a signal to the listeners of a host.
pub(super) fn send(baton: &Baton, host: usize, number: Number) {
    let Some(line) = line_of(baton, host, number) else { return };
    let mut received = line.0.lock();
    received.count += 1;
    let waiting = std::mem::take(&mut received.waiting);
    drop(received);
    waiting.into_iter().for_each(|(_, waker)| waker.wake());
}

/// A listener for a signal of the host in which it was made.
#[derive(Debug)]
pub(super) struct Listener {
    line: Arc<Line>,
    number: u64,
    /// The count that it saw last.
    seen: u64,
}

impl Listener {
    /// `None` on a thread of no world.
    pub(super) fn new(number: Number) -> Option<Self> {
        let (baton, host) = baton::current_host()?;
        let line = Arc::clone(lines_of(&baton).0.lock().entry((host, baton.incarnation(host), number)).or_default());
        let mut received = line.0.lock();
        received.next_listener += 1;
        let (number, seen) = (received.next_listener, received.count);
        drop(received);
        Some(Self { line, number, seen })
    }

    /// Waits for a signal that it has not received.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let new = cx.waker().clone();
        let mut received = self.line.0.lock();
        let old = received.take_waker(self.number);
        let count = received.count;
        if count == self.seen {
            received.waiting.push((self.number, new));
        }
        drop(received);
        drop(old); // User code may be in it.
        if std::mem::replace(&mut self.seen, count) != count {
            return Poll::Ready(());
        }
        waiting::record(WaitKind::Signal, None);
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut received = self.line.0.lock();
        let old = received.take_waker(self.number);
        drop(received);
        drop(old); // User code may be in it.
    }
}
