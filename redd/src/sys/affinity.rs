//! On which CPUs a thread may run.
//!
//! Called by `primitives::baton`. Everything here is best effort: a system that refuses it leaves all as it is.

#![expect(unsafe_code, reason = "system calls")]

use std::fmt;
use std::mem::{MaybeUninit, size_of};

/// Miri knows no CPUs.
const CAN_ASK: bool = cfg!(not(miri));

/// A set of CPUs.
#[derive(Clone, Copy)]
pub(crate) struct CpuSet(libc::cpu_set_t);

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.cpus()).finish()
    }
}

impl CpuSet {
    /// Those on which the calling thread may run. `None` if the system does not report it: it may have more CPUs than the set holds.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
        // SAFETY: 0 is the calling thread, and the system writes at most as many bytes as the set has.
        let is_ok =
            CAN_ASK && unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) } == 0;
        // SAFETY: all zeros is the empty set, and the system has written the rest.
        is_ok.then(|| Self(unsafe { set.assume_init() }))
    }

    fn cpus(&self) -> impl Iterator<Item = usize> {
        // SAFETY: the numbers are within the set.
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &self.0) })
    }

    /// The set of one of these CPUs. Indexes that are too large begin again.
    pub(crate) fn one(&self, index: usize) -> Option<Self> {
        let count = self.cpus().count();
        let cpu = self.cpus().nth(index.checked_rem(count)?)?;
        // SAFETY: all zeros is the empty set.
        let mut set = unsafe { MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init() };
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        Some(Self(set))
    }

    /// From here on, the calling thread runs on these CPUs, and so do threads that it starts.
    pub(crate) fn apply(&self) {
        // SAFETY: 0 is the calling thread, and the system reads as many bytes as the set has.
        let _ = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.0) };
    }
}

#[cfg(all(test, not(any(loom, shuttle, miri))))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_moves_to_one_of_its_cpus_and_back() {
        let all = CpuSet::of_this_thread().expect("the system reports it");
        let count = all.cpus().count();
        for index in 0..=count {
            let one = all.one(index).expect("it has some");
            one.apply();
            let now = CpuSet::of_this_thread().expect("as before");
            assert_eq!(Vec::from_iter(now.cpus()), [all.cpus().nth(index % count).expect("it is one of them")]);
        }
        all.apply();
        assert_eq!(CpuSet::of_this_thread().expect("as before").cpus().count(), count);
    }
}
