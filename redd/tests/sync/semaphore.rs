//! `Semaphore` and its permits.

use super::support::poll_once;
use redd::sync::*;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn permits_split_and_merge_and_are_returned_once() {
    let semaphore = Semaphore::new(10);
    let mut most = semaphore.try_acquire_many(7).expect("free");
    assert!(most.split(8).is_none());
    let part = most.split(3).expect("enough");
    assert_eq!((most.num_permits(), part.num_permits()), (4, 3));
    assert_eq!(semaphore.available_permits(), 3);
    most.merge(part);
    assert_eq!(most.num_permits(), 7);
    most.split(2).expect("enough").forget();
    drop(most);
    assert_eq!(semaphore.available_permits(), 8);
    assert_eq!(semaphore.forget_permits(100), 8);
}

#[test]
fn merging_permits_of_two_semaphores_is_refused_and_both_are_returned() {
    let (one, two) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
    let mut held = Arc::clone(&one).try_acquire_owned().expect("free");
    let other = Arc::clone(&two).try_acquire_owned().expect("free");
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| held.merge(other)));
    let payload = refused.expect_err("refused");
    let message = payload.downcast_ref::<&str>().expect("a message");
    assert!(message.contains("merge only permits"), "{message}");
    drop(held);
    assert_eq!((one.available_permits(), two.available_permits()), (1, 1));
}

#[test]
fn errors_say_why() {
    let semaphore = Semaphore::const_new(0);
    let refused = semaphore.try_acquire().expect_err("none free");
    assert_eq!(refused.to_string(), "no permits available");
    semaphore.close();
    assert!(semaphore.is_closed());
    assert!(matches!(semaphore.try_acquire(), Err(TryAcquireError::Closed)));
    let Poll::Ready(Err(error)) = poll_once(Box::pin(semaphore.acquire()).as_mut()) else {
        panic!("closed");
    };
    assert_eq!(error.to_string(), "semaphore closed");
}

#[test]
fn a_blocked_thread_gets_the_permit_that_another_thread_returns() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&semaphore).blocking_acquire_owned().expect("open");
    let other = Arc::clone(&semaphore);
    let thread = std::thread::spawn(move || other.blocking_acquire().expect("open").num_permits());
    drop(held);
    assert_eq!(thread.join().expect("no panic"), 1);
    assert_eq!(semaphore.available_permits(), 1);
}
