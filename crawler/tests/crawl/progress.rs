//! What standard error says while a crawl runs, on a terminal and elsewhere.

use std::process::Stdio;
use std::time::Duration;

use redd::process::Command;
use redd::time::timeout;

use crate::runs::{run, state_folder, stderr, stdout};
use crate::server::{missing, page, serve};

/// A site of so many pages that a crawl with `--rate 5` takes longer than the time between two reports.
async fn site() -> String {
    let links: String = (0..32).map(|number| format!("<a href={number}>n</a>")).collect();
    serve(move |path| if path == "/" { page(&links) } else { page("") }).await
}

#[redd::test]
async fn without_a_terminal_there_are_plain_lines_with_the_rate_and_an_estimate() {
    let home = site().await;
    let text = stderr(&run(&["--rate", "5", &home]).await);
    let line = text.lines().find(|line| line.contains(" waiting, ")).unwrap_or_else(|| panic!("no line: {text}"));
    assert!(line.contains(" done (") && line.contains(" a second), ") && line.contains(", at least "), "{line}");
    assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
    for quiet in [&["--quiet"][..], &["--progress", "never"]] {
        assert_eq!(stderr(&run(&[quiet, &["--rate", "5", &home]].concat()).await), "");
    }
}

/// What a crawl prints on a terminal. The command `script` of util-linux gives its command one.
async fn on_terminal(arguments: &str) -> (Option<i32>, String) {
    let command = format!("stty cols 120; exec '{}' {arguments}", env!("CARGO_BIN_EXE_redd-crawl"));
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", state_folder())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), script.output()).await.expect("the crawl ends").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[redd::test]
async fn a_terminal_shows_a_bar_with_the_rate_and_an_estimate() {
    let home = site().await;
    let (code, text) = on_terminal(&format!("--rate 5 {home}")).await;
    let is_bar = |line: &str| line.contains(" a second, at least ") && line.contains("/33 ");
    assert!(text.split(['\r', '\n']).any(is_bar), "{text:?}");
    let counts: Vec<(u64, u64)> = text
        .split_whitespace()
        .filter_map(|word| word.split_once('/'))
        .filter_map(|(done, known)| Some((done.parse().ok()?, known.parse().ok()?)))
        .collect();
    assert!(counts.len() > 2 && counts.iter().all(|(done, known)| done <= known), "{counts:?}");
    assert!(text.contains("33 addresses found: 33 checked"), "{text:?}");
    assert_eq!(code, Some(0), "{text:?}");
    let (_, text) = on_terminal(&format!("--rate 5 --progress lines {home}")).await;
    assert!(!text.split(['\r', '\n']).any(is_bar) && text.contains(" waiting, "), "{text:?}");
}

#[redd::test]
async fn a_site_cannot_send_commands_to_the_terminal() {
    let home = serve(|path| match path {
        "/" => page("<a href='//[\u{1b}]0;mine\u{7}\u{9b}2J\u{202e}'>t</a>"),
        "/robots.txt" => missing(),
        _ => page(""),
    })
    .await;
    let output = run(&[&home]).await;
    let text = stdout(&output) + &stderr(&output);
    assert!(text.contains("\\u{1b}]0;mine\\u{7}\\u{9b}2J\\u{202e}  BROKEN: unusable URL"), "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{text:?}");
}
