//! A lock for many readers or one writer, which may be held across an `await`: [`RwLock`].
//!
//! A reader holds one permit of `permits`, a writer all of them. So readers and writers stand in one line, first come,
//! first served, and a writer that waits keeps later readers behind it.
//!
//! # Invariants
//! - `all-or-one`: a write guard holds all permits, a read guard one; whoever holds a guard keeps the others' rights
//!   away by the count alone.
//! - `held-moves`: mapping and downgrading move the held permits from guard to guard; they are given back once.

#![expect(unsafe_code, reason = "the value is reached through its guards")]

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

use super::TryLockError;
use super::blocking::block_thread_on;
use super::guard::{PermitOwner, guard_map, guard_traits, lock_face, lock_methods, map_methods};
use super::permits::Permits;
use crate::observe::resources::{Resource, ResourceKind, Update};
use crate::observe::waiting::WaitKind;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// As many readers as any lock allows; the figure is Tokio's.
const MAX_READERS: u32 = u32::MAX >> 3;

/// A lock for many readers or one writer, whose guards may be held across an `await`.
///
/// - First come, first served: a writer that waits is not overtaken by later readers. A task that holds a read guard
///   and asks for a second one can therefore wait for ever, if a writer came in between.
/// - It does not poison: after a panic with a write guard held, the value is as the panic left it.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let names = redd::sync::RwLock::new(vec!["ann"]);
/// names.write().await.push("bob");
/// let (one, two) = (names.read().await, names.read().await);
/// assert_eq!(one.len() + two.len(), 4);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    max_readers: u32,
    permits: Permits,
    data: UnsafeCell<T>,
}

// SAFETY: `all-or-one`: the value is changed by one thread at a time (so `Send`), and read by many at a time only while
// nobody changes it (so `Sync`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// An unlocked lock with this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::with_max_readers(value, MAX_READERS)
    }

    /// A lock that at most `max_readers` can read at a time.
    ///
    /// # Panics
    /// If `max_readers` is 0 or exceeds `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_readers: u32) -> Self {
        let this = Self::const_with_max_readers(value, max_readers);
        let owner = Resource::new(ResourceKind::RwLock);
        owner.tell(|| [Update::MaxReaders(max_readers), Update::WriteLocked(false), Update::Readers(0)]);
        Self { permits: Permits::part_of(owner, max_readers as usize, []), ..this }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics; not among the resources in tokio-console.
        pub const fn const_new(value: T) -> Self {
            Self::const_with_max_readers(value, MAX_READERS)
        }

        /// The same as [`with_max_readers`](Self::with_max_readers), for statics; not among the resources in tokio-console.
        ///
        /// # Panics
        /// If `max_readers` is 0 or exceeds `u32::MAX >> 3`.
        #[track_caller]
        pub const fn const_with_max_readers(value: T, max_readers: u32) -> Self {
            assert!(
                max_readers <= MAX_READERS,
                "a RwLock may not be created with more readers than it can count; ask for at most `u32::MAX >> 3`"
            );
            assert!(
                max_readers > 0,
                "a RwLock may not be created with 0 readers, for nobody could ever read; ask for at least 1"
            );
            Self {
                max_readers,
                permits: Permits::new(max_readers as usize),
                data: UnsafeCell::new(value),
            }
        }
    }
}

impl<T: ?Sized> RwLock<T> {
    lock_methods! {
        RwLock, "a right to read", 1;
        self: &Self => read_guard -> RwLockReadGuard<'_, T>;
        read, try_read, blocking_read
    }

    lock_methods! {
        RwLock, "the right to write", self.max_readers as usize;
        self: &Self => write_guard -> RwLockWriteGuard<'_, T>;
        write, try_write, blocking_write
    }

    lock_methods! {
        RwLock, "a right to read, with a guard that shares the ownership of the lock", 1;
        self: Arc<Self> => owned_read_guard -> OwnedRwLockReadGuard<T>;
        read_owned, try_read_owned
    }

