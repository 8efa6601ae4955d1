//! Three nodes of openraft under crashes and partitions: no acknowledged write is lost.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd_sim_libc as _;
use std::cell::Cell;
use std::time::Duration;

use demo_sim::raft::{Cluster, NODES};
use demo_sim::repeat::repeats;
use redd::sim::{Faults, Report, World};

const WRITES: u64 = 20;

fn run(seed: u64) -> Report {
    let cluster = Cluster::new();
    let names: Vec<_> = (0..NODES).map(|id| format!("node-{id}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut world = World::new(seed).record(true).limit(Duration::from_secs(600));
    for (id, name) in (0..).zip(&names) {
        let cluster = cluster.clone();
        world = world.service(name, move || cluster.node(id));
    }
    let writer = cluster.clone();
    let faults = Faults::new()
        .crash(&names)
        .partition()
        .every(Duration::from_millis(200)..Duration::from_secs(2))
        .lasting(Duration::from_millis(100)..Duration::from_secs(2))
        .until(Duration::from_secs(20));
    let report = world.host("client", move || writer.client(WRITES)).faults(faults).run();
    report.expect_ok();
    assert_eq!(cluster.acknowledged(), Vec::from_iter(1..=WRITES));
    report
}

#[test]
fn no_acknowledged_write_is_lost_under_crashes_and_partitions() {
    let faults = Cell::new(0);
    repeats("raft", |seed| {
        let report = run(seed);
        faults.set(faults.get() + report.faults().len());
        report
    });
    assert!(faults.get() > 100, "{} faults are too few to show anything", faults.get());
}
