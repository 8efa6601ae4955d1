//! `chance`: a rare event that a program tests itself with.
//!
//! Called by users.

use crate::primitives::baton;

/// Whether the event with this name happens now, in `percent` of all cases. Always false outside of a simulated world.
///
/// Code uses it at places where something rare may go wrong, such as a retry or an early flush. So the programs that run in production
/// contain their own faults, and a world switches them on.
///
/// # Examples
/// ```
/// use redd::sim::{World, chance};
///
/// assert!(!chance("early flush", 100), "there is no world here");
/// World::new(1).host("host", || assert!(chance("early flush", 100))).run().expect_ok();
/// ```
#[inline]
pub fn chance(name: &'static str, percent: u8) -> bool {
    baton::is_any() && baton::current().is_some_and(|baton| baton.chance(name, percent))
}
