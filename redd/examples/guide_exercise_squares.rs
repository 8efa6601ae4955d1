//! Exercise 1: the sum of the squares of 1 to 100, with a task for each number.

#[redd::main]
async fn main() {
    let tasks: Vec<_> = (1..=100_u64).map(|n| redd::spawn(async move { n * n })).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("a multiplication does not panic");
    }
    println!("{sum}");
}
