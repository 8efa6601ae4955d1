//! Deadlock: two tasks lock the same two accounts, in opposite orders.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

#[derive(Debug)]
struct Bank {
    savings: Mutex<i64>,
    current: Mutex<i64>,
}

async fn save(bank: Arc<Bank>, amount: i64) {
    let mut current = bank.current.lock().await; // culprit: holder of `current`
    check_limit().await;
    let mut savings = bank.savings.lock().await; // culprit: waits for `savings`
    *current -= amount;
    *savings += amount;
}

async fn pay_interest(bank: Arc<Bank>) {
    let mut savings = bank.savings.lock().await; // culprit: holder of `savings`
    check_limit().await;
    let mut current = bank.current.lock().await; // culprit: waits for `current`
    *current += *savings / 100;
    *savings -= *savings / 100;
}

/// Asks another service.
async fn check_limit() {
    sleep(Duration::from_millis(50)).await;
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let bank = Arc::new(Bank { savings: Mutex::new(1000), current: Mutex::new(500) });
    let saving = tokio::spawn(save(bank.clone(), 100));
    let interest = tokio::spawn(pay_interest(bank.clone()));
    saving.await.expect("`save` does not panic");
    interest.await.expect("`pay_interest` does not panic");
    println!("savings: {}", bank.savings.lock().await);
}
