//! `select!`, `join!`, `try_join!`, `pin!`, `task_local!` and `assert_active!`.
//!
//! The macros are exported at the crate's root. Their expansions reach into the crate only through [`support`], by the
//! path that `$crate` gives, so they work under any name of the crate and with any prelude name shadowed.
//! `select!`, `join!` and `try_join!` are parsed by the crate `redd-macros`; the wrappers here hand it that path.

#![doc(hidden)]

mod assert_active;
#[cfg(feature = "macros")]
mod join;
mod pin;
#[cfg(feature = "macros")]
mod select;
pub mod support;
mod task_local;
