//! `RwLock` and all its guards.

use super::support::poll_once;
use redd::sync::*;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn readers_share_and_a_waiting_writer_holds_later_readers_back() {
    let lock = RwLock::new(1);
    let (one, two) = (lock.try_read().expect("free"), lock.try_read().expect("shared"));
    let mut writer = Box::pin(lock.write());
    assert!(poll_once(writer.as_mut()).is_pending());
    assert!(lock.try_read().is_err(), "the writer is first");
    let mut reader = Box::pin(lock.read());
    assert!(poll_once(reader.as_mut()).is_pending());
    drop((one, two));
    let Poll::Ready(mut guard) = poll_once(writer.as_mut()) else {
        panic!("the writer's turn");
    };
    *guard += 1;
    assert!(poll_once(reader.as_mut()).is_pending());
    let guard = guard.downgrade();
    let Poll::Ready(other) = poll_once(reader.as_mut()) else {
        panic!("a downgraded writer shares with the reader behind it");
    };
    assert_eq!((*guard, *other), (2, 2));
}

#[test]
fn a_cancelled_writer_lets_the_readers_behind_it_in() {
    let lock = RwLock::new(1);
    let held = lock.try_read().expect("free");
    let mut writer = Box::pin(lock.write());
    assert!(poll_once(writer.as_mut()).is_pending());
    let mut reader = Box::pin(lock.read());
    assert!(poll_once(reader.as_mut()).is_pending());
    drop(writer);
    assert!(poll_once(reader.as_mut()).is_ready());
    drop((held, reader));
    assert!(lock.try_write().is_ok());
}

#[test]
fn the_number_of_readers_can_be_limited() {
    let lock = Arc::new(RwLock::with_max_readers(1, 2));
    let one = Arc::clone(&lock).try_read_owned().expect("free");
    let _two = lock.try_read().expect("shared");
    assert!(lock.try_read().is_err());
    drop(one);
    assert!(lock.try_read().is_ok());
    let none = std::panic::catch_unwind(|| RwLock::with_max_readers(1, 0)).expect_err("none");
    let message = none.downcast_ref::<&str>().expect("a message");
    assert!(message.contains("use at least 1"), "{message}");
}

#[test]
fn every_kind_of_guard_releases_the_lock_once() {
    let lock = Arc::new(RwLock::new((1, [2, 3])));
    let is_free = || lock.try_write().is_ok();

    let read = RwLockReadGuard::map(lock.try_read().expect("free"), |pair| &pair.1[..]);
    let read = RwLockReadGuard::try_map(read, |slice| slice.get(9)).expect_err("only two");
    assert_eq!(read.len(), 2);
    drop(read);
    assert!(is_free());

    let write = RwLockWriteGuard::map(lock.try_write().expect("free"), |pair| &mut pair.1[..]);
    let write = RwLockMappedWriteGuard::map(write, |slice| &mut slice[0]);
    assert!(lock.try_read().is_err());
    let write = RwLockMappedWriteGuard::try_map(write, |_| None::<&mut i32>);
    drop(write.expect_err("as it was"));
    assert!(is_free());

    let write = lock.try_write().expect("free");
    let write = RwLockWriteGuard::try_downgrade_map(write, |_| None::<&i32>).expect_err("none");
    let read = RwLockWriteGuard::downgrade_map(write, |pair| &pair.0);
    assert_eq!((*read, lock.try_read().expect("shared").0), (1, 1));
    assert!(!is_free());
    drop(read);
    drop(RwLockWriteGuard::into_mapped(lock.try_write().expect("free")));
    assert!(is_free());

    let owned = Arc::clone(&lock).try_write_owned().expect("free");
    let owned = OwnedRwLockWriteGuard::map(owned, |pair| &mut pair.1);
    let owned = OwnedRwLockMappedWriteGuard::map(owned, |array| &mut array[1]);
    assert_eq!((*owned, Arc::strong_count(OwnedRwLockMappedWriteGuard::rwlock(&owned))), (3, 2));
    drop(owned);
    let owned = Arc::clone(&lock).try_write_owned().expect("free").downgrade();
    let owned = OwnedRwLockReadGuard::map(owned, |pair| &pair.0);
    assert!(lock.try_read().is_ok() && !is_free());
    drop(owned);
    drop(OwnedRwLockWriteGuard::into_mapped(lock.clone().try_write_owned().expect("free")));
    assert!(is_free());
    assert_eq!(Arc::strong_count(&lock), 1);
}
