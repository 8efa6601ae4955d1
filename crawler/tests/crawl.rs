//! Whole crawls by the binary: of its embedded site, and of small hostile sites on loopback.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use redd::net::{TcpListener, TcpStream};
use redd::process::Command;
use redd::time::timeout;
use serde_json::Value;

/// What a hostile site does with a path.
enum Act {
    Send(String),
    /// Sends this, then nothing more, and keeps the connection.
    Hang(String),
    /// Resets the connection.
    Reset,
}

fn page(body: &str) -> Act {
    answer("200 OK", "Content-Type: text/html\r\n", body)
}

fn answer(status: &str, header: &str, body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

/// Serves `site` on a free port, for as long as the runtime lives; returns its address without a slash at the end.
async fn serve(site: impl Fn(&str) -> Act + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    let site = Arc::new(site);
    redd::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let site = Arc::clone(&site);
            redd::spawn(async move { converse(stream, &*site).await });
        }
    });
    home
}

async fn converse(stream: TcpStream, site: &(impl Fn(&str) -> Act + Sync)) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    match site(first.split(' ').nth(1).unwrap_or_default()) {
        Act::Send(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        }
        Act::Hang(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Act::Reset => stream.get_ref().set_zero_linger(),
    }
}

/// Runs the binary; a run that does not end is a failure.
async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    timeout(Duration::from_secs(30), command.output()).await.expect("the crawl ends").unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A crawl whose result is read as JSON.
async fn crawl(url: &str, more: &[&str]) -> (Value, Output) {
    let mut arguments = vec!["--json", "-", "--retries", "0", "--timeout", "1s", url];
    arguments.extend(more);
    let output = run(&arguments).await;
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", stderr(&output)));
    (value, output)
}

fn reason<'a>(value: &'a Value, url: &str) -> &'a str {
    let broken = value["broken"].as_array().unwrap().iter().find(|broken| broken["url"] == url);
    broken.unwrap_or_else(|| panic!("{url} is not among the broken: {value:#}"))["reason"].as_str().unwrap()
}

fn scratch(name: &str) -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[redd::test]
async fn without_arguments_it_finds_what_is_planted_in_its_own_site() {
    let output = run(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("all of them were found"));
    assert!(stdout(&output).contains("/missing.html\n    404 Not Found\n    cited by"));
}

