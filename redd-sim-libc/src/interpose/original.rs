//! The functions of the C library that this package takes the place of.
//!
//! Their addresses are found before `main`, because to look for one is not permitted in a signal handler. A function that is called
//! earlier, and the one of a static program, is replaced by the system call itself.

#![expect(unsafe_code, reason = "addresses of functions")]

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A function of the C library. 0: it is not known.
pub(super) struct Original {
    name: &'static CStr,
    address: AtomicUsize,
}

pub(super) static CLOCK_GETTIME: Original = Original::new(c"clock_gettime");
pub(super) static GETRANDOM: Original = Original::new(c"getrandom");
pub(super) static CLOCK_NANOSLEEP: Original = Original::new(c"clock_nanosleep");
pub(super) static GETADDRINFO: Original = Original::new(c"getaddrinfo");

impl Original {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    /// The address, if it is known.
    #[inline]
    pub(super) fn address(&self) -> Option<usize> {
        // Relaxed: the code at the address was there before this program.
        Some(self.address.load(Ordering::Relaxed)).filter(|address| *address != 0)
    }

    fn find(&self) {
        // SAFETY: the name ends with a zero byte.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(address.addr(), Ordering::Relaxed);
    }
}

/// Called before `main`.
extern "C" fn find_all() {
    [&CLOCK_GETTIME, &GETRANDOM, &CLOCK_NANOSLEEP, &GETADDRINFO].into_iter().for_each(Original::find);
}

/// The C library calls each function in this section when it loads the program.
// The section has addresses of functions that take nothing or ignore what they get.
#[unsafe(link_section = ".init_array")]
#[used]
static AT_START: extern "C" fn() = find_all;