    lock_methods! {
        RwLock, "the right to write, with a guard that shares the ownership of the lock", self.max_readers as usize;
        self: Arc<Self> => owned_write_guard -> OwnedRwLockWriteGuard<T>;
        write_owned, try_write_owned
    }

    // The four below are called by who has just acquired the permits (`all-or-one`).

    fn held(&self, count: u32) -> HeldPermits<&Permits> {
        HeldPermits { owner: &self.permits, count }
    }

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        let guard = RwLockReadGuard { data: self.data.with(|data| data), held: self.held(1), marker: PhantomData };
        guard.held.report(1);
        guard
    }

    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        let guard = RwLockWriteGuard { data: self.data.with_mut(|data| data), held: self.held(self.max_readers) };
        guard.held.report(1);
        guard
    }

    fn owned_read_guard(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        let guard =
            OwnedRwLockReadGuard { data: self.data.with(|data| data), held: HeldPermits { count: 1, owner: self } };
        guard.held.report(1);
        guard
    }

    fn owned_write_guard(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        let data = self.data.with_mut(|data| data);
        let guard = OwnedRwLockWriteGuard { data, held: HeldPermits { count: self.max_readers, owner: self } };
        guard.held.report(1);
        guard
    }
}

lock_face!(RwLock, try_read);

/// Permits, given back when dropped (`held-moves`), and before a share of the ownership goes.
struct HeldPermits<L: Deref<Target: PermitOwner>> {
    owner: L,
    count: u32,
}

impl<L: Deref<Target: PermitOwner>> HeldPermits<L> {
    /// Keeps one permit and gives the others back: a writer becomes a reader, and no writer comes in between.
    fn downgrade(mut self) -> Self {
        let spare = std::mem::replace(&mut self.count, 1) - 1;
        let permits = self.owner.permits();
        permits.release(spare as usize);
        permits.report(|| [Update::WriteLocked(false), Update::Readers(1)]);
        self
    }

    /// Tells that there is one more, or fewer, of those who hold so many permits. A lock with one permit has readers only.
    #[inline(always)]
    fn report(&self, change: i64) {
        let is_reader = self.count == 1;
        self.owner
            .permits()
            .report(|| [if is_reader { Update::Readers(change) } else { Update::WriteLocked(change > 0) }]);
    }
}

impl<L: Deref<Target: PermitOwner>> Drop for HeldPermits<L> {
    #[inline]
    fn drop(&mut self) {
        self.owner.permits().release(self.count as usize);
        self.report(-1);
    }
}

/// What only a writer of the whole value can do: become a reader, or a mapped writer.
macro_rules! whole_write_methods {
    (
        $Mapped:ident<$($whole:tt),*>, $Reader:ident<$($reader:tt),*>, $Part:ident<$($part:tt),*> $(, $marker:ident)?
    ) => {
        /// The guard of the whole value in the type of a mapped one.
        pub fn into_mapped(this: Self) -> $Mapped<$($whole),*> {
            $Mapped { data: this.data, held: this.held }
        }

        /// Becomes a reader, and lets no writer in between.
        pub fn downgrade(self) -> $Reader<$($reader),*> {
            $Reader { data: self.data, held: self.held.downgrade() $(, $marker: PhantomData)? }
        }

        /// Becomes a reader of a part of the value, and lets no writer in between.
        pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> $Part<$($part),*>
        where
            F: FnOnce(&T) -> &U,
        {
            let data: *const U = f(&*this);
            $Part { data, held: this.held.downgrade() $(, $marker: PhantomData)? }
        }

        /// Becomes a reader of a part of the value, if `f` finds it, and lets no writer in between.
        ///
        /// # Errors
        /// The guard, if `f` returned `None`.
        pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<$Part<$($part),*>, Self>
        where
            F: FnOnce(&T) -> Option<&U>,
        {
            let Some(data) = f(&*this) else {
                return Err(this);
            };
            let data: *const U = data;
            Ok($Part { data, held: this.held.downgrade() $(, $marker: PhantomData)? })
        }
    };
}

