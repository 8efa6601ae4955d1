//! At most two downloads at once. The first error stops the others, and is the result.

use redd::group::{OnError, TaskGroup};
use redd::time::{Duration, sleep};

async fn download(page: u64) -> Result<u64, String> {
    sleep(Duration::from_millis(10 * page)).await;
    if page == 3 {
        return Err(format!("page {page} is missing"));
    }
    Ok(page)
}

#[redd::main]
async fn main() {
    let mut group = TaskGroup::limit(2).on_error(OnError::CancelOthers).start();
    group.extend((1..=100).map(download));
    match group.try_close().await {
        Ok(pages) => println!("{} pages", pages.len()),
        Err(error) => println!("error: {error}"),
    }
}
