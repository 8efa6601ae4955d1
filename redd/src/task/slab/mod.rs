//! The memory of tasks: chunks of equal slots, which are also the registry of live tasks.
//!
//! Called by `cell` (allocate, free), by `runtime::shutdown` and the dump (walk), and by the scheduler (one cache per
//! worker). A [`TaskSlab`] belongs to one runtime or one `LocalSet`.
//!
//! Each file takes from those above it:
//!
//! | file | noun |
//! |---|---|
//! | `sizes`, `pages` | sizes, and the return of pages: models replace them |
//! | `chunk` | chunks, their slots, lists of free slots |
//! | `central` | the lists behind the lock, and what a slab releases |
//! | `cache` | a worker's free slots, ids and counters |
//! | `task_slab` | the slab: its caches, its lists and its owner |
//! | `walk` | visits live tasks |
//! | `guest` | the cache of a thread that is not a worker |
//! | `trim` | returns idle memory to the system |
//!
//! # Invariants
//! - `zero-is-free`: a slot holds a task exactly while its state word counts references. The word is always accessed
//!   atomically, also when a task moves in. So a walker may read the word of any slot at any time.
//! - `body-needs-ref`: a thread without a reference touches only the state word of a slot. The owner of a free list also
//!   touches `next`.
//! - `type-stable`: a chunk stays a chunk until all its slots are free and either the slab is closed or the chunk is
//!   trimmed. Chunks are trimmed only while no walker is active (`trim`'s `walkers-pin`).
//! - `cache-owner`: a `Cache` is used only by the thread that entered it, one thread at a time. A guest's cache goes from
//!   one thread to the next under the lock of the central lists, and is empty then.
//! - `late-in-order`: a thread that is to enter a cache late does so only while what it has entered is as it was when it
//!   registered. So entering and leaving nest, also if the thread runs a loop of another runtime in between.
//! - `slab-outlives-slots`: while a closed slab has slots out, it owns a reference to itself, and it has its owner. So a
//!   thread that has a reference to a task may use the slab and its owner.
//! - `no-suicide`: no method of a slab drops what may be the last reference to it, its owner or its memory. They return
//!   it as `Remains`, which the caller drops where no reference to the slab is an argument any more.
//!
//! # Why not otherwise
//! `malloc` and a sharded list of live tasks cost 60-90 ns a task: two locks and three read-modify-writes. Here a spawn takes
//! no lock. A freed slot goes to the freeing worker's own list, which needs no atomics either.

mod cache;
mod central;
mod chunk;
mod guest;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../../models/task_slab_pages.rs")]
mod pages;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../../models/task_slab_sizes.rs")]
mod sizes;
mod task_slab;
mod trim;
mod walk;

pub(super) use chunk::{LARGE, class_of};
pub(crate) use guest::LateGuest;
pub(crate) use task_slab::TaskSlab;
