//! One table of what sockets do. Its cases run on loopback, where Linux is right, and in simulated worlds, which must agree.
//!
//! A case returns what it saw as data: a text such as `write 4; read "ping"`. The table has the text that Linux gives. Each case runs on
//! a current-thread and a multi-thread runtime. In worlds it also runs with its two sides on two hosts, if it is about more than one socket
//! of the network.
//!
//! `REDD_CASE=part_of_a_name` runs only the cases whose names contain it. `REDD_WORLDS=n` runs them in n worlds of each kind.
//!
//! Where Linux is free to choose, a case reduces what it saw until only one result is right, and says so. For example, it reads until it
//! has all bytes if a read may return fewer.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod at;
mod show;
mod table;

mod cancel;
mod lookup;
mod many;
mod tcp_close;
mod tcp_connect;
mod tcp_data;
mod tcp_options;
mod udp;
mod unix_datagram;
mod unix_stream;
mod worlds;

/// The tests of one area for each place that its cases run in.
macro_rules! areas {
    (of two hosts: $($far:ident),*; of one host: $($near:ident),* $(,)?) => {
        /// The cases of each area, and whether some of them are about two hosts.
        const AREAS: &[(&str, &[table::Case], bool)] =
            &[$((stringify!($far), $far::CASES, true),)* $((stringify!($near), $near::CASES, false)),*];
        mod on_loopback {
            $(#[test] fn $far() { crate::table::on_loopback(crate::$far::CASES); })*
            $(#[test] fn $near() { crate::table::on_loopback(crate::$near::CASES); })*
        }
        mod in_worlds {
            $(#[test] fn $far() { crate::worlds::of_one_host(crate::$far::CASES); })*
            $(#[test] fn $near() { crate::worlds::of_one_host(crate::$near::CASES); })*
        }
        mod in_worlds_of_two_hosts {
            $(#[test] fn $far() { crate::worlds::of_two_hosts(crate::$far::CASES); })*
        }
    };
}

areas!(
    of two hosts: cancel, many, tcp_close, tcp_connect, tcp_data, tcp_options, udp;
    of one host: lookup, unix_datagram, unix_stream,
);

#[test]
fn the_table_has_at_least_150_cases_and_each_its_own_name() {
    let names: Vec<_> = AREAS.iter().flat_map(|(_, cases, _)| cases.iter().map(|case| case.name)).collect();
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    for (area, cases, is_far) in AREAS {
        println!("{area}: {} cases", cases.len());
        assert_eq!(cases.iter().any(|case| case.is_far), *is_far, "whether {area} has cases for two hosts");
    }
    println!("{} cases", names.len());
    assert_eq!(different.len(), names.len());
    assert!(names.len() >= 150);
}