/// The lock whose share a guard holds.
macro_rules! owned_methods {
    () => {
        /// The lock that this guard belongs to.
        pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
            &this.held.owner
        }
    };
}

/// A right to read, while this lives. Made by [`RwLock::read`].
#[clippy::has_significant_drop]
#[must_use = "the lock is let go when this is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    data: *const T,
    held: HeldPermits<&'a Permits>,
    marker: PhantomData<&'a T>,
}

// SAFETY: the guard is as the `&T` that it gives out.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: as above; Tokio asks for `Send` too, and so do we.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    guard_map!(const, T => RwLockReadGuard<'a, V>, [F, V: ?Sized], marker);
}

guard_traits!(['a, T: ?Sized] RwLockReadGuard<'a, T> => T);

/// The right to write, while this lives. Made by [`RwLock::write`].
#[clippy::has_significant_drop]
#[must_use = "the lock is let go when this is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    data: *mut T,
    held: HeldPermits<&'a Permits>,
}

// SAFETY: the guard is as the `&mut T` that it gives out; downgraded, as the `&T`.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    guard_map!(mut mut, T => RwLockMappedWriteGuard<'a, V>, [F, V: ?Sized]);
    whole_write_methods!(RwLockMappedWriteGuard<'a, T>, RwLockReadGuard<'a, T>, RwLockReadGuard<'a, U>, marker);
}

guard_traits!(mut ['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);

/// An [`RwLockWriteGuard`] for a part of the value. Made by [`RwLockWriteGuard::map`].
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    data: *mut T,
    held: HeldPermits<&'a Permits>,
}

// SAFETY: the guard is as the `&mut T` that it gives out.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockMappedWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    guard_map!(mut mut, T => RwLockMappedWriteGuard<'a, V>, [F, V: ?Sized]);
}

guard_traits!(mut ['a, T: ?Sized] RwLockMappedWriteGuard<'a, T> => T);

/// A right to read, with a share of the ownership. Made by [`RwLock::read_owned`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    data: *const U,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a share of the lock, which may go to another thread if `T` may, and is as a `&U`.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Sync> Send for OwnedRwLockReadGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedRwLockReadGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    guard_map!(const, U => OwnedRwLockReadGuard<T, V>, [F, V: ?Sized]);
    owned_methods!();
}

guard_traits!([T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U> => U);

/// The right to write, with a share of the ownership. Made by [`RwLock::write_owned`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    data: *mut T,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a share of the lock, and is as an `&mut T`.
unsafe impl<T: ?Sized + Send + Sync> Send for OwnedRwLockWriteGuard<T> {}
// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedRwLockWriteGuard<T> {}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    guard_map!(mut mut, T => OwnedRwLockMappedWriteGuard<T, V>, [F, V: ?Sized]);
    whole_write_methods!(OwnedRwLockMappedWriteGuard<T>, OwnedRwLockReadGuard<T>, OwnedRwLockReadGuard<T, U>);
    owned_methods!();
}

guard_traits!(mut [T: ?Sized] OwnedRwLockWriteGuard<T> => T);

/// An [`OwnedRwLockWriteGuard`] for a part of the value. Made by [`OwnedRwLockWriteGuard::map`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    data: *mut U,
    held: HeldPermits<Arc<RwLock<T>>>,
}

// SAFETY: the guard owns a share of the lock, and is as an `&mut U`.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Send for OwnedRwLockMappedWriteGuard<T, U> {}
// SAFETY: a shared guard gives out `&U` only.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedRwLockMappedWriteGuard<T, U> {}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    guard_map!(mut mut, U => OwnedRwLockMappedWriteGuard<T, V>, [F, V: ?Sized]);
    owned_methods!();
}

guard_traits!(mut [T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U> => U);
