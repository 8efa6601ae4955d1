//! The addresses that are given, and the secrets in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runs::{find_page, run, scratch, stderr, stdout};
use crate::server::{answer, missing, page, serve, serve_requests};

#[redd::test]
async fn a_password_in_a_url_is_used_and_never_printed() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let is_accepted = Arc::clone(&accepted);
    let home = serve_requests(move |request| {
        // `user:tops3cret`, as a browser sends it.
        if request.header("authorization") != "Basic dXNlcjp0b3BzM2NyZXQ=" {
            return answer("401 Unauthorized", "", "");
        }
        is_accepted.fetch_add(1, Ordering::Relaxed);
        match &*request.path {
            "/" => page(
                "<a href=leaf>1</a><a href=http://two:tops3cret@127.0.0.1:1/>2</a><a href='http://three:tops3cret@[bad/'>3</a>
                 <a href=ftp>4</a><a href=bad>5</a><a href='http://four:tops3cret/@[bad/'>6</a><a href=moved>7</a>",
            ),
            "/ftp" => answer("302 Found", "Location: ftp://five:tops3cret@host/\r\n", ""),
            "/bad" => answer("302 Found", "Location: http://six:tops3cret@[bad/\r\n", ""),
            "/moved" => answer("302 Found", "Location: http://seven:tops3cret@127.0.0.1:1/moved\r\n", ""),
            "/leaf" => page("leaf"),
            _ => missing(),
        }
    })
    .await;
    let start = home.replace("http://", "http://user:tops3cret@");
    let files = ["secret.json", "secret.csv", "secret-snapshot.json"].map(scratch);
    let [json, csv, snapshot] = &files;
    let output = run(&[
        "--verbose",
        "--checksums",
        "--retries",
        "0",
        "--json",
        &json.1,
        "--csv",
        &csv.1,
        "--save",
        &snapshot.1,
        &start,
    ])
    .await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut texts = vec![stdout(&output), stderr(&output)];
    texts.extend(files.iter().map(|(file, _)| std::fs::read_to_string(file).unwrap()));
    for text in &texts {
        assert!(text.contains("leaf"), "{text}");
        assert!(!text.contains("tops3cret"), "{text}");
    }
    let value = serde_json::from_str(&texts[2]).unwrap();
    assert!(find_page(&value, &format!("{home}/leaf")).is_some(), "{value:#}");
    // The start, robots.txt, the leaf and the three redirects.
    assert_eq!(accepted.load(Ordering::Relaxed), 6);

    // A snapshot that an older version wrote may hold passwords.
    let old = texts[4].replace("http://", "http://user:tops3cret@");
    std::fs::write(&snapshot.0, old.replace("/leaf", "/left")).unwrap();
    let output = run(&["--compare", &snapshot.1, &start]).await;
    let text = stdout(&output) + &stderr(&output);
    assert!(text.contains(&format!("vanished: {home}/left")) && !text.contains("tops3cret"), "{text}");
}

#[redd::test]
async fn a_password_goes_to_its_own_origin_only() {
    let outside = serve_requests(|request| {
        assert_eq!(request.header("authorization"), "");
        page("")
    })
    .await;
    let link = format!("{outside}/page");
    let body = format!("<a href={link}>x</a>");
    let home = serve(move |path| if path == "/" { page(&body) } else { missing() }).await;
    let output = run(&["--retries", "0", &home.replace("http://", "http://user:tops3cret@")]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[redd::test]
async fn a_wrong_start_is_a_usage_error_that_prints_no_password() {
    for start in [
        "ftp://user:tops3cret@host/",
        "http://user:tops3cret@[bad/",
        "user:tops3cret@host/",
        "http://user:tops3cret/x@host:y/",
        "/folder/page.html",
        "mailto:a@b",
        "",
        "http://",
    ] {
        let output = run(&["--", start]).await;
        assert_eq!(output.status.code(), Some(2), "{start}");
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains("http://") && !text.contains("tops3cret"), "{start}: {text}");
    }
    for arguments in [
        &["--rate", "http://user:tops3cret@host/"][..],
        &["--colour=http://user:tops3cret@host/"],
        &["--depth=http://user:tops3cret@host/"],
    ] {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(!stderr(&output).contains("tops3cret"), "{}", stderr(&output));
    }
}

#[redd::test]
async fn an_address_without_a_scheme_is_http() {
    let home = serve(|path| if path == "/ok" { page("") } else { missing() }).await;
    let bare = home.strip_prefix("http://").unwrap();
    for start in
        [format!("{bare}/ok"), format!("//{bare}/ok"), format!("{}/ok", bare.replace("127.0.0.1", "localhost"))]
    {
        let output = run(&[&start]).await;
        assert_eq!(output.status.code(), Some(0), "{start}: {}", stderr(&output));
        assert!(stderr(&output).contains("http://"), "{}", stderr(&output));
    }
}
