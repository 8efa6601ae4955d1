//! Odd bodies, encodings, headers and content types.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::odd::site::{OddSite, broken, failed, good, noted, raw};
use crate::server::{Act, answer, bytes, page};

/// `<a href=brotli-leaf>x</a>`, compressed by another program.
const BROTLI: &[u8] = b"\x0b\x0c\x80<a href=brotli-leaf>x</a>\x03";

/// A body larger than `--max-body`.
const TOO_LARGE: usize = 300_000;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    compress_to_vec(body, CompressionLevel::Fastest)
}

fn html_head(more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{more}\r\n")
}

/// How a body is framed.
pub(super) fn framing(site: &mut OddSite) {
    let chunked = html_head("Transfer-Encoding: chunked\r\n");
    let pages: Vec<(&str, String)> = vec![
        ("chunked", format!("{chunked}9;ext=\"a\"\r\n<a href=/\r\nd\r\nleaf/chunked>\r\n0\r\nTrailer: x\r\n\r\n")),
        ("until-close", html_head("") + "<a href=/leaf/until-close>"),
        ("longer-than-said", html_head("Content-Length: 31\r\n") + "<a href=/leaf/longer-than-said><a href=/trap>"),
        (
            "chunked-and-length",
            format!(
                "{}1c\r\n<a href=/leaf/chunked-and-le\r\n6\r\nngth> \r\n0\r\n\r\n",
                html_head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")
            ),
        ),
        ("length-twice", html_head("Content-Length: 27\r\nContent-Length: 27\r\n") + "<a href=/leaf/length-twice>"),
        (
            "many-headers",
            html_head(&(0..300).map(|n| format!("X-{n}: y\r\n")).collect::<String>()) + "<a href=/leaf/many-headers>",
        ),
        ("large-header", html_head(&format!("X: {}\r\n", "y".repeat(60_000))) + "<a href=/leaf/large-header>"),
        ("folded-header", html_head("X: a\r\n b\r\n\tc\r\n") + "<a href=/leaf/folded-header>"),
        ("spaces-in-header", html_head("X : a\r\n") + "<a href=/leaf/spaces-in-header>"),
        ("latin-1-header", html_head("X: caf\u{e9}\r\n") + "<a href=/leaf/latin-1-header>"),
        ("empty-header", html_head("X:\r\n") + "<a href=/leaf/empty-header>"),
    ];
    for (name, text) in pages {
        let path = format!("/body/{name}");
        site.link(&path, good(200), move || raw(text.clone()));
        site.leaf_of(&path, &format!("/leaf/{name}"));
    }
    site.link("/body/empty", good(200), || page(""));
    site.link("/body/empty-chunked", good(200), || {
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    });
    let cut = |text: String| move || raw(text.clone());
    for (name, text) in [
        ("shorter-than-said", html_head("Content-Length: 100\r\n") + "<a href=/trap>"),
        ("chunk-cut", format!("{chunked}ff\r\n<a href=/trap>")),
        ("no-last-chunk", format!("{chunked}e\r\n<a href=/trap>\r\n")),
        ("chunk-size-no-number", format!("{chunked}zz\r\n<a href=/trap>\r\n0\r\n\r\n")),
        ("length-differs", html_head("Content-Length: 27\r\nContent-Length: 28\r\n") + "<a href=/trap>"),
        ("length-no-number", html_head("Content-Length: many\r\n") + "<a href=/trap>"),
        ("length-negative", html_head("Content-Length: -1\r\n") + "<a href=/trap>"),
    ] {
        let right = if name.starts_with("length") { failed("cut-short", "") } else { broken(200, "cut-short", "") };
        site.link(&format!("/body/{name}"), right, cut(text));
    }
    let huge_head = html_head(&format!("X: {}\r\n", "y".repeat(1 << 20)));
    site.link("/body/huge-header", failed("cut-short", "head is too large"), move || raw(huge_head.clone()));
    for (name, line) in [("line-without-colon", "no header\r\n"), ("odd-header-name", "X(y): a\r\n")] {
        let head = html_head(line);
        site.link(&format!("/body/{name}"), failed("cut-short", "header"), move || raw(head.clone()));
    }
    site.link("/body/too-large", broken(200, "too-large", "--max-body"), || page(&" ".repeat(TOO_LARGE)));
    site.link("/body/said-too-large", broken(200, "too-large", "--max-body"), || {
        raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    });
    let endless = format!("{chunked}{}", format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(TOO_LARGE / 4096));
    site.link("/body/endless", broken(200, "too-large", "--max-body"), move || Act::Hang(endless.clone()));
}

