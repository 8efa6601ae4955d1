//! The exit codes: 0 clean and complete, 1 broken links or vanished pages, 2 usage, 3 incomplete.

use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use redd::process::Command;
use redd::time::timeout;
use serde_json::Value;

use crate::runs::{program, run, run_to, scratch, stderr, stdout};
use crate::server::{Act, answer, missing, page, serve};

#[redd::test]
async fn without_arguments_it_finds_what_is_planted_in_its_own_site() {
    let output = run(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("all of them were found"));
    assert!(stdout(&output).contains("/missing.html  BROKEN: 404 Not Found\n    cited by"));
}

#[redd::test]
async fn wrong_usage_exits_2_and_points_to_the_help() {
    for wrong in [&["--colour"][..], &["--timeout", "soon", "http://127.0.0.1/"], &["--concurrency", "0"]] {
        let output = run(wrong).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--help"));
    }
    assert_eq!(run(&["--help"]).await.status.code(), Some(0));
}

#[redd::test]
async fn a_second_crawl_says_what_changed_appeared_and_vanished() {
    let second = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_second = Arc::clone(&second);
    let home = serve(move |path| {
        let is_second = is_second.load(std::sync::atomic::Ordering::Relaxed);
        match (path, is_second) {
            ("/", false) => page("<a href=same>1</a><a href=old>2</a>"),
            ("/", true) => page("<a href=same>1</a><a href=new>2</a>"),
            _ => page("leaf"),
        }
    })
    .await;
    let (_file, name) = scratch("compare.json");
    assert!(run(&["--save", &name, &home]).await.status.success());
    assert!(stdout(&run(&["--compare", &name, &home]).await).contains("nothing changed"));
    second.store(true, std::sync::atomic::Ordering::Relaxed);
    let output = run(&["--compare", &name, &home]).await;
    assert_eq!(output.status.code(), Some(1), "a page has vanished");
    let text = stdout(&output);
    for line in [format!("changed: {home}/\n"), format!("appeared: {home}/new"), format!("vanished: {home}/old")] {
        assert!(text.contains(&line), "{line} is missing in:\n{text}");
    }
    let missing = run(&["--compare", "no-such-file", &home]).await;
    let said = stderr(&missing);
    assert!(said.contains("--compare no-such-file: cannot be read: ") && said.contains("--save"), "{said}");
    assert_eq!(missing.status.code(), Some(2));
}

#[redd::test]
async fn the_deadline_keeps_what_is_done_and_exits_3() {
    let home = serve(|path| match path {
        "/" => page("<a href=fast>f</a><a href=never>n</a>"),
        "/never" => Act::Hang(String::new()),
        _ => page(""),
    })
    .await;
    let output = run(&["--deadline", "2s", "--json", "-", &home]).await;
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(value["end"], "deadline");
    assert_eq!(value["pages"].as_array().unwrap().len(), 2);
    assert!(stderr(&output).contains("1 page not reached"));
}

#[redd::test]
async fn an_interrupt_finishes_what_is_in_flight_saves_and_exits_3() {
    let home = serve(|path| match path {
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => page(&format!("<a href={path}x>next</a>")),
    })
    .await;
    let (file, name) = scratch("interrupted.json");
    let mut child = program()
        .args(["--verbose", "--rate", "20", "--save", &name, &home])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    // The first page is done, so the crawl is under way and listens.
    said.read_line(&mut text).await.unwrap();
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ending = async {
        said.read_to_string(&mut text).await.unwrap();
        child.wait().await.unwrap()
    };
    let status = timeout(Duration::from_secs(20), ending).await.expect("the crawl ends");
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("interrupted: finishing") && text.contains("saved"), "{text}");
    let saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["complete"], false);
}

#[redd::test]
async fn a_clean_site_exits_0_and_a_broken_link_exits_1() {
    let home = serve(|path| match path {
        "/" => page("<a href=leaf>leaf</a>"),
        "/broken" => page("<a href=gone>gone</a>"),
        "/leaf" => page("leaf"),
        _ => missing(),
    })
    .await;
    assert_eq!(run(&[&home]).await.status.code(), Some(0));
    assert_eq!(run(&[&format!("{home}/broken")]).await.status.code(), Some(1));
}

