//! What the report, the JSON and the CSV say.

use crate::runs::{broken, crawl, find_page, run, scratch, stderr, stdout};
use crate::server::{answer, missing, page, serve};

#[redd::test]
async fn a_clean_site_exits_0_with_sorted_checksums() {
    let home = serve(|path| match path {
        "/" => page("<a href=z>z</a><a href=b>b</a>"),
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => page("leaf"),
    })
    .await;
    let output = run(&["--checksums", &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let urls: Vec<&str> = text.lines().filter_map(|line| line.split_once(" -> ")).map(|(url, _)| url).collect();
    assert_eq!(urls, [format!("{home}/"), format!("{home}/b"), format!("{home}/z")]);
}

#[redd::test]
async fn the_csv_form_has_one_row_for_each_page_with_its_citers() {
    let home = serve(|path| match path {
        "/" => page("<a href=gone>g</a>"),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    let output = run(&["--csv", "-", &home]).await;
    let text = stdout(&output);
    assert!(text.starts_with("url,outcome,status,bytes,sha256,detail,cited_by\n"));
    assert!(text.contains(&format!("{home}/gone,broken,404,,,404 Not Found,{home}/\n")), "{text}");
}

#[redd::test]
async fn checksums_come_only_if_asked_for_and_after_the_findings() {
    let home = serve(|path| match path {
        "/" => page("<a href=leaf>l</a><a href=gone>g</a>"),
        "/leaf" => page("leaf"),
        _ => missing(),
    })
    .await;
    let plain = stdout(&run(&[&home]).await);
    assert!(plain.contains("/gone") && !plain.contains(" -> "), "{plain}");
    let text = stdout(&run(&["--checksums", &home]).await);
    let (findings, checksums) = (text.find("404 Not Found").unwrap(), text.find(" -> ").unwrap());
    assert!(findings < checksums, "{text}");
}

#[redd::test]
async fn a_broken_link_has_a_numeric_status_if_there_was_an_answer() {
    let home = serve(|path| match path {
        "/" => page("<a href=gone>g</a><a href=http://127.0.0.1:1/>u</a><a href=loop>l</a><a href=away>a</a>"),
        "/loop" => answer("302 Found", "Location: /loop\r\n", ""),
        "/away" => answer("301 Moved", "Location: mailto:me@here\r\n", ""),
        _ => missing(),
    })
    .await;
    let (file, name) = scratch("status.csv");
    let (value, _) = crawl(&home, &["--csv", &name]).await;
    let status = |url: &str| &broken(&value, url)["status"];
    assert_eq!(status(&format!("{home}/gone")), 404);
    assert_eq!(status(&format!("{home}/loop")), 302);
    assert_eq!(status(&format!("{home}/away")), 301);
    assert!(status("http://127.0.0.1:1/").is_null());
    let rows = std::fs::read_to_string(file).unwrap();
    assert!(rows.contains("/gone,broken,404,") && rows.contains("http://127.0.0.1:1/,broken,,"), "{rows}");
}

#[redd::test]
async fn a_redirect_names_the_pages_that_cite_it() {
    let home = serve(|path| match path {
        "/" => page("<a href=old>o</a>"),
        "/old" => answer("301 Moved", "Location: /new\r\n", ""),
        "/new" => page("new"),
        _ => missing(),
    })
    .await;
    let (file, name) = scratch("redirects.csv");
    let (value, output) = crawl(&home, &["--csv", &name]).await;
    assert_eq!(find_page(&value, &format!("{home}/old")).unwrap()["cited_by"][0], format!("{home}/"));
    let text = stderr(&output);
    assert!(text.contains(&format!("301 {home}/old -> {home}/new\n    cited by {home}/, line 1\n")), "{text}");
    let rows = std::fs::read_to_string(file).unwrap();
    assert!(rows.contains(&format!("{home}/old,redirect,301,,,{home}/new,{home}/\n")), "{rows}");
}

#[redd::test]
async fn the_counts_add_up_and_name_what_lies_outside_and_what_was_ignored() {
    let outside = serve(|path| if path == "/robots.txt" { missing() } else { page("") }).await;
    let body = format!(
        "<a href={outside}/1>1</a><a href={outside}/2>2</a><a href=mailto:a@b>m</a><a href=mailto:c@d>n</a>
         <a href='javascript:void(0)'>j</a><a href=secret>s</a><a href=gone>g</a><a href=again>a</a>"
    );
    let home = serve(move |path| match path {
        "/" => page(&body),
        "/again" => page("<a href=mailto:a@b>m</a><a href=deep>d</a>"),
        "/robots.txt" => answer("200 OK", "", "User-agent: *\nDisallow: /secret\n"),
        _ => missing(),
    })
    .await;
    for options in [&["--depth", "1"][..], &["--depth", "1", "--same-origin"]] {
        let (value, output) = crawl(&home, options).await;
        let counts = &value["counts"];
        let count = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("no {name}: {counts:#}"));
        let is_checked = options.len() == 2;
        assert_eq!(count("found"), 10);
        assert_eq!(count("checked"), if is_checked { 5 } else { 3 });
        assert_eq!(count("checked_outside"), if is_checked { 2 } else { 0 });
        assert_eq!(count("outside"), if is_checked { 0 } else { 2 });
        assert_eq!((count("skipped"), count("ignored"), count("too_deep")), (1, 3, 1));
        assert_eq!(count("checked"), count("good") + count("broken") + count("redirects"));
        let sum = ["checked", "skipped", "outside", "ignored", "too_deep", "over_max_pages", "not_reached"];
        assert_eq!(count("found"), sum.iter().map(|name| count(name)).sum::<u64>());
        assert_eq!(counts["ignored_schemes"]["mailto"], 2);
        assert_eq!(counts["ignored_schemes"]["javascript"], 1);
        let text = stderr(&output);
        assert!(text.contains("10 addresses found: "), "{text}");
        assert!(text.contains("3 ignored (2 mailto, 1 javascript)"), "{text}");
        assert!(text.contains(if is_checked { "2 of them outside" } else { "2 outside not checked" }), "{text}");
    }
}

#[redd::test]
async fn a_count_of_one_is_singular() {
    let home = serve(|path| match path {
        "/" => page("<a href=old>o</a><a href=gone>g</a>"),
        "/old" => answer("301 Moved", "Location: /\r\n", ""),
        _ => missing(),
    })
    .await;
    let output = run(&[&home]).await;
    let text = stdout(&output) + &stderr(&output);
    assert!(text.contains("1 good, 1 broken, 1 redirect\n"), "{text}");
    for wrong in ["1 pages", "1 links", "1 redirects", "1 hosts"] {
        assert!(!text.replace("11 ", "").contains(&format!(" {wrong}")), "{wrong} in:\n{text}");
    }
}

#[redd::test]
async fn each_citation_has_the_line_of_its_link() {
    let home = serve(|path| match path {
        "/" => page(
            "\n<a href=gone>1</a>\n<a href='//[bad'>2</a>\n<a href=#nowhere>3</a>\n<a href=old>4</a><a href=gone>5</a>",
        ),
        "/old" => answer("301 Moved", "Location: /lost\r\n", ""),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &["--fragments"]).await;
    for (url, line, through) in [
        (format!("{home}/gone"), 2, None),
        ("//[bad".to_owned(), 3, None),
        (format!("{home}/#nowhere"), 4, None),
        (format!("{home}/lost"), 5, Some(format!("{home}/old"))),
    ] {
        let citation = &broken(&value, &url)["citations"][0];
        assert_eq!((&citation["line"], &citation["page"]), (&line.into(), &format!("{home}/").into()), "{url}");
        assert_eq!(citation["through"].as_str(), through.as_deref(), "{url}");
        let through = through.map(|redirect| format!(" through {redirect}")).unwrap_or_default();
        let text = stderr(&output);
        assert!(text.contains(&format!("    cited by {home}/{through}, line {line}\n")), "{url}: {text}");
    }
}
