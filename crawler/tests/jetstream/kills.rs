//! Three processes of which one is killed (SIGKILL) every second, and a server that is killed in the middle.

use std::time::Duration;

use redd::process::Child;
use redd::time::{Instant, sleep};

use crate::nats::NatsServer;
use crate::processes::{check_report, start};
use crate::site::Site;

const PROCESSES: usize = 3;
/// `REDD_JETSTREAM_KILL_PAGES` sets another number.
const PAGES: usize = 500;
const HOSTS: usize = 8;
/// Requests per second to each host.
const RATE: &str = "50";
/// How long it may take. 2,000 pages take about a minute and a half.
const WATCHDOG: Duration = Duration::from_secs(500);

#[redd::test(flavor = "multi_thread")]
async fn kills_of_processes_and_of_the_server_lose_no_page_and_keep_the_rate() {
    let Some(mut server) = NatsServer::start().await else { return };
    let pages = std::env::var("REDD_JETSTREAM_KILL_PAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(PAGES);
    let site = Site::serve(pages, HOSTS, Duration::from_millis(3)).await;
    let begin = |server: &NatsServer| start(server, &site, &["--quiet", "--rate", RATE]);
    let mut children: Vec<Child> = (0..PROCESSES).map(|_| begin(&server)).collect();
    let (mut kills, mut has_restarted, began) = (0, false, Instant::now());
    let code = 'crawl: loop {
        assert!(began.elapsed() < WATCHDOG, "{} of {pages} pages after {kills} kills", site.requests().len());
        sleep(Duration::from_secs(1)).await;
        if !has_restarted && site.requests().len() > pages / 2 {
            has_restarted = true;
            server.kill().await;
            server.start_again().await;
        }
        // One that has ended by itself has seen the end of the crawl.
        for child in &mut children {
            if let Some(status) = child.try_wait().unwrap() {
                break 'crawl status.code();
            }
        }
        children[kills % PROCESSES].kill().await.unwrap();
        children[kills % PROCESSES] = begin(&server);
        kills += 1;
    };
    assert!(has_restarted && kills > 5, "{kills} kills");
    assert_eq!(code, Some(1), "the broken links were found");
    drop(children);
    check_report(&server, &site).await;
    site.check_rate(RATE.parse().unwrap(), Duration::from_millis(500));
    let requests: usize = site.requests().values().sum();
    let again = requests - site.requests().len();
    println!(
        "kills: {kills} of processes and 1 of the server in {:.0} s: {} addresses, each recorded once, {again} asked for again",
        began.elapsed().as_secs_f64(),
        site.requests().len(),
    );
}
