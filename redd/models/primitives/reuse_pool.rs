//! A pool that reuses nothing: in a model no value outlives an execution, so the memory is leaked.
//!
//! A model of the reuse itself has a [`ModelPool`].

use std::cell::Cell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use crate::primitives::record_pool::{Chain, OwnedRecord, RecordPool};

/// The pool, without values.
#[derive(Debug)]
pub(crate) struct Pool<T: 'static>(PhantomData<fn() -> &'static T>);

impl<T: Send + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> &'static T {
        Box::leak(Box::new(make()))
    }

    pub(crate) fn give_back(&self, _value: &'static T) {}
}

/// A type of values in records. Implemented by [`recorded`].
pub(crate) trait Recorded: Sync + Sized + 'static {
    fn new() -> Self;

    /// The pool of the model that runs. All threads of a model are one thread of the system.
    fn of_model() -> &'static LocalKey<Cell<Option<&'static RecordPool<Self>>>>;
}

macro_rules! recorded {
    ($type:ty, $new:expr) => {
        impl $crate::primitives::reuse_pool::Recorded for $type {
            fn new() -> Self {
                $new
            }

            fn of_model() -> &'static std::thread::LocalKey<
                std::cell::Cell<Option<&'static $crate::primitives::record_pool::RecordPool<Self>>>,
            > {
                std::thread_local! {
                    static POOL: std::cell::Cell<Option<&'static $crate::primitives::record_pool::RecordPool<$type>>> =
                        const { std::cell::Cell::new(None) };
                }
                &POOL
            }
        }
    };
}
pub(crate) use recorded;

/// While it lives, records come from one pool and go back to it, without caches of threads: these do not interact.
pub(crate) struct ModelPool<T: Recorded>(PhantomData<T>);

impl<T: Recorded> ModelPool<T> {
    pub(crate) fn new() -> Self {
        T::of_model().set(Some(Box::leak(Box::new(RecordPool::new()))));
        Self(PhantomData)
    }
}

impl<T: Recorded> Drop for ModelPool<T> {
    fn drop(&mut self) {
        T::of_model().set(None);
    }
}

pub(crate) fn take<T: Recorded>() -> OwnedRecord<T> {
    match T::of_model().get() {
        Some(pool) => pool.take_idle(1).pop().unwrap_or_else(|| pool.make(T::new())),
        None => OwnedRecord::new(T::new()),
    }
}

pub(crate) fn give_back<T: Recorded>(record: OwnedRecord<T>) {
    if let Some(pool) = T::of_model().get() {
        let mut chain = Chain::new();
        chain.push(record);
        // The lock is always free in a model in the end, see `lock_within`.
        assert!(pool.put(chain).is_ok());
    }
}

pub(crate) fn for_each<T: Recorded>(f: impl FnMut(&'static T)) {
    if let Some(pool) = T::of_model().get() {
        pool.for_each(f);
    }
}
