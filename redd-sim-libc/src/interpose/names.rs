//! `getaddrinfo`.
//!
//! The addresses of a name are passed to the C library as numbers. So it makes the list, and its `freeaddrinfo` frees it.

#![expect(unsafe_code, reason = "a function with the name and the contract of that in C")]

use std::ffi::{CStr, CString};
use std::io;
use std::net::IpAddr;
use std::ptr;

use libc::{addrinfo, c_char, c_int};
use redd::sim::interposed;

use super::original::GETADDRINFO;
use super::refuse;

/// What the caller asks for, besides a name.
#[derive(Clone, Copy)]
struct Question {
    service: *const c_char,
    hints: addrinfo,
}

/// The C library's function.
///
/// # Safety
/// As for that function.
unsafe fn original(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    let Some(address) = GETADDRINFO.address() else { return libc::EAI_FAIL };
    // SAFETY: the function at this address has this signature. The rest is in the safety contract.
    unsafe {
        let call: unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int =
            std::mem::transmute(address);
        call(node, service, hints, found)
    }
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `node` and `service` are strings or null, `hints` may be read or is null, and `found` may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    if !interposed::is_any() || node.is_null() {
        // SAFETY: by the safety contract.
        return unsafe { original(node, service, hints, found) };
    }
    // SAFETY: by the safety contract.
    let name = unsafe { CStr::from_ptr(node) };
    let resolved = match name.to_str() {
        Ok(text) if text.parse::<IpAddr>().is_err() && !text.contains('%') => interposed::resolve(text),
        _ => None,
    };
    let Some(resolved) = resolved else {
        // SAFETY: by the safety contract.
        return unsafe { original(node, service, hints, found) };
    };
    let addresses = match resolved {
        Ok(addresses) => addresses,
        Err(error) => return code_of(&error),
    };
    let mut hints = if hints.is_null() {
        // SAFETY: all fields of this type may be 0.
        unsafe { std::mem::zeroed() }
    } else {
        // SAFETY: by the safety contract.
        unsafe { hints.read() }
    };
    if hints.ai_flags & libc::AI_NUMERICHOST != 0 {
        return libc::EAI_NONAME; // A name, and the caller has excluded names.
    }
    // Which families the machine has is not part of the world.
    hints.ai_flags = hints.ai_flags & !libc::AI_ADDRCONFIG | libc::AI_NUMERICHOST;
    // SAFETY: by the safety contract.
    match unsafe { list(&addresses, name, Question { service, hints }) } {
        Ok(first) => {
            // SAFETY: by the safety contract.
            unsafe { found.write(first) };
            0
        }
        Err(code) => code,
    }
}

/// The list of all addresses that fit, in their order.
///
/// # Safety
/// As for the C library's function.
unsafe fn list(addresses: &[IpAddr], name: &CStr, question: Question) -> Result<*mut addrinfo, c_int> {
    let (mut first, mut last): (*mut addrinfo, *mut addrinfo) = (ptr::null_mut(), ptr::null_mut());
    let fits = |address: &&IpAddr| match question.hints.ai_family {
        libc::AF_INET => address.is_ipv4(),
        libc::AF_INET6 => address.is_ipv6(),
        _ => true,
    };
    for address in addresses.iter().filter(fits) {
        let number = CString::new(address.to_string()).map_err(|_| libc::EAI_FAIL)?;
        let mut part = ptr::null_mut();
        // SAFETY: by the safety contract.
        let code = unsafe { original(number.as_ptr(), question.service, &raw const question.hints, &raw mut part) };
        if code != 0 {
            if !first.is_null() {
                // SAFETY: the list is complete up to here, and the caller does not get it.
                unsafe { libc::freeaddrinfo(first) };
            }
            return Err(code);
        }
        if first.is_null() {
            first = part;
        } else {
            // SAFETY: the C library frees each entry of a list on its own. So two lists can be one.
            unsafe { (*last).ai_next = part };
        }
        last = part;
        // SAFETY: the list was just made, and ends with null.
        while let Some(next) = ptr::NonNull::new(unsafe { (*last).ai_next }) {
            last = next.as_ptr();
        }
    }
    if first.is_null() {
        return Err(libc::EAI_NONAME);
    }
    // SAFETY: the list is not empty. `freeaddrinfo` frees this string with `free`.
    unsafe {
        if !(*first).ai_canonname.is_null() {
            libc::free((*first).ai_canonname.cast());
            (*first).ai_canonname = libc::strdup(name.as_ptr());
        }
    }
    Ok(first)
}

fn code_of(error: &io::Error) -> c_int {
    match error.raw_os_error() {
        Some(errno) => {
            refuse(errno);
            libc::EAI_SYSTEM
        }
        None => libc::EAI_NONAME,
    }
}
