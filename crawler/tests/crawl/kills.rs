//! Crawls that are killed at random moments, and go on with the same command.
//!
//! The lane `crawl-kill` runs more of it: `REDD_CRAWL_KILLS` is the number of kills, which may take `REDD_CRAWL_KILLS_SECONDS`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use redd::process::Command;
use redd::time::{Instant, sleep, timeout};
use serde_json::Value;

use crate::server::{Act, answer, missing, page, serve_requests};
use crate::state::{Requests, StoreFile, findings};

/// Every so many pages, one has a link to a page that does not exist, and one to a redirect.
const GONE_EVERY: usize = 40;
const MOVED_EVERY: usize = 50;

/// How often a crawl is killed, how many addresses the site has, and how long all of it may take.
fn extent() -> (u32, usize, Duration) {
    let number = |name| Some(std::env::var(name).ok()?.parse::<u32>().expect("the variable is a number"));
    match number("REDD_CRAWL_KILLS") {
        Some(kills) => (kills, 2000, Duration::from_secs(number("REDD_CRAWL_KILLS_SECONDS").unwrap_or(3600).into())),
        None => (8, 200, Duration::from_secs(300)),
    }
}

/// A tree of pages with links across, some of them to what is gone or has moved.
#[derive(Clone, Copy)]
struct Site {
    pages: usize,
}

impl Site {
    fn new(addresses: usize) -> Self {
        // The gone and the moved ones are addresses, too.
        Self { pages: addresses * GONE_EVERY * MOVED_EVERY / (GONE_EVERY * MOVED_EVERY + GONE_EVERY + MOVED_EVERY) }
    }

    fn response(self, path: &str) -> Act {
        let number = |prefix| path.strip_prefix(prefix).and_then(|rest: &str| rest.parse::<usize>().ok());
        if path == "/" {
            return self.html(0);
        }
        match (number("/page/"), number("/moved/")) {
            (Some(number), _) if number < self.pages => self.html(number),
            (_, Some(number)) if number < self.pages => {
                answer("301 Moved Permanently", &format!("Location: /page/{}\r\n", number / 2 + 1), "")
            }
            _ => missing(),
        }
    }

    fn html(self, number: usize) -> Act {
        let mut body = format!("<h1>{number}</h1>");
        for linked in [2 * number + 1, 2 * number + 2, number / 2 + 1, number * 7 % (self.pages - 1) + 1] {
            if linked < self.pages {
                let _ = write!(body, "<a href=/page/{linked}>{linked}</a> ");
            }
        }
        if number % GONE_EVERY == 1 {
            let _ = write!(body, "<a href=/gone/{number}>gone</a> ");
        }
        if number % MOVED_EVERY == 2 {
            let _ = write!(body, "<a href=/moved/{number}>moved</a> ");
        }
        page(&body)
    }
}

/// Random numbers: the same in each run of the test. When a crawl is killed depends on the machine, too.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a crawl to its end, and returns its result.
async fn complete(arguments: &[&str]) -> Value {
    let output = timeout(Duration::from_secs(120), command(arguments).output()).await.expect("the crawl ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    findings(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")))
}

#[redd::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_that_is_killed_goes_on_and_fetches_nothing_twice_that_it_has_stored() {
    let requests = Requests::default();
    let counted = requests.clone();
    let (kills, addresses, limit) = extent();
    let site = Site::new(addresses);
    let home = serve_requests(move |request| {
        counted.count(&request.path);
        site.response(&request.path)
    })
    .await;
    let began = Instant::now();
    let expected = complete(&["--quiet", "--no-store", "--json", "-", &home]).await;
    let took = began.elapsed();
    assert_eq!(expected["counts"]["found"], requests.all().len() - 1, "all but robots.txt: {:#}", expected["counts"]);
    assert_eq!(expected["counts"]["checked"], addresses, "{:#}", expected["counts"]);

    let store = StoreFile::new("kills");
    let arguments = ["--quiet", "--store", store.name(), "--json", "-", &home];
    let (mut random, mut killed, mut crawls, mut stored_at_kills) = (Random(7), 0, 0, 0);
    while killed < kills {
        assert!(began.elapsed() < limit, "{killed} kills took too long");
        crawls += 1;
        let mut stored = BTreeSet::new();
        let mut then = requests.all();
        // One crawl is killed several times.
        for _ in 0..=random.below(4) {
            let mut child = command(&arguments).spawn().unwrap();
            sleep(took.mul_f64(random.below(1200) as f64 / 1000.0)).await;
            child.kill().await.unwrap();
            killed += 1;
            if killed % 50 == 0 {
                println!("kills: {killed} so far, {stored_at_kills} addresses stored at them");
            }
            // The requests for what was stored then had been answered.
            assert_eq!(requests.since(&then, &home, &stored), [""; 0], "stored, and fetched again");
            let now = store.addresses();
            // It has no store if it was killed before it made one, or after it had removed it.
            assert!(stored.is_subset(&now) || !store.path().exists(), "a record is lost");
            stored_at_kills += now.len();
            (stored, then) = (now, requests.all());
        }
        assert_eq!(complete(&arguments).await, expected);
        assert_eq!(requests.since(&then, &home, &stored), [""; 0], "stored, and fetched again");
        assert!(!store.path().exists(), "a complete crawl has no store");
    }
    println!("kills: {killed} in {crawls} crawls of {addresses} addresses, {stored_at_kills} stored at the kills");
    assert!(stored_at_kills > 0, "no crawl was killed while it ran");
}
