//! SIGTERM in the middle of requests: which ones does a service lose?

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd_sim_libc as _;
use std::time::Duration;

use demo_sim::repeat::{demo_seeds, repeats};
use demo_sim::service::{self, Requests};
use redd::signal::unix::SignalKind;
use redd::sim::{Report, World};

const CLIENTS: u32 = 10;

/// How many requests were begun and not answered.
fn lost(seed: u64, careful: bool) -> (u32, Report) {
    let requests = Requests::default();
    let mine = requests.clone();
    let mut world = World::new(seed).record(true);
    world = world.host("service", move || service::serve(mine.clone(), careful));
    for number in 0..CLIENTS {
        let requests = requests.clone();
        world = world.host(&format!("client-{number}"), move || service::client(requests.clone(), 20));
    }
    let report = world
        .at(Duration::from_secs(2), |w| w.signal("service", SignalKind::terminate()))
        .limit(Duration::from_secs(600))
        .run();
    report.expect_ok();
    assert!(requests.begun() > 20, "the signal came too early");
    assert!(requests.begun() < CLIENTS * 20, "the signal came too late");
    (requests.begun() - requests.answered(), report)
}

#[test]
fn a_service_with_phases_answers_what_it_has_begun() {
    repeats("service", |seed| {
        let (lost, report) = lost(seed, true);
        assert_eq!(lost, 0, "seed {seed}");
        report
    });
}

#[test]
fn a_service_without_them_loses_requests() {
    let found = demo_seeds().find(|seed| lost(*seed, false).0 > 0);
    assert!(found.is_some(), "no seed shows the mistake");
}
