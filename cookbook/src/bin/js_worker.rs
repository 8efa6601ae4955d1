//! A computation in a thread of its own. It gets a closure, and no data is copied.

fn count_primes(limit: u32) -> usize {
    (2..limit).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

#[redd::main]
async fn main() {
    let count = redd::task::spawn_blocking(|| count_primes(20_000)).await.expect("it does not panic");
    println!("{count} primes");
}
