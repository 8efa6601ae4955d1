//! Answers that come late, in parts, or only to a later request.

use std::time::{Duration, SystemTime};

use crate::odd::site::{OddSite, broken, failed, fine, good, raw, redirect};
use crate::server::{Act, answer, bytes};

/// Pages that fail once. The crawl has to try again.
pub(super) fn passing(site: &mut OddSite) {
    let mut once = |name: &str, act: Box<dyn Fn() -> Act + Send + Sync>| {
        let path = format!("/once/{name}");
        site.html(&format!("<a href={path}>x</a>"), &path, good(200));
        site.serve(&path, move |_, number| if number == 0 { act() } else { fine() });
    };
    for status in ["408 Request Timeout", "429 Too Many Requests", "500 X", "502 X", "503 X", "504 X"] {
        once(&status[..3], Box::new(move || answer(status, "", "")));
    }
    for (name, value) in [
        ("one-second", "1"),
        ("none", "0"),
        ("empty", ""),
        ("words", "soon"),
        ("negative", "-1"),
        ("fraction", "1.5"),
        ("past", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("old-form", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("two", "0\r\nRetry-After: 0"),
    ] {
        once(name, Box::new(move || answer("503 Busy", &format!("Retry-After: {value}\r\n"), "")));
    }
    once(
        "date",
        Box::new(|| {
            #[expect(clippy::disallowed_methods, reason = "the header has a time of the wall clock")]
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1));
            answer("429 X", &format!("Retry-After: {date}\r\n"), "")
        }),
    );
    once("reset", Box::new(|| Act::Reset));
    once("closed", Box::new(|| raw("")));
    once("half", Box::new(|| raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")));
    // These do not pass.
    let serve_second = |site: &mut OddSite, path: &str, act: fn() -> Act| {
        site.serve(path, move |_, number| if number == 0 { act() } else { fine() });
    };
    site.html("<a href=/twice/404>x</a>", "/twice/404", broken(404, "not-found", "404"));
    serve_second(site, "/twice/404", || answer("404 Not Found", "", ""));
    site.html("<a href=/twice/404-later>x</a>", "/twice/404-later", broken(404, "not-found", "404"));
    serve_second(site, "/twice/404-later", || answer("404 Not Found", "Retry-After: 0\r\n", ""));
    site.html("<a href=/twice/gzip>x</a>", "/twice/gzip", broken(200, "encoding", "gzip"));
    serve_second(site, "/twice/gzip", || bytes("200 OK", "Content-Encoding: gzip\r\n", b"text"));
    site.link("/always/503", broken(503, "http-status", "503 Service Unavailable"), || answer("503 X", "", ""));
    site.link("/always/429", broken(429, "http-status", "429"), || answer("429 X", "Retry-After: 0\r\n", ""));
    site.link("/always/reset", failed("cut-short", "reset"), || Act::Reset);
    // A wait that no failure asks for.
    site.link("/wait/200", good(200), || answer("200 OK", "Retry-After: 9999\r\n", ""));
    site.link("/wait/301", redirect(301, "/wait/200"), || {
        answer("301 X", "Location: /wait/200\r\nRetry-After: 9999\r\n", "")
    });
    // Slow, and in time.
    let pieces = |pieces: &'static [&'static str]| {
        move || Act::SendSlowly(pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect())
    };
    site.link(
        "/slow/head",
        good(200),
        pieces(&["HT", "TP/1.1 2", "00 OK\r", "\nContent-Le", "ngth: 1\r\n\r", "\n", "x"]),
    );
    site.link(
        "/slow/body",
        good(200),
        pieces(&["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "<a hr", "ef=/le", "af/slow>"]),
    );
    site.leaf_of("/slow/body", "/leaf/slow");
    site.link(
        "/slow/chunks",
        good(200),
        pieces(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1", "\r", "\nx\r\n0\r\n", "\r\n"]),
    );
    site.link(
        "/slow/cut",
        broken(200, "cut-short", ""),
        pieces(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "a", "b"]),
    );
}

/// Pages that ask for a longer wait than is allowed.
pub(super) fn waiting(site: &mut OddSite) {
    for (name, value) in
        [("long", "9999"), ("very-long", "99999999999999999999999"), ("date", "Fri, 31 Dec 9999 23:59:59 GMT")]
    {
        site.link(&format!("/wait/{name}"), broken(503, "asked-to-wait", "asks to wait"), move || {
            answer("503 Busy", &format!("Retry-After: {value}\r\n"), "")
        });
    }
    site.link("/wait/429", broken(429, "asked-to-wait", "--max-wait"), || answer("429 X", "Retry-After: 9999\r\n", ""));
    // What is not tried again is not asked to wait.
    site.link("/wait/404", broken(404, "not-found", "404"), || answer("404 X", "Retry-After: 9999\r\n", ""));
}

/// Pages that never come to an end.
pub(super) fn silent(site: &mut OddSite) {
    for (name, text) in [
        ("nothing", ""),
        ("half-a-line", "HTTP/1."),
        ("half-a-head", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"),
        ("only-100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("no-body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("half-a-body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"),
        ("half-a-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        ("no-last-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
        ("until-close", "HTTP/1.1 200 OK\r\n\r\nbody"),
    ] {
        site.link(&format!("/silent/{name}"), failed("timed-out", "no complete response within 6s"), move || {
            Act::Hang(text.into())
        });
    }
    // The answer is complete, so its end is not waited for.
    site.link("/silent/404", broken(404, "not-found", "404"), || Act::Hang("HTTP/1.1 404 Not Found\r\n\r\n".into()));
    site.link("/silent/204", good(204), || Act::Hang("HTTP/1.1 204 X\r\n\r\n".into()));
    site.link("/silent/redirect", redirect(302, "/silent/204"), || {
        Act::Hang("HTTP/1.1 302 X\r\nLocation: /silent/204\r\nContent-Length: 9\r\n\r\n".into())
    });
    site.link("/silent/complete", good(200), || Act::Hang("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody".into()));
}
