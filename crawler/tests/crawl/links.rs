//! Which links are found on pages and in style sheets, and the parts of pages that links name.

use crate::runs::{broken, crawl, find_page, reason};
use crate::server::{answer, bytes, missing, page, serve, serve_requests};

#[redd::test]
async fn all_that_a_page_and_its_style_sheets_load_is_checked() {
    let home = serve(|path| match path {
        "/" => page(
            "<link rel=stylesheet href=css/main.css><img srcset='data:image/gif;base64,R0,lG 1x, set.png 2x' src=i.png>
             <picture><source srcset='pic.webp 1x,pic2.webp 2x'></picture><object data=o.pdf></object>
             <style>@import url(in.css); p { background: url('st.png') }</style><p style='background:url(attr.png)'>
             <noscript><img src=noscript.png></noscript><svg><use href='sprite.svg#x'/></svg><input type=image src=b.png>",
        ),
        "/css/main.css" => answer(
            "200 OK",
            "Content-Type: text/css\r\n",
            "@import 'more.css'; /* url(no.png) */ a { background: image-set(\"2x.png\" 2x) } @font-face { src: url(f.woff) }",
        ),
        "/css/more.css" => answer("200 OK", "Content-Type: text/css; charset=utf-8\r\n", "b{c:url(/deep.png)}"),
        "/robots.txt" => missing(),
        path if path.contains("no.png") => panic!("a comment is no link"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let mut found: Vec<&str> = value["broken"].as_array().unwrap().iter().map(|b| b["url"].as_str().unwrap()).collect();
    found.sort_unstable();
    let expected = [
        "attr.png",
        "b.png",
        "css/2x.png",
        "css/f.woff",
        "deep.png",
        "i.png",
        "in.css",
        "noscript.png",
        "o.pdf",
        "pic.webp",
        "pic2.webp",
        "set.png",
        "sprite.svg",
        "st.png",
    ];
    assert_eq!(found, expected.map(|name| format!("{home}/{name}")), "{value:#}");
    assert_eq!(broken(&value, &format!("{home}/deep.png"))["cited_by"][0], format!("{home}/css/more.css"));
}

#[redd::test]
async fn links_to_parts_are_checked_if_that_is_asked_for() {
    let site = |path: &str| {
        match path {
        "/" => page(
            "<a href='#own'>1</a><a href='#gone'>2</a><a href=leaf#here>3</a><a href=leaf#lost>4</a><a href=leaf#top>5</a>
             <a href='leaf#caf%C3%A9'>6</a><a href='leaf#:~:text=some%20text'>7</a><a href=old#here>8</a>
             <a href=old#away>9</a><a href=paper.pdf#page=3>10</a><a href='leaf#/route'>11</a><a href=missing#x>12</a>
             <a href='leaf#lost'>13</a><p id=own><a name=named>",
        ),
        "/leaf" => page("<h1 id=here>x</h1><p id='caf\u{e9}'><a href=/#named>1</a><a href='/#unnamed'>2</a><a href=leaf#lost>3</a>"),
        "/old" => answer("301 Moved", "Location: /leaf\r\n", ""),
        "/paper.pdf" => answer("200 OK", "Content-Type: application/pdf\r\n", "%PDF"),
        _ => missing(),
    }
    };
    let home = serve(site).await;
    let (value, output) = crawl(&home, &["--fragments"]).await;
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<&str> = value["broken"].as_array().unwrap().iter().map(|b| b["url"].as_str().unwrap()).collect();
    let expected = ["/#gone", "/#unnamed", "/leaf#lost", "/missing", "/old#away"].map(|path| format!("{home}{path}"));
    assert_eq!(found, expected, "{value:#}");
    let lost = broken(&value, &format!("{home}/leaf#lost"));
    assert_eq!(lost["cited_by"].as_array().unwrap().len(), 2, "{lost:#}");
    let why = reason(&value, &format!("{home}/leaf#lost"));
    assert!(why.contains("`lost`") && why.contains("correct the link"), "{why}");
    // Four of them are parts, and no pages of their own.
    assert_eq!(value["counts"]["broken"], 5);

    let (value, _) = crawl(&home, &[]).await;
    assert_eq!(value["counts"]["broken"], 1, "{value:#}");
}

#[redd::test]
async fn parts_of_pages_outside_are_checked_if_these_are_asked_for_with_get() {
    let outside = serve_requests(|request| match (&*request.method, &*request.path) {
        ("GET", "/page") => page("<p id=here><a href=/never>x</a>"),
        ("GET", "/film") => answer("200 OK", "Content-Type: video/mp4\r\n", ""),
        ("GET", "/large") => page(&"x".repeat(5000)),
        ("HEAD", "/page" | "/film" | "/large") => answer("200 OK", "Content-Type: text/html\r\n", ""),
        (_, "/never") => panic!("pages outside are not searched"),
        _ => missing(),
    })
    .await;
    let there = outside.clone();
    let home = serve(move |path| match path {
        "/" => page(&format!(
            "<a href={there}/page#here>1</a><a href={there}/page#gone>2</a><a href={there}/film#t=3>3</a><a href={there}/large#x>4</a>"
        )),
        _ => missing(),
    })
    .await;
    let (value, _) = crawl(&home, &["--fragments"]).await;
    assert_eq!(value["counts"]["broken"], 0, "{value:#}");
    let (value, _) = crawl(&home, &["--fragments", "--method", "get", "--max-body", "4K"]).await;
    assert_eq!(value["counts"]["broken"], 1, "{value:#}");
    broken(&value, &format!("{outside}/page#gone"));
}

#[redd::test]
async fn a_mail_address_is_ignored_if_it_is_right_and_broken_if_it_is_wrong() {
    let home = serve(|path| match path {
        "/" => page(
            "<a href='mailto:a@example.com?subject=x'>1</a><a href='mailto:b@example.com,c@d'>2</a><a href=tel:+1>3</a>
             <a href='mailto:nobody'>4</a><a href='mailto:a b@example.com'>5</a><a href='mailto:'>6</a>",
        ),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(value["counts"]["ignored_schemes"]["mailto"], 2);
    assert_eq!(value["counts"]["ignored_schemes"]["tel"], 1);
    assert_eq!(value["counts"]["broken"], 3, "{value:#}");
    let why = reason(&value, "mailto:nobody");
    assert!(why.contains("no `@`") && why.contains("mailto:name@example.com"), "{why}");
}

#[redd::test]
async fn a_sitemap_is_searched_also_if_it_is_an_index_and_packed() {
    use std::io::Write as _;
    let home = serve(|path| match path {
        "/map.xml" => answer(
            "200 OK",
            "Content-Type: application/xml\r\n",
            "<sitemapindex><sitemap><loc>/packed.xml.gz</loc></sitemap></sitemapindex>",
        ),
        "/packed.xml.gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder
                .write_all(b"<urlset><url><loc>/leaf?a=1&amp;b=2</loc></url><url><loc>/gone</loc></url></urlset>")
                .unwrap();
            bytes("200 OK", "Content-Type: application/gzip\r\n", &encoder.finish().unwrap())
        }
        "/leaf?a=1&b=2" => page("leaf"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&format!("{home}/map.xml"), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(find_page(&value, &format!("{home}/leaf?a=1&b=2")).is_some(), "{value:#}");
    assert_eq!(broken(&value, &format!("{home}/gone"))["cited_by"][0], format!("{home}/packed.xml.gz"));
}

#[redd::test]
async fn the_sitemaps_that_robots_txt_names_are_crawled_if_that_is_asked_for() {
    let home = serve(|path| match path {
        "/" => page("no links"),
        "/robots.txt" => {
            answer("200 OK", "", "User-agent: *\nDisallow: /secret\nSitemap: /one.xml\nSitemap: /gone.xml\n")
        }
        "/one.xml" => answer("200 OK", "Content-Type: text/xml\r\n", "<urlset><url><loc>/leaf</loc></url></urlset>"),
        "/leaf" => page("<a href=deep>1</a>"),
        "/deep" => page(""),
        "/sitemap.xml" => panic!("robots.txt names others"),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &["--sitemap", "--depth", "1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(find_page(&value, &format!("{home}/leaf")).is_some(), "{value:#}");
    assert!(find_page(&value, &format!("{home}/deep")).is_none(), "{value:#}");
    assert_eq!(broken(&value, &format!("{home}/gone.xml"))["cited_by"][0], format!("{home}/robots.txt"));
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(value["counts"]["found"], 1, "{value:#}");
}

#[redd::test]
async fn a_host_that_names_no_sitemap_has_one_at_the_usual_place() {
    let elsewhere = serve(|path| if path == "/sitemap.xml" { panic!("it is outside") } else { missing() }).await;
    let home = serve(move |path| match path {
        "/" => page(&format!("<a href={elsewhere}/>x</a>")),
        "/sitemap.xml" => answer("200 OK", "", "<urlset><url><loc>/leaf</loc></url></urlset>"),
        "/leaf" => page(""),
        _ => missing(),
    })
    .await;
    let (value, _) = crawl(&home, &["--sitemap"]).await;
    assert!(find_page(&value, &format!("{home}/leaf")).is_some(), "{value:#}");

    let bare = serve(|path| if path == "/" { page("") } else { missing() }).await;
    let (value, output) = crawl(&bare, &["--sitemap"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(reason(&value, &format!("{bare}/sitemap.xml")).contains("404"));
}
