//! A program that hangs, and what its dump says: each task, the line where it waits, and the task that it waits for.

use std::sync::Arc;
use std::time::Duration;

use redd::runtime::Handle;
use redd::runtime::dump::{Dump, What};
use tokio::sync::{Barrier, Mutex, mpsc};
use tokio::time::timeout;

struct Shop {
    stock: Mutex<u32>,
    orders: Mutex<Vec<u32>>,
    both: Barrier, // So that it hangs each time, and not once a week.
}

async fn sell(shop: Arc<Shop>) {
    let mut stock = shop.stock.lock().await;
    shop.both.wait().await;
    shop.orders.lock().await.push(1);
    *stock -= 1;
}

async fn cancel_order(shop: Arc<Shop>) {
    let mut orders = shop.orders.lock().await;
    shop.both.wait().await;
    *shop.stock.lock().await += 1;
    orders.pop();
}

/// Prints the tasks with a name. `println!("{dump}")` prints all of them, with the times.
fn print(dump: &Dump) {
    for task in dump.tasks().iter() {
        let Some(name) = task.name() else { continue };
        for wait in task.waits() {
            let line = wait.location().map_or(0, |location| location.line());
            print!("{name} waits for a {:?} in line {line}", wait.kind());
            if let What::Lock { taken: Some(taken), .. } = wait.what() {
                let by = taken.by.and_then(|id| dump.tasks().get(id)).and_then(|task| task.name());
                let line = taken.location.map_or(0, |location| location.line());
                println!(", taken by {} in line {line}", by.unwrap_or("no task"));
            } else if let What::Channel { senders, length, .. } = wait.what() {
                println!(", senders: {senders}, messages: {length}");
            } else {
                println!();
            }
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let shop = Arc::new(Shop { stock: Mutex::new(10), orders: Mutex::default(), both: Barrier::new(2) });
    let (_forgotten, mut jobs) = mpsc::channel::<u32>(8);

    // Names are optional. Without them a task is known by the line that has spawned it.
    let named = redd::task::Builder::new;
    let tasks = [
        named().name("sell").spawn(sell(Arc::clone(&shop)))?,
        named().name("cancel").spawn(cancel_order(shop))?,
        named().name("worker").spawn(async move { while jobs.recv().await.is_some() {} })?,
    ];
    for task in tasks {
        if timeout(Duration::from_millis(500), task).await.is_err() {
            let dump = Handle::current().snapshot();
            print(&dump);
            println!("{} deadlock", dump.diagnoses().len());
            break;
        }
    }
    Ok(())
}
