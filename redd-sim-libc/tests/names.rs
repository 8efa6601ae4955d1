//! Names of hosts: `ToSocketAddrs` in a world.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::sim::World;
use redd_sim_libc as _;
use std::net::ToSocketAddrs;

fn resolve(name: &str) -> Vec<String> {
    name.to_socket_addrs().unwrap().map(|address| address.to_string()).collect()
}

#[test]
fn localhost_and_numbers_have_addresses_and_other_names_have_none() {
    let main = || {
        assert_eq!(resolve("localhost:80"), ["127.0.0.1:80", "[::1]:80"]);
        assert_eq!(resolve("10.1.2.3:443"), ["10.1.2.3:443"]);
        assert_eq!(resolve("[::2]:443"), ["[::2]:443"]);
        for name in ["example.com", "", "a name that is none"] {
            let error = (name, 80).to_socket_addrs().unwrap_err();
            assert!(error.to_string().contains("failed to lookup address"), "{name}: {error}");
        }
    };
    World::new(1).host("host", main).run().expect_ok();
}

#[test]
fn the_name_of_a_host_has_the_address_of_the_host() {
    let main = || {
        let found = resolve("db:5432");
        assert!(
            found.iter().any(|address| address.starts_with("10.0.0.1:") && address.ends_with(":5432")),
            "{found:?}"
        );
        assert_ne!(found, resolve("web:5432"));
    };
    World::new(1).host("db", || ()).host("web", main).run().expect_ok();
}

#[test]
#[expect(unsafe_code, reason = "calls of the C library")]
fn the_list_is_what_the_caller_asked_for_and_can_be_freed() {
    fn ask(family: libc::c_int, flags: libc::c_int, service: &std::ffi::CStr) -> Result<Vec<(i32, i32, u16)>, i32> {
        let mut found = std::ptr::null_mut();
        // SAFETY: zeros are a value of the type.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        (hints.ai_family, hints.ai_flags, hints.ai_socktype) = (family, flags, libc::SOCK_STREAM);
        // SAFETY: the strings and the hints live across the call, and the list goes to `found`.
        let code =
            unsafe { libc::getaddrinfo(c"localhost".as_ptr(), service.as_ptr(), &raw const hints, &raw mut found) };
        if code != 0 {
            return Err(code);
        }
        let (mut list, mut entry) = (Vec::new(), found);
        if flags & libc::AI_CANONNAME != 0 {
            // SAFETY: the first entry has the name.
            assert_eq!(unsafe { std::ffi::CStr::from_ptr((*found).ai_canonname) }, c"localhost");
        }
        while !entry.is_null() {
            // SAFETY: an entry of the list, with an address of its family. Both families have the port at the same place.
            unsafe {
                let port = u16::from_be((*(*entry).ai_addr.cast::<libc::sockaddr_in>()).sin_port);
                list.push(((*entry).ai_family, (*entry).ai_socktype, port));
                entry = (*entry).ai_next;
            }
        }
        // SAFETY: the list is freed once.
        unsafe { libc::freeaddrinfo(found) };
        Ok(list)
    }
    let main = || {
        let (v4, v6, stream) = (libc::AF_INET, libc::AF_INET6, libc::SOCK_STREAM);
        assert_eq!(ask(libc::AF_UNSPEC, 0, c"80"), Ok(vec![(v4, stream, 80), (v6, stream, 80)]));
        assert_eq!(ask(v4, libc::AI_CANONNAME, c"80"), Ok(vec![(v4, stream, 80)]));
        assert_eq!(ask(v6, libc::AI_ADDRCONFIG, c"81"), Ok(vec![(v6, stream, 81)]));
        assert_eq!(ask(libc::AF_UNIX, 0, c"80"), Err(libc::EAI_FAMILY));
        assert_eq!(ask(v4, libc::AI_NUMERICHOST, c"80"), Err(libc::EAI_NONAME));
        assert_eq!(ask(v4, 0, c"no such service"), Err(libc::EAI_SERVICE));
    };
    World::new(1).host("host", main).run().expect_ok();
}
