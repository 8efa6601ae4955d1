//! A site of odd links, each with the right answer beside it.
//!
//! What the crawl says about each link is compared: its fate, status and cause, the page and the line that cite it, in JSON,
//! CSV and text. An address that is no link, and was found, is an error as well.

mod access;
mod addresses;
mod bodies;
mod hosts;
mod markup;
mod site;
mod statuses;
mod timing;

use site::OddSite;

use crate::runs::{run, stderr, stdout};

/// No page of these sites is slow, so only a machine that is busy takes so long.
const PATIENT: [&str; 6] = ["--timeout", "60s", "--retries", "0", "--max-body", "200K"];

/// A crawl that keeps its own time.
async fn compare(name: &str, site: OddSite, options: &[&str]) {
    let own = PATIENT.chunks(2).filter(|pair| !options.contains(&pair[0])).flatten();
    let options: Vec<&str> = own.chain(options).copied().collect();
    let (value, output) = site.compare(name, &options).await;
    assert_eq!(value["complete"], true, "{}", stderr(&output));
    for text in [stdout(&output), stderr(&output), value.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[redd::test]
async fn odd_statuses_have_the_right_answers() {
    let mut site = OddSite::new();
    statuses::statuses(&mut site);
    compare("statuses", site, &[]).await;
}

#[redd::test]
async fn odd_redirects_have_the_right_answers() {
    let mut site = OddSite::new();
    statuses::redirects(&mut site);
    compare("redirects", site, &[]).await;
}

#[redd::test]
async fn odd_bodies_have_the_right_answers() {
    let mut site = OddSite::new();
    bodies::framing(&mut site);
    compare("framing", site, &[]).await;
}

#[redd::test]
async fn odd_encodings_have_the_right_answers() {
    let mut site = OddSite::new();
    bodies::encodings(&mut site);
    compare("encodings", site, &[]).await;
}

#[redd::test]
async fn odd_content_types_have_the_right_answers() {
    let mut site = OddSite::new();
    bodies::types(&mut site);
    compare("types", site, &[]).await;
}

#[redd::test]
async fn odd_addresses_have_the_right_answers() {
    let mut site = OddSite::new();
    addresses::to_the_site(&mut site);
    compare("addresses", site, &[]).await;
}

#[redd::test]
async fn addresses_that_lead_nowhere_have_the_right_answers() {
    let mut site = OddSite::new();
    addresses::to_nowhere(&mut site);
    compare("nowhere", site, &[]).await;
}

#[redd::test]
async fn odd_markup_has_the_right_links() {
    let mut site = OddSite::new();
    markup::in_pages(&mut site);
    markup::in_one_page(&mut site);
    compare("markup", site, &["--max-body", "1M"]).await;
}

#[redd::test]
async fn odd_robots_files_are_obeyed() {
    let mut site = OddSite::new();
    hosts::robots(&mut site).await;
    compare("robots", site, &[]).await;
}

#[redd::test]
async fn hosts_that_refuse_head_have_the_right_answers() {
    let mut site = OddSite::new();
    hosts::methods(&mut site).await;
    compare("methods", site, &[]).await;
}

#[redd::test]
async fn pages_behind_a_log_in_have_the_right_answers() {
    for (name, password) in [("right", "me:right"), ("wrong", "me:guess")] {
        let mut site = OddSite::new();
        access::log_ins(&mut site, name == "right").await;
        compare(&format!("log-in-{name}"), site, &["--basic-auth", password]).await;
    }
}

#[redd::test]
async fn pages_behind_a_cookie_have_the_right_answers() {
    for is_kept in [true, false] {
        let mut site = OddSite::new();
        access::cookies(&mut site, is_kept);
        let options: &[&str] = if is_kept { &["--cookies"] } else { &[] };
        compare(&format!("cookies-{is_kept}"), site, options).await;
    }
}

#[redd::test]
async fn parts_of_odd_pages_have_the_right_answers() {
    let mut site = OddSite::new();
    access::fragments(&mut site);
    compare("fragments", site, &["--fragments"]).await;
}

#[redd::test]
async fn failures_that_pass_are_tried_again() {
    let mut site = OddSite::new();
    timing::passing(&mut site);
    compare("passing", site, &["--retries", "1", "--max-wait", "20s"]).await;
}

#[redd::test]
async fn waits_that_are_too_long_have_the_right_answers() {
    let mut site = OddSite::new();
    timing::waiting(&mut site);
    compare("waiting", site, &["--retries", "1", "--max-wait", "1s"]).await;
}

#[redd::test]
async fn pages_that_never_end_have_the_right_answers() {
    let mut site = OddSite::new();
    timing::silent(&mut site);
    compare("silent", site, &["--timeout", "6s"]).await;
}

#[redd::test]
async fn connections_that_end_between_requests_break_no_link() {
    let home = hosts::hurried().await;
    let arguments = ["--no-store", "--per-host", "2", "--retries", "4", "--timeout", "60s", &home];
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("21 good, 0 broken"), "{}", stdout(&output));
}

#[redd::test]
async fn there_are_many_odd_links() {
    let mut site = OddSite::new();
    statuses::statuses(&mut site);
    statuses::redirects(&mut site);
    bodies::framing(&mut site);
    bodies::encodings(&mut site);
    bodies::types(&mut site);
    addresses::to_the_site(&mut site);
    addresses::to_nowhere(&mut site);
    markup::in_one_page(&mut site);
    markup::in_pages(&mut site);
    assert!(site.len() > 400, "{}", site.len());
}
