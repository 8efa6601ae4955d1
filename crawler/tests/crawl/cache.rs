//! The cache of answers: `--cache` and `--max-age`.

use std::sync::{Arc, Mutex};

use crate::runs::{crawl, find_page, run, scratch, stderr, stdout};
use crate::server::{missing, page, serve_requests};

/// A site that notes which paths were asked for.
async fn site() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let home = serve_requests(move |request| {
        seen.lock().unwrap().push(request.path.clone());
        match &*request.path {
            "/" => page("<a href=a#here>a</a><a href=gone>g</a>"),
            "/a" => page("<p id=here><a href=b>b</a>"),
            "/b" => page("b"),
            _ => missing(),
        }
    })
    .await;
    (home, asked)
}

fn take(asked: &Mutex<Vec<String>>) -> Vec<String> {
    let mut paths = std::mem::take(&mut *asked.lock().unwrap());
    paths.sort();
    paths
}

#[redd::test]
async fn good_pages_are_not_asked_for_again_and_the_result_is_the_same() {
    let (home, asked) = site().await;
    let (_file, cache) = scratch("answers.cache");
    let (first, output) = crawl(&home, &["--cache", &cache]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(take(&asked), ["/", "/a", "/b", "/gone", "/robots.txt"]);
    let (second, output) = crawl(&home, &["--cache", &cache]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(take(&asked), ["/gone", "/robots.txt"]);
    assert!(stderr(&output).contains("3 good pages of"), "{}", stderr(&output));
    for part in ["counts", "broken", "pages"] {
        assert_eq!(first[part], second[part]);
    }
    assert!(find_page(&second, &format!("{home}/b")).is_some());
}

#[redd::test]
async fn an_answer_does_not_count_for_a_crawl_that_asks_in_another_way() {
    let (home, asked) = site().await;
    let (_file, cache) = scratch("question.cache");
    let all = ["/", "/a", "/b", "/gone", "/robots.txt"];
    let with = |more: &'static [&'static str]| {
        let (cache, home) = (cache.clone(), home.clone());
        async move { run(&[&["--cache", &cache, "--retries", "0"], more, &[&home]].concat()).await }
    };
    assert_eq!(with(&[]).await.status.code(), Some(1));
    assert_eq!(take(&asked), all);
    for other in [&["--header", "X: 1"][..], &["--user-agent", "me"], &["--fragments"], &["--basic-auth", "me:x"]] {
        assert_eq!(with(other).await.status.code(), Some(1), "{other:?}");
        assert_eq!(take(&asked), all, "{other:?}");
    }
    let output = with(&["--max-age", "1d"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert_eq!(take(&asked), ["/gone", "/robots.txt"]);
}

#[redd::test]
async fn pages_behind_a_password_of_a_link_are_not_kept() {
    let (home, asked) = site().await;
    let (file, cache) = scratch("password.cache");
    let link = home.replace("http://", "http://me:tops3cret@") + "/b";
    let start = serve_requests(move |request| match &*request.path {
        "/" => page(&format!("<a href={link}>b</a>")),
        _ => missing(),
    })
    .await;
    for _ in 0..2 {
        let output = run(&["--cache", &cache, &start]).await;
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        assert_eq!(take(&asked), ["/b", "/robots.txt"]);
    }
    let content = std::fs::read(file).unwrap();
    assert!(!content.windows(9).any(|bytes| bytes == b"tops3cret"));
}

#[redd::test]
async fn a_file_that_is_no_cache_is_refused_and_left_alone() {
    let (home, asked) = site().await;
    let (file, name) = scratch("no.cache");
    std::fs::write(&file, "something else of the user").unwrap();
    let output = run(&["--cache", &name, &home]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--cache"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "something else of the user");
    let output = run(&["--cache", "no-such-folder/x", &home]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("--cache") && take(&asked).is_empty(), "{}", stderr(&output));
}
