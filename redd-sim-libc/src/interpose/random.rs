//! `getrandom` and `getentropy`.

#![expect(unsafe_code, reason = "functions with the names and the contracts of those in C")]

use std::mem::MaybeUninit;

use libc::{c_int, c_uint, c_void, size_t, ssize_t};
use redd::sim::interposed;

use super::kernel::raw;
use super::original::GETRANDOM;
use super::refuse;

/// The flags that exist. With another one the system has to say what is wrong.
const FLAGS: c_uint = libc::GRND_NONBLOCK | libc::GRND_RANDOM | libc::GRND_INSECURE;
/// More is an error of `getentropy`.
const ENTROPY_MAX: size_t = 256;

/// Takes the place of the C library's function. A length of 0 draws nothing: with it programs ask whether the function is there.
/// It takes no lock (`anywhere`).
///
/// # Safety
/// `len` bytes at `buffer` may be written.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if interposed::is_any() && !buffer.is_null() && len > 0 && flags & !FLAGS == 0 {
        // SAFETY: by the safety contract. Bytes that are not initialised are bytes of this type.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), len) };
        if interposed::fill_random(bytes) {
            return len as ssize_t;
        }
    }
    let Some(address) = GETRANDOM.address() else {
        // SAFETY: by the safety contract.
        let result = unsafe { raw(libc::SYS_getrandom, [buffer.addr(), len, flags as usize, 0, 0, 0]) };
        return if result < 0 { refuse(-result as c_int) as ssize_t } else { result as ssize_t };
    };
    // SAFETY: the function at this address has this signature. The rest is in the safety contract.
    unsafe {
        let call: unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t = std::mem::transmute(address);
        call(buffer, len, flags)
    }
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `len` bytes at `buffer` may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buffer: *mut c_void, len: size_t) -> c_int {
    if len > ENTROPY_MAX {
        return refuse(libc::EIO);
    }
    let mut done = 0;
    while done < len {
        // SAFETY: by the safety contract.
        let filled = unsafe { getrandom(buffer.byte_add(done), len - done, 0) };
        match usize::try_from(filled) {
            Ok(filled) => done += filled,
            // SAFETY: the location of `errno` is valid.
            Err(_) if unsafe { *super::errno_location() } == libc::EINTR => {}
            Err(_) => return -1,
        }
    }
    0
}
