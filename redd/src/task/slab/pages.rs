//! Returning the pages of a chunk to the system.
//!
//! Called by `trim`. Models replace this file.

pub(super) use crate::sys::give_back_pages;
