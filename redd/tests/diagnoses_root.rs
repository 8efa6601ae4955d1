//! RFD 609's futurelock in the future of `block_on`. It is in a process of its own: such a future has no id that tells it from those
//! of other tests.

#![allow(clippy::disallowed_methods, reason = "the threads of a program use the standard library")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;

use redd::runtime::Builder;
use redd::runtime::dump::Diagnosis;
use redd::sync::{Mutex, oneshot};
use redd::time::{Duration, sleep};

/// Only for a test that fails: a report comes within two seconds.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A background task has the lock for a while. A branch of `select!` borrows a future that waits for it, and the other branch waits
/// for the same lock.
async fn futurelock() {
    let lock = Arc::new(Mutex::new(()));
    let (other, (has_lock, takes_lock)) = (lock.clone(), oneshot::channel());
    redd::spawn(async move {
        let _guard = other.lock().await;
        has_lock.send(()).unwrap();
        sleep(Duration::from_millis(50)).await;
    });
    takes_lock.await.unwrap();
    let mut first = pin!(async { drop(lock.lock().await) });
    redd::select! {
        () = &mut first => {}
        () = sleep(Duration::from_millis(5)) => {
            let _guard = lock.lock().await;
        }
    }
}

#[test]
fn a_futurelock_of_the_future_of_block_on_is_reported_with_both_lines() {
    let source: Vec<&str> = include_str!("diagnoses_root.rs").lines().collect();
    let line = |text: &str| source.iter().position(|line| line.contains(text)).unwrap() + 1;
    let lines = [line("pin!(async { drop("), line("let _guard = lock.lock().await;")];
    let mut builders = [Builder::new_multi_thread(), Builder::new_current_thread()];
    builders[0].worker_threads(2);
    for mut builder in builders {
        let (send, receive) = channel();
        builder.enable_all().on_diagnosis(move |diagnosis: &Diagnosis| drop(send.send(diagnosis.clone())));
        let runtime = builder.build().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                redd::select! {
                    _ = ended => {}
                    () = futurelock() => {}
                }
            });
        });
        let report = receive.recv_timeout(WATCHDOG).unwrap();
        assert!(
            matches!(&report, Diagnosis::Futurelock { task: None, released_by: Some(_), waiting: 1, .. }),
            "{report}"
        );
        let text = report.to_string();
        for line in lines {
            assert!(text.contains(&format!("redd/tests/diagnoses_root.rs:{line}:")), "{line}: {text}");
        }
        drop(end);
        thread.join().unwrap();
    }
}
