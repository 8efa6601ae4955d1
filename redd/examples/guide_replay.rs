//! A counter with a backup: some orders of its tasks lose an update. A seed finds one of them, and repeats it. Then it is shrunk.

use redd::runtime::Builder;
use redd::sim::World;
use redd::sync::Mutex;
use redd::task::{Builder as Task, yield_now};
use std::sync::Arc;

/// A counter and its version. Each fail-over begins a new epoch.
#[derive(Clone, Copy, Default)]
struct Counter {
    epoch: u32,
    version: u32,
    value: u32,
}

/// One write at a time goes to the primary and then to the backup. Reads go to the primary.
#[derive(Default)]
struct Store {
    primary: Mutex<Counter>,
    backup: Mutex<Counter>,
    write: Mutex<()>,
}

impl Store {
    async fn add(&self, amount: u32, compares_epoch: bool) {
        loop {
            let old = *self.primary.lock().await;
            yield_now().await; // The message to the client and back.
            let _write = self.write.lock().await;
            let now = *self.primary.lock().await;
            if now.version != old.version || (compares_epoch && now.epoch != old.epoch) {
                continue; // Another client was faster.
            }
            let new = Counter { epoch: now.epoch, version: old.version + 1, value: old.value + amount };
            *self.primary.lock().await = new;
            yield_now().await; // The message to the backup.
            let mut backup = self.backup.lock().await;
            if backup.epoch == new.epoch {
                *backup = new;
                return;
            }
        }
    }

    /// The primary is gone, and the backup takes its place.
    async fn fail_over(&self) {
        yield_now().await;
        let mut backup = self.backup.lock().await;
        backup.epoch += 1;
        *self.primary.lock().await = *backup;
    }
}

fn world(seed: u64, compares_epoch: bool) -> World {
    let main = move || {
        let runtime = Builder::new_multi_thread().build().expect("the system has a thread");
        runtime.block_on(async {
            let store = Arc::new(Store::default());
            let clients = [("one", 1), ("ten", 10), ("hundred", 100)].map(|(name, amount)| {
                let store = store.clone();
                Task::new()
                    .name(name)
                    .spawn(async move { store.add(amount, compares_epoch).await })
                    .expect("it has a runtime")
            });
            store.fail_over().await;
            for client in clients {
                client.await.expect("a client does not panic");
            }
            assert_eq!(store.primary.lock().await.value, 111, "an update is lost");
        })
    };
    World::new(seed).host("store", main)
}

fn main() {
    std::panic::set_hook(Box::new(|_| ())); // The report has the message.
    let failing = (0..1000).find(|seed| !world(*seed, false).run().failures().is_empty());
    let seed = failing.expect("one of a thousand orders shows the bug");
    let report = world(seed, false).record(true).run();
    println!("{}", report.failures()[0].to_string().lines().next().expect("it has a line"));
    println!("the order has {} deviations from the plain one", report.tape().len());

    let shrunk = world(seed, false).shrink(2000).expect("the seed loses it again");
    println!("one of the simplest orders that lose an update has {}:", shrunk.report().tape().len());
    println!("{}", shrunk.words().join("\n"));

    for seed in 0..1000 {
        world(seed, true).run().expect_ok();
    }
    println!("no seed loses one if the epochs are compared");
}
