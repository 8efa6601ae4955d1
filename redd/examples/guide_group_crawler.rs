//! A crawler: each page that is fetched adds the pages that it links to.

use redd::group::{TaskError, TaskGroup};

/// A page and its links.
async fn fetch(page: u32) -> (u32, Vec<u32>) {
    (page, (2 * page..=2 * page + 1).filter(|link| *link <= 1000).collect())
}

#[redd::main]
async fn main() -> Result<(), TaskError> {
    let (mut pages, mut count) = (TaskGroup::limit(16).start(), 0);
    pages.spawn(fetch(1));
    while let Some(page) = pages.next().await {
        let (_, links) = page?;
        pages.extend(links.into_iter().map(fetch));
        count += 1;
    }
    pages.close().await?;
    println!("{count} pages, and no task is left");
    Ok(())
}
