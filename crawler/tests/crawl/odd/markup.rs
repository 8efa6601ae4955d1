//! Odd HTML and style sheets.

use crate::odd::site::{OddSite, broken, good};
use crate::server::{Act, answer, page};

/// Markup within the first page.
pub(super) fn in_one_page(site: &mut OddSite) {
    for (markup, path) in [
        ("<a href=/unquoted>x</a>", "/unquoted"),
        ("<a href='/single-quotes'>x</a>", "/single-quotes"),
        ("<A HREF=/upper-case>x</A>", "/upper-case"),
        ("<a\nhref\n=\n'/lines-within'\n>x</a>", "/lines-within"),
        ("<a class=x/href=/slash-before>x</a>", ""),
        ("<a/href=/slash-as-space>x</a>", "/slash-as-space"),
        ("<a x=1href=/no-space y='1'href=/after-quote>x</a>", "/after-quote"),
        ("<a title='>' href=/angle-in-value>x</a>", "/angle-in-value"),
        ("<a title=\"'\" href='/\"nested\"'>x</a>", "/%22nested%22"),
        ("<a href=/unquoted/>x</a>", "/unquoted/"),
        ("<a href=/first href=/trap>x</a>", "/first"),
        ("<a href=/not-closed>", "/not-closed"),
        ("<a href=/a-in-a><a href=/a-in-a-2>x</a></a>", "/a-in-a-2"),
        ("</a href=/trap><a href=/behind-end-tag>", "/behind-end-tag"),
        ("<b><i></b><a href=/wrong-nesting></i></a>", "/wrong-nesting"),
        ("<p><table><a href=/in-table><tr><td></table>", "/in-table"),
        ("<a href=/entity?a=1&amp;b=2>x</a>", "/entity?a=1&b=2"),
        ("<a href=/no-entity?a=1&b=2>x</a>", "/no-entity?a=1&b=2"),
        ("<a href='/legacy?a=1&copy=2'>x</a>", "/legacy?a=1&copy=2"),
        ("<a href='/number&#45;1'>x</a>", "/number-1"),
        ("<a href='/number&#x2d;2'>x</a>", "/number-2"),
        ("<a href='&#47;number-slash'>x</a>", "/number-slash"),
        ("<a href='/number&#45'>x</a>", "/number-"),
        ("<a href='/bad&#xFFFFFFF;x'>x</a>", "/bad%EF%BF%BDx"),
        ("<a href='/named&auml;'>x</a>", "/named%C3%A4"),
        ("<a href='/twice&amp;amp;'>x</a>", "/twice&amp;"),
        ("<a href='/nul\0byte'>x</a>", "/nul%EF%BF%BDbyte"),
        ("<a\0 href=/trap>x</a><a href=/behind-nul>x</a>", "/behind-nul"),
        ("<!-- <a href=/trap> --><a href=/behind-comment>", "/behind-comment"),
        ("<!--> <a href=/short-comment> <!-- -->", "/short-comment"),
        ("<!-- <a href=/trap> --!><a href=/wrong-comment-end>", "/wrong-comment-end"),
        ("<!-- <!-- --><a href=/nested-comment> -->", "/nested-comment"),
        ("<!- <a href=/trap ><a href=/bogus-comment>", "/bogus-comment"),
        ("<?php echo '<a href=/trap>' ?><a href=/behind-php>", "/behind-php"),
        ("<![CDATA[<a href=/trap>]]><a href=/behind-cdata>", "/behind-cdata"),
        ("<script>'<a href=/trap>'</script><a href=/behind-script>", "/behind-script"),
        ("<script><!-- <script> '<a href=/trap>' </script> --></script><a href=/double-script>", "/double-script"),
        ("<SCRIPT>'</scrip><a href=/trap>'</SCRIPT ><a href=/upper-script>", "/upper-script"),
        ("<style>a::before{content:'<a href=/trap>'}</style><a href=/behind-style>", "/behind-style"),
        ("<textarea><a href=/trap></textarea><a href=/behind-textarea>", "/behind-textarea"),
        ("<title><a href=/trap></title><a href=/behind-title>", "/behind-title"),
        ("<xmp><a href=/trap></xmp><a href=/behind-xmp>", "/behind-xmp"),
        ("<iframe><a href=/trap></iframe><a href=/behind-iframe>", "/behind-iframe"),
        ("<template><a href=/in-template></template>", "/in-template"),
        ("<noscript><a href=/in-noscript></noscript>", "/in-noscript"),
        ("<noscript><img src=/noscript.png></noscript><a href=/behind-noscript>", "/behind-noscript"),
        ("<svg><a xlink:href=/svg-a></a></svg>", "/svg-a"),
        ("<svg><use href='/icons.svg#home'/></svg>", "/icons.svg"),
        ("<svg><use xlink:href='/old-icons.svg#home'/></svg>", "/old-icons.svg"),
        ("<svg><image href=/svg.png /></svg>", "/svg.png"),
        ("<svg><title/></svg><a href=/behind-svg-title>", "/behind-svg-title"),
        ("<svg><style/></svg><a href=/behind-svg-style>", "/behind-svg-style"),
        ("<svg><script/></svg><a href=/behind-svg-script>", "/behind-svg-script"),
        ("<svg><use href='#local'/></svg><a href=/behind-local-use>", "/behind-local-use"),
        ("<math><mi href=/trap></math><a href=/behind-math>", "/behind-math"),
        ("<object data=/object.pdf><a href=/in-object></object>", "/in-object"),
        ("<embed src=/embed.pdf>", "/embed.pdf"),
        ("<iframe src=/iframe.html></iframe>", "/iframe.html"),
        ("<iframe srcdoc=\"<a href='/in-srcdoc'>\"></iframe>", "/in-srcdoc"),
        ("<iframe srcdoc='<a href=&quot;/escaped?a&amp;amp;b&quot;>'></iframe>", "/escaped?a&b"),
        ("<frameset><frame src=/frame.html></frameset>", "/frame.html"),
        ("<img src=/img.png>", "/img.png"),
        ("<image src=/image-tag.png>", "/image-tag.png"),
        ("<img srcset='/one.png'>", "/one.png"),
        ("<img srcset='/a,b.png 2x'>", "/a,b.png"),
        ("<img srcset='data:image/png;base64,AA== 1x, /behind-data.png 2x'>", "/behind-data.png"),
        ("<img srcset='/paren.png (a,b) 1x'>", "/paren.png"),
        ("<link rel=preload as=image imagesrcset='/preload.png 1x'>", "/preload.png"),
        ("<picture><source srcset=/source.webp></picture>", "/source.webp"),
        ("<video poster=/poster.png></video>", "/poster.png"),
        ("<video><source src=/movie.mp4></video>", "/movie.mp4"),
        ("<audio src=/sound.mp3></audio>", "/sound.mp3"),
        ("<video><track src=/track.vtt></video>", "/track.vtt"),
        ("<input type=image src=/input.png>", "/input.png"),
        ("<map><area href=/area></map>", "/area"),
        ("<table background=/background.png>", "/background.png"),
        ("<blockquote cite=/cite></blockquote>", "/cite"),
        ("<link rel=icon href=/icon.png>", "/icon.png"),
        ("<link href=/canonical rel=canonical>", "/canonical"),
        ("<link rel='alternate' hreflang=de href=/de>", "/de"),
        ("<p style='background: url(/style-attribute.png)'>", "/style-attribute.png"),
        ("<p style=\"background: url(&quot;/style-quotes.png&quot;)\">", "/style-quotes.png"),
        ("<style>@import '/style-import.css';</style>", "/style-import.css"),
        ("<style>@media x { b { background: URL( \"/style-media.png\" ) } }</style>", "/style-media.png"),
        ("<style><!-- b { background: url(/style-comment.png) } --></style>", "/style-comment.png"),
        ("<div id=twice><div id=twice><a href=/behind-same-ids>", "/behind-same-ids"),
        ("&lt;a href=/trap&gt;<a href=/behind-text>", "/behind-text"),
        ("< a href=/trap><a href=/behind-space>", "/behind-space"),
        ("<a href=/behind-less-than>1 < 2 << 3 <> 4 </> 5</a>", "/behind-less-than"),
        ("<x-custom><a href=/in-custom></x-custom>", "/in-custom"),
    ] {
        if path.is_empty() {
            site.nothing(markup);
        } else {
            site.fine(markup, path);
        }
    }
    for (markup, path) in [
        ("<a href=/a-in-a>", "/a-in-a"),
        ("<object data=/object.pdf></object>", "/object.pdf"),
        ("<img src=/noscript.png>", "/noscript.png"),
    ] {
        site.fine(markup, path);
    }
    site.html(
        "<img srcset='data:image/png;base64,AA== 1x, /gone-1.png 2x'>",
        "/gone-1.png",
        broken(404, "not-found", "404"),
    );
    site.html("<img src=/gone-3.png>", "/gone-3.png", broken(404, "not-found", "404"));
    for markup in [
        "<link rel=preconnect href=/trap><link rel='x DNS-Prefetch' href=/trap>",
        "<form action=/trap><button formaction=/trap></form>",
        "<meta property=og:image content=/trap><meta name=refresh content='0; url=/trap'>",
        "<div href=/trap src=/trap data-src=/trap>",
        "<a ping=/trap data-href=/trap>x</a>",
        "<p title='<a href=/trap>'>",
        "<style>b { content: 'url(/trap)' } /* url(/trap) */</style>",
        "<p style='content: \"url(/trap)\"'>",
    ] {
        site.nothing(markup);
    }
    let deep = format!("{}<a href=/deeply-nested>{}", "<div>".repeat(3000), "</div>".repeat(3000));
    site.fine(&deep, "/deeply-nested");
    let long = format!("<a title='{}' href=/long-attribute>", "x".repeat(50_000));
    site.fine(&long, "/long-attribute");
    let many: String = (0..3000).map(|number| format!(" a{number}=x")).collect();
    site.fine(&format!("<a{many} href=/many-attributes>"), "/many-attributes");
}

