//! axum, tonic and reqwest across a partition: the gateway answers in time, and it recovers.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd_sim_libc as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use demo_sim::repeat::repeats;
use demo_sim::shop::{self, BACKEND_TIMEOUT, Seen};
use redd::sim::{Report, World};

const PARTITION: Duration = Duration::from_secs(10);
const HEAL: Duration = Duration::from_secs(30);

fn run(seed: u64) -> (Vec<Seen>, Report) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let client = Arc::clone(&seen);
    let report = World::new(seed)
        .record(true)
        .service("backend", shop::backend)
        .service("gateway", shop::gateway)
        .host("client", move || shop::client(&client))
        .at(PARTITION, |w| w.partition(&["gateway"], &["backend"]))
        .at(HEAL, |w| w.heal())
        .limit(Duration::from_secs(600))
        .run();
    report.expect_ok();
    let seen = seen.lock().unwrap().clone();
    (seen, report)
}

#[test]
fn the_gateway_answers_in_time_and_recovers() {
    repeats("shop", |seed| {
        let (seen, report) = run(seed);
        let slow = BACKEND_TIMEOUT + Duration::from_millis(500);
        assert!(seen.iter().all(|seen| seen.took < slow && seen.status != 0), "seed {seed}: {seen:?}");
        let status = |from: Duration, to: Duration| {
            let within = seen.iter().filter(move |seen| (from..to).contains(&seen.at));
            within.map(|seen| seen.status).collect::<std::collections::BTreeSet<_>>()
        };
        // The servers start with the client, so its first requests may come too early.
        assert_eq!(status(Duration::from_secs(2), PARTITION - slow), [200].into(), "seed {seed}");
        assert_eq!(status(PARTITION + Duration::from_millis(10), HEAL - slow), [503].into(), "seed {seed}");
        assert_eq!(status(HEAL + Duration::from_secs(15), Duration::from_secs(60)), [200].into(), "seed {seed}");
        report
    });
}
