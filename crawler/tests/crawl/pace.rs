//! How fast and how often the crawler sends requests, and which pages it skips.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::time::Instant;

use crate::runs::{crawl, find_page, reason, run, stderr, stdout};
use crate::server::{answer, missing, page, serve, serve_requests};

#[redd::test]
async fn robots_rules_are_obeyed() {
    let home = serve(|path| match path {
        "/robots.txt" => answer("200 OK", "", "User-agent: *\nDisallow: /secret\n"),
        "/" => page("<a href=secret/a>s</a><a href=open>o</a>"),
        "/open" => page(""),
        _ => panic!("{path} was asked for"),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(value["pages"].to_string().contains("disallows"));
}

#[redd::test]
async fn limits_of_depth_and_pages_hold() {
    let endless = |path: &str| page(&format!("<a href={0}x>1</a><a href={0}y>2</a>", path.trim_end_matches('/')));
    let home = serve(move |path| if path == "/robots.txt" { answer("404 No", "", "") } else { endless(path) }).await;
    let (value, _) = crawl(&home, &["--depth", "1"]).await;
    let shallow = value["pages"].as_array().unwrap().len();
    assert!((2..=3).contains(&shallow), "{shallow}");
    let (value, _) = crawl(&home, &["--max-pages", "25"]).await;
    assert_eq!(value["pages"].as_array().unwrap().len(), 25);
}

#[redd::test]
async fn a_temporary_failure_is_tried_again() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let home = serve(move |path| match path {
        "/" if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 => answer("503 Busy", "", ""),
        "/" => page("at last"),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    assert_eq!(run(&["--retries", "2", &home]).await.status.code(), Some(0));
}

/// Crawls a page that always answers 503 with this header. Returns why it is broken and how many requests were sent.
async fn retry_after(value: &'static str) -> (String, usize) {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let home = serve(move |path| {
        if path != "/" {
            return missing();
        }
        seen.fetch_add(1, Ordering::Relaxed);
        answer("503 Busy", &format!("Retry-After: {value}\r\n"), "")
    })
    .await;
    let (value, _) = crawl(&home, &["--retries", "1"]).await;
    (reason(&value, &format!("{home}/")).to_owned(), requests.load(Ordering::Relaxed))
}

#[redd::test]
async fn a_server_that_asks_for_a_long_wait_is_not_asked_again_and_the_report_says_why() {
    for value in ["600", "99999999999999999999", "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let (reason, requests) = retry_after(value).await;
        assert_eq!(requests, 1, "Retry-After: {value}");
        assert!(reason.contains("503") && reason.contains("Retry-After") && reason.contains("--max-wait"), "{reason}");
    }
}

#[redd::test]
async fn a_short_or_past_retry_after_is_obeyed_and_asked_again() {
    for value in ["0", "1", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let (reason, requests) = retry_after(value).await;
        assert_eq!(requests, 2, "Retry-After: {value}");
        assert_eq!(reason, "503 Service Unavailable");
    }
}

#[redd::test]
async fn a_link_outside_that_asks_for_a_wait_gets_no_second_request() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let outside = serve_requests(move |request| {
        if request.path == "/robots.txt" {
            return missing();
        }
        seen.fetch_add(1, Ordering::Relaxed);
        answer("429 Too Many Requests", "Retry-After: 600\r\n", "")
    })
    .await;
    let link = format!("{outside}/page");
    let body = format!("<a href={link}>x</a>");
    let home = serve(move |path| if path == "/" { page(&body) } else { missing() }).await;
    let (value, _) = crawl(&home, &["--retries", "2"]).await;
    assert!(reason(&value, &link).contains("429"), "{value:#}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[redd::test]
async fn a_link_outside_that_refuses_head_gets_a_get() {
    let outside = serve_requests(|request| match &*request.method {
        "HEAD" => answer("405 Method Not Allowed", "", ""),
        _ => page("here"),
    })
    .await;
    let link = format!("{outside}/page");
    let body = format!("<a href={link}>x</a>");
    let home = serve(move |path| if path == "/" { page(&body) } else { missing() }).await;
    let (value, _) = crawl(&home, &[]).await;
    assert_eq!(find_page(&value, &link).unwrap()["status"], 200);
}

#[redd::test]
async fn a_retry_after_holds_for_all_pages_of_its_host() {
    // When the page that asks for a wait was answered first, and when the requests after that came.
    let asked_at = Arc::new(Mutex::new(None));
    let later = Arc::new(Mutex::new(Vec::new()));
    let (asked, seen) = (Arc::clone(&asked_at), Arc::clone(&later));
    let home = serve(move |path| {
        let mut asked = asked.lock().unwrap();
        match (path, *asked) {
            ("/", _) => page("<a href=busy>b</a><a href=1>1</a><a href=2>2</a><a href=3>3</a>"),
            ("/busy", None) => {
                *asked = Some(Instant::now());
                answer("503 Busy", "Retry-After: 2\r\n", "")
            }
            (_, Some(_)) => {
                seen.lock().unwrap().push(Instant::now());
                page("")
            }
            (_, None) => page(""),
        }
    })
    .await;
    // One request at a time, so none is in flight when the host asks for the wait.
    let output = run(&["--per-host", "1", &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(" asks to wait (Retry-After): ")).collect();
    assert!(matches!(lines[..], [line] if line.starts_with(&home) && line.ends_with(" in the next 2 s")), "{said}");
    let (asked, later) = (asked_at.lock().unwrap().unwrap(), later.lock().unwrap());
    assert!(later.len() >= 3, "two or three other pages, and the first one again");
    let early = later.iter().filter(|at| **at - asked < Duration::from_secs(2)).count();
    assert_eq!(early, 0, "requests were started during the wait");
}

#[redd::test]
async fn a_retry_after_of_a_robots_file_holds_for_the_pages() {
    let asked_at = Arc::new(Mutex::new(None));
    let waited = Arc::new(Mutex::new(None));
    let (asked, seen) = (Arc::clone(&asked_at), Arc::clone(&waited));
    let home = serve(move |path| {
        let mut asked = asked.lock().unwrap();
        if path == "/robots.txt" {
            *asked = Some(Instant::now());
            return answer("429 Too Many Requests", "Retry-After: 1\r\n", "");
        }
        *seen.lock().unwrap() = asked.map(|asked: Instant| asked.elapsed());
        page("")
    })
    .await;
    assert_eq!(run(&[&home]).await.status.code(), Some(0));
    let waited = waited.lock().unwrap().expect("the page was asked for");
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}