fn css(text: &'static str) -> impl Fn() -> Act + Send + Sync + 'static {
    move || answer("200 OK", "Content-Type: text/css\r\n", text)
}

/// Pages and style sheets of their own.
pub(super) fn in_pages(site: &mut OddSite) {
    // The page and the addresses on it.
    let pages: [(&str, &str, &[&str]); 17] = [
        ("/base/absolute", "<base href=/elsewhere/><a href=x>", &["/elsewhere/x"]),
        ("/base/relative", "<base href='../other/'><a href=x>", &["/other/x"]),
        ("/base/twice", "<base href=/b1/><base href=/trap/><a href=x>", &["/b1/x"]),
        ("/base/target", "<base target=_top><base href=/b2/><a href=x>", &["/b2/x"]),
        ("/base/unusable", "<base href='http://[bad/'><a href=unusable-base>", &["/base/unusable-base"]),
        ("/base/data", "<base href='data:text/html,x'><a href=data-base>", &["/base/data-base"]),
        ("/base/empty", "<base href=''><a href=empty-base>", &["/base/empty-base"]),
        ("/base/query", "<base href='/b3/y?q#f'><a href='x'><a href='?r'>", &["/b3/x", "/b3/y?r"]),
        ("/base/spaces", "<base href=' /b4/ '><a href=x>", &["/b4/x"]),
        ("/base/style", "<base href=/b5/><p style='background:url(x.png)'>", &["/b5/x.png"]),
        ("/end/in-tag", "<a href=/before-end><a href=/trap", &["/before-end"]),
        ("/end/in-value", "<a href=/before-quote><a href='/trap>x</a>", &["/before-quote"]),
        ("/end/in-comment", "<a href=/before-comment><!-- <a href=/trap>", &["/before-comment"]),
        ("/end/in-script", "<a href=/before-script><script>'<a href=/trap>", &["/before-script"]),
        ("/end/in-style", "<style>b{background:url(/open-style.png)}", &["/open-style.png"]),
        ("/end/plaintext", "<a href=/before-plaintext><plaintext><a href=/trap>", &["/before-plaintext"]),
        ("/lines", "\r\n\r\n<a\r\nhref=/line-4>", &[]),
    ];
    for (path, html, found) in pages {
        site.link(path, good(200), move || page(html));
        for url in found {
            site.leaf_of(path, url);
        }
    }
    site.found_on("/lines", 4, "/line-4", broken(404, "not-found", "404"));
    let sheets: [(&str, &str, &[&str]); 16] = [
        ("/css/string", "@import 'string-leaf.css';", &["/css/string-leaf.css"]),
        ("/css/url", "@import url(url-leaf.css) screen;", &["/css/url-leaf.css"]),
        (
            "/css/quoted",
            "@import url( \"quoted-leaf.css\" ) layer(x) supports(display: grid);",
            &["/css/quoted-leaf.css"],
        ),
        ("/css/upper", "@IMPORT URL('upper-leaf.css');", &["/css/upper-leaf.css"]),
        ("/css/comment", "/* url(trap) */ @import /* x */ 'comment-leaf.css';", &["/css/comment-leaf.css"]),
        ("/css/escape", "b{background:url(esc\\61 pe-leaf.png)}", &["/css/escape-leaf.png"]),
        ("/css/function", "b{background:\\75rl(function-leaf.png)}", &["/css/function-leaf.png"]),
        (
            "/css/image-set",
            "b{background:image-set('set-1.png' 1x, \"set-2.png\" 2x)}",
            &["/css/set-1.png", "/css/set-2.png"],
        ),
        ("/css/font", "@font-face{src:local(trap),url(font.woff2) format('woff2')}", &["/css/font.woff2"]),
        (
            "/css/data",
            "b{background:url(data:image/png;base64,AA==)} c{background:url(data-leaf.png)}",
            &["/css/data-leaf.png"],
        ),
        ("/css/fragment", "b{mask:url(#local)} c{mask:url(masks.svg#x)}", &["/css/masks.svg"]),
        (
            "/css/empty",
            "b{background:url()} c{background:url('')} d{background:url(empty-leaf.png)}",
            &["/css/empty-leaf.png"],
        ),
        ("/css/open", "b{background:url(open-leaf.png", &["/css/open-leaf.png"]),
        ("/css/spaces", "b{background:url(bad url.png)} c{background:url(spaces-leaf.png)}", &["/css/spaces-leaf.png"]),
        ("/css/braces", "}}}} {{{{ b{background:url(braces-leaf.png)}", &["/css/braces-leaf.png"]),
        ("/css/text", "b{content:'url(trap)';background:url(text-leaf.png)}", &["/css/text-leaf.png"]),
    ];
    for (path, text, found) in sheets {
        site.html(&format!("<link rel=stylesheet href={path}>"), path, good(200));
        let serve = css(text);
        site.serve(path, move |_, _| serve());
        for url in found {
            site.leaf_of(path, url);
        }
    }
    site.html("<link rel=stylesheet href=/css/itself>", "/css/itself", good(200));
    site.serve("/css/itself", |_, _| css("@import 'itself'; @import url(itself);")());
    site.link("/css/gone", good(200), css("b{}\n\n/*\n*/ c{background:url(gone.png)}"));
    site.found_on("/css/gone", 4, "/css/gone.png", broken(404, "not-found", "404"));
    site.ignored("data:image/png;base64,AA==", "data");
}
