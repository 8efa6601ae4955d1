//! `select!`, `join!`, `try_join!`, `pin!`, `task_local!` and `assert_active!`.
//!
//! The macros are exported at the crate's root. Their expansions use the crate only through [`support`], by the path that
//! `$crate` gives. So they work under any name of the crate, and if the caller shadows a name of the prelude.
//! The crate `redd-macros` parses `select!`, `join!` and `try_join!`. The wrappers here pass it that path.

#![doc(hidden)]

mod assert_active;
#[cfg(feature = "macros")]
mod join;
mod pin;
#[cfg(feature = "macros")]
mod select;
pub mod support;
mod task_local;