/// What `Content-Encoding` says.
pub(super) fn encodings(site: &mut OddSite) {
    type Encode = fn(&[u8]) -> Vec<u8>;
    let encoded: [(&str, &str, Encode); 10] = [
        ("gzip", "gzip", gzip),
        ("x-gzip", "X-GZip", gzip),
        ("zlib", "deflate", zlib),
        ("raw-deflate", "deflate", deflate),
        ("zstd", "zstd", zstd),
        ("double", "gzip, zstd", |body| zstd(&gzip(body))),
        ("twice", "gzip, gzip", |body| gzip(&gzip(body))),
        ("identity", "identity", <[u8]>::to_vec),
        ("no-name", "", <[u8]>::to_vec),
        ("two-members", "gzip", |body| [gzip(&body[..5]), gzip(&body[5..])].concat()),
    ];
    let act = |name: &'static str, body: Vec<u8>| {
        let headers = format!("Content-Type: text/html\r\nContent-Encoding: {name}\r\n");
        move || bytes("200 OK", &headers, &body)
    };
    for (name, encoding, encode) in encoded {
        let path = format!("/encoding/{name}");
        let body = encode(format!("<a href=/leaf/{name}>x</a>").as_bytes());
        site.link(&path, good(200), act(encoding, body));
        site.leaf_of(&path, &format!("/leaf/{name}"));
    }
    site.link("/encoding/br", good(200), act("br", BROTLI.to_vec()));
    site.leaf_of("/encoding/br", "/encoding/brotli-leaf");
    let two_headers = gzip(b"<a href=/leaf/two-headers>");
    site.link("/encoding/two-headers", good(200), move || {
        let headers = "Content-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Encoding: zstd\r\n";
        bytes("200 OK", headers, &zstd(&two_headers))
    });
    site.leaf_of("/encoding/two-headers", "/leaf/two-headers");
    site.link("/encoding/empty-gzip", good(200), act("gzip", Vec::new()));
    let text = b"<a href=/trap>some text that is long enough</a>";
    let mut flipped = gzip(text);
    flipped[20] ^= 0xff;
    for (name, encoding, body) in [
        ("plain-as-gzip", "gzip", text.to_vec()),
        ("plain-as-br", "br", text.to_vec()),
        ("plain-as-zstd", "zstd", text.to_vec()),
        ("gzip-as-br", "br", gzip(text)),
        ("gzip-as-zstd", "zstd", gzip(text)),
        ("zstd-as-gzip", "gzip", zstd(text)),
        ("short-gzip", "gzip", gzip(text)[..30].to_vec()),
        ("flipped-gzip", "gzip", flipped),
        ("once-as-twice", "gzip, gzip", gzip(text)),
    ] {
        let right = broken(200, "encoding", "cannot be decoded");
        site.link(&format!("/encoding/{name}"), right, act(encoding, body));
    }
    for (name, encoding) in [("compress", "compress"), ("unknown", "gzip, rot13"), ("many", "gzip,gzip,gzip,gzip,gzip")]
    {
        let right = broken(200, "encoding", "not asked for");
        site.link(&format!("/encoding/{name}"), right, act(encoding, text.to_vec()));
    }
    for (name, encode) in [("gzip", gzip as Encode), ("zstd", zstd)] {
        let right = broken(200, "too-large", "--max-body");
        site.link(&format!("/encoding/bomb-{name}"), right, act(name, encode(&vec![b' '; TOO_LARGE])));
    }
    // Compressed, and not said so: no link can be read, and the page is there.
    let said_plain = gzip(&[b'x'; 1000]);
    site.link("/encoding/gzip-as-plain", noted("not valid UTF-8"), move || {
        bytes("200 OK", "Content-Type: text/html\r\n", &said_plain)
    });
}

