//! Odd addresses in links.

use crate::odd::site::{OddSite, broken, failed, fine, good, unusable};

/// Addresses of pages of the site, written in odd ways.
pub(super) fn to_the_site(site: &mut OddSite) {
    for (href, path) in [
        ("HTTP://127.0.0.1:{port}/upper-scheme", "/upper-scheme"),
        ("http:\\\\127.0.0.1:{port}\\back\\slash", "/back/slash"),
        ("\\root-backslash", "/root-backslash"),
        ("//127.0.0.1:{port}/scheme-relative", "/scheme-relative"),
        ("\\/127.0.0.1:{port}/mixed-slashes", "/mixed-slashes"),
        ("http:scheme-and-path", "/scheme-and-path"),
        ("http:/one-slash", "/one-slash"),
        ("http:///127.0.0.1:{port}/three-slashes", "/three-slashes"),
        ("http://0x7f.1:{port}/hexadecimal", "/hexadecimal"),
        ("http://0177.0.0.01:{port}/octal", "/octal"),
        ("http://2130706433:{port}/decimal", "/decimal"),
        ("http://127.1:{port}/short", "/short"),
        ("http://127.0.0.1.:{port}/host-dot", "/host-dot"),
        ("http://\u{2460}27.0.0.1:{port}/circled-digit", "/circled-digit"),
        ("http://127\u{3002}0\u{ff0e}0.1:{port}/other-dots", "/other-dots"),
        ("http://%31%32%37.0.0.1:{port}/encoded-host", "/encoded-host"),
        ("http://127.0.0.1:0{port}/port-with-zero", "/port-with-zero"),
        ("http://me@127.0.0.1:{port}/user", "/user"),
        ("http://me:hunter2@127.0.0.1:{port}/password", "/password"),
        ("http://:@127.0.0.1:{port}/empty-user", "/empty-user"),
        ("?only-query", "/?only-query"),
        ("?", "/?"),
        ("?a#part", "/?a"),
        ("  /spaces-around  ", "/spaces-around"),
        ("/space inside", "/space%20inside"),
        ("/space%20inside-encoded", "/space%20inside-encoded"),
        ("/t\tab", "/tab"),
        ("/line\nfeed", "/linefeed"),
        ("/carriage\rreturn", "/carriagereturn"),
        ("\n\t /white-space\t\n", "/white-space"),
        ("\u{1}/control-before\u{1}", "/control-before"),
        ("/control\u{1}inside", "/control%01inside"),
        ("/no-break\u{a0}space", "/no-break%C2%A0space"),
        ("/dots/./a/../b", "/dots/b"),
        ("/dots/%2e%2E/c", "/c"),
        ("/dots/a/..", "/dots/"),
        ("/../../above", "/above"),
        ("./here", "/here"),
        ("./colon:here", "/colon:here"),
        ("...", "/..."),
        ("/encoded/%41", "/encoded/%41"),
        ("/encoded/%2F", "/encoded/%2F"),
        ("/encoded/%2f", "/encoded/%2f"),
        ("/encoded/%zz", "/encoded/%zz"),
        ("/encoded/%", "/encoded/%"),
        ("/encoded/%00", "/encoded/%00"),
        ("/encoded/%E4", "/encoded/%E4"),
        ("/umlaut-ä", "/umlaut-%C3%A4"),
        ("/umlaut-%c3%a4", "/umlaut-%c3%a4"),
        ("/emoji-😀", "/emoji-%F0%9F%98%80"),
        ("/decomposed-a\u{308}", "/decomposed-a%CC%88"),
        ("/query?ü=ä", "/query?%C3%BC=%C3%A4"),
        ("/query?a=b c", "/query?a=b%20c"),
        ("/query?a='b'", "/query?a=%27b%27"),
        ("/query?a=<b>", "/query?a=%3Cb%3E"),
        ("/query?a?b", "/query?a?b"),
        ("/query?a=/../b", "/query?a=/../b"),
        ("/query?a\\b", "/query?a\\b"),
        ("/query?http://example.com/", "/query?http://example.com/"),
        ("/double//slash", "/double//slash"),
        ("/slash-at-end", "/slash-at-end"),
        ("/slash-at-end/", "/slash-at-end/"),
        ("/semicolon;a=1", "/semicolon;a=1"),
        ("/plus+at@star*(x)!$&'=,", "/plus+at@star*(x)!$&'=,"),
        ("/brackets[1]|x", "/brackets[1]|x"),
        ("/braces{x}", "/braces%7Bx%7D"),
        ("/backtick`x", "/backtick%60x"),
        ("/angle<x>", "/angle%3Cx%3E"),
        ("/Case", "/Case"),
        ("/case", "/case"),
    ] {
        site.fine(&format!("<a href=\"{href}\">x</a>"), path);
    }
    for (hash, path) in [("#", "/hash-empty"), ("#a", "/hash-a"), ("#a#b", "/hash-twice"), ("#ü", "/hash-umlaut")] {
        site.fine(&format!("<a href=\"{path}{hash}\">x</a>"), path);
    }
    let long = format!("/long/{}", "0123456789".repeat(800));
    site.fine(&format!("<a href=\"{long}\">x</a>"), &long);
    let deep = format!("/deep{}", "/d".repeat(2000));
    site.fine(&format!("<a href=\"{deep}\">x</a>"), &deep);
    let long = format!("/long-and-gone/{}", "0123456789".repeat(800));
    site.html(&format!("<a href='{long}'>x</a>"), &long, broken(404, "not-found", "404"));
    // Two ways to write one address are one address.
    site.serve("/same", |_, number| {
        assert_eq!(number, 0, "/same was asked for twice");
        fine()
    });
    for href in ["/same", "/./same", "/x/../same", "{home}/same", "/same#x", "/sa\tme", "http://127.1:{port}/same"] {
        site.html(&format!("<a href=\"{href}\">x</a>"), "/same", good(200));
    }
    for href in ["", " ", "#", "#only", "#:~:text=x", "\n"] {
        site.nothing(&format!("<a href=\"{href}\">x</a>"));
    }
    site.nothing("<a href>x</a><a>x</a><a name=x>x</a>");
    for href in ["/", "{home}", "{home}/#x", ".", "./", "/.", "/..", "http:"] {
        site.nothing(&format!("<a href=\"{href}\">x</a>"));
    }
}

