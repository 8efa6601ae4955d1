//! The hosts of a world: the incarnation of each, and what a crash does.
//!
//! Called by `member` for the threads of a host, and by `steer` for crashes.
//!
//! A thread belongs to the incarnation of its host in which it was started. A crash begins the next incarnation. So the threads of
//! the old one are dead from that moment on, although they still run to their end.
//!
//! # Invariants
//! - `dead-by-count`: a thread is dead if its number is not that of its host. Nothing has to reach the thread for that.

use std::sync::Arc;

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

    /// Begins the next incarnation. Returns its number.
    pub(super) fn end(&self) -> u32 {
        // Relaxed: as above.
        self.0.fetch_add(1, Ordering::Relaxed) + 1
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
pub(super) type OnCrash = Arc<dyn Fn(usize) + Send + Sync>;

/// The hosts of a world. They appear when they are first asked for.
#[derive(Default)]
pub(super) struct Hosts {
    lives: Vec<Arc<Life>>,
    pub(super) on_crash: Vec<OnCrash>,
}

impl Hosts {
    pub(super) fn life(&mut self, host: usize) -> Arc<Life> {
        while self.lives.len() <= host {
            self.lives.push(Arc::default());
        }
        Arc::clone(&self.lives[host])
    }
}

/// A runtime of a world.
pub(crate) trait WorldRuntime: Send + Sync {
    /// Writes what its tasks do. Writes nothing if the runtime is gone.
    fn describe(&self, out: &mut String);
}
