//! The engine with a real nats-server. The pages are made up: the tests count how often each is fetched, and look at the records.

#[path = "../../tests/jetstream/nats.rs"]
mod nats;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::time::{Instant, timeout};
use serde_json::{Value, json};

use self::nats::NatsServer;
use super::address::FrontierAddress;
use super::event::Event;
use super::item::{Announcement, Item, Work};
use super::names::partition_of;
use super::{Engine, Joining, Records, records, start_over};

/// How often each page was fetched.
type Fetched = Arc<Mutex<BTreeMap<String, usize>>>;

/// A test that does not end is a failure. Leases of ten seconds are waited for.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Pages `http://hH/N`: page N links to 2N and 2N+1, on hosts that take turns.
fn url(page: usize, hosts: usize) -> String {
    format!("http://h{}/{page}", page % hosts)
}

fn work(url: String) -> Work {
    Work { url, depth: 0, is_inside: true, hops: 0, inside_known: 0 }
}

/// The record of a page: the addresses of its links.
fn record(item: &Item, pages: usize, hosts: usize) -> Vec<u8> {
    let page: usize = item.work.url.rsplit('/').next().unwrap().parse().unwrap();
    let links: Vec<String> =
        [2 * page, 2 * page + 1].iter().filter(|&&page| page <= pages).map(|&page| url(page, hosts)).collect();
    json!({ "url": item.work.url, "links": links }).to_string().into_bytes()
}

fn joining(name: &str, settings: Value, hosts: usize) -> Joining {
    let announce = |_: &Work, record: &[u8], _: &std::collections::BTreeSet<String>| {
        let record: Value = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let links = record["links"].as_array().unwrap().iter();
        let pages = links.map(|link| work(link.as_str().unwrap().to_owned())).collect();
        Ok(Announcement { pages, inside: Vec::new() })
    };
    Joining {
        name: name.to_owned(),
        settings,
        starts: Announcement { pages: vec![work(url(1, hosts))], inside: Vec::new() },
        announce: Box::new(announce),
        interval: Arc::new(|_| Duration::from_millis(500)),
    }
}

async fn join(server: &NatsServer, hosts: usize) -> Engine {
    let address = FrontierAddress::parse(&server.address()).unwrap();
    Engine::join(&address, joining("test", json!({ "depth": 1 }), hosts)).await.unwrap()
}

/// Fetches pages until none is left or `enough` says so. Returns whether none is left.
async fn crawl(
    engine: &mut Engine,
    fetched: &Fetched,
    pages: usize,
    hosts: usize,
    mut enough: impl FnMut(usize) -> bool,
) -> bool {
    let mut number = 0;
    loop {
        match timeout(WATCHDOG, engine.next()).await.expect("there is an event") {
            Event::Page(item) => {
                if !item.lease.may_start() {
                    engine.give_back(&item);
                    continue;
                }
                *fetched.lock().unwrap().entry(item.work.url.clone()).or_default() += 1;
                number += 1;
                let record = record(&item, pages, hosts);
                engine.commit(item, record).await;
                if enough(number) {
                    return false;
                }
            }
            Event::Done => return true,
            Event::Failed(why) => panic!("{why}"),
            Event::Host { .. } | Event::Release(_) | Event::Lost(_) | Event::Line(_) => {}
        }
    }
}

/// Checks that the results have each page once.
async fn check_records(records: &Records, pages: usize, hosts: usize) {
    let mut found = BTreeMap::<String, usize>::new();
    let read = records.read(|record| {
        let record: Value = serde_json::from_slice(record).unwrap();
        *found.entry(record["url"].as_str().unwrap().to_owned()).or_default() += 1;
        Ok(())
    });
    read.await.unwrap();
    let expected: BTreeMap<String, usize> = (1..=pages).map(|page| (url(page, hosts), 1)).collect();
    assert_eq!(found, expected);
}

fn each_once(fetched: &Fetched, pages: usize, hosts: usize) {
    let expected: BTreeMap<String, usize> = (1..=pages).map(|page| (url(page, hosts), 1)).collect();
    assert_eq!(*fetched.lock().unwrap(), expected);
}

#[redd::test(flavor = "multi_thread")]
async fn one_process_fetches_each_page_once_and_ends_by_itself() {
    let Some(server) = NatsServer::start().await else { return };
    let fetched = Fetched::default();
    let mut engine = join(&server, 5).await;
    assert!(crawl(&mut engine, &fetched, 300, 5, |_| false).await);
    each_once(&fetched, 300, 5);
    let records = engine.leave().await;
    check_records(&records, 300, 5).await;
    assert!(records.is_complete().await.unwrap());

    // It is over: another process fetches nothing.
    let mut late = join(&server, 5).await;
    assert!(crawl(&mut late, &fetched, 300, 5, |_| false).await);
    each_once(&fetched, 300, 5);
    late.leave().await;
}

