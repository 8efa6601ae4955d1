//! Downloads with a limit, a time and a way to stop, from a `JoinSet`, a `Semaphore`, a channel and `select!`.

use redd::sync::{Semaphore, watch};
use redd::task::JoinSet;
use redd::time::{Duration, Instant, sleep, sleep_until};
use std::sync::Arc;

async fn download(number: u64) -> u64 {
    sleep(Duration::from_secs(number)).await;
    number
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let deadline = Instant::now() + Duration::from_secs(8);
    let places = Arc::new(Semaphore::new(2));
    let (stop, stopped) = watch::channel(false);
    let mut set = JoinSet::new();
    for number in 1..=5 {
        let (places, mut stopped) = (Arc::clone(&places), stopped.clone());
        set.spawn(async move {
            let work = async {
                let _place = places.acquire_owned().await.expect("it is not closed");
                download(number).await
            };
            redd::select! {
                number = work => Some(number),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            }
        });
    }
    let mut is_stopped = false;
    loop {
        redd::select! {
            joined = set.join_next() => match joined {
                Some(Ok(Some(number))) => println!("downloaded {number}"),
                Some(Ok(None)) => println!("stopped"),
                Some(Err(error)) => println!("failed: {error}"),
                None => break,
            },
            () = sleep_until(deadline), if !is_stopped => {
                is_stopped = true;
                stop.send(true).expect("a task listens");
            }
        }
    }
}
