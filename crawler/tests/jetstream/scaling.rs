//! The same site with the local store, and with one, two and four processes on JetStream: pages per second, and processor
//! time per page.
//!
//! `REDD_JETSTREAM_PAGES` sets the number of pages, and `REDD_JETSTREAM_DELAY_MS` how long the site takes for each. The numbers mean
//! something in a release build, on an idle machine.

use std::process::Stdio;
use std::time::Duration;

use redd::process::{Child, Command};
use redd::time::{Instant, sleep, timeout};

use crate::nats::NatsServer;
use crate::site::Site;

const HOSTS: usize = 16;
const PAGES: usize = 400;
/// A run that does not end is a failure.
const WATCHDOG: Duration = Duration::from_secs(300);
/// What `/proc` counts processor time in, on every Linux of ours.
const TICK: Duration = Duration::from_millis(10);

#[redd::test(flavor = "multi_thread")]
async fn each_number_of_processes_crawls_the_whole_site() {
    let Some(server) = NatsServer::start().await else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let pages = number("REDD_JETSTREAM_PAGES").unwrap_or(PAGES);
    let delay = Duration::from_millis(number("REDD_JETSTREAM_DELAY_MS").unwrap_or(0) as u64);
    let folder = std::env::temp_dir().join(format!("redd-scaling-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, processes) in [("memory", 1), ("store", 1), ("jetstream", 1), ("jetstream", 2), ("jetstream", 4)] {
        let site = Site::serve(pages, HOSTS, delay).await;
        let store = folder.join("store.redb");
        let frontier = format!("{}/with-{processes}", server.address());
        let place = match name {
            "memory" => vec!["--no-store"],
            "store" => vec!["--fresh", "--store", store.to_str().unwrap()],
            _ => vec!["--frontier", &frontier],
        };
        let (began, server_before) = (Instant::now(), processor_time(server.process()).unwrap());
        let mut children: Vec<Child> = (0..processes).map(|_| start(&place, &site)).collect();
        let mut spent = Duration::ZERO;
        for child in &mut children {
            spent += timeout(WATCHDOG, ended(child)).await.expect("the process ends");
        }
        let seconds = began.elapsed().as_secs_f64();
        let server_spent = processor_time(server.process()).unwrap() - server_before;
        let asked = site.requests().len();
        assert_eq!(asked, site.urls().len() + site.broken().len(), "{name} {processes}: all addresses");
        let per_page = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(u32::try_from(asked).unwrap());
        println!(
            "{name:<9} {processes} processes: {:>6.0} pages/s, {seconds:>5.1} s, {:>5.0} µs of the processes and {:>4.0} µs of \
             nats-server per page",
            f64::from(u32::try_from(asked).unwrap()) / seconds,
            per_page(spent),
            per_page(server_spent),
        );
    }
    drop(std::fs::remove_dir_all(folder));
}

fn start(place: &[&str], site: &Site) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.args(place).args(["--quiet", "--retries", "0"]).args(site.starts());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).spawn().unwrap()
}

/// Waits until the process has ended. Returns the processor time that it has used.
async fn ended(child: &mut Child) -> Duration {
    let id = child.id().unwrap();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // The name of the program may have spaces.
        let state = stat.rsplit(')').next().unwrap().split_whitespace().next();
        if state == Some("Z") {
            let time = processor_time(id).unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(1), "the broken links were found");
            return time;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The processor time of a process, if there is one with this number.
fn processor_time(id: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    // Fields 14 and 15 of the whole line: in user space, and in the kernel.
    let ticks = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}
