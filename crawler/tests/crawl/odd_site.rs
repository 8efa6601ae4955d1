//! A site of odd links and odd answers: what becomes of each.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::runs::{broken, crawl, find_page, stderr};
use crate::server::{Act, answer, bytes, missing, page, serve_requests};

/// What must become of a link.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The page at this path is good. `HOME` is put before it.
    Good(&'static str),
    /// The address is broken for this reason. `HOME` stands for that of the site.
    Broken(&'static str, &'static str),
    /// The address redirects.
    Moved(&'static str),
    /// It has a scheme that cannot be fetched.
    Ignored(&'static str),
    /// It is no link.
    Nothing,
}

use Fate::{Broken, Good, Ignored, Moved, Nothing};

/// Odd ways to write a link. In the HTML, `HOST` stands for the host and port of the site.
const LINKS: &[(&str, Fate)] = &[
    ("<a href='/g1'>", Good("/g1")),
    ("<A HREF=/g2>", Good("/g2")),
    ("<a href = \"/g3\">", Good("/g3")),
    ("<a\nhref=/g4>", Good("/g4")),
    ("<a/href=/g5>", Good("/g5")),
    ("<a title='>' href=/g6>", Good("/g6")),
    ("<a href=/g7 href=/twice>", Good("/g7")),
    ("<a href=/g8/>", Good("/g8/")),
    ("<a href=' \n\t/g9 \t'>", Good("/g9")),
    ("<a href='/g1\n0'>", Good("/g10")),
    ("<a href='/g&#49;1'>", Good("/g11")),
    ("<a href='/g12?x=1&amp;y=2'>", Good("/g12?x=1&y=2")),
    ("<a href='/g13?x=1&y=2'>", Good("/g13?x=1&y=2")),
    ("<a href='/g14?copy=1&copy=2'>", Good("/g14?copy=1&copy=2")),
    ("<a href='g 15'>", Good("/g%2015")),
    ("<a href='/g%2016'>", Good("/g%2016")),
    ("<a href='/\u{e9}17'>", Good("/%C3%A917")),
    ("<a href='/x/../g18'>", Good("/g18")),
    ("<a href='./g19'>", Good("/g19")),
    ("<a href='g20/./y'>", Good("/g20/y")),
    ("<a href='/x/%2e%2e/g21'>", Good("/g21")),
    ("<a href='\\g22'>", Good("/g22")),
    ("<a href='/g23\\y'>", Good("/g23/y")),
    ("<a href='?g24'>", Good("/?g24")),
    ("<a href='//HOST/g25'>", Good("/g25")),
    ("<a href='http:g26'>", Good("/g26")),
    ("<a href='http:/g27'>", Good("/g27")),
    ("<a href='HTTP://HOST/g28'>", Good("/g28")),
    ("<a href='http:\\\\HOST\\g29'>", Good("/g29")),
    ("<a href='http:////HOST/g30'>", Good("/g30")),
    ("<a href='/g31#part'>", Good("/g31")),
    ("<a href='/g32;p=1'>", Good("/g32;p=1")),
    ("<a href='./g33:x'>", Good("/g33:x")),
    ("<a href='/g34%'>", Good("/g34%")),
    ("<a href='/g35%zz'>", Good("/g35%zz")),
    ("<a href=\"/g36'x\">", Good("/g36'x")),
    ("<a href='/g37&quot;x'>", Good("/g37%22x")),
    ("<a href='/g38<x>'>", Good("/g38%3Cx%3E")),
    ("<a href='/g39?\u{e9}'>", Good("/g39?%C3%A9")),
    ("<a href='http://me:pw@HOST/g40'>", Good("/g40")),
    ("<a href='../../../g41'>", Good("/g41")),
    ("<a href='/g42//y'>", Good("/g42//y")),
    ("<a href='/g43?a=/../b'>", Good("/g43?a=/../b")),
    ("<a href='/g44?a b'>", Good("/g44?a%20b")),
    ("<a href='/g45?#'>", Good("/g45?")),
    ("<area href=/g46>", Good("/g46")),
    ("<table><a href=/g47></table>", Good("/g47")),
    ("<svg><a xlink:href=/g48></a></svg>", Good("/g48")),
    ("<template><a href=/g49></template>", Good("/g49")),
    ("<!--><a href=/g50>", Good("/g50")),
    ("<noscript><a href=/g51></noscript>", Good("/g51")),
    ("<iframe src=/g52></iframe>", Good("/g52")),
    ("<iframe srcdoc='&lt;a href=/g53&gt;'></iframe>", Good("/g53")),
    ("<img src=/g54>", Good("/g54")),
    ("<img srcset='/g55 1x'>", Good("/g55")),
    ("<img srcset='data:image/gif;base64,R0,lG 1x, /g56 2x'>", Good("/g56")),
    ("<img srcset='/g57,x 2x'>", Good("/g57,x")),
    ("<picture><source srcset='/g58 100w'></picture>", Good("/g58")),
    ("<video poster=/g59></video>", Good("/g59")),
    ("<object data=/g60></object>", Good("/g60")),
    ("<embed src=/g61>", Good("/g61")),
    ("<input type=image src=/g62>", Good("/g62")),
    ("<track src=/g63>", Good("/g63")),
    ("<link rel=stylesheet href=/g64>", Good("/g64")),
    ("<link href=/g65 rel=preload>", Good("/g65")),
    ("<link rel=preload imagesrcset='/g66 1x'>", Good("/g66")),
    ("<blockquote cite=/g67></blockquote>", Good("/g67")),
    ("<body background=/g68>", Good("/g68")),
    ("<p style='background:url(/g69)'>", Good("/g69")),
    ("<p style=\"background:url( '/g70' )\">", Good("/g70")),
    ("<p style='background:u\\72l(/g71)'>", Good("/g71")),
    ("<style>@import '/g72';</style>", Good("/g72")),
    ("<style>a{b:url(/g73\\29)}</style>", Good("/g73)")),
    ("<style>/* url(/no) */ a{b:image-set('/g74' 1x)}</style>", Good("/g74")),
    ("<svg><use href='/g75#x'/></svg>", Good("/g75")),
    ("<meta http-equiv=refresh content='9; url=/g76'>", Good("/g76")),
    ("<meta http-equiv=refresh content=\"9;URL='/g77'\">", Good("/g77")),
    ("<meta http-equiv=Refresh content='9,/g78'>", Good("/g78")),
    ("<script src=/g79></script>", Good("/g79")),
    ("<a href=/g80", Good("/g80")),
    ("><a name=x href=/g81>", Good("/g81")),
    ("<a href>", Nothing),
    ("<a href=''>", Nothing),
    ("<a href='#part'>", Nothing),
    ("<a href='#'>", Nothing),
    ("<a href='  '>", Nothing),
    ("<a name=/no>", Nothing),
    ("<p href=/no>", Nothing),
    ("<!-- <a href=/no> -->", Nothing),
    ("<!-- -- > <a href=/no> -->", Nothing),
    ("<script>'<a href=/no>'</script>", Nothing),
    ("<style>/* <a href=/no> */</style>", Nothing),
    ("<textarea><a href=/no></textarea>", Nothing),
    ("<title><a href=/no></title>", Nothing),
    ("<xmp><a href=/no></xmp>", Nothing),
    ("<iframe><a href=/no></iframe>", Nothing),
    ("<link rel=dns-prefetch href=//no.invalid/>", Nothing),
    ("<link rel='preconnect' href=//no.invalid/>", Nothing),
    ("<meta name=x content='0; url=/no'>", Nothing),
    ("<meta http-equiv=refresh content=9>", Nothing),
    ("<style>a{content:'url(/no)'} @namespace url(/no);</style>", Nothing),
    ("<svg><use href='#x'/></svg>", Nothing),
    ("&lt;a href=/no&gt;", Nothing),
    ("<a href='javascript:one()'>", Ignored("javascript")),
    ("<a href='JavaScript:two()'>", Ignored("javascript")),
    ("<a href=' java\nscript:three()'>", Ignored("javascript")),
    ("<a href='data:text/html,x'>", Ignored("data")),
    ("<a href='mailto:me@example.com?subject=x'>", Ignored("mailto")),
    ("<a href='mailto:?body=x'>", Ignored("mailto")),
    ("<a href='tel:+1-2'>", Ignored("tel")),
    ("<a href='sms:+1'>", Ignored("sms")),
    ("<a href='ftp://host.invalid/x'>", Ignored("ftp")),
    ("<a href='file:///etc/hosts'>", Ignored("file")),
    ("<a href='about:blank'>", Ignored("about")),
    ("<a href='blob:null/x'>", Ignored("blob")),
    ("<a href='view-source:http://host.invalid/'>", Ignored("view-source")),
    ("<a href='ws://host.invalid/'>", Ignored("ws")),
    ("<a href='urn:isbn:1'>", Ignored("urn")),
    ("<a href='magnet:?xt=1'>", Ignored("magnet")),
    ("<a href='geo:1,2'>", Ignored("geo")),
    ("<a href='word:x'>", Ignored("word")),
    ("<a href='mailto:nobody'>", Broken("mailto:nobody", "has no `@`")),
    ("<a href='mailto:a@b c@d'>", Broken("mailto:a@b c@d", "mailto:name@example.com")),
    ("<a href='mailto:'>", Broken("mailto:", "names no recipient")),
    ("<a href='mailto:a@'>", Broken("mailto:a@", "no valid domain")),
    ("<a href='http://'>", Broken("http://", "empty host")),
    ("<a href='http://[bad'>", Broken("http://[bad", "invalid IPv6")),
    ("<a href='http://a b/'>", Broken("http://a b/", "invalid")),
    ("<a href='http://host:99999/'>", Broken("http://host:99999/", "invalid port")),
    ("<a href='http://host:port/'>", Broken("http://host:port/", "invalid port")),
    ("<a href='http://256.256.256.256/'>", Broken("http://256.256.256.256/", "invalid IPv4")),
    ("<a href='http://a%00b/'>", Broken("http://a%00b/", "invalid")),
    ("<a href='http://%/'>", Broken("http://%/", "invalid")),
    ("<a href='//'>", Broken("//", "empty host")),
    ("<a href='https://HOST/tls'>", Broken("https://HOST/tls", "TLS failed")),
    ("<a href='http://127.0.0.1:1/'>", Broken("http://127.0.0.1:1/", "unreachable")),
];

/// Odd answers of a server, by path. The path is linked to.
const ANSWERS: &[(&str, Fate)] = &[
    ("/status/200", Good("/status/200")),
    ("/status/201", Good("/status/201")),
    ("/status/203", Good("/status/203")),
    ("/status/206", Good("/status/206")),
    ("/status/226", Good("/status/226")),
    ("/status/300", Broken("HOME/status/300", "300 Multiple Choices")),
    ("/status/305", Broken("HOME/status/305", "305")),
    ("/status/306", Broken("HOME/status/306", "306")),
    ("/status/400", Broken("HOME/status/400", "400 Bad Request")),
    ("/status/401", Broken("HOME/status/401", "401 Unauthorized")),
    ("/status/403", Broken("HOME/status/403", "403 Forbidden")),
    ("/status/404", Broken("HOME/status/404", "404 Not Found")),
    ("/status/405", Broken("HOME/status/405", "405")),
    ("/status/407", Broken("HOME/status/407", "407")),
    ("/status/410", Broken("HOME/status/410", "410 Gone")),
    ("/status/418", Broken("HOME/status/418", "418")),
    ("/status/451", Broken("HOME/status/451", "451")),
    ("/status/499", Broken("HOME/status/499", "status 499")),
    ("/status/500", Broken("HOME/status/500", "500 Internal Server Error")),
    ("/status/501", Broken("HOME/status/501", "501")),
    ("/status/503", Broken("HOME/status/503", "503")),
    ("/status/599", Broken("HOME/status/599", "status 599")),
    ("/status/999", Broken("HOME/status/999", "status 999")),
    ("/later", Broken("HOME/later", "429 Too Many Requests")),
    ("/moved/301", Moved("/moved/301")),
    ("/moved/302", Moved("/moved/302")),
    ("/moved/303", Moved("/moved/303")),
    ("/moved/307", Moved("/moved/307")),
    ("/moved/308", Moved("/moved/308")),
    ("/moved/relative", Moved("/moved/relative")),
    ("/moved/part", Moved("/moved/part")),
    ("/moved/space", Moved("/moved/space")),
    ("/lost/none", Broken("HOME/lost/none", "no usable location")),
    ("/lost/mail", Broken("HOME/lost/mail", "neither http nor https")),
    ("/lost/script", Broken("HOME/lost/script", "neither http nor https")),
    ("/lost/bad", Broken("HOME/lost/bad", "unusable redirect")),
    ("/lost/self", Broken("HOME/lost/self", "leads back to itself")),
    ("/body/empty", Good("/body/empty")),
    ("/body/untyped", Good("/body/untyped")),
    ("/body/klingon", Good("/body/klingon")),
    ("/body/latin", Good("/body/latin")),
    ("/body/wide", Good("/body/wide")),
    ("/body/mark", Good("/body/mark")),
    ("/body/nul", Good("/body/nul")),
    ("/body/open", Good("/body/open")),
    ("/body/deep", Good("/body/deep")),
    ("/body/rot13", Broken("HOME/body/rot13", "rot13")),
    ("/body/gzip", Broken("HOME/body/gzip", "gzip")),
    ("/body/short", Broken("HOME/body/short", "broke off")),
    ("/body/chunks", Broken("HOME/body/chunks", "broke off")),
    ("/body/huge", Broken("HOME/body/huge", "--max-body")),
    ("/wire/old", Good("/wire/old")),
    ("/wire/no-reason", Good("/wire/no-reason")),
    ("/wire/no-length", Good("/wire/no-length")),
    ("/wire/many-headers", Good("/wire/many-headers")),
    ("/wire/reset", Broken("HOME/wire/reset", "broke off")),
    ("/wire/nothing", Broken("HOME/wire/nothing", "broke off")),
    ("/wire/garbage", Broken("HOME/wire/garbage", "broke off")),
    ("/wire/bad-header", Broken("HOME/wire/bad-header", "broke off")),
    ("/wire/half-head", Broken("HOME/wire/half-head", "broke off")),
    ("/wire/silent", Broken("HOME/wire/silent", "--timeout")),
];

/// Links on the pages among the odd answers, which show that these were read in the right way.
const BEHIND: &[&str] = &[
    "/behind/untyped",
    "/behind/klingon",
    "/behind/caf%C3%A9",
    "/behind/wide",
    "/behind/mark",
    "/behind/nul",
    "/behind/open",
    "/behind/deep",
];

fn respond(path: &str) -> Act {
    const HTML: &str = "Content-Type: text/html\r\n";
    let send = |text: &str| Act::Send(text.as_bytes().to_vec());
    let moved = |status: &str, to: &str| answer(status, &format!("Location: {to}\r\n"), "");
    if let Some(status) = path.strip_prefix("/status/") {
        return send(&format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    }
    match path {
        "/later" => answer("429 Too Many Requests", "Retry-After: 600\r\n", ""),
        "/moved/301" => moved("301 x", "/ok"),
        "/moved/302" => moved("302 x", "/ok"),
        "/moved/303" => moved("303 x", "/ok"),
        "/moved/307" => moved("307 x", "/ok"),
        "/moved/308" => moved("308 x", "/ok"),
        "/moved/relative" => moved("301 x", "../ok"),
        "/moved/part" => moved("301 x", "/ok#part"),
        "/moved/space" => moved("301 x", " /ok "),
        "/lost/none" => answer("301 x", "", ""),
        "/lost/mail" => moved("301 x", "mailto:me@here"),
        "/lost/script" => moved("301 x", "javascript:x()"),
        "/lost/bad" => moved("301 x", "http://[bad/"),
        "/lost/self" => moved("301 x", "/lost/self"),
        "/body/untyped" => answer("200 OK", "", "<!doctype html><a href=/behind/untyped>"),
        "/body/klingon" => answer("200 OK", "Content-Type: text/html; charset=klingon\r\n", "<a href=/behind/klingon>"),
        "/body/latin" => {
            bytes("200 OK", "Content-Type: text/html; charset=iso-8859-1\r\n", b"<a href=/behind/caf\xe9>")
        }
        "/body/wide" => {
            let wide: Vec<u8> = "<a href=/behind/wide>".bytes().flat_map(|byte| [byte, 0]).collect();
            bytes("200 OK", "Content-Type: text/html; charset=utf-16le\r\n", &wide)
        }
        "/body/mark" => bytes("200 OK", HTML, b"\xef\xbb\xbf<a href=/behind/mark>"),
        "/body/nul" => bytes("200 OK", HTML, b"\0<a href=/behind/nul>\0"),
        "/body/open" => page("<div><a href=/behind/open>x<p"),
        "/body/deep" => page(&format!("{}<a href=/behind/deep>", "<div>".repeat(20_000))),
        "/body/rot13" => answer("200 OK", "Content-Type: text/html\r\nContent-Encoding: rot13\r\n", "x"),
        "/body/gzip" => answer("200 OK", "Content-Type: text/html\r\nContent-Encoding: gzip\r\n", "not packed"),
        "/body/short" => send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort"),
        "/body/chunks" => send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n"),
        "/body/huge" => send("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"),
        "/wire/old" => send("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nold"),
        "/wire/no-reason" => send("HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "/wire/no-length" => send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"),
        "/wire/many-headers" => answer("200 OK", &"X-Y: z\r\n".repeat(60), ""),
        "/wire/reset" => Act::Reset,
        "/wire/nothing" => send(""),
        "/wire/garbage" => send("220 mail.example.com ESMTP\r\n"),
        "/wire/bad-header" => send("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n"),
        "/wire/half-head" => send("HTTP/1.1 200 OK\r\nContent-Le"),
        "/wire/silent" => Act::Hang(String::new()),
        path if path.starts_with("/no") || path.starts_with("/twice") => panic!("{path} is no link"),
        "/robots.txt" => missing(),
        _ => answer("200 OK", "Content-Type: text/plain\r\n", ""),
    }
}

/// The address in a table, on the site at `home`.
fn address(text: &str, home: &str) -> String {
    text.replace("HOME", home).replace("HOST", home.trim_start_matches("http://"))
}

fn check(value: &Value, home: &str, what: &str, fate: Fate) {
    match fate {
        Good(path) => {
            let page =
                find_page(value, &format!("{home}{path}")).unwrap_or_else(|| panic!("{what}: {path} was not found"));
            assert!(page["redirect_to"].is_null(), "{what}: {page:#}");
        }
        Moved(path) => {
            let page =
                find_page(value, &format!("{home}{path}")).unwrap_or_else(|| panic!("{what}: {path} was not found"));
            assert_eq!(page["redirect_to"], format!("{home}/ok"), "{what}");
        }
        Broken(url, why) => {
            let broken = broken(value, &address(url, home));
            let reason = broken["reason"].as_str().unwrap();
            assert!(reason.contains(why), "{what}: {reason}");
            assert_eq!(broken["cited_by"][0], format!("{home}/"), "{what}");
        }
        Ignored(_) | Nothing => {}
    }
}

#[redd::test]
async fn each_odd_link_and_each_odd_answer_has_the_right_outcome() {
    const { assert!(LINKS.len() + ANSWERS.len() >= 150) };
    let mut html: String = LINKS.iter().map(|(html, _)| format!("{html}\n")).collect();
    html.extend(ANSWERS.iter().map(|(path, _)| format!("<a href={path}>\n")));
    let home = serve_requests(move |request| match &*request.path {
        "/" => page(&html.replace("HOST", request.header("host"))),
        path => respond(path),
    })
    .await;
    let (value, output) = crawl(&home, &["--max-wait", "1s"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let all = || LINKS.iter().chain(ANSWERS);
    for (what, fate) in all() {
        check(&value, &home, what, *fate);
    }
    for path in BEHIND {
        check(&value, &home, path, Good(path));
    }

    // Nothing else was found.
    let number = |is_meant: fn(&Fate) -> bool| all().filter(|(_, fate)| is_meant(fate)).count() as u64;
    let counts = &value["counts"];
    assert_eq!(counts["broken"], number(|fate| matches!(fate, Broken(..))), "{counts:#}");
    assert_eq!(counts["redirects"], number(|fate| matches!(fate, Moved(_))), "{counts:#}");
    // With the start, and the page where the redirects lead.
    let good = number(|fate| matches!(fate, Good(_))) + BEHIND.len() as u64 + 2;
    assert_eq!(counts["good"], good, "{counts:#}");
    // The one in a `srcset`.
    let mut schemes = BTreeMap::from([("data", 1_u64)]);
    for (_, fate) in all() {
        if let Ignored(scheme) = fate {
            *schemes.entry(*scheme).or_insert(0) += 1;
        }
    }
    assert_eq!(counts["ignored_schemes"], serde_json::json!(schemes));

    // Each line of the report says all of a finding. The JSON has taken standard output.
    let report = stderr(&output);
    for (what, fate) in all() {
        if let Broken(url, why) = fate {
            let url = address(url, &home);
            let is_told = report.lines().any(|line| line.contains(&url) && line.contains(why));
            assert!(is_told, "{what}: {url} and `{why}` are on no line of\n{report}");
        }
    }
}
