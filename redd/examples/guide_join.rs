//! `join!` runs futures side by side inside one task; it needs no `'static` and no `Send`.

use redd::time::{Duration, Instant, sleep};

async fn wait_for(name: &str, seconds: u64) -> String {
    sleep(Duration::from_secs(seconds)).await;
    format!("{name} after {seconds} s")
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let name = String::from("tea");
    let start = Instant::now();
    // Both borrow from this task.
    let (first, second) = redd::join!(wait_for(&name, 3), wait_for("toast", 2));
    println!("{first}, {second}; together {} s", start.elapsed().as_secs());
}
