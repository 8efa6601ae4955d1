//! Where the program and its shared libraries are in memory.
//!
//! Called by `sync`, for dumps: an object in one of them is a `static`.

#![expect(unsafe_code, reason = "a call with a callback")]

use std::ffi::{c_int, c_void};
use std::ops::Range;

/// The segments of all files that are loaded.
pub(crate) struct Images(Vec<Range<usize>>);

impl Images {
    /// Whether the address is in one of them, and not on a stack or on the heap.
    pub(crate) fn contain(&self, address: usize) -> bool {
        self.0.iter().any(|segment| segment.contains(&address))
    }
}

/// Returns what is loaded now.
pub(crate) fn loaded() -> Images {
    let mut segments: Vec<Range<usize>> = Vec::new();
    // Miri has no loader.
    #[cfg(not(miri))]
    // SAFETY: the callback gets the pointer to `segments`, which outlives the call.
    unsafe {
        libc::dl_iterate_phdr(Some(add), (&raw mut segments).cast());
    }
    let _ = &mut segments;
    Images(segments)
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
    use std::sync::OnceLock;

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
}