/// Addresses that lead nowhere, and those that are no addresses of pages.
pub(super) fn to_nowhere(site: &mut OddSite) {
    for (href, url, says) in [
        ("http://127.0.0.1:0/", "http://127.0.0.1:0/", ""),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/", "refused"),
        ("http://no-such-host.invalid:80/", "http://no-such-host.invalid/", "lookup address"),
        ("https://no-such-host.invalid:443/x", "https://no-such-host.invalid/x", "lookup address"),
        ("http://b\u{fc}cher.invalid/", "http://xn--bcher-kva.invalid/", "lookup address"),
        ("http://fa\u{df}.invalid/", "http://xn--fa-hia.invalid/", "lookup address"),
        ("http://\u{3b2}\u{3cc}\u{3bb}\u{3bf}\u{3c2}.invalid/", "http://xn--nxasmm1c.invalid/", "lookup address"),
        ("http://a_b.invalid/", "http://a_b.invalid/", "lookup address"),
        ("http://no-such-host.invalid./", "http://no-such-host.invalid./", "lookup address"),
        ("http://a..b.invalid/", "http://a..b.invalid/", "lookup address"),
        ("http://.invalid/", "http://.invalid/", "lookup address"),
        ("http://me:hunter2@no-such-host.invalid/secret", "http://no-such-host.invalid/secret", "lookup address"),
    ] {
        site.html(&format!("<a href=\"{href}\">x</a>"), url, failed("unreachable", says));
    }
    for (href, says) in [
        ("http://127.0.0.1:99999/", "port"),
        ("http://127.0.0.1:port/", "port"),
        ("http://127.0.0.1:-1/", "port"),
        ("http://[::1/", "IPv6"),
        ("http://[::1]x/", "IPv6"),
        ("http://[1::2::3]/", "IPv6"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://::1/", "host"),
        ("http://1.2.3.4.5/", "IPv4"),
        ("http://256.256.256.256/", "IPv4"),
        ("http://", "host"),
        ("http:////", "host"),
        ("http://?query", "host"),
        ("http://:80/", "host"),
        ("http://exa mple.invalid/", "domain"),
        ("http://exa|mple.invalid/", "domain"),
        ("http://exa<mple.invalid/", "domain"),
        ("http://exa%00mple.invalid/", "domain"),
        ("http://xn--a.invalid/", "domain"),
        ("//[bad/", "IPv6"),
        ("https://%5B::1%5D/", "domain"),
    ] {
        site.html(&format!("<a href=\"{href}\">x</a>"), href, unusable(says));
    }
    // The same host, written in other ways.
    site.nothing("<a href='http://XN--BCHER-KVA.invalid/'>x</a><a href='http://B\u{dc}CHER.invalid/'>x</a>");
    // A password is not shown, wherever it stands.
    site.html("<a href='http://me:hunter2@[bad/'>x</a>", "http://…@[bad/", unusable("IPv6"));
    for (href, says) in [
        ("mailto:", "no recipient"),
        ("mailto:nobody", "no `@`"),
        ("mailto:@example.com", "nothing before `@`"),
        ("mailto:a@", "no valid domain"),
        ("mailto:a@b@c", "need quotes"),
        ("mailto:a b@example.com", "need quotes"),
        ("mailto:a@example.com,", "is empty"),
        ("mailto:a@example.com;b@example.com", ""),
        ("mailto:a@example.com?cc=nobody", "no `@`"),
    ] {
        site.html(&format!("<a href=\"{href}\">x</a>"), href, unusable(says));
    }
    for (href, scheme) in [
        ("mailto:me@example.com", "mailto"),
        ("MAILTO:you@example.com", "mailto"),
        ("mailto:a@example.com,b@example.com?subject=x%20y&body=z", "mailto"),
        ("mailto:?subject=share", "mailto"),
        ("mailto:%22a%20b%22@example.com", "mailto"),
        ("tel:+49-30-123", "tel"),
        ("tel:", "tel"),
        ("sms:123?body=x", "sms"),
        ("javascript:void(0)", "javascript"),
        ("JavaScript:x()", "javascript"),
        (" java\nscript:y()", "javascript"),
        ("data:text/html,<a href=/trap>x</a>", "data"),
        ("data:,", "data"),
        ("about:blank", "about"),
        ("blob:http://127.0.0.1/x", "blob"),
        ("ftp://example.invalid/x", "ftp"),
        ("file:///etc/passwd", "file"),
        ("urn:isbn:0451450523", "urn"),
        ("magnet:?xt=urn:btih:x", "magnet"),
        ("irc://irc.example.invalid/x", "irc"),
        ("web+thing:x", "web+thing"),
        ("view-source:http://example.invalid/", "view-source"),
        ("colon:x", "colon"),
        ("localhost:8080/x", "localhost"),
        ("ws://example.invalid/", "ws"),
        ("htp://example.invalid/", "htp"),
    ] {
        site.ignored(href, scheme);
    }
}
