//! Thread-local values under shuttle, whose threads share one thread of the system.

use std::cell::Cell;
use std::marker::PhantomData;

/// Shuttle's key, with what std's key of a cell has.
#[derive(Debug)]
pub(crate) struct LocalKey<T: 'static>(shuttle::thread::LocalKey<T>);

impl<T: 'static> LocalKey<T> {
    pub(crate) const fn new(init: fn() -> T) -> Self {
        Self(shuttle::thread::LocalKey { init, _p: PhantomData })
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.0.with(f)
    }

    pub(crate) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, shuttle::thread::AccessError> {
        self.0.try_with(f)
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    pub(crate) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }
}

macro_rules! modelled_local {
    ($($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = const { $init:expr };)*) => {
        $($(#[$attr])* $vis static $name: $crate::primitives::local::LocalKey<$type> =
            $crate::primitives::local::LocalKey::new(|| $init);)*
    };
}
pub(crate) use modelled_local as thread_local;