#[redd::test(flavor = "multi_thread")]
async fn processes_share_the_hosts_and_each_page_is_fetched_once() {
    let Some(server) = NatsServer::start().await else { return };
    let fetched = Fetched::default();
    let (mut first, mut second) = (join(&server, 16).await, join(&server, 16).await);
    let (counts, hosts) = (Mutex::new([0, 0]), 16);
    let count = |index: usize| {
        counts.lock().unwrap()[index] += 1;
        // Slow enough that the second process gets its share.
        false
    };
    let ends = futures_util::future::join(
        crawl(&mut first, &fetched, 3000, hosts, |_| count(0)),
        crawl(&mut second, &fetched, 3000, hosts, |_| count(1)),
    );
    assert_eq!(ends.await, (true, true));
    each_once(&fetched, 3000, hosts);
    let counts = *counts.lock().unwrap();
    assert!(counts.iter().all(|&count| count > 0), "both have worked: {counts:?}");
    first.leave().await;
    check_records(&second.leave().await, 3000, hosts).await;
}

#[redd::test(flavor = "multi_thread")]
async fn what_a_process_leaves_is_finished_by_the_next_one_at_once() {
    let Some(server) = NatsServer::start().await else { return };
    let fetched = Fetched::default();
    let mut first = join(&server, 3).await;
    assert!(!crawl(&mut first, &fetched, 200, 3, |number| number == 50).await);
    first.leave().await;
    let left_at = Instant::now();
    let mut second = join(&server, 3).await;
    assert!(crawl(&mut second, &fetched, 200, 3, |_| false).await);
    assert!(left_at.elapsed() < super::lease::LEASE_AGE, "the leases were given up, not waited for");
    each_once(&fetched, 200, 3);
    check_records(&second.leave().await, 200, 3).await;
}

#[redd::test(flavor = "multi_thread")]
async fn a_process_that_dies_loses_no_page_and_its_hosts_wait_for_their_interval() {
    let Some(server) = NatsServer::start().await else { return };
    let fetched = Fetched::default();
    let mut first = join(&server, 3).await;
    assert!(!crawl(&mut first, &fetched, 200, 3, |number| number == 50).await);
    // It dies without leaving: its leases run out.
    drop(first);
    let mut second = join(&server, 3).await;
    let before = Instant::now();
    let opened = loop {
        if let Event::Host { origin, not_before, .. } = timeout(WATCHDOG, second.next()).await.unwrap() {
            break (origin, not_before);
        }
    };
    assert!(
        opened.1 >= before + Duration::from_millis(500),
        "a request may have been sent to {} just before",
        opened.0
    );
    assert!(crawl(&mut second, &fetched, 200, 3, |_| false).await);
    each_once(&fetched, 200, 3);
    check_records(&second.leave().await, 200, 3).await;
}

#[redd::test(flavor = "multi_thread")]
async fn a_page_whose_record_is_stored_is_not_fetched_again_and_its_links_are_announced() {
    let Some(server) = NatsServer::start().await else { return };
    let mut first = join(&server, 3).await;
    let item = loop {
        if let Event::Page(item) = timeout(WATCHDOG, first.next()).await.unwrap() {
            break item;
        }
    };
    // It dies after the record is stored, and before a link is announced.
    assert_eq!(records::store(&first.layout, &first.sender, item.work.key(), &record(&item, 20, 3)).await, None);
    drop(first);
    let fetched = Fetched::default();
    let mut second = join(&server, 3).await;
    assert!(crawl(&mut second, &fetched, 20, 3, |_| false).await);
    let mut expected: BTreeMap<String, usize> = (1..=20).map(|page| (url(page, 3), 1)).collect();
    expected.remove(&item.work.url);
    assert_eq!(*fetched.lock().unwrap(), expected);
    check_records(&second.leave().await, 20, 3).await;
}

#[redd::test(flavor = "multi_thread")]
async fn links_that_were_known_but_not_put_to_work_are_put_there() {
    let Some(server) = NatsServer::start().await else { return };
    let mut first = join(&server, 3).await;
    let item = loop {
        if let Event::Page(item) = timeout(WATCHDOG, first.next()).await.unwrap() {
            break item;
        }
    };
    // It dies after the record is stored and a link is known, and before the link's work is stored.
    records::store(&first.layout, &first.sender, item.work.key(), &record(&item, 20, 3)).await;
    let link = super::names::Key::of(&url(2, 3)).to_string();
    first.layout.seen.create(link, item.work.key().to_string().into()).await.unwrap();
    drop(first);
    let fetched = Fetched::default();
    let mut second = join(&server, 3).await;
    assert!(crawl(&mut second, &fetched, 20, 3, |_| false).await);
    check_records(&second.leave().await, 20, 3).await;
}

