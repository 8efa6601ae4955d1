//! Pages behind a log-in or a cookie, and links to parts of pages.

use crate::odd::site::{OddSite, broken, failed, fine, good, redirect};
use crate::server::{Act, Request, answer, page, serve_requests};

/// `me:right` and `me:other`, in Base64.
const RIGHT: &str = "Basic bWU6cmlnaHQ=";
const OTHER: &str = "Basic bWU6b3RoZXI=";

fn log_in(request: &Request, expected: &str) -> Act {
    if request.header("authorization") == expected {
        fine()
    } else {
        answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")
    }
}

/// Pages that need a log-in. `is_right` says whether the crawl has the right password.
pub(super) async fn log_ins(site: &mut OddSite, is_right: bool) {
    let denied = || broken(401, "access-denied", "401 Unauthorized");
    site.html("<a href=/log-in>x</a>", "/log-in", if is_right { good(200) } else { denied() });
    site.serve("/log-in", |request, _| log_in(request, RIGHT));
    // The log-in of a link comes before that of the crawl.
    site.html("<a href=http://me:other@127.0.0.1:{port}/own>x</a>", "/own", good(200));
    site.serve("/own", |request, _| log_in(request, OTHER));
    site.html("<a href=http://me:wrong@127.0.0.1:{port}/own-wrong>x</a>", "/own-wrong", denied());
    site.serve("/own-wrong", |request, _| log_in(request, RIGHT));
    for scheme in ["Bearer", "Digest realm=\"x\", nonce=\"y\"", "", "Negotiate"] {
        let path = format!("/scheme/{}", scheme.split(' ').next().unwrap_or_default());
        site.link(&path, denied(), move || answer("401 X", &format!("WWW-Authenticate: {scheme}\r\n"), ""));
    }
    // No other host sees the password.
    let elsewhere = serve_requests(|request| {
        assert_eq!(request.header("authorization"), "", "{request:?}");
        fine()
    })
    .await;
    site.html(&format!("<a href={elsewhere}/other-host>x</a>"), &format!("{elsewhere}/other-host"), good(200));
    let to = format!("{elsewhere}/redirected");
    site.link("/to-other-host", redirect(302, &to), {
        let to = to.clone();
        move || answer("302 X", &format!("Location: {to}\r\n"), "")
    });
    site.found_on("", 0, &to, good(200));
}

