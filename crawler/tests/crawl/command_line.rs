//! The help, the manual page, the completions and the configuration file.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::runs::{run, run_with, stderr, stdout};
use crate::server::{missing, page, serve};

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&path));
    std::fs::create_dir_all(&path).unwrap();
    path
}

async fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    run_with(arguments, |command| {
        command.current_dir(folder);
    })
    .await
}

#[redd::test]
async fn the_help_is_one_screen_and_names_the_whole_help() {
    for option in ["--help", "-h"] {
        let output = run(&[option]).await;
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        assert!(text.lines().count() <= 24 && text.contains("--help-all"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    let all = stdout(&run(&["--help-all"]).await);
    assert!(all.contains("How gently:") && all.contains("--max-wait") && all.contains("Exit code"), "{all}");
    assert!(stdout(&run(&["completions", "--help"]).await).contains("SHELL"));
}

#[redd::test]
async fn completions_and_the_manual_page_are_printed() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef redd-crawl"), ("fish", "complete -c redd-crawl")] {
        let output = run(&["completions", shell]).await;
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        assert!(text.contains(word) && text.contains("max-wait"), "{shell}");
    }
    let manual = stdout(&run(&["man"]).await);
    assert!(manual.contains(".TH redd-crawl") && manual.contains("Exit code"), "{manual}");
    let output = run(&["completions", "cobol"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bash"), "{}", stderr(&output));
}

#[redd::test]
async fn a_wrong_use_of_a_command_points_to_the_help_of_that_command() {
    for words in [&["report"][..], &["status", "--bogus"], &["completions"], &["man", "x"]] {
        let output = run(words).await;
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let hint = format!("Try `redd-crawl {} --help`.", words[0]);
        assert!(stderr(&output).contains(&hint), "{}", stderr(&output));
        assert_eq!(run(&[words[0], "--help"]).await.status.code(), Some(0));
    }
}

#[redd::test]
async fn a_word_that_is_no_option_is_refused_with_the_nearest_one() {
    let output = run(&["--timeuot", "1s", "http://127.0.0.1:1/"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--timeout"), "{}", stderr(&output));
}

#[redd::test]
async fn a_wrong_value_is_named_with_its_option() {
    for (arguments, why) in [
        (["--depth", "-1"], "--depth"),
        (["--rate", "1e-300"], "2 or 0.5"),
        (["--format", "yaml"], "sarif"),
        (["--max-body", "1T"], "64K"),
    ] {
        let output = run(&[&arguments[..], &["http://127.0.0.1:1/"]].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = stderr(&output);
        assert!(message.contains(arguments[0]) && message.contains(why), "{arguments:?}: {message}");
    }
}

#[redd::test]
async fn the_configuration_file_is_read_and_the_command_line_wins() {
    let home = serve(|path| match path {
        "/" => page("<a href=a>a</a><a href=gone>g</a>"),
        "/a" => page("<a href=deep>d</a>"),
        _ => missing(),
    })
    .await;
    let folder = folder("config");
    let file = folder.join("redd-crawl.toml");
    let config = format!("urls = '{home}'\ndepth = 1\nexclude = ['gone']\nretries = 0\nsame-origin = true\n");
    std::fs::write(&file, &config).unwrap();
    let output = run_in(&folder, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("redd-crawl.toml"), "{}", stderr(&output));
    assert!(!stderr(&run_in(&folder, &["-q"]).await).contains("redd-crawl.toml"));

    let output = run_in(&folder, &["--depth", "2"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("/deep") && !stdout(&output).contains("/gone"), "{}", stdout(&output));
    let output = run_in(&folder, &["--no-config", &home]).await;
    assert!(stdout(&output).contains("/gone"), "{}", stdout(&output));
    // An address of the command line is in place of those of the file.
    let output = run_in(&folder, &["--same-origin=false", &format!("{home}/nowhere")]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("/nowhere") && !stdout(&output).contains("/a"), "{}", stdout(&output));

    let elsewhere = folder.join("other.toml");
    std::fs::write(&elsewhere, "depth = 2\n").unwrap();
    let output = run(&["--config", elsewhere.to_str().unwrap(), &home]).await;
    assert!(stdout(&output).contains("/deep"), "{}", stdout(&output));
}

#[redd::test]
async fn a_flag_of_the_file_can_be_switched_off() {
    let outside = serve(|_| missing()).await;
    let link = format!("<a href={outside}/gone>o</a>");
    let home = serve(move |path| if path == "/" { page(&link) } else { missing() }).await;
    let folder = folder("config-flag");
    std::fs::write(folder.join("redd-crawl.toml"), "same-origin = true\n").unwrap();
    assert_eq!(run_in(&folder, &[&home]).await.status.code(), Some(0));
    assert_eq!(run_in(&folder, &["--same-origin=false", &home]).await.status.code(), Some(1));
}

#[redd::test]
async fn a_wrong_configuration_file_exits_2_with_the_line_and_without_the_value() {
    let folder = folder("config-wrong");
    let file = folder.join("redd-crawl.toml");
    for (text, place, why) in [
        ("depth = 1\ntimeuot = 3\n", "redd-crawl.toml:2:", "did you mean `timeout`?"),
        ("basic-auth = 'me:tops3cret\n", "redd-crawl.toml:1:", "not TOML"),
        ("timeout = 'tops3cret'\n", "redd-crawl.toml:1:", "500ms"),
        ("method = 'tops3cret'\n", "redd-crawl.toml:1:", "head, get"),
        ("\nheader = 'tops3cret'\n", "--header", "N: V"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = run_in(&folder, &["http://127.0.0.1:1/"]).await;
        assert_eq!(output.status.code(), Some(2), "{text}");
        let message = stderr(&output);
        assert!(
            message.contains(place) && message.contains(why) && !message.contains("tops3cret"),
            "{text}: {message}"
        );
    }
    let output = run(&["--config", "no-such-file.toml", "http://127.0.0.1:1/"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--no-config"), "{}", stderr(&output));
}
