//! `Mutex` and its guards.

use super::support::{Wakes, poll_once, poll_with};
use redd::sync::*;
use std::cell::Cell;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn auto_traits_are_those_of_tokio() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    fn unpin<T: Unpin>(_: &T) {}
    let mutex = Arc::new(Mutex::new(Cell::new(1)));
    sync(&mutex);
    let (lock, lock_owned) = (mutex.lock(), Arc::clone(&mutex).lock_owned());
    send(&lock);
    sync(&lock);
    send(&lock_owned);
    sync(&lock_owned);
    let guard = mutex.try_lock().expect("free");
    send(&guard);
    unpin(&guard);
    let guard = MutexGuard::map(guard, |cell| cell);
    send(&guard);
}

#[test]
fn the_lock_is_handed_to_the_longest_waiter() {
    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().expect("free");
    let (wakes, waker) = Wakes::new();
    let (mut one, mut two) = (Box::pin(mutex.lock()), Box::pin(mutex.lock()));
    assert!(poll_with(one.as_mut(), &waker).is_pending());
    assert!(poll_with(two.as_mut(), &waker).is_pending());
    drop(guard);
    assert_eq!(wakes.count(), 1);
    assert!(mutex.try_lock().is_err(), "it belongs to the first waiter");
    assert!(poll_with(two.as_mut(), &waker).is_pending());
    drop(one);
    let Poll::Ready(guard) = poll_once(two.as_mut()) else {
        panic!("a grant that is dropped goes to the next");
    };
    assert_eq!(format!("{mutex:?} {guard:?} {guard}"), "Mutex { data: <locked> } 0 0");
    drop(guard);
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 0 }");
}

#[test]
fn mapped_guards_keep_the_lock_and_release_it_once() {
    let mutex = Arc::new(Mutex::new((1, [2, 3])));
    let guard = mutex.try_lock().expect("free");
    let guard = MutexGuard::try_map(guard, |_| None::<&mut i32>).expect_err("as it was");
    let mut mapped = MutexGuard::map(guard, |pair| &mut pair.1);
    mapped[0] = 20;
    let mapped = MappedMutexGuard::map(mapped, |array| &mut array[..]);
    let mapped = MappedMutexGuard::try_map(mapped, |slice| slice.first_mut()).expect("two");
    assert_eq!(*mapped, 20);
    assert!(mutex.try_lock().is_err());
    drop(mapped);

    let guard = Arc::clone(&mutex).try_lock_owned().expect("free");
    let mapped = OwnedMutexGuard::map(guard, |pair| &mut pair.1[..]);
    let mapped = OwnedMappedMutexGuard::try_map(mapped, |slice| slice.get_mut(9));
    let mapped = OwnedMappedMutexGuard::map(mapped.expect_err("only two"), |slice| &mut slice[1]);
    assert_eq!(*mapped, 3);
    assert!(mutex.try_lock().is_err());
    drop(mapped);
    assert_eq!(mutex.try_lock().expect("released once").0, 1);
}

#[test]
fn a_panic_in_map_releases_the_lock() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().expect("free");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(MutexGuard::map(guard, |_| -> &mut i32 { panic!("in map") }));
    }));
    assert!(panicked.is_err());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn unsized_values_can_be_locked() {
    let mutex: Arc<Mutex<dyn std::fmt::Debug + Send>> = Arc::new(Mutex::new(5));
    assert_eq!(format!("{:?}", mutex.blocking_lock()), "5");
    assert_eq!(format!("{:?}", Arc::clone(&mutex).blocking_lock_owned()), "5");
}
