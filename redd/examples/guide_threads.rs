//! The cost of tasks and of threads, measured on this machine.

use std::future::pending;
use std::time::Duration;

use redd::time::Instant;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("its second value is a number");
    pages * 4096
}

fn print(what: &str, count: u32, time: Duration, bytes: u64) {
    let each = time / count;
    println!("{count:>9} {what}: {each:?} to create each, {} bytes each", bytes / u64::from(count));
}

#[redd::main(flavor = "current_thread")]
async fn main() {
    let (start, before) = (Instant::now(), resident_bytes());
    let tasks: Vec<_> = (0..1_000_000).map(|_| redd::spawn(pending::<()>())).collect();
    print("tasks", 1_000_000, start.elapsed(), resident_bytes() - before);
    drop(tasks);

    let (start, before) = (Instant::now(), resident_bytes());
    let threads: Vec<_> = (0..1000)
        .map(|_| std::thread::Builder::new().spawn(std::thread::park).expect("a thousand threads are allowed"))
        .collect();
    print("threads", 1000, start.elapsed(), resident_bytes() - before);
    for thread in threads {
        thread.thread().unpark();
        thread.join().expect("it only slept");
    }
}
