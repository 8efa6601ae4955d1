//! Where the program and its shared libraries are in memory.
//!
//! Called by `sync`, for dumps: an object in one of them is a `static`.
//!
//! # Invariants
//! - `first-process`: only the process that called [`loaded`] first asks the loader. The loader has a lock, which a child of `fork` finds
//!   taken forever if another thread was here when it was forked. In a child every object counts as a `static`.

#![expect(unsafe_code, reason = "a call with a callback")]

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;

use super::fork::Process;

/// The segments of all files that are loaded. `None` in a child of `fork` (`first-process`).
pub(crate) struct Images(Option<Vec<Range<usize>>>);

/// See `first-process`.
static FIRST: OnceLock<Process> = OnceLock::new();

impl Images {
    /// Whether the address is in one of them, and not on a stack or on the heap; or that is not known.
    pub(crate) fn contain(&self, address: usize) -> bool {
        self.0.as_ref().is_none_or(|segments| segments.iter().any(|segment| segment.contains(&address)))
    }
}

/// Returns what is loaded now.
pub(crate) fn loaded() -> Images {
    if !FIRST.get_or_init(Process::current).is_current() {
        return Images(None);
    }
    let mut segments: Vec<Range<usize>> = Vec::new();
    // Miri has no loader.
    #[cfg(not(miri))]
    // SAFETY: the callback gets the pointer to `segments`, which outlives the call.
    unsafe {
        libc::dl_iterate_phdr(Some(add), (&raw mut segments).cast());
    }
    let _ = &mut segments;
    Images(Some(segments))
}

/// Adds the segments of one file.
///
/// # Safety
/// `info` is from the loader, and `segments` points to a `Vec<Range<usize>>` that nothing else uses.
#[cfg_attr(miri, expect(dead_code, reason = "there is no loader"))]
unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _size: usize, segments: *mut c_void) -> c_int {
    // SAFETY: by the safety contract.
    let (info, segments) = unsafe { (&*info, &mut *segments.cast::<Vec<Range<usize>>>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader has that many headers there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        segments.push(start..start.saturating_add(header.p_memsz as usize));
    }
    0
}

#[cfg(all(test, not(any(loom, shuttle, miri))))]
mod tests {
    use std::ffi::{c_int, c_void};
    use std::sync::{Barrier, OnceLock};

    use super::loaded;

    #[test]
    fn a_static_is_in_the_program_and_a_local_or_a_box_is_not() {
        static INSIDE: OnceLock<u64> = OnceLock::new();
        static CONSTANT: u64 = 7;
        let (local, boxed) = (std::hint::black_box(1_u64), Box::new(2_u64));
        let images = loaded();
        assert!(images.contain((&raw const INSIDE).addr()) && images.contain((&raw const CONSTANT).addr()));
        assert!(!images.contain((&raw const local).addr()) && !images.contain((&raw const *boxed).addr()));
    }

    /// While it runs, the loader's lock is taken.
    unsafe extern "C" fn wait_twice(_: *mut libc::dl_phdr_info, _: usize, barrier: *mut c_void) -> c_int {
        // SAFETY: the test below passes a pointer to a barrier that outlives the call.
        let barrier = unsafe { &*barrier.cast::<Barrier>() };
        barrier.wait();
        barrier.wait();
        1
    }

    #[test]
    fn a_child_that_was_forked_while_the_loaders_lock_was_taken_does_not_wait_for_it() {
        let address = (&raw const *Box::new(1_u64)).addr();
        assert!(!loaded().contain(address));
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let barrier = (&raw const barrier).cast_mut().cast();
                // SAFETY: the callback gets the pointer to the barrier, which outlives the call.
                unsafe { libc::dl_iterate_phdr(Some(wait_twice), barrier) }
            });
            barrier.wait();
            // SAFETY: the child reads memory, and ends without running any other code of this process.
            let status = unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::alarm(30);
                    libc::_exit(i32::from(!loaded().contain(address)));
                }
                let mut status = -1;
                assert!(child > 0 && libc::waitpid(child, &raw mut status, 0) == child);
                status
            };
            barrier.wait();
            assert_eq!(status, 0, "a signal here is that of the alarm");
        });
    }
}
