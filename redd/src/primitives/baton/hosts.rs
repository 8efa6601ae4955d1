//! The hosts of a world: the incarnation of each, and what a crash does.
//!
//! Called by `member` for the threads of a host, by parts of the world that a crash affects, and by `sim`.
//!
//! A thread belongs to the incarnation of its host in which it was started. A crash begins the next incarnation. So the threads of
//! the old one are dead from that moment on, although they still run to their end.
//!
//! # Invariants
//! - `dead-by-count`: a thread is dead if its number is not that of its host. Nothing has to reach the thread for that.

use std::sync::Arc;

use super::events::EventKind;
use super::world::Baton;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;

/// The number of a host's incarnation.
#[derive(Debug, Default)]
pub(super) struct Life(AtomicU32);

impl Life {
    pub(super) fn incarnation(&self) -> u32 {
        // Relaxed: the thread that reads it got the baton after the thread that wrote it.
        self.0.load(Ordering::Relaxed)
    }
}

/// The incarnation of a host in which something was made.
#[derive(Clone, Debug)]
pub(crate) struct MadeIn {
    life: Arc<Life>,
    incarnation: u32,
}

impl MadeIn {
    pub(super) fn new(life: &Arc<Life>, incarnation: u32) -> Self {
        Self { life: Arc::clone(life), incarnation }
    }

    /// Whether the host has crashed since then (`dead-by-count`).
    pub(crate) fn has_crashed(&self) -> bool {
        self.life.incarnation() != self.incarnation
    }
}

/// What a part of the world does when a host crashes. The argument is the host.
type OnCrash = Arc<dyn Fn(usize) + Send + Sync>;

/// The hosts of a world. They appear when they are first asked for.
#[derive(Default)]
pub(super) struct Hosts {
    lives: Vec<Arc<Life>>,
    on_crash: Vec<OnCrash>,
}

impl Hosts {
    pub(super) fn life(&mut self, host: usize) -> Arc<Life> {
        while self.lives.len() <= host {
            self.lives.push(Arc::default());
        }
        Arc::clone(&self.lives[host])
    }
}

/// A part of a dump of a world: a runtime, or the network.
pub(crate) trait Describe: Send + Sync {
    /// Writes what its tasks or sockets do. Writes nothing if it is gone.
    fn describe(&self, out: &mut String);
}

impl Baton {
    /// How often this host has crashed.
    pub(crate) fn incarnation(&self, host: usize) -> u32 {
        self.lock().hosts.life(host).incarnation()
    }

    /// Adds what a part of the world does when any host crashes. It runs on the thread that lets the host crash, before the threads of
    /// the host see it, and without a lock. It must not call user code.
    pub(crate) fn on_crash(&self, f: impl Fn(usize) + Send + Sync + 'static) {
        self.lock().hosts.on_crash.push(Arc::new(f));
    }

    /// The host crashes. From here on its threads are dead:
    /// 1. The parts of the world forget what they have of the host.
    /// 2. Each `block_on` ends with a panic of kind `WorldEnded`, and no task is polled any more.
    /// 3. The waits of its threads return early, so that each of them sees that it is dead.
    ///
    /// The caller has the baton and belongs to another host.
    pub(crate) fn crash(&self, host: usize) {
        let mut state = self.lock();
        let life = state.hosts.life(host);
        let incarnation = life.incarnation() + 1;
        life.0.store(incarnation, Ordering::Relaxed);
        state.schedule.record(EventKind::Crashed, host as u32, [incarnation, 0]);
        let hooks = state.hosts.on_crash.clone();
        let (roots, rest) = std::mem::take(&mut state.roots)
            .into_iter()
            .partition(|(thread, _)| state.schedule.host_of(*thread) == host);
        state.roots = rest;
        let roots: Vec<_> = roots;
        drop(state);
        hooks.iter().for_each(|hook| hook(host));
        roots.into_iter().for_each(|(_, waker)| waker.wake()); // `no-user-code-under-lock`
        self.lock().schedule.crash(host);
    }
}
