//! A site of odd answers and odd links. For each it is known what a browser makes of it, and so must be the crawl.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::runs::{crawl, find_page, run, stderr, stdout};
use crate::server::{Act, Request, answer, bytes, missing, page, serve_requests};

/// What is right for a link.
#[derive(Clone, Copy, Debug)]
enum Right {
    Good,
    Redirect,
    /// Broken, with this in the reason.
    Broken(&'static str),
}
use Right::{Broken, Good, Redirect};

/// Statuses that are failures by themselves. 408, 429 and 5xx would be tried again.
const FAILURES: [u16; 55] = [
    300, 304, 305, 306, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418,
    421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 451, 460, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510,
    511, 520, 521, 522, 523, 525, 530, 598, 599,
];
/// Statuses that are good.
const SUCCESSES: [u16; 10] = [200, 201, 202, 203, 204, 206, 207, 208, 226, 299];
/// Statuses of redirects.
const MOVES: [u16; 5] = [301, 302, 303, 307, 308];

/// Answers whose bytes are odd: the path, the bytes behind the status line, and what is right.
const RAW: [(&str, &str, Right); 26] = [
    ("/raw/no-length", "200 OK\r\n\r\nbody", Good),
    ("/raw/empty", "200 OK\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/no-reason", "200\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/odd-reason", "200 Не найдено\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/wrong-reason", "200 Not Found\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/line-feeds", "200 OK\nContent-Length: 0\n\n", Good),
    ("/raw/hints", "103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/continue", "100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/utf-8-header", "200 OK\r\nX-Odd: ü\r\nContent-Length: 0\r\n\r\n", Good),
    ("/raw/same-length-twice", "200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", Good),
    ("/raw/chunks", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Good),
    ("/raw/chunks-with-extension", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n", Good),
    ("/raw/chunks-with-trailer", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", Good),
    ("/raw/more-than-its-length", "200 OK\r\nContent-Length: 2\r\n\r\nmore than that", Good),
    ("/raw/no-answer", "", Broken("broke off")),
    ("/raw/half-a-head", "200 OK\r\nContent-Le", Broken("broke off")),
    ("/raw/cut-short", "200 OK\r\nContent-Length: 100\r\n\r\nhalf", Broken("broke off")),
    ("/raw/chunks-cut-short", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", Broken("broke off")),
    ("/raw/chunks-without-size", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", Broken("broke off")),
    ("/raw/two-lengths", "200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", Broken("broke off")),
    ("/raw/negative-length", "200 OK\r\nContent-Length: -2\r\n\r\nok", Broken("broke off")),
    ("/raw/odd-length", "200 OK\r\nContent-Length: two\r\n\r\nok", Broken("broke off")),
    ("/raw/no-number", "OK\r\n\r\n", Broken("broke off")),
    ("/raw/status-99", "99 No\r\n\r\n", Broken("broke off")),
    ("/raw/header-without-colon", "200 OK\r\nno colon here\r\n\r\n", Broken("broke off")),
    ("/raw/huge-length", "200 OK\r\nContent-Length: 99999999999\r\n\r\n", Broken("--max-body")),
];

/// The `Location` of a redirect, and what is right for the page that redirects.
const LOCATIONS: [(&str, &str, Right); 22] = [
    ("/to/absolute", "/fine", Redirect),
    ("/to/relative", "../fine", Redirect),
    ("/to/query", "/fine?a=b", Redirect),
    ("/to/fragment", "/fine#part", Redirect),
    ("/to/spaces", "   /fine  ", Redirect),
    ("/to/space-inside", "/fi ne", Redirect),
    ("/to/utf-8", "/fïne", Redirect),
    ("/to/percent", "/f%C3%AFne", Redirect),
    ("/to/backslash", "\\fine", Redirect),
    ("/to/upper-case-scheme", "HTTP://127.0.0.1:1/upper", Redirect),
    ("/to/no-scheme", "//127.0.0.1:1/no-scheme", Redirect),
    ("/to/gone", "/gone", Redirect),
    ("/to/another", "/to/absolute", Redirect),
    ("/to/nothing", "", Broken("endless redirect")),
    ("/to/itself", "/to/itself", Broken("endless redirect")),
    ("/to/fragment-of-itself", "#part", Broken("endless redirect")),
    ("/to/mail", "mailto:me@here", Broken("neither http nor https")),
    ("/to/script", "javascript:alert(1)", Broken("neither http nor https")),
    ("/to/file", "file:///etc/passwd", Broken("neither http nor https")),
    ("/to/bad-host", "http://[bad/", Broken("unusable redirect")),
    ("/to/bad-port", "http://host:99999/", Broken("unusable redirect")),
    ("/to/no-host", "http://", Broken("unusable redirect")),
];

/// Encodings and content types. The body is a link to `/behind`, encoded with gzip where the path says so.
const TYPES: [(&str, &str, Right); 22] = [
    ("/type/none", "", Good),
    ("/type/upper-case", "Content-Type: TEXT/HTML\r\n", Good),
    ("/type/charset", "Content-Type: text/html; charset=\"utf-8\"\r\n", Good),
    ("/type/unknown-charset", "Content-Type: text/html; charset=klingon\r\n", Good),
    ("/type/utf-16", "Content-Type: text/html; charset=utf-16le\r\n", Good),
    ("/type/semicolon", "Content-Type: text/html;\r\n", Good),
    ("/type/nonsense", "Content-Type: nonsense\r\n", Good),
    ("/type/utf-8", "Content-Type: text/hÿml\r\n", Good),
    ("/type/xhtml", "Content-Type: application/xhtml+xml\r\n", Good),
    ("/type/binary", "Content-Type: application/octet-stream\r\n", Good),
    ("/type/identity", "Content-Encoding: identity\r\n", Good),
    ("/type/no-encoding", "Content-Encoding: \r\n", Good),
    ("/gzip/plain", "Content-Encoding: gzip\r\n", Good),
    ("/gzip/upper-case", "Content-Encoding: GZIP\r\n", Good),
    ("/gzip/x-gzip", "Content-Encoding: x-gzip\r\n", Good),
    ("/gzip/identity", "Content-Encoding: identity, gzip\r\n", Good),
    ("/type/not-gzip", "Content-Encoding: gzip\r\n", Broken("cannot be decoded")),
    ("/type/not-br", "Content-Encoding: br\r\n", Broken("cannot be decoded")),
    ("/type/not-zstd", "Content-Encoding: zstd\r\n", Broken("cannot be decoded")),
    ("/type/not-deflate", "Content-Encoding: deflate\r\n", Broken("cannot be decoded")),
    ("/type/unknown-encoding", "Content-Encoding: rot13\r\n", Broken("not asked for")),
    ("/gzip/twice", "Content-Encoding: gzip, gzip\r\n", Broken("cannot be decoded")),
];

/// Links as they stand in the page, and the address that a browser makes of each.
const LINKS: [(&str, &str); 16] = [
    (" /link/spaces ", "/link/spaces"),
    ("/link/tab\there", "/link/tabhere"),
    ("/link/line\nfeed", "/link/linefeed"),
    ("/link/a b", "/link/a%20b"),
    ("/link/ünï", "/link/%C3%BCn%C3%AF"),
    ("\\link\\backslash", "/link/backslash"),
    ("/link/./x/../dots", "/link/dots"),
    ("/link/%2e%2e/encoded-dots", "/encoded-dots"),
    ("/link/%2F", "/link/%2F"),
    ("/link//double", "/link//double"),
    ("/link/entity?a=1&amp;b=2", "/link/entity?a=1&b=2"),
    ("/link/bare?a=1&b=2", "/link/bare?a=1&b=2"),
    ("/link/number&#47;x", "/link/number/x"),
    ("/link/quote%22", "/link/quote%22"),
    ("?query", "/?query"),
    ("link/<angle>", "/link/%3Cangle%3E"),
];

/// All paths that are linked from the start, and what is right.
fn expectations() -> Vec<(String, Right)> {
    let mut all = Vec::new();
    all.extend(FAILURES.iter().map(|status| (format!("/status/{status}"), Broken("status"))));
    all.extend(SUCCESSES.iter().map(|status| (format!("/status/{status}"), Good)));
    all.extend(MOVES.iter().map(|status| (format!("/status/{status}"), Redirect)));
    for (path, _, right) in RAW.iter().chain(&LOCATIONS).chain(&TYPES) {
        all.push(((*path).to_owned(), *right));
    }
    all.extend(LINKS.iter().map(|(_, path)| ((*path).to_owned(), Good)));
    all
}

fn site(request: &Request) -> Act {
    let path = &*request.path;
    let body = "<a href=/behind>behind</a>";
    if path == "/" {
        let own = expectations().into_iter().filter(|(path, _)| !LINKS.iter().any(|(_, link)| path == link));
        let own: String = own.map(|(path, _)| format!("<a href=\"{path}\">x</a>\n")).collect();
        let odd: String = LINKS.iter().map(|(link, _)| format!("<a href=\"{link}\">x</a>\n")).collect();
        return page(&(own + &odd));
    }
    if let Some(status) = path.strip_prefix("/status/") {
        let status: u16 = status.parse().unwrap();
        let location = if MOVES.contains(&status) { "Location: /fine\r\n" } else { "" };
        // 204 and 304 have no body, so they have no length.
        return if matches!(status, 204 | 304) {
            Act::Send(format!("HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n").into_bytes())
        } else {
            answer(&format!("{status} x"), location, "")
        };
    }
    if let Some((_, rest, _)) = RAW.iter().find(|(raw, ..)| *raw == path) {
        let text = if rest.is_empty() { String::new() } else { format!("HTTP/1.1 {rest}") };
        return Act::Send(text.into_bytes());
    }
    if let Some((_, location, _)) = LOCATIONS.iter().find(|(from, ..)| *from == path) {
        return answer("302 Found", &format!("Location: {location}\r\n"), "");
    }
    if let Some((_, headers, _)) = TYPES.iter().find(|(of, ..)| *of == path) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body.as_bytes()).unwrap();
        let body = if path.starts_with("/gzip/") { encoder.finish().unwrap() } else { body.into() };
        return bytes("200 OK", headers, &body);
    }
    match path {
        "/robots.txt" | "/gone" => missing(),
        "/fine" | "/fine?a=b" | "/fi%20ne" | "/f%C3%AFne" | "/behind" => page(""),
        _ if LINKS.iter().any(|(_, address)| *address == path) => page(""),
        _ => answer("500 Not expected", "", ""),
    }
}

fn entry<'a>(value: &'a Value, url: &str) -> Option<&'a Value> {
    value["broken"].as_array().unwrap().iter().find(|broken| broken["url"] == url)
}

#[redd::test]
async fn every_odd_link_has_the_right_answer() {
    let all = expectations();
    assert!(all.len() >= 150, "{}", all.len());
    let home = serve_requests(site).await;
    let (value, output) = crawl(&home, &["--max-wait", "1s"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut wrong = Vec::new();
    for (path, right) in &all {
        let url = format!("{home}{path}");
        let (page, broken) = (find_page(&value, &url), entry(&value, &url));
        let is_right = match (right, page, broken) {
            (Good, Some(page), None) => page["redirect_to"].is_null(),
            (Redirect, Some(page), None) => page["redirect_to"].is_string(),
            (Broken("status"), None, Some(broken)) => {
                let status = path.trim_start_matches("/status/");
                broken["status"].as_u64() == status.parse().ok() && broken["reason"].as_str().unwrap().contains(status)
            }
            (Broken(why), None, Some(broken)) => broken["reason"].as_str().unwrap().contains(why),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{path} is not {right:?}: {page:?} {broken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The counts add up, and nothing else is broken but where redirects lead.
    let counts = &value["counts"];
    let number = |name: &str| counts[name].as_u64().unwrap();
    let parts = ["skipped", "outside", "excluded", "too_deep", "over_max_pages", "not_reached", "ignored"];
    assert_eq!(number("found"), number("checked") + parts.iter().map(|part| number(part)).sum::<u64>());
    assert_eq!(number("checked"), number("good") + number("broken") + number("redirects"));
    let expected = all.iter().filter(|(_, right)| matches!(right, Broken(_))).count() as u64;
    // `/gone`, and two addresses of a port where nothing listens.
    assert_eq!(number("broken"), expected + 3, "{:#}", value["broken"]);
}

#[redd::test]
async fn each_line_about_a_broken_link_has_its_address_and_its_cause() {
    let home = serve_requests(site).await;
    let output = run(&["--quiet", "--retries", "0", "--max-wait", "1s", &home]).await;
    let text = stdout(&output);
    for (path, right) in expectations() {
        let Broken(why) = right else { continue };
        let why = if why == "status" { path.trim_start_matches("/status/") } else { why };
        let url = format!("{home}{path}");
        let of = |line: &&str| line.split_whitespace().next() == Some(&url) && line.contains("BROKEN");
        let line = text.lines().find(of).unwrap_or_else(|| panic!("{url} is not in:\n{text}"));
        assert!(line.contains(why), "{line}");
    }
}
