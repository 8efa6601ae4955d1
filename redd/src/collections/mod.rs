//! An intrusive linked list, and a batch of wakers.

pub(crate) mod linked_list;
pub(crate) mod wake_list;
