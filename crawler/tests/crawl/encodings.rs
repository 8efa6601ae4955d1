//! Compressed bodies, and bodies without a content type.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::runs::{crawl, find_page, reason};
use crate::server::{Act, answer, bytes, missing, page, serve, serve_requests};

/// `<a href=brotli-leaf>x</a>`, compressed by another program.
const BROTLI: &str = "0b0c803c6120687265663d62726f746c692d6c6561663e783c2f613e03";
/// `<a href=zstd-leaf>x</a>`, likewise.
const ZSTD: &str = "28b52ffd0468b900003c6120687265663d7a7374642d6c6561663e783c2f613eac4347cb";

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: &[u8]) -> Act {
    bytes("200 OK", &format!("Content-Type: text/html\r\nContent-Encoding: {encoding}\r\n"), body)
}

#[redd::test]
async fn compressed_pages_are_asked_for_and_searched() {
    let asked = Arc::new(AtomicBool::new(false));
    let is_asked = Arc::clone(&asked);
    let home = serve_requests(move |request| match &*request.path {
        "/" => {
            let accepted = request.header("accept-encoding");
            is_asked.store(["gzip", "br", "zstd", "deflate"].iter().all(|name| accepted.contains(name)), Ordering::Relaxed);
            page("<a href=gzip>1</a><a href=br>2</a><a href=zstd>3</a><a href=zlib>4</a><a href=raw>5</a><a href=twice>6</a>")
        }
        "/gzip" => encoded("gzip", &gzip(b"<a href=gzip-leaf>x</a>")),
        "/br" => encoded("br", &from_hex(BROTLI)),
        "/zstd" => encoded("zstd", &from_hex(ZSTD)),
        "/zlib" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(b"<a href=zlib-leaf>x</a>").unwrap();
            encoded("deflate", &encoder.finish().unwrap())
        }
        "/raw" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(b"<a href=raw-leaf>x</a>").unwrap();
            encoded("deflate", &encoder.finish().unwrap())
        }
        "/twice" => encoded("gzip, x-gzip", &gzip(&gzip(b"<a href=twice-leaf>x</a>"))),
        path if path.ends_with("-leaf") => page("leaf"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert!(asked.load(Ordering::Relaxed));
    for leaf in ["gzip-leaf", "brotli-leaf", "zstd-leaf", "zlib-leaf", "raw-leaf", "twice-leaf"] {
        assert!(find_page(&value, &format!("{home}/{leaf}")).is_some(), "{leaf}: {value:#}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[redd::test]
async fn the_checksum_is_of_the_decoded_page() {
    let home = serve(|path| match path {
        "/" => page("<a href=plain>p</a><a href=gzip>g</a>"),
        "/plain" => page("the same"),
        "/gzip" => encoded("gzip", &gzip(b"the same")),
        _ => missing(),
    })
    .await;
    let (value, _) = crawl(&home, &[]).await;
    let [plain, packed] = ["/plain", "/gzip"].map(|path| find_page(&value, &format!("{home}{path}")).unwrap());
    assert_eq!((&plain["sha256"], &plain["bytes"]), (&packed["sha256"], &packed["bytes"]));
}

#[redd::test]
async fn the_size_limit_applies_to_the_decoded_body() {
    let bomb = gzip(&vec![b'x'; 20 << 20]);
    let nested = gzip(&bomb);
    let home = serve(move |path| match path {
        "/" => page("<a href=bomb>b</a><a href=nested>n</a>"),
        "/bomb" => encoded("gzip", &bomb),
        "/nested" => encoded("gzip, gzip", &nested),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &["--max-body", "100K"]).await;
    assert_eq!(output.status.code(), Some(1));
    for path in ["/bomb", "/nested"] {
        let reason = reason(&value, &format!("{home}{path}"));
        assert!(reason.contains("--max-body"), "{reason}");
    }
}

#[redd::test]
async fn an_encoding_that_cannot_be_decoded_is_reported_and_not_read_as_text() {
    let home = serve(|path| match path {
        "/" => page("<a href=unknown>u</a><a href=damaged>d</a><a href=short>s</a><a href=identity>i</a>"),
        "/unknown" => encoded("rot13", b"<a href=trap>t</a>"),
        "/damaged" => encoded("gzip", b"<a href=trap>t</a>"),
        "/short" => encoded("gzip", &gzip(b"<a href=trap>t</a>")[..20]),
        "/identity" => encoded("identity", b"<a href=leaf>l</a>"),
        "/leaf" => page("leaf"),
        "/trap" => panic!("an undecoded body was searched for links"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let reason = |path: &str| reason(&value, &format!("{home}{path}"));
    assert!(reason("/unknown").contains("rot13"), "{}", reason("/unknown"));
    assert!(reason("/damaged").contains("gzip"), "{}", reason("/damaged"));
    assert!(reason("/short").contains("gzip"), "{}", reason("/short"));
    assert!(find_page(&value, &format!("{home}/leaf")).is_some());
    assert!(find_page(&value, &format!("{home}/trap")).is_none());
}

#[redd::test]
async fn a_compressed_robots_file_is_obeyed() {
    let rules = gzip(b"User-agent: *\nDisallow: /secret\n");
    let home = serve(move |path| match path {
        "/robots.txt" => bytes("200 OK", "Content-Encoding: gzip\r\n", &rules),
        "/" => page("<a href=secret>s</a>"),
        _ => panic!("{path} was asked for"),
    })
    .await;
    let (value, _) = crawl(&home, &[]).await;
    assert!(value["pages"].to_string().contains("disallows"), "{value:#}");
}

#[redd::test]
async fn a_page_without_a_usable_content_type_is_searched_if_it_looks_like_html() {
    let home = serve(|path| match path {
        "/" => answer(
            "200 OK",
            "",
            "\n <!DocType html><a href=none>n</a><a href=empty>e</a><a href=text>t</a><a href=plain>p</a>",
        ),
        "/none" => answer("200 OK", "", "<!-- hello --><a href=none-leaf>x</a>"),
        "/empty" => answer("200 OK", "Content-Type: html\r\n", "<html><a href=empty-leaf>x</a>"),
        "/text" => answer("200 OK", "", "some text <a href=trap>x</a>"),
        "/plain" => answer("200 OK", "Content-Type: text/plain\r\n", "<html><a href=trap>x</a>"),
        path if path.ends_with("-leaf") => page("leaf"),
        "/trap" => panic!("a text was searched for links"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{value:#}");
    for leaf in ["none-leaf", "empty-leaf"] {
        assert!(find_page(&value, &format!("{home}/{leaf}")).is_some(), "{leaf}: {value:#}");
    }
    assert!(find_page(&value, &format!("{home}/trap")).is_none());
    let note = find_page(&value, &format!("{home}/none")).unwrap()["note"].as_str().unwrap();
    assert!(note.contains("no content type"), "{note}");
}
