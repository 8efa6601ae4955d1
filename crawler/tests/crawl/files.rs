//! Files, folders and lists as starts.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use redd::io::AsyncWriteExt as _;
use redd::process::Command;
use redd::time::timeout;

use crate::runs::{broken, crawl, find_page, reason, run, stderr, stdout};
use crate::server::{missing, page, serve};

/// A folder with these files. Its address has no slash at the end.
fn folder(name: &str, files: &[(&str, &str)]) -> (PathBuf, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&folder));
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let folder = folder.canonicalize().unwrap();
    let address = format!("file://{}", folder.to_str().unwrap());
    (folder, address)
}

fn broken_urls(value: &serde_json::Value) -> Vec<&str> {
    value["broken"].as_array().unwrap().iter().map(|broken| broken["url"].as_str().unwrap()).collect()
}

#[redd::test]
async fn all_pages_of_a_folder_are_searched_and_links_between_files_are_checked_on_disk() {
    let outside = serve(|path| if path == "/there" { page("<a href=never>x</a>") } else { missing() }).await;
    let (path, home) = folder(
        "site",
        &[
            (
                "index.html",
                "<link rel=stylesheet href=/css/s.css?v=1><a href=guide>1</a><a href='a%20b.html'>2</a><a href=gone.html>3</a>",
            ),
            (
                "a b.html",
                &format!("<a href={outside}/there>1</a><a href={outside}/gone>2</a><a href=../beside.html>3</a>"),
            ),
            ("css/s.css", "a { b: url(bg.png) }"),
            (
                "guide/index.html",
                "<a href=../index.html>1</a><a href=./deep.md#part-two>2</a><a href=deep.md#part-ten>3</a>",
            ),
            ("guide/deep.md", "# Part two\n\n[a](../gone.md) <mailto:nobody> [c](empty/) [d](pipe)\n"),
            ("guide/empty/.hidden.html", "<a href=no>"),
            ("orphan.html", "<a href=lost.html>"),
            ("../beside.html", "<a href=no.html>"),
        ],
    );
    let status = std::process::Command::new("mkfifo").arg(path.join("guide/pipe")).status().unwrap();
    assert!(status.success());
    let (value, output) = crawl(path.to_str().unwrap(), &["--fragments"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut expected: Vec<String> =
        ["css/bg.png", "gone.html", "gone.md", "guide/deep.md#part-ten", "guide/pipe", "lost.html"]
            .map(|name| format!("{home}/{name}"))
            .into();
    expected.extend([format!("{outside}/gone"), "mailto:nobody".to_owned()]);
    expected.sort_unstable();
    assert_eq!(broken_urls(&value), expected, "{value:#}");
    assert_eq!(reason(&value, &format!("{home}/gone.html")), "there is no such file");
    let citation = &broken(&value, &format!("{home}/gone.md"))["citations"][0];
    assert_eq!((&citation["page"], &citation["line"]), (&format!("{home}/guide/deep.md").into(), &3.into()));
    assert!(reason(&value, &format!("{home}/guide/pipe")).contains("neither a file nor a folder"));
    let empty = find_page(&value, &format!("{home}/guide/empty/")).unwrap();
    assert!(empty["note"].as_str().unwrap().contains("without an index page"));
    assert!(find_page(&value, &format!("{outside}/never")).is_none());
    let page = find_page(&value, &format!("{home}/orphan.html")).unwrap();
    assert_eq!(page["bytes"], 18);
}

#[redd::test]
async fn of_a_single_file_the_links_are_checked_and_not_followed() {
    let (path, home) = folder(
        "single",
        &[
            (
                "README.md",
                "[a](docs/a.md) [b](docs/a.md#two) [c](docs/b.md) [d](/root.md) [e](moved.html#two) [f](moved.html#ten)",
            ),
            ("docs/a.md", "# One\n[x](no.md)"),
            ("root.md", ""),
            ("moved.html", "<meta http-equiv=refresh content='0; url=docs/new.html'>"),
            ("docs/new.html", "<a id=two>"),
        ],
    );
    let file = path.join("README.md");
    let (value, output) = crawl(file.to_str().unwrap(), &["--same-origin", "--fragments"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        broken_urls(&value),
        [
            "/root.md".to_owned(),
            format!("{home}/docs/a.md#two"),
            format!("{home}/docs/b.md"),
            format!("{home}/moved.html#ten")
        ]
    );
    assert!(reason(&value, "/root.md").contains("--root-dir"));

    let (value, _) = crawl(file.to_str().unwrap(), &["--root-dir", path.to_str().unwrap()]).await;
    assert_eq!(broken_urls(&value), [format!("{home}/docs/b.md")]);
}

#[redd::test]
async fn links_to_the_published_site_are_checked_in_its_folder() {
    let links =
        "<a href=https://site.invalid/docs/a.html>1</a><a href=/docs/b.html>2</a><a href=//site.invalid/docs/>3</a>";
    let (path, home) = folder("published", &[("index.html", links), ("a.html", "")]);
    let path = path.to_str().unwrap();
    let (value, _) = crawl(path, &["--base-url", "https://site.invalid/docs"]).await;
    assert_eq!(broken_urls(&value), [format!("{home}/b.html")], "{value:#}");
    assert!(find_page(&value, &format!("{home}/")).is_some());
    let (value, _) = crawl(path, &["--same-origin"]).await;
    assert_eq!(value["counts"]["outside"], 2, "{value:#}");
}

#[redd::test]
async fn a_file_is_a_start_without_a_slash_and_a_missing_one_a_usage_error() {
    let (path, _) = folder("named", &[("page.html", "x"), ("other/readme.txt", "x")]);
    let run_in = |arguments: &'static [&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
        command.args(arguments).current_dir(&path).env("XDG_STATE_HOME", &path).stdin(Stdio::null());
        async move { timeout(Duration::from_secs(60), command.output()).await.expect("it ends").unwrap() }
    };
    for arguments in [&["page.html"][..], &["./page.html"], &["."]] {
        let output = run_in(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).contains("1 address found"), "{}", stdout(&output));
    }
    for (arguments, why) in [
        (&["gone.html"][..], "no such file"),
        (&["./gone"], "no such file"),
        (&["other"], "no HTML or Markdown file"),
        (&["page.html", "--root-dir", "page.html"], "not a folder"),
        (&["page.html", "--root-dir", "gone"], "give one that exists"),
        (&["page.html", "--base-url", "ftp://x/"], "only http and https"),
        (
            &["page.html", "--base-url", "site.invalid/docs"],
            "--base-url: give the scheme, too: https://site.invalid/docs",
        ),
    ] {
        let output = run_in(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{arguments:?}: {}", stderr(&output));
    }
}

#[redd::test]
async fn a_list_of_starts_is_read_from_standard_input() {
    let home = serve(|path| match path {
        "/a" => page("<a href=c>c</a>"),
        "/b" | "/c" => page(""),
        _ => missing(),
    })
    .await;
    let output = run_with_input(&format!("# mine\n{home}/a\n\n  {home}/b\r\n"), &["--depth", "0", "-"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("3 addresses found: 2 checked, 1 too deep"), "{}", stdout(&output));

    for (list, why) in
        [("", "lists no address"), ("http://a/\nftp://b/\n", "standard input, line 2: `ftp://b/`"), ("-\n", "line 1")]
    {
        let output = run_with_input(list, &["-"]).await;
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    // The tests give no standard input.
    assert_eq!(run(&["-"]).await.status.code(), Some(2));
}

async fn run_with_input(input: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("the crawl ends").unwrap()
}
