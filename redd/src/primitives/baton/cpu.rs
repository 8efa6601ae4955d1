//! The CPU of a world: all its threads run on one.
//!
//! Only one of them runs at a time. If they share a CPU, the baton passes without waking another CPU, which takes four to six times as long
//! on the machine on which this was measured (9 against 46 µs with 100 hosts).
//!
//! Called by `member`, on each thread that becomes one of the world.

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::sys::affinity::CpuSet;

/// How many worlds have chosen a CPU. Worlds that run at the same time get different ones.
static CHOSEN: AtomicU32 = AtomicU32::new(0);

/// The CPU of a world, unless the system refuses to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct HomeCpu(Option<CpuSet>);

/// The CPUs of a thread before it became one of a world.
#[derive(Debug)]
pub(super) struct FormerCpus(Option<CpuSet>);

impl HomeCpu {
    /// Chooses one of the CPUs of the calling thread.
    pub(super) fn choose() -> Self {
        // Relaxed: a number for each world.
        Self(CpuSet::of_this_thread().and_then(|all| all.one(CHOSEN.fetch_add(1, Ordering::Relaxed) as usize)))
    }

    /// Moves the calling thread there.
    pub(super) fn enter(self) -> FormerCpus {
        let former = self.0.and_then(|_| CpuSet::of_this_thread());
        self.0.iter().for_each(CpuSet::apply);
        FormerCpus(former)
    }
}

impl FormerCpus {
    /// The calling thread leaves its world.
    pub(super) fn restore(&self) {
        self.0.iter().for_each(CpuSet::apply);
    }
}
