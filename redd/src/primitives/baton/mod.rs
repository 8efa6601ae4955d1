//! The baton of a simulated world: of all threads of a world, the one that holds the baton runs, and the others wait for it.
//!
//! - `schedule` decides which thread runs next, and what time it is. It has no threads in it.
//! - `strategy` makes all choices, and `tape` is their record.
//! - `events` computes the hash of everything that happens.
//! - `world` has the hand-over, and what happens if nothing can happen. `guard` locks its state, and `failure` has what goes wrong.
//! - `member` knows which world a thread belongs to. `cpu` keeps the threads of a world on one CPU.
//! - `interposed` has what functions of the C library return on a thread of a world.
//! - `origin` has where the clocks start, and `entropy` the random numbers for them.
//! - `foreign` has the threads that do not belong to a world.
//! - `parts` has what rooms above add to a world, such as a network or a disk, and `extend` adds it.
//! - `hosts` knows the incarnation of each host.
//! - `director` lets one thread act when all others wait. `steer` is what it calls: its turns, and crashes.
//! - `settler` is the wait of a task until all others wait.
//!
//! The design is described in the module `sim`, which has the public part.

mod cpu;
mod director;
mod entropy;
mod events;
mod extend;
mod failure;
mod foreign;
mod guard;
mod hosts;
pub(crate) mod interposed;
mod member;
mod origin;
mod parts;
mod schedule;
mod settler;
mod steer;
mod strategy;
mod tape;
mod world;

pub(crate) use director::Turn;
pub(crate) use events::{Event, EventKind, Record, hash_of};
pub use failure::FailureKind;
pub(crate) use failure::{WorldEnded, WorldFailure};
pub(crate) use hosts::{MadeIn, WorldRuntime};
pub(crate) use member::{
    HostThread, Joined, Place, current, current_host, end_if_dead, is_any, is_dead, is_member, new_world, new_world_of,
    now, random_u64, wait_for_end, wait_word, wake_word,
};
pub(crate) use parts::Agenda;
pub(crate) use settler::Settler;
pub(crate) use strategy::{Choices, Plan};
pub use strategy::{Explore, ExploreError};
pub(crate) use tape::{ChoiceKind, Deviation};
pub use tape::{Tape, TapeError};
pub(crate) use world::Baton;
