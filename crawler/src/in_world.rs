//! The crawler in a simulated world, unmodified: it crawls the embedded site, which another host serves.

use redd_sim_libc as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::net::TcpListener;
use redd::sim::{Report, World, seeds};

use crate::arguments::{self, Request};
use crate::demo_site;
use crate::exit::ExitStatus;
use crate::run;

#[redd::main]
async fn site() -> std::io::Result<()> {
    demo_site::serve(TcpListener::bind("0.0.0.0:80").await?).await
}

/// One crawl in a world.
fn crawl(seed: u64) -> (ExitStatus, Report) {
    let status = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&status);
    let world = World::new(seed).record(true).limit(Duration::from_secs(3600)).service("site", site);
    let world = world.host("crawler", move || {
        let arguments = ["redd-crawl", "--quiet", "--no-store", "--timeout", "5s", "http://site/"];
        let Ok(Request::Crawl(arguments)) = arguments::parse(arguments.map(Into::into)) else {
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

#[test]
fn a_crawl_in_a_world_finds_what_is_planted_and_can_be_repeated() {
    for seed in seeds(10) {
        let (status, report) = crawl(seed);
        assert_eq!(status, ExitStatus::Findings, "seed {seed}");
        assert_eq!(report.first_difference(&crawl(seed).1), None, "seed {seed}");
    }
}
