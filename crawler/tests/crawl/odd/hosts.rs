//! Odd hosts: their robots.txt, their answers to HEAD, and their connections.

use flate2::Compression;
use flate2::write::GzEncoder;
use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use redd::net::TcpListener;
use std::io::Write as _;

use crate::odd::site::{OddSite, Right, broken, fine, good, raw, redirect};
use crate::server::{Act, answer, bytes, missing, page, serve_requests};

/// A host with a robots.txt, and pages that are fine.
async fn host(robots: impl Fn(&str) -> Act + Send + Sync + 'static) -> String {
    serve_requests(move |request| if request.path.contains("robots") { robots(&request.path) } else { fine() }).await
}

fn rules(text: &str) -> Act {
    answer("200 OK", "Content-Type: text/plain\r\n", text)
}

/// Adds links to pages of other hosts.
pub(super) async fn robots(site: &mut OddSite) {
    const NONE: &str = "User-agent: *\nDisallow: /\n";
    let forbidden = || Right::Forbidden { says: "its robots.txt disallows it" };
    let failing = |says| Right::Forbidden { says };
    type Rule = (&'static str, Right, Box<dyn Fn(&str) -> Act + Send + Sync>);
    let text = |text: String| -> Box<dyn Fn(&str) -> Act + Send + Sync> { Box::new(move |_| rules(&text)) };
    let status =
        |status: &'static str| -> Box<dyn Fn(&str) -> Act + Send + Sync> { Box::new(|_| answer(status, "", NONE)) };
    let hosts: Vec<Rule> = vec![
        ("/x", forbidden(), text(NONE.into())),
        ("/x", good(200), text("User-agent: *\nDisallow:\n".into())),
        ("/x", good(200), text(String::new())),
        ("/x", good(200), status("404 Not Found")),
        ("/x", good(200), status("403 Forbidden")),
        ("/x", good(200), status("410 Gone")),
        ("/x", failing("its robots.txt has the status 500"), status("500 Internal Server Error")),
        ("/x", failing("its robots.txt has the status 503"), status("503 Service Unavailable")),
        (
            "/x",
            forbidden(),
            Box::new(|path| match path {
                "/robots.txt" => answer("301 Moved", "Location: /other-robots.txt\r\n", ""),
                _ => rules(NONE),
            }),
        ),
        ("/x", good(200), Box::new(|_| answer("302 Found", "Location: /robots.txt\r\n", ""))),
        ("/x", good(200), Box::new(|_| Act::Reset)),
        ("/x", good(200), Box::new(|_| raw("no HTTP"))),
        ("/x", good(200), Box::new(|_| page("<html>User-agent: robots"))),
        ("/x", forbidden(), text(format!("{NONE}{}", "# comment\n".repeat(60_000)))),
        ("/x", good(200), text(format!("{}{NONE}", "# comment\n".repeat(60_000)))),
        ("/x", forbidden(), text(format!("\u{feff}{NONE}"))),
        ("/x", forbidden(), text(NONE.replace('\n', "\r"))),
        ("/x", forbidden(), text(NONE.replace('\n', "\r\n"))),
        ("/x", forbidden(), text(format!("caf\u{e9}\0\n{NONE}"))),
        ("/x", forbidden(), Box::new(|_| bytes("200 OK", "", &[b"# caf\xe9\n", NONE.as_bytes()].concat()))),
        ("/x", forbidden(), text("user-AGENT : *   # all\n DISALLOW :/ # nothing".into())),
        ("/x", good(200), text("User-agent: redd-crawl\nDisallow:\n\nUser-agent: *\nDisallow: /\n".into())),
        ("/x", forbidden(), text("User-agent: REDD-CRAWL\nDisallow: /\n\nUser-agent: *\nDisallow:\n".into())),
        ("/x", good(200), text("User-agent: redd\nDisallow: /\n".into())),
        ("/x/y", good(200), text("User-agent: *\nDisallow: /\nAllow: /x/\n".into())),
        ("/x.pdf", forbidden(), text("User-agent: *\nDisallow: /*.pdf$\n".into())),
        ("/x.pdf?y", good(200), text("User-agent: *\nDisallow: /*.pdf$\n".into())),
        ("/x?y=1", forbidden(), text("User-agent: *\nDisallow: /*?\n".into())),
        ("/%C3%A4", forbidden(), text("User-agent: *\nDisallow: /ä\n".into())),
        ("/x", good(200), text("User-agent: *\nCrawl-delay: soon\nCrawl-delay: -1\nDisallow: /y\n".into())),
        ("/x", good(200), text("User-agent: *\nCrawl-delay: 0.05\n".into())),
        (
            "/x",
            forbidden(),
            Box::new(|_| {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(NONE.as_bytes()).unwrap();
                bytes("200 OK", "Content-Encoding: gzip\r\n", &encoder.finish().unwrap())
            }),
        ),
        (
            "/x",
            failing("cannot be decoded from `gzip`"),
            Box::new(|_| answer("200 OK", "Content-Encoding: gzip\r\n", NONE)),
        ),
        (
            "/x",
            failing("cannot be decoded from `rot13`"),
            Box::new(|_| answer("200 OK", "Content-Encoding: rot13\r\n", NONE)),
        ),
    ];
    for (path, right, robots) in hosts {
        let home = host(robots).await;
        site.html(&format!("<a href='{home}{path}'>x</a>"), &format!("{home}{path}"), right);
    }
    // The rules of the host that a robots.txt redirects to.
    let elsewhere = host(|_| rules(NONE)).await;
    let to = format!("Location: {elsewhere}/robots.txt\r\n");
    let home = host(move |_| answer("307 X", &to, "")).await;
    site.html(&format!("<a href='{home}/x'>x</a>"), &format!("{home}/x"), forbidden());
    // A redirect does not lead around the rules.
    let home = host(|_| rules(NONE)).await;
    let to = format!("{home}/x");
    site.link("/to-forbidden", redirect(302, &to), {
        let to = to.clone();
        move || answer("302 Found", &format!("Location: {to}\r\n"), "")
    });
    site.found_on("", 0, &to, forbidden());
}

/// A host that treats HEAD and GET in different ways.
pub(super) async fn methods(site: &mut OddSite) {
    type Method = fn() -> Act;
    let ok: Method = || answer("200 OK", "Content-Type: text/html\r\n", "<a href=/trap>x</a>");
    let gone: Method = missing;
    let pages: [(&str, Right, Method, Method); 20] = [
        ("/same", good(200), ok, ok),
        ("/405", good(200), || answer("405 Method Not Allowed", "Allow: GET\r\n", ""), ok),
        ("/501", good(200), || answer("501 Not Implemented", "", ""), ok),
        ("/403", good(200), || answer("403 Forbidden", "", ""), ok),
        ("/404", good(200), gone, ok),
        ("/500", good(200), || answer("500 X", "", ""), ok),
        ("/closed", good(200), || raw(""), ok),
        ("/reset", good(200), || Act::Reset, ok),
        ("/no-http", good(200), || raw("what?\r\n\r\n"), ok),
        ("/400-1.0", good(200), || raw("HTTP/1.0 400 Bad Request\r\n\r\nbody"), ok),
        ("/gone", broken(404, "not-found", "404"), gone, gone),
        ("/500-then-404", broken(404, "not-found", "404"), || answer("500 X", "", ""), gone),
        ("/only-head", good(200), ok, gone),
        ("/204", good(204), || raw("HTTP/1.1 204 No Content\r\n\r\n"), gone),
        (
            "/endless",
            good(200),
            || answer("405 X", "", ""),
            || Act::Hang("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx".into()),
        ),
        ("/long", good(200), || raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), gone),
        ("/body", good(200), || raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"), gone),
        ("/chunked", good(200), || raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), gone),
        ("/lies", good(200), || answer("200 OK", "Content-Encoding: rot13\r\n", "x"), gone),
        (
            "/moved",
            redirect(301, "/outside-target"),
            || answer("405 X", "", ""),
            || answer("301 X", "Location: /fine\r\n", ""),
        ),
    ];
    let acts: Vec<(&'static str, Method, Method)> =
        pages.iter().map(|(path, _, head, get)| (*path, *head, *get)).collect();
    let home = serve_requests(move |request| match acts.iter().find(|(path, ..)| *path == request.path) {
        Some((_, head, _)) if request.method == "HEAD" => head(),
        Some((_, _, get)) => get(),
        None if request.path == "/fine" => fine(),
        None => missing(),
    })
    .await;
    for (path, right, ..) in pages {
        let right = match right {
            Right::Redirect { status, .. } => redirect(status, &format!("{home}/fine")),
            right @ (Right::Good { .. } | Right::Broken { .. } | Right::Forbidden { .. }) => right,
        };
        site.html(&format!("<a href='{home}{path}'>x</a>"), &format!("{home}{path}"), right);
    }
    site.found_on("", 0, &format!("{home}/fine"), good(200));
}

/// A host that keeps connections open, and ends each without a word after some answers.
pub(super) async fn hurried() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    redd::spawn(async move {
        let mut number = 0_u32;
        while let Ok((stream, _)) = listener.accept().await {
            number += 1;
            let answers = number % 3 + 1;
            redd::spawn(async move {
                let mut stream = BufReader::new(stream);
                for _ in 0..answers {
                    let mut line = String::new();
                    while stream.read_line(&mut line).await? > 2 {
                        line.clear();
                    }
                    let links: String = (0..20).map(|page| format!("<a href=/{page}>x</a>")).collect();
                    let head =
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: keep-alive\r\nContent-Length:";
                    stream.write_all(format!("{head} {}\r\n\r\n{links}", links.len()).as_bytes()).await?;
                    stream.flush().await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    home
}
