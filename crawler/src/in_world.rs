//! The crawler in a simulated world, unmodified: it crawls the embedded site, which another host serves.

use redd_sim_libc as _;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::net::TcpListener;
use redd::signal::unix::SignalKind;
use redd::sim::{Report, World, seeds};

use crate::arguments::{self, Request};
use crate::demo_site;
use crate::exit::ExitStatus;
use crate::run;

#[redd::main]
async fn site() -> std::io::Result<()> {
    demo_site::serve(TcpListener::bind("0.0.0.0:80").await?).await
}

/// One crawl in a world. It gets SIGINT at these seconds.
fn crawl(seed: u64, more: &'static [&str], interrupts: &[u64]) -> (ExitStatus, Report) {
    let status = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&status);
    let mut world = World::new(seed).record(true).limit(Duration::from_secs(3600)).service("site", site);
    for &at in interrupts {
        world = world.at(Duration::from_secs(at), |control| control.signal("crawler", SignalKind::interrupt()));
    }
    let world = world.host("crawler", move || {
        let arguments = ["redd-crawl", "--quiet", "--no-store", "--timeout", "5s", "http://site/"];
        let Ok(Request::Crawl(arguments)) = arguments::parse(arguments.iter().chain(more).map(Into::into)) else {
            panic!("the arguments are right")
        };
        let status = run(*arguments).unwrap_or_else(|stop| panic!("{}", stop.message));
        *inside.lock().expect("no thread panics with it") = Some(status);
    });
    let report = world.run();
    report.expect_ok();
    assert!(report.is_std_simulated());
    let status = status.lock().expect("no thread panics with it").take();
    (status.expect("the host has ended"), report)
}

/// Asserts how a crawl ends, and how many seconds that takes. The site has a page that is never answered.
fn assert_ends(more: &'static [&str], interrupts: &[u64], exit: ExitStatus, seconds: RangeInclusive<u64>) {
    for seed in seeds(10) {
        let (status, report) = crawl(seed, more, interrupts);
        assert_eq!(status, exit, "seed {seed}");
        assert!(seconds.contains(&report.elapsed().as_secs()), "seed {seed}: {:?}", report.elapsed());
        let again = crawl(seed, more, interrupts).1;
        assert_eq!(report.first_difference(&again), None, "seed {seed}");
    }
}

#[test]
fn a_crawl_in_a_world_finds_what_is_planted_and_can_be_repeated() {
    // Three tries of five seconds.
    assert_ends(&[], &[], ExitStatus::Findings, 15..=20);
}

#[test]
fn a_signal_in_a_world_finishes_what_is_in_flight() {
    assert_ends(&[], &[3], ExitStatus::Incomplete, 5..=7);
}

#[test]
fn a_second_signal_in_a_world_aborts_what_is_in_flight() {
    assert_ends(&[], &[2, 3], ExitStatus::Incomplete, 3..=3);
}

#[test]
fn a_deadline_in_a_world_aborts_what_is_in_flight() {
    assert_ends(&["--deadline", "4s"], &[], ExitStatus::Incomplete, 4..=4);
}
