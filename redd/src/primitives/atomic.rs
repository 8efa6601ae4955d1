//! Atomics and fences of std.

#![expect(unsafe_code, reason = "zeroed memory as atomics")]

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Atomics for `static` items. Never modelled: a static outlives an execution of the model.
pub(crate) mod fixed {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
}

/// Atomics that are all zero. The system need not provide their memory before they are used.
pub(crate) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    let layout = std::alloc::Layout::array::<AtomicU64>(count).expect("callers ask for little");
    assert!(layout.size() > 0, "callers ask for some");
    // SAFETY: the layout is not empty.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<AtomicU64>();
    if memory.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    // SAFETY: the memory is that of `count` atomics, and zeros are a value of each. It is ours alone, from the allocator
    // and with the layout that the box returns it with.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory, count)) }
}