/// What `Content-Type` and the page say about its format and its characters.
pub(super) fn types(site: &mut OddSite) {
    // Pages that are searched: the name is that of the leaf.
    let html = |name: &str| format!("<html><a href=/leaf/{name}>x</a>").into_bytes();
    for (name, content_type) in [
        ("plain-html", "text/html"),
        ("upper", "TEXT/HTML"),
        ("parameters", "text/html; charset=\"utf-8\"; x=y"),
        ("semicolon", "text/html;"),
        ("spaces", "  text/html  ;charset=UTF-8"),
        ("xhtml", "application/xhtml+xml"),
    ] {
        let path = format!("/type/{name}");
        let body = html(name);
        site.link(&path, good(200), move || bytes("200 OK", &format!("Content-Type: {content_type}\r\n"), &body));
        site.leaf_of(&path, &format!("/leaf/{name}"));
    }
    for (name, header) in [("none", ""), ("empty", "Content-Type:\r\n"), ("no-slash", "Content-Type: html\r\n")] {
        let path = format!("/type/{name}");
        let body = html(name);
        site.link(&path, noted("no content type"), move || bytes("200 OK", header, &body));
        site.leaf_of(&path, &format!("/leaf/{name}"));
    }
    for content_type in ["text/plain", "image/png", "application/octet-stream", "application/json", "text/htmlx"] {
        site.link(&format!("/type/{content_type}"), good(200), move || {
            answer("200 OK", &format!("Content-Type: {content_type}\r\n"), "<html><a href=/trap>x</a>")
        });
    }
    site.link("/type/none-and-text", good(200), || answer("200 OK", "", "text <a href=/trap>x</a>"));
    // In XML, an element may end where it begins.
    site.link("/type/xhtml-script", good(200), || {
        let text = "<html xmlns='http://www.w3.org/1999/xhtml'><head><title/><script src='/leaf/x.js'/><style/></head>\
                    <body><a href='/leaf/behind-script'>x</a><![CDATA[<a href='/trap'>]]></body></html>";
        answer("200 OK", "Content-Type: application/xhtml+xml\r\n", text)
    });
    site.leaf_of("/type/xhtml-script", "/leaf/x.js");
    site.leaf_of("/type/xhtml-script", "/leaf/behind-script");
    let utf_16 = |text: &str, big: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let leaf = |name: &str, head: &str| format!("{head}<a href='/leaf/{name}-ü'>x</a>");
    let latin = |name: &str, head: &str| -> Vec<u8> {
        leaf(name, head).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    };
    let with_bom = |text: &str, big: bool| utf_16(&format!("\u{feff}{text}"), big);
    // The leaf of each of these has the name with `-ü`.
    let pages: Vec<(&str, &str, Vec<u8>)> = vec![
        ("utf-8", "text/html; charset=utf-8", leaf("utf-8", "").into()),
        ("bom", "text/html", leaf("bom", "\u{feff}").into()),
        ("bom-wins", "text/html; charset=windows-1252", leaf("bom-wins", "\u{feff}").into()),
        ("utf-16-le", "text/html", with_bom(&leaf("utf-16-le", ""), false)),
        ("utf-16-be", "text/html", with_bom(&leaf("utf-16-be", ""), true)),
        ("utf-16-said", "text/html; charset=utf-16le", utf_16(&leaf("utf-16-said", ""), false)),
        ("latin-1", "text/html; charset=ISO-8859-1", latin("latin-1", "")),
        ("meta", "text/html", latin("meta", "<meta charset=windows-1252>")),
        ("meta-spaces", "text/html", latin("meta-spaces", "<meta charset = \"windows-1252\">")),
        (
            "meta-old",
            "text/html",
            latin("meta-old", "<meta http-equiv=Content-Type content='text/html; charset=latin1'>"),
        ),
        ("header-first", "text/html; charset=utf-8", leaf("header-first", "<meta charset=windows-1252>").into()),
        ("header-unknown", "text/html; charset=klingon", latin("header-unknown", "<meta charset=windows-1252>")),
        // The page could not say so if it were UTF-16.
        ("meta-utf-16", "text/html", leaf("meta-utf-16", "<meta charset=utf-16>").into()),
        ("in-comment", "text/html", leaf("in-comment", "<!-- <meta charset=windows-1252> -->").into()),
        ("in-address", "text/html", leaf("in-address", "<img alt='?charset=windows-1252'>").into()),
        ("in-script", "text/html", leaf("in-script", "<script>'charset=windows-1252'</script>").into()),
    ];
    for (name, content_type, body) in pages {
        let path = format!("/characters/{name}");
        site.link(&path, good(200), move || bytes("200 OK", &format!("Content-Type: {content_type}\r\n"), &body));
        site.leaf_of(&path, &format!("/leaf/{name}-%C3%BC"));
    }
    site.link("/characters/unknown", noted("klingon"), || {
        answer("200 OK", "Content-Type: text/html; charset=klingon\r\n", "<a href=/leaf/unknown>")
    });
    site.leaf_of("/characters/unknown", "/leaf/unknown");
    site.link("/characters/wrong", noted("not valid UTF-8"), || {
        bytes("200 OK", "Content-Type: text/html; charset=utf-8\r\n", b"\xfd\xfd\xfd<a href=/leaf/wrong>")
    });
    site.leaf_of("/characters/wrong", "/leaf/wrong");
    // The path of an address is always UTF-8. Its query has the characters of the page.
    site.link("/characters/query", good(200), || {
        bytes("200 OK", "Content-Type: text/html; charset=windows-1252\r\n", b"<a href='/leaf/query-\xfc?\xfc'>x</a>")
    });
    site.leaf_of("/characters/query", "/leaf/query-%C3%BC?%FC");
}
