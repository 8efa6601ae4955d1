//! The cases in simulated worlds.

use crate::at::At;
use crate::table::{Case, Differences, Flavor, run, selected};
use redd::net::lookup_host;
use redd::runtime::Handle;
use redd::sim::World;
use redd::sync::{Notify, SetOnce};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Runs cases in worlds of one host.
pub(crate) fn of_one_host(cases: &'static [Case]) {
    compare(selected(cases), "one host", |seed, flavor, case, seen| {
        World::new(seed).host("near", move || {
            let text = flavor.runtime().block_on(run(case, At::loopback(true)));
            seen.lock().unwrap().clone_from(&text);
        })
    });
}

/// What the hosts tell each other.
#[derive(Default)]
struct Meeting {
    far: SetOnce<Handle>,
    end: Notify,
}

/// Runs the cases about the network in worlds whose far side is another host.
pub(crate) fn of_two_hosts(cases: &'static [Case]) {
    compare(selected(cases).filter(|case| case.is_far), "two hosts", |seed, flavor, case, seen| {
        let near = Arc::new(Meeting::default());
        let far = Arc::clone(&near);
        let near = move || {
            let text = flavor.runtime().block_on(async {
                let mut at = At::loopback(true);
                (at.near, at.far) = (address_of("near").await, address_of("far").await);
                at.far_runtime = Some(near.far.wait().await.clone());
                let text = run(case, at).await;
                near.end.notify_one();
                text
            });
            seen.lock().unwrap().clone_from(&text);
        };
        let far = move || {
            flavor.runtime().block_on(async {
                far.far.set(Handle::current()).expect("it is set once");
                far.end.notified().await;
            });
        };
        World::new(seed).host("near", near).host("far", far)
    });
}

async fn address_of(host: &str) -> IpAddr {
    lookup_host((host, 0)).await.expect("a host of the world").next().expect("an address").ip()
}

/// The number of worlds for each case and runtime. `REDD_WORLDS=n` sets it.
fn worlds() -> u64 {
    std::env::var("REDD_WORLDS").map_or(1, |text| text.parse().expect("REDD_WORLDS is a number"))
}

/// Runs each case in worlds of several seeds, and in one of them twice.
fn compare(
    cases: impl Iterator<Item = &'static Case>,
    place: &str,
    world: impl Fn(u64, Flavor, &'static Case, Arc<Mutex<String>>) -> World,
) {
    let once = |seed, flavor, case| {
        let seen = Arc::default();
        let report = world(seed, flavor, case, Arc::clone(&seen)).record(true).run();
        let mut text = seen.lock().unwrap().clone();
        report.failures().iter().for_each(|failure| text += &format!("; the world: {failure}"));
        (text, report)
    };
    let mut differences = Differences::default();
    for case in cases {
        for flavor in Flavor::ALL {
            for seed in 0..worlds() {
                let (text, report) = once(seed, flavor, case);
                let place = format!("in a world of {place}, {flavor:?}, seed {seed}");
                differences.compare(case, place.clone(), case.in_worlds.unwrap_or(case.expected), &text);
                if seed == 0 {
                    let again = once(seed, flavor, case).1;
                    if let Some(difference) = report.first_difference(&again) {
                        differences.add(case, place, difference);
                    }
                }
            }
        }
    }
    differences.expect_none();
}
