//! Which addresses belong to a crawl: `--include`, `--exclude` and `--no-parent`.

use crate::runs::{crawl, find_page, run, stderr, stdout};
use crate::server::{answer, missing, page, serve};

#[redd::test]
async fn excluded_addresses_are_not_asked_for_and_are_counted() {
    let home = serve(|path| match path {
        "/" => {
            page("<a href=a>a</a><a href=private/x>x</a><a href=b.pdf>b</a><a href=http://127.0.0.1:1/private>p</a>")
        }
        "/a" => page("<a href=private/y>y</a>"),
        "/robots.txt" => missing(),
        _ => panic!("{path} was asked for"),
    })
    .await;
    let (value, output) = crawl(&home, &["--exclude", "/private", "--exclude", r"\.pdf$"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let counts = &value["counts"];
    assert_eq!((&counts["excluded"], &counts["checked"], &counts["found"]), (&4.into(), &2.into(), &6.into()));
    assert!(stderr(&output).contains("4 left out (--include, --exclude)"), "{}", stderr(&output));
}

#[redd::test]
async fn only_included_addresses_are_asked_for_besides_the_start() {
    let home = serve(|path| match path {
        "/start" => answer("302 Found", "Location: /moved\r\n", ""),
        "/moved" => page("<a href=docs/a>a</a><a href=other>o</a><a href=docs/old>o</a>"),
        "/docs/a" => page(""),
        "/robots.txt" => missing(),
        _ => panic!("{path} was asked for"),
    })
    .await;
    let (value, output) = crawl(&format!("{home}/start"), &["--include", "/docs/", "--exclude", "old"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(find_page(&value, &format!("{home}/docs/a")).is_some(), "{value:#}");
    assert_eq!(value["counts"]["excluded"], 2);
}

#[redd::test]
async fn a_wrong_expression_exits_2_before_the_first_request() {
    let home = serve(|path| panic!("{path} was asked for")).await;
    let output = run(&["--exclude", "fine", "--exclude", "(wrong", &home]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--exclude `(wrong`"), "{}", stderr(&output));
}

#[redd::test]
async fn without_parents_pages_above_the_start_are_checked_and_not_searched() {
    let site = |path: &str| match path {
        "/docs/" => page("<a href=sub/a>a</a><a href=../above>b</a><a href=/gone>g</a>"),
        "/docs/sub/a" => page("<a href=b>b</a>"),
        "/docs/sub/b" => page(""),
        "/above" => page("<a href=never>n</a>"),
        "/never" => panic!("a page above the start was searched for links"),
        _ => missing(),
    };
    let home = serve(site).await;
    let start = format!("{home}/docs/");
    let (value, output) = crawl(&start, &["--no-parent"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(value["counts"]["checked"], 5, "{value:#}");
    assert_eq!(value["broken"][0]["url"], format!("{home}/gone"));
    let output = run(&["--no-parent", "--same-origin", &start]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}
