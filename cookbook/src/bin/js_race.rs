//! The first one wins. The other one is dropped where it waits.

use redd::time::{Duration, sleep};

async fn ask(server: &str, ms: u64) -> &str {
    sleep(Duration::from_millis(ms)).await;
    println!("{server} has done its work");
    server
}

#[redd::main]
async fn main() {
    let winner = redd::select! {
        server = ask("fast", 10) => server,
        server = ask("slow", 200) => server,
    };
    println!("winner: {winner}");
    sleep(Duration::from_millis(300)).await;
    println!("and nothing else has run");
}
