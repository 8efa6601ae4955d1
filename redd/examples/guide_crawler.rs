//! A small crawler: one task for each page, at most three at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redd::sync::Semaphore;
use redd::task::JoinSet;
use redd::time::{Duration, sleep};

/// A site: each page and the pages that it links to.
fn site() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("/", vec!["/eggs", "/river", "/lost"]),
        ("/eggs", vec!["/", "/fry"]),
        ("/river", vec!["/sea"]),
        ("/fry", vec!["/river"]),
        ("/sea", vec!["/"]),
    ])
}

/// Returns the page's links after a while, or `None` if there is no such page.
async fn fetch(page: &'static str) -> Option<Vec<&'static str>> {
    sleep(Duration::from_millis(100)).await;
    site().get(page).cloned()
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let permits = Arc::new(Semaphore::new(3));
    let (mut tasks, mut seen) = (JoinSet::new(), BTreeSet::from(["/"]));
    let visit = |tasks: &mut JoinSet<_>, page| {
        let permits = Arc::clone(&permits);
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            (page, fetch(page).await)
        });
    };

    visit(&mut tasks, "/");
    while let Some(visited) = tasks.join_next().await {
        match visited.expect("`fetch` does not panic") {
            (page, None) => println!("{page} is a broken link"),
            (page, Some(links)) => {
                println!("{page} links to {}", links.join(", "));
                for link in links {
                    if seen.insert(link) {
                        visit(&mut tasks, link);
                    }
                }
            }
        }
    }
}
