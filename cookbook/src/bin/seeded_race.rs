//! Two withdrawals that both read the balance before one of them has written it. A seed repeats the order that loses money.

use std::sync::Arc;

use redd::sim::World;
use redd::task::Builder as Task;
use tokio::sync::Mutex;
use tokio::task::yield_now;

struct Account {
    balance: Mutex<u32>,
}

impl Account {
    /// Correct in many orders. The lock is not held across the question to the bank.
    async fn withdraw(&self, amount: u32) -> bool {
        let balance = *self.balance.lock().await;
        if balance < amount {
            return false;
        }
        yield_now().await; // The bank is asked.
        *self.balance.lock().await = balance - amount;
        true
    }
}

/// The program. It could be any `main` on Tokio.
#[tokio::main(flavor = "current_thread")]
async fn bank() {
    let account = Arc::new(Account { balance: Mutex::new(100) });
    let [rent, food] = [("rent", 70, 0), ("food", 20, 2)].map(|(name, amount, later)| {
        let account = Arc::clone(&account);
        let withdraw = async move {
            for _ in 0..later {
                yield_now().await; // It usually comes later.
            }
            account.withdraw(amount).await
        };
        Task::new().name(name).spawn(withdraw).expect("it is in a runtime")
    });
    assert!(rent.await.expect("no panic") && food.await.expect("no panic"));
    assert_eq!(*account.balance.lock().await, 10, "both were paid");
}

fn main() {
    std::panic::set_hook(Box::new(|_| ())); // The report has the message.
    let world = |seed| World::new(seed).host("bank", bank);

    let fails = |seed: &u64| !world(*seed).run().failures().is_empty();
    let seed = (0..1000).find(fails).expect("one of a thousand orders shows it");
    let first = world(seed).run();
    println!("{}", first.failures()[0]);

    let second = world(seed).run();
    println!("the same {} events again: {}", second.events(), first.event_hash() == second.event_hash());

    let shrunk = world(seed).shrink(500).expect("it fails again");
    println!("one of the simplest orders that fail:");
    println!("{}", shrunk.words().join("\n"));
}
