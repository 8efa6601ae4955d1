//! A cache that loads each key once, however many tasks ask for it at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::group::TaskGroup;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

static LOADS: AtomicU32 = AtomicU32::new(0);

/// The database. It fails the first time.
async fn load(key: u32) -> Result<String, &'static str> {
    let loads = LOADS.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_millis(50)).await;
    if loads == 0 { Err("the connection is lost") } else { Ok(format!("value {key}")) }
}

#[derive(Default)]
struct Cache {
    // A lock of std: it is held for a look into the map, and never across an `.await`.
    cells: Mutex<HashMap<u32, Arc<OnceCell<String>>>>,
}

impl Cache {
    async fn get(&self, key: u32) -> Result<String, &'static str> {
        let cell = self.cells.lock().expect("no panic while it is locked").entry(key).or_default().clone();
        // One task loads. The others wait for it; if it fails or is dropped, the next one of them loads.
        cell.get_or_try_init(|| load(key)).await.cloned()
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Arc::new(Cache::default());
    println!("first: {:?}", cache.get(1).await);
    println!("again: {:?}", cache.get(1).await);

    let group = TaskGroup::new();
    for number in 0..300 {
        let cache = Arc::clone(&cache);
        group.spawn(async move { cache.get(number % 3).await });
    }
    let values = group.try_close().await.map_err(|error| error.to_string())?;
    println!("{} answers, {} loads so far", values.len(), LOADS.load(Ordering::Relaxed));

    // The task that loads is dropped halfway, and the one that waits takes over.
    let waits = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move {
            sleep(Duration::from_millis(5)).await;
            cache.get(9).await
        }
    });
    let impatient = timeout(Duration::from_millis(10), cache.get(9)).await;
    println!("impatient: {}, the other one: {:?}", impatient.is_err(), waits.await?);
    println!("{} loads in all", LOADS.load(Ordering::Relaxed));
    Ok(())
}