/// Pages that need a cookie. `is_kept` says whether the crawl keeps cookies.
pub(super) fn cookies(site: &mut OddSite, is_kept: bool) {
    for (name, attributes) in [
        ("plain", ""),
        ("path", "; Path=/cookie"),
        ("quoted", "; Path=\"/\""),
        ("long-lived", "; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ("odd", "; ; SameSite=Unknown; HttpOnly; =x; Partitioned"),
    ] {
        let (path, next) = (format!("/cookie/{name}"), format!("/cookie/{name}-wanted"));
        site.html(&format!("<a href={path}>x</a>"), &path, redirect(302, &next));
        let (cookie, to) = (format!("{name}=1"), next.clone());
        let head = format!("Set-Cookie: {cookie}{attributes}\r\nLocation: {to}\r\n");
        site.serve(&path, move |_, _| answer("302 Found", &head, ""));
        site.found_on("", 0, &next, if is_kept { good(200) } else { broken(403, "access-denied", "403") });
        site.serve(&next, move |request, _| {
            let is_sent = request.header("cookie").split("; ").any(|sent| sent == cookie);
            if is_sent { fine() } else { answer("403 Forbidden", "", "") }
        });
    }
    // Cookies that must not be kept.
    for (name, attributes) in [
        ("expired", "; Max-Age=0"),
        ("past", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ("secure", "; Secure"),
        ("foreign", "; Domain=example.com"),
        ("elsewhere", "; Path=/elsewhere"),
    ] {
        let (path, next) = (format!("/cookie/{name}"), format!("/cookie/{name}-unwanted"));
        site.html(&format!("<a href={path}>x</a>"), &path, redirect(302, &next));
        let head = format!("Set-Cookie: {name}=1{attributes}\r\nLocation: {next}\r\n");
        site.serve(&path, move |_, _| answer("302 Found", &head, ""));
        site.found_on("", 0, &next, good(200));
        site.serve(&next, move |request, _| {
            let is_sent = request.header("cookie").contains(name);
            if is_sent { answer("400 Bad Request", "", "") } else { fine() }
        });
    }
    // A site that sends each visitor without a cookie to the page that sets it.
    let loops = |request: &Request| request.header("cookie").contains("visited=1");
    if is_kept {
        site.html("<a href=/wall>x</a>", "/wall", redirect(302, "/wall/set"));
        site.found_on("", 0, "/wall/set", redirect(302, "/wall/behind"));
        site.found_on("", 0, "/wall/behind", good(200));
    } else {
        site.html("<a href=/wall>x</a>", "/wall", broken(302, "endless-redirect", "itself"));
        site.found_on("", 0, "/wall/set", broken(302, "endless-redirect", "itself"));
        site.found_on("", 0, "/wall/behind", broken(302, "endless-redirect", "itself"));
    }
    let to = |path: &str| answer("302 Found", &format!("Set-Cookie: visited=1\r\nLocation: {path}\r\n"), "");
    site.serve("/wall", move |_, _| to("/wall/set"));
    site.serve("/wall/set", move |_, _| to("/wall/behind"));
    site.serve("/wall/behind", move |request, _| if loops(request) { fine() } else { to("/wall") });
}

/// Links to parts of pages.
pub(super) fn fragments(site: &mut OddSite) {
    const PAGE: &str = "<p id=part><a name=old></a><p id='a b'><p id='\u{fc}'><p id='100%'><p id='x&amp;y'>\
        <p id=twice><p id=twice><p id=Case><!-- <p id=comment> --><p name=no-anchor><p ID=upper-attribute>\
        <svg><g id=in-svg></g></svg><noscript><p id=in-noscript></noscript><p id='a#b'><p id=''>\
        <script>'<p id=in-script>'</script><p title='id=in-title'><a href=/x id=on-link>x</a>";
    for fragment in [
        "part",
        "old",
        "a b",
        "a%20b",
        "\u{fc}",
        "%C3%BC",
        "100%",
        "100%25",
        "x&y",
        "twice",
        "Case",
        "upper-attribute",
        "in-svg",
        "in-noscript",
        "a#b",
        "on-link",
        "p%61rt",
        "part:~:text=x",
    ] {
        site.html(&format!("<a href=\"/parts#{}\">x</a>", fragment.replace('&', "&amp;")), "/parts", good(200));
    }
    for fragment in ["", "top", "TOP", "Top", ":~:text=some%20words", ":~:text=a,b&amp;text=c", "/route", "!route"] {
        site.html(&format!("<a href=\"/parts#{fragment}\">x</a>"), "/parts", good(200));
    }
    for fragment in
        ["none", "PART", "case", "comment", "no-anchor", "in-script", "in-title", "part%20", "a+b", "bottom"]
    {
        let right = failed("missing-fragment", "");
        site.html(&format!("<a href=\"/parts#{fragment}\">x</a>"), &format!("/parts#{fragment}"), right);
    }
    site.serve("/parts", |_, _| answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", PAGE));
    site.fine("<a href=/x>x</a>", "/x");
    // Parts of pages that are elsewhere, of another format, or not there.
    site.link("/moved", redirect(301, "/parts"), || answer("301 X", "Location: /parts\r\n", ""));
    site.nothing("<a href='/moved#part'>x</a>");
    site.html("<a href='/moved#gone'>x</a>", "/moved#gone", failed("missing-fragment", "gone"));
    site.html("<a href='/gone#part'>x</a>", "/gone", broken(404, "not-found", "404"));
    site.html("<a href='/text#part'>x</a>", "/text", good(200));
    site.serve("/text", |_, _| answer("200 OK", "Content-Type: text/plain\r\n", "text"));
    site.html("<img src='/picture#part'>", "/picture", good(200));
    site.serve("/picture", |_, _| answer("200 OK", "Content-Type: image/svg+xml\r\n", "<svg/>"));
    site.html("<a href='#here'>x</a>", "/#here", failed("missing-fragment", "here"));
    site.nothing("<a href='#there'>x</a><p id=there>");
    site.link("/own-parts", good(200), || page("<p id=a><a href=#a>x</a>\n<a href=#b>x</a>"));
    site.found_on("/own-parts", 2, "/own-parts#b", failed("missing-fragment", "b"));
    site.link("/with-base", good(200), || page("<base href=/parts><p id=a>\n<a href='#a'>x</a><a href='#part'>x</a>"));
    site.found_on("/with-base", 2, "/parts#a", failed("missing-fragment", "a"));
}
