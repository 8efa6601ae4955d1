//! Each result, also of those that fail.

use redd::group::{OnError, TaskError, TaskGroup};

async fn load(page: u32) -> Result<String, String> {
    if page == 2 {
        return Err(format!("no page {page}"));
    }
    Ok(format!("page {page}"))
}

#[redd::main]
async fn main() -> Result<(), TaskError> {
    let mut group = TaskGroup::new();
    group.extend([1, 2, 3].map(load));
    for result in group.in_order().close().await? {
        match result {
            Ok(page) => println!("{page}"),
            Err(error) => println!("failed: {error}"),
        }
    }

    // `Promise.all` rejects at once, and the others go on unseen. Here they are cancelled, and waited for.
    let mut group = TaskGroup::builder().on_error(OnError::CancelOthers).start();
    group.extend([1, 2, 3].map(load));
    if let Err(error) = group.try_close().await {
        println!("all: {error}");
    }
    Ok(())
}