#[redd::test]
async fn an_incomplete_crawl_exits_3_even_if_it_found_broken_links() {
    let home = serve(|path| match path {
        "/" => page("<a href=gone>g</a><a href=never>n</a>"),
        "/never" => Act::Hang(String::new()),
        _ => missing(),
    })
    .await;
    let output = run(&["--deadline", "2s", &home]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("/gone  BROKEN: 404 Not Found"), "{}", stdout(&output));
}

#[redd::test]
async fn a_start_that_robots_forbids_exits_3_and_says_what_to_do() {
    let forbids_all = |path: &str| match path {
        "/robots.txt" => answer("200 OK", "", "User-agent: *\nDisallow: /secret\n"),
        "/moved" => answer("302 Found", "Location: /secret\r\n", ""),
        _ => page(""),
    };
    let home = serve(forbids_all).await;
    for start in ["/secret", "/moved"] {
        let output = run(&[&format!("{home}{start}")]).await;
        assert_eq!(output.status.code(), Some(3), "{start}");
        let text = stderr(&output);
        assert!(text.contains("incomplete") && text.contains("robots.txt"), "{text}");
    }
    let failing = serve(|path| if path == "/robots.txt" { answer("503 Busy", "", "") } else { page("") }).await;
    assert_eq!(run(&[&failing]).await.status.code(), Some(3));
}

#[redd::test]
async fn a_snapshot_behind_a_forbidden_start_claims_no_vanished_page() {
    let forbidden = Arc::new(AtomicBool::new(false));
    let is_forbidden = Arc::clone(&forbidden);
    let home = serve(move |path| match path {
        "/robots.txt" if is_forbidden.load(Ordering::Relaxed) => answer("200 OK", "", "User-agent: *\nDisallow: /\n"),
        "/" => page("leaf"),
        _ => missing(),
    })
    .await;
    let (_file, name) = scratch("forbidden.json");
    assert_eq!(run(&["--save", &name, &home]).await.status.code(), Some(0));
    forbidden.store(true, Ordering::Relaxed);
    let output = run(&["--compare", &name, &home]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(!stdout(&output).contains("vanished"), "{}", stdout(&output));
}

#[redd::test]
async fn links_left_out_by_max_pages_exit_3_and_vanish_from_no_snapshot() {
    let home = serve(|path| match path {
        "/" => page("<a href=a>a</a><a href=b>b</a>"),
        "/robots.txt" => missing(),
        _ => page("leaf"),
    })
    .await;
    let (_file, name) = scratch("max-pages.json");
    assert_eq!(run(&["--save", &name, &home]).await.status.code(), Some(0));
    let output = run(&["--max-pages", "2", "--compare", &name, &home]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(!stdout(&output).contains("vanished"), "{}", stdout(&output));
    assert!(stderr(&output).contains("--max-pages"), "{}", stderr(&output));
    assert_eq!(run(&["--max-pages", "3", &home]).await.status.code(), Some(0));
}

#[redd::test]
async fn pages_beyond_the_depth_are_no_failure_and_exit_0() {
    let home = serve(|path| match path {
        "/" => page("<a href=a>a</a>"),
        "/a" => page("<a href=b>b</a>"),
        _ => missing(),
    })
    .await;
    assert_eq!(run(&["--depth", "1", &home]).await.status.code(), Some(0));
}

#[redd::test]
async fn a_start_that_cannot_be_reached_does_not_exit_0() {
    let home = serve(|_| page("plain")).await;
    let https = home.replace("http://", "https://");
    for start in ["http://127.0.0.1:1/", "http://does-not-exist.invalid/", &https] {
        let output = run(&["--retries", "0", "--timeout", "10s", start]).await;
        assert_eq!(output.status.code(), Some(1), "{start}: {}", stdout(&output));
    }
}

#[redd::test]
async fn a_full_standard_output_exits_3_and_says_so() {
    let home = serve(|path| if path == "/" { page("") } else { missing() }).await;
    for arguments in [&[&*home][..], &["--json", "-", &home], &["--csv", "-", &home], &["--help"], &["--version"]] {
        let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
        let output = run_to(full, arguments).await;
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(stderr(&output).contains("standard output"), "{}", stderr(&output));
    }
}

#[redd::test]
async fn the_help_documents_every_exit_code() {
    let help = stdout(&run(&["--help"]).await);
    let codes: Vec<&str> =
        help.lines().filter_map(|line| line.trim_start().split_once("  ")).map(|(code, _)| code).collect();
    assert!(["0", "1", "2", "3"].iter().all(|code| codes.contains(code)), "{help}");
}
