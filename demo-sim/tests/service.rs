//! SIGTERM in the middle of requests: which ones does a service lose?

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd_sim_libc as _;
use std::time::Duration;

use demo_sim::service::{self, Requests};
use redd::signal::unix::SignalKind;
use redd::sim::{Report, World, seeds};

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
    for seed in seeds(20) {
        let (lost_requests, report) = lost(seed, true);
        assert_eq!(lost_requests, 0, "seed {seed}");
        assert_eq!(report.first_difference(&lost(seed, true).1), None, "seed {seed}");
    }
}

#[test]
fn a_service_without_them_loses_requests() {
    let total: u32 = seeds(20).map(|seed| lost(seed, false).0).sum();
    assert!(total > 20, "{total} lost requests");
}