#[redd::test]
async fn a_clean_site_exits_0_with_sorted_checksums() {
    let home = serve(|path| match path {
        "/" => page("<a href=z>z</a><a href=b>b</a>"),
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => page("leaf"),
    })
    .await;
    let output = run(&[&home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let urls: Vec<&str> = text.lines().filter_map(|line| line.split_once(" -> ")).map(|(url, _)| url).collect();
    assert_eq!(urls, [format!("{home}/"), format!("{home}/b"), format!("{home}/z")]);
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
async fn no_hostile_page_stops_the_crawl_and_each_is_told_apart() {
    let home = serve(|path| match path {
        "/" => page(
            "<a href=reset>1</a><a href=never>2</a><a href=half>3</a><a href=huge>4</a><a href=endless>5</a>
             <a href=charset>6</a><a href=loop>7</a><a href=deeper/0>8</a><a href='http://[bad'>9</a>
             <a href=http://127.0.0.1:1/>10</a><a href=garbage>11</a><a href=nowhere>12</a><a href=fine>13</a>",
        ),
        "/reset" => Act::Reset,
        "/never" => Act::Hang(String::new()),
        "/half" => Act::Hang("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".into()),
        "/huge" => Act::Send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".into()),
        "/endless" => {
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(40);
            Act::Hang(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"))
        }
        "/charset" => answer("200 OK", "Content-Type: text/html; charset=klingon\r\n", "<a href=found>x</a>"),
        "/loop" => answer("302 Found", "Location: /loop\r\n", ""),
        "/garbage" => Act::Send("this is not HTTP\r\n\r\n".into()),
        "/nowhere" => answer("301 Moved", "Location: mailto:me@here\r\n", ""),
        "/found" | "/fine" => page("fine"),
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => match path.strip_prefix("/deeper/").and_then(|hop| hop.parse::<u64>().ok()) {
            Some(hop) => answer("302 Found", &format!("Location: /deeper/{}\r\n", hop + 1), ""),
            None => answer("404 Not Found", "", ""),
        },
    })
    .await;
    let (value, output) = crawl(&home, &["--max-body", "100K"]).await;
    assert_eq!(output.status.code(), Some(1));
    let reason = |path: &str| reason(&value, &format!("{home}{path}"));
    assert!(reason("/reset").contains("broke off"), "{}", reason("/reset"));
    assert!(reason("/never").contains("--timeout"));
    assert!(reason("/half").contains("--timeout"));
    assert!(reason("/huge").contains("--max-body"));
    assert!(reason("/endless").contains("--max-body"));
    assert!(reason("/loop").contains("endless redirect"));
    assert!(reason("/garbage").contains("broke off"), "{}", reason("/garbage"));
    assert!(reason("/nowhere").contains("redirect to nowhere"));
    let text = value.to_string();
    assert!(text.contains("more than 10 hops") && text.contains("unusable URL") && text.contains("unreachable"));
    assert!(text.contains("klingon") && text.contains("/found"));
    let cited =
        &value["broken"].as_array().unwrap().iter().find(|broken| broken["url"] == "http://[bad").unwrap()["cited_by"];
    assert_eq!(cited[0], format!("{home}/"));
}

#[redd::test]
async fn a_server_that_speaks_no_tls_is_a_tls_failure() {
    let home = serve(|_| page("plain")).await.replace("http://", "https://");
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let reason = reason(&value, &format!("{home}/"));
    assert!(reason.contains("TLS failed"), "{reason}");
}

#[redd::test]
async fn robots_rules_are_kept() {
    let home = serve(|path| match path {
        "/robots.txt" => answer("200 OK", "", "User-agent: *\nDisallow: /secret\n"),
        "/" => page("<a href=secret/a>s</a><a href=open>o</a>"),
        "/open" => page(""),
        _ => panic!("{path} was asked for"),
    })
    .await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(value["pages"].to_string().contains("disallows"));
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
    let text = stdout(&run(&["--compare", &name, &home]).await);
    for line in [format!("changed: {home}/\n"), format!("appeared: {home}/new"), format!("vanished: {home}/old")] {
        assert!(text.contains(&line), "{line} is missing in:\n{text}");
    }
    let missing = run(&["--compare", "no-such-file", &home]).await;
    assert_eq!(missing.status.code(), Some(1));
}

#[redd::test]
async fn the_deadline_keeps_what_is_done_and_aborts_the_rest() {
    let home = serve(|path| match path {
        "/" => page("<a href=fast>f</a><a href=never>n</a>"),
        "/never" => Act::Hang(String::new()),
        _ => page(""),
    })
    .await;
    let output = run(&["--deadline", "700ms", "--json", "-", &home]).await;
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["end"], "deadline");
    assert_eq!(value["pages"].as_array().unwrap().len(), 2);
    assert!(stderr(&output).contains("1 pages not reached"));
}

#[redd::test]
async fn limits_of_depth_and_pages_hold() {
    let endless = |path: &str| page(&format!("<a href={0}x>1</a><a href={0}y>2</a>", path.trim_end_matches('/')));
    let home = serve(move |path| if path == "/robots.txt" { answer("404 No", "", "") } else { endless(path) }).await;
    let (value, _) = crawl(&home, &["--depth", "1"]).await;
    let shallow = value["pages"].as_array().unwrap().len();
    assert!((2..=3).contains(&shallow), "{shallow}");
    let (value, _) = crawl(&home, &["--max-pages", "25"]).await;
    assert_eq!(value["pages"].as_array().unwrap().len(), 25);
}

#[redd::test]
async fn a_passing_failure_is_tried_again() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let home = serve(move |path| match path {
        "/" if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 => answer("503 Busy", "", ""),
        "/" => page("at last"),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    assert_eq!(run(&["--retries", "2", &home]).await.status.code(), Some(0));
}

#[redd::test]
async fn an_interrupt_finishes_what_is_in_flight_saves_and_says_so() {
    let home = serve(|path| match path {
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => page(&format!("<a href={path}x>next</a>")),
    })
    .await;
    let (file, name) = scratch("interrupted.json");
    drop(std::fs::remove_file(&file));
    let mut child = Command::new(env!("CARGO_BIN_EXE_redd-crawl"))
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
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("interrupted: finishing") && text.contains("saved"), "{text}");
    let saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved["complete"], false);
}

#[redd::test]
async fn the_csv_form_has_a_row_a_page_with_its_citers() {
    let home = serve(|path| match path {
        "/" => page("<a href=gone>g</a>"),
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    let output = run(&["--csv", "-", &home]).await;
    let text = stdout(&output);
    assert!(text.starts_with("url,outcome,status,bytes,sha256,detail,cited_by\n"));
    assert!(text.contains(&format!("{home}/gone,broken,,,,404 Not Found,{home}/\n")), "{text}");
}
