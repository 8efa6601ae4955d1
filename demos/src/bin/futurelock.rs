//! Futurelock: a future is granted a lock, and the task that owns the future waits for the same lock and does not poll it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::Mutex;
use tokio::time::sleep;

type Index = Arc<Mutex<Vec<u64>>>;

/// Holds the lock for a while, as any task may.
async fn compact(index: Index) {
    let mut index = index.lock().await;
    sleep(Duration::from_millis(300)).await;
    index.dedup();
}

async fn insert(index: &Index, entry: u64) {
    index.lock().await.push(entry); // culprit: granted, and not polled
}

/// Inserts what arrives, and says so if that takes long.
async fn ingest(index: Index) {
    let mut entry = 0;
    loop {
        let mut inserted = pin!(insert(&index, entry));
        loop {
            select! {
                () = &mut inserted => break,
                () = sleep(Duration::from_millis(100)) => {
                    // `inserted` is in the queue of the lock, and nothing polls it here.
                    let length = index.lock().await.len(); // culprit: waits
                    println!("slow: entry {entry} behind {length}");
                }
            }
        }
        entry += 1;
    }
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let index = Index::default();
    let compaction = tokio::spawn(compact(index.clone()));
    sleep(Duration::from_millis(50)).await;
    tokio::spawn(ingest(index)).await.expect("`ingest` does not panic");
    compaction.await.expect("`compact` does not panic");
}
