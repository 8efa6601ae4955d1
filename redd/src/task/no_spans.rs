//! In place of `spans` without the feature `tracing`: these functions compile to nothing.

use super::hooks::TaskHooks;
use super::id::Id;

pub(crate) fn around(hooks: TaskHooks) -> TaskHooks {
    hooks
}

#[inline(always)]
pub(super) fn waker(_: &'static str, _: Id) {}
