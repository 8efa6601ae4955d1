//! Exercise 2: how many primes are below 200,000, on the blocking pool.

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

#[redd::main]
async fn main() {
    let parts: Vec<_> = (0..4_u32)
        .map(|part| {
            let range = part * 50_000..(part + 1) * 50_000;
            redd::task::spawn_blocking(move || range.filter(|n| is_prime(*n)).count())
        })
        .collect();
    let mut count = 0;
    for part in parts {
        count += part.await.expect("counting does not panic");
    }
    println!("{count}");
}
