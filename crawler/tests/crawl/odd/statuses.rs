//! Odd statuses and redirects.

use crate::odd::site::{OddSite, broken, failed, good, raw, redirect};
use crate::server::{Act, answer, bytes};

fn status(site: &mut OddSite, line: &'static str, right: crate::odd::site::Right) {
    let path = format!("/status/{}", line.replace(' ', "-"));
    site.link(&path, right, move || answer(line, "", ""));
}

/// Answers without a redirect.
pub(super) fn statuses(site: &mut OddSite) {
    for (line, number) in
        [("200 OK", 200), ("201 Created", 201), ("202 Accepted", 202), ("203 X", 203), ("206 Partial Content", 206)]
    {
        status(site, line, good(number));
    }
    for (line, number) in [("226 IM Used", 226), ("250 X", 250), ("299 Miscellaneous", 299), ("207 Multi-Status", 207)]
    {
        status(site, line, good(number));
    }
    // A status without a reason, and one whose reason lies.
    status(site, "200 ", good(200));
    status(site, "200 Not Found", good(200));
    site.link("/status/no-space", good(200), || raw("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"));
    for number in [204, 205] {
        let head = format!("HTTP/1.1 {number} Empty\r\n\r\n");
        site.link(&format!("/status/{number}"), good(number), move || raw(head.clone()));
    }
    // A body where there must be none.
    site.link("/status/204-body", good(204), || raw("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody"));
    for (line, number, says) in [
        ("300 Multiple Choices", 300, "300 Multiple Choices"),
        ("304 Not Modified", 304, "304 Not Modified"),
        ("305 Use Proxy", 305, "305 Use Proxy"),
        ("306 Switch Proxy", 306, "status 306"),
        ("399 X", 399, "status 399"),
        ("400 Bad Request", 400, "400 Bad Request"),
        ("402 Payment Required", 402, "402 Payment Required"),
        ("405 Method Not Allowed", 405, "405 Method Not Allowed"),
        ("406 Not Acceptable", 406, "406 Not Acceptable"),
        ("408 Request Timeout", 408, "408 Request Timeout"),
        ("409 Conflict", 409, "409 Conflict"),
        ("411 Length Required", 411, "411 Length Required"),
        ("412 Precondition Failed", 412, "412 Precondition Failed"),
        ("413 Payload Too Large", 413, "413 Payload Too Large"),
        ("414 URI Too Long", 414, "414 URI Too Long"),
        ("415 Unsupported Media Type", 415, "415 Unsupported Media Type"),
        ("416 Range Not Satisfiable", 416, "416 Range Not Satisfiable"),
        ("417 Expectation Failed", 417, "417 Expectation Failed"),
        ("418 I'm a teapot", 418, "418 I'm a teapot"),
        ("421 Misdirected Request", 421, "421 Misdirected Request"),
        ("422 Unprocessable Entity", 422, "422 Unprocessable Entity"),
        ("423 Locked", 423, "423 Locked"),
        ("424 Failed Dependency", 424, "424 Failed Dependency"),
        ("426 Upgrade Required", 426, "426 Upgrade Required"),
        ("428 Precondition Required", 428, "428 Precondition Required"),
        ("429 Too Many Requests", 429, "429 Too Many Requests"),
        ("431 Request Header Fields Too Large", 431, "431 Request Header Fields Too Large"),
        ("499 X", 499, "status 499"),
        ("500 Internal Server Error", 500, "500 Internal Server Error"),
        ("501 Not Implemented", 501, "501 Not Implemented"),
        ("502 Bad Gateway", 502, "502 Bad Gateway"),
        ("503 Service Unavailable", 503, "503 Service Unavailable"),
        ("504 Gateway Timeout", 504, "504 Gateway Timeout"),
        ("505 HTTP Version Not Supported", 505, "505 HTTP Version Not Supported"),
        ("507 Insufficient Storage", 507, "507 Insufficient Storage"),
        ("508 Loop Detected", 508, "508 Loop Detected"),
        ("511 Network Authentication Required", 511, "511 Network Authentication Required"),
        ("520 X", 520, "status 520"),
        ("599 X", 599, "status 599"),
        ("600 X", 600, "status 600"),
        ("999 X", 999, "status 999"),
    ] {
        status(site, line, broken(number, "http-status", says));
    }
    for (line, number, kind) in [
        ("401 Unauthorized", 401, "access-denied"),
        ("403 Forbidden", 403, "access-denied"),
        ("407 Proxy Authentication Required", 407, "access-denied"),
        ("451 Unavailable For Legal Reasons", 451, "access-denied"),
        ("404 Not Found", 404, "not-found"),
        ("410 Gone", 410, "not-found"),
    ] {
        status(site, line, broken(number, kind, line));
    }
    // The reason of the server is not shown: it may say anything.
    status(site, "404 OK", broken(404, "not-found", "404 Not Found"));
    let head = "HTTP/1.1 404 \u{1b}[31mred\r\nContent-Length: 0\r\n\r\n";
    site.link("/status/reason-of-control", failed("cut-short", ""), move || raw(head));
    // Informational answers come before the answer.
    site.link("/status/100", good(200), || {
        raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n";
    site.link("/status/103", broken(404, "not-found", "404"), move || {
        raw(format!("{hints}{hints}HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    });
    site.link("/status/102-only", failed("cut-short", "closed"), || raw("HTTP/1.1 102 Processing\r\n\r\n"));
    site.link("/status/101", broken(101, "http-status", "101"), || {
        raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
    });
    // What is no HTTP.
    for (name, text) in [
        ("two-digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("four-digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        ("zero", "HTTP/1.1 000 X\r\n\r\n"),
        ("words", "HTTP/1.1 OK\r\n\r\n"),
        ("version-9", "HTTP/9.9 200 OK\r\n\r\n"),
        ("version-0.9", "<html><a href=/trap>x</a></html>"),
        ("ssh", "SSH-2.0-OpenSSH_9.9\r\n"),
        ("smtp", "220 mail.example ESMTP\r\n"),
    ] {
        site.link(&format!("/no-http/{name}"), failed("cut-short", "HTTP"), move || raw(text));
    }
    site.link("/no-http/nothing", failed("cut-short", "closed"), || raw(""));
    site.link("/no-http/half-a-head", failed("cut-short", "closed"), || raw("HTTP/1.1 200 OK\r\nContent-Ty"));
    site.link("/no-http/reset", failed("cut-short", "reset"), || Act::Reset);
    site.link("/http-1.0", good(200), || raw("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nuntil the end"));
    site.link("/line-feeds", good(200), || raw("HTTP/1.1 200 OK\nContent-Length: 0\n\n"));
}

fn to(status: &str, location: &str) -> Act {
    answer(status, &format!("Location: {location}\r\n"), "")
}

/// Redirects and their targets.
pub(super) fn redirects(site: &mut OddSite) {
    site.fine("<a href=/target>x</a>", "/target");
    for (line, number) in [
        ("301 Moved Permanently", 301),
        ("302 Found", 302),
        ("303 See Other", 303),
        ("307 Temporary Redirect", 307),
        ("308 Permanent Redirect", 308),
    ] {
        let path = format!("/redirect/{number}");
        site.link(&path, redirect(number, "/target"), move || to(line, "/target"));
        let path = format!("/redirect/{number}-nowhere");
        site.link(&path, broken(number, "bad-redirect", "no usable location"), move || answer(line, "", ""));
    }
    site.link("/redirect/300-with-location", broken(300, "http-status", "300"), || to("300 X", "/target"));
    site.link("/redirect/200-with-location", good(200), || to("200 OK", "/trap"));
    site.link("/redirect/201-with-location", good(201), || to("201 Created", "/trap"));
    site.link("/redirect/404-with-location", broken(404, "not-found", "404"), || to("404 X", "/trap"));
    for (name, location) in [
        ("relative", "../target"),
        ("relative-file", "../x/../target"),
        ("dots", "/a/b/../../target"),
        ("fragment", "/target#part"),
        ("spaces", "  /target  "),
        ("backslash", "\\target"),
    ] {
        site.link(&format!("/redirect/{name}"), redirect(302, "/target"), move || to("302 Found", location));
    }
    site.link("/redirect/query", redirect(302, "/redirect/query?x=1"), || to("302 Found", "?x=1"));
    site.found_on("", 0, "/redirect/query?x=1", good(200));
    site.serve("/redirect/query?x=1", |_, _| crate::odd::site::fine());
    for (name, prefix) in
        [("absolute", "http://"), ("scheme-relative", "//"), ("upper-case", "HTTP://"), ("user", "http://me:hunter2@")]
    {
        let path = format!("/redirect/{name}");
        site.html(&format!("<a href={path}>x</a>"), &path, redirect(302, "/target"));
        site.serve(&path, move |request, _| to("302 Found", &format!("{prefix}{}/target", request.header("host"))));
    }
    // Browsers read the bytes as UTF-8.
    site.link("/redirect/utf-8", redirect(302, "/caf%C3%A9"), || bytes("302 Found", "Location: /café\r\n", b""));
    site.found_on("", 0, "/caf%C3%A9", good(200));
    site.serve("/caf%C3%A9", |_, _| crate::odd::site::fine());
    // The first of two counts.
    site.link("/redirect/two", redirect(302, "/target"), || to("302 Found", "/target\r\nLocation: /trap"));
    for (name, location, says) in [
        ("mailto", "mailto:me@example.com", "mailto:me@example.com` is neither http nor https"),
        ("javascript", "javascript:alert(1)", "neither http nor https"),
        ("data", "data:text/html,x", "neither http nor https"),
        ("ftp", "ftp://example.invalid/", "neither http nor https"),
        ("file", "file:///etc/passwd", "neither http nor https"),
        ("bad-port", "http://127.0.0.1:99999/", "invalid port number"),
        ("bad-host", "http://[::1/", "invalid IPv6 address"),
        ("no-host", "http://", "empty host"),
    ] {
        site.link(&format!("/redirect/to-{name}"), broken(302, "bad-redirect", says), move || {
            to("302 Found", location)
        });
    }
    site.link("/redirect/secret", broken(302, "bad-redirect", "…@[bad/"), || to("302 X", "http://me:hunter2@[bad/"));
    // An empty location is the page itself.
    for (name, location) in [("empty", ""), ("itself", "/redirect/itself"), ("fragment-of-itself", "#part")] {
        let right = broken(302, "endless-redirect", "leads back to itself");
        site.link(&format!("/redirect/{name}"), right, move || to("302 Found", location));
    }
    site.link("/loop/a", broken(302, "endless-redirect", "itself"), || to("302 Found", "/loop/b"));
    site.link("/loop/b", broken(301, "endless-redirect", "itself"), || to("301 Moved", "/loop/c"));
    site.found_on("", 0, "/loop/c", broken(307, "endless-redirect", "itself"));
    site.serve("/loop/c", |_, _| to("307 X", "/loop/a"));
    // Ten redirects are followed, and no more.
    for length in [10, 11] {
        for hop in 0..length {
            let (path, next) = (format!("/chain-{length}/{hop}"), format!("/chain-{length}/{}", hop + 1));
            let right =
                if hop == 10 { broken(302, "endless-redirect", "more than 10 hops") } else { redirect(302, &next) };
            if hop == 0 {
                site.html(&format!("<a href={path}>x</a>"), &path, right);
            } else {
                site.found_on("", 0, &path, right);
            }
            site.serve(&path, move |_, _| to("302 Found", &next));
        }
    }
    site.found_on("", 0, "/chain-10/10", good(200));
    site.serve("/chain-10/10", |_, _| crate::odd::site::fine());
    // A refresh shows another page after this one.
    site.link("/refresh/header", good(200), || {
        answer("200 OK", "Content-Type: text/html\r\nRefresh: 0; url=/refresh/target\r\n", "")
    });
    site.leaf_of("", "/refresh/target");
    site.link("/refresh/meta", good(200), || {
        crate::server::page("<meta http-equiv=\"Refresh\" content=\"0;URL='/refresh/meta-target'\">")
    });
    site.leaf_of("", "/refresh/meta-target");
    site.link("/refresh/broken", good(200), || {
        crate::server::page("\n<meta http-equiv=refresh content='1; /refresh/gone'>")
    });
    site.found_on("/refresh/broken", 2, "/refresh/gone", broken(404, "not-found", "404"));
}
