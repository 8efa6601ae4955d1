//! A task for each job, of which at most three run. There are no workers, and nothing to close.

use redd::group::{TaskError, TaskGroup};

async fn double(job: u32) -> u32 {
    2 * job
}

#[redd::main]
async fn main() -> Result<(), TaskError> {
    let jobs = TaskGroup::limit(3).start();
    let mut sum = 0;
    for job in 1..=100 {
        jobs.ready().await; // Waits for a place, like a send to a channel without a buffer.
        jobs.spawn(double(job));
    }
    while let Some(result) = jobs.next().await {
        sum += result?;
    }
    println!("sum: {sum}");
    Ok(())
}