#[redd::test(flavor = "multi_thread")]
async fn the_first_record_of_a_page_counts() {
    let Some(server) = NatsServer::start().await else { return };
    let engine = join(&server, 3).await;
    let key = super::names::Key::of("http://a/");
    assert_eq!(records::store(&engine.layout, &engine.sender, key, b"first").await, None);
    assert_eq!(records::store(&engine.layout, &engine.sender, key, b"second").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(records::find(&engine.layout, &engine.sender, key).await.as_deref(), Some(&b"first"[..]));
}

#[redd::test(flavor = "multi_thread")]
async fn a_record_that_is_larger_than_a_message_is_stored_in_parts() {
    let Some(server) = NatsServer::start().await else { return };
    let engine = join(&server, 3).await;
    // Bytes that cannot be compressed: three messages and a bit.
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let record: Vec<u8> = random.take(3_500_000).collect();
    let key = super::names::Key::of("http://large/");
    assert_eq!(records::store(&engine.layout, &engine.sender, key, &record).await, None);
    let again = records::store(&engine.layout, &engine.sender, key, &record[1..]).await;
    assert!(again.as_ref() == Some(&record), "the first one counts");
    let mut found = Vec::new();
    records::read_all(&engine.layout, |record| {
        found.push(record.to_vec());
        Ok(())
    })
    .await
    .unwrap();
    assert!(found == [record]);
}

#[redd::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_loses_nothing() {
    let Some(mut server) = NatsServer::start().await else { return };
    let fetched = Fetched::default();
    let mut engine = join(&server, 4).await;
    for stop in [40, 80] {
        assert!(!crawl(&mut engine, &fetched, 400, 4, |number| number == stop).await);
        let before = server.process();
        server.kill().await;
        server.start_again().await;
        assert_ne!(server.process(), before);
    }
    assert!(crawl(&mut engine, &fetched, 400, 4, |_| false).await);
    each_once(&fetched, 400, 4);
    check_records(&engine.leave().await, 400, 4).await;
}

#[redd::test(flavor = "multi_thread")]
async fn a_pause_and_a_delay_survive_a_change_of_process() {
    let Some(server) = NatsServer::start().await else { return };
    let mut first = join(&server, 1).await;
    loop {
        if let Event::Page(_) = timeout(WATCHDOG, first.next()).await.unwrap() {
            break;
        }
    }
    let asked_at = Instant::now();
    let (delay, pause) = (Duration::from_secs(3), Duration::from_secs(100));
    super::host::store(&first.layout, &first.sender, "http://h0", Some(delay), Some(pause)).await;
    first.leave().await;
    let mut second = join(&server, 1).await;
    loop {
        if let Event::Host { origin, not_before, delay: known, .. } = timeout(WATCHDOG, second.next()).await.unwrap() {
            assert_eq!((&*origin, known), ("http://h0", Some(delay)));
            // The server's clock and ours begin a moment apart.
            assert!(not_before + Duration::from_secs(1) >= asked_at + pause);
            assert!(not_before <= Instant::now() + pause);
            break;
        }
    }
}

#[redd::test(flavor = "multi_thread")]
async fn other_settings_are_refused_and_named() {
    let Some(server) = NatsServer::start().await else { return };
    let _first = join(&server, 3).await;
    let address = FrontierAddress::parse(&server.address()).unwrap();
    let error = Engine::join(&address, joining("test", json!({ "depth": 2 }), 3)).await.unwrap_err();
    assert!(error.contains("depth is 1 there, and 2 here") && error.contains("--fresh"), "{error}");
    let error = Records::open(&address, "other").await.unwrap_err();
    assert!(error.contains("no crawl `other`") && error.contains("These exist: test"), "{error}");
}

#[redd::test(flavor = "multi_thread")]
async fn a_crawl_is_started_over_only_if_no_process_works_on_it() {
    let Some(server) = NatsServer::start().await else { return };
    let address = FrontierAddress::parse(&server.address()).unwrap();
    start_over(&address, "test").await.unwrap();
    let fetched = Fetched::default();
    let mut engine = join(&server, 3).await;
    assert!(crawl(&mut engine, &fetched, 10, 3, |_| false).await);
    let error = start_over(&address, "test").await.unwrap_err();
    assert!(error.contains("processes work on it") && error.contains("Stop them"), "{error}");
    engine.leave().await;
    start_over(&address, "test").await.unwrap();
    let mut engine = join(&server, 3).await;
    assert!(crawl(&mut engine, &fetched, 10, 3, |_| false).await);
    assert!(fetched.lock().unwrap().values().all(|&times| times == 2));
    engine.leave().await;
}

#[redd::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_has_no_jetstream_is_an_error_with_a_way_out() {
    let Some(server) = NatsServer::start_with(&[]).await else { return };
    let address = FrontierAddress::parse(&server.address()).unwrap();
    let error = Engine::join(&address, joining("test", json!({}), 3)).await.unwrap_err();
    assert!(error.contains("no JetStream") && error.contains("nats-server -js"), "{error}");
    drop(server);
    // A port that was free a moment ago.
    let port = redd::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let address = FrontierAddress::parse(&format!("nats://me:secret@127.0.0.1:{port}")).unwrap();
    let error = Engine::join(&address, joining("test", json!({}), 3)).await.unwrap_err();
    assert!(error.contains("cannot be reached") && error.contains("nats-server -js"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn the_hosts_of_the_tests_are_in_several_partitions() {
    let partitions: std::collections::BTreeSet<u8> =
        (0..16).map(|host| partition_of(&format!("http://h{host}"))).collect();
    assert!(partitions.len() > 8);
}
