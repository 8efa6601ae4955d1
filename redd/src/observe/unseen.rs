//! The interface of `resources.rs` without the feature `tracing`: every function is empty.
//!
//! Called by `sync` and `time`.

use std::task::Poll;

pub(crate) use super::{ResourceKind, Update};

#[derive(Clone, Debug)]
pub(crate) struct Resource;

impl Resource {
    pub(crate) const UNSEEN: Self = Self;

    #[inline(always)]
    pub(crate) fn new(_: ResourceKind) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    pub(crate) fn tell<const N: usize>(&self, _: impl FnOnce() -> [Update; N]) {}

    #[inline(always)]
    pub(crate) fn operation(&self, _: &str) -> Operation {
        Operation
    }

    #[inline(always)]
    pub(crate) fn instrument<F>(&self, _: &str, _: &'static str, future: F) -> F {
        future
    }
}

#[derive(Clone)]
pub(crate) struct Operation;

impl Operation {
    #[inline(always)]
    pub(crate) fn poll<T>(&self, _: &Resource, _: &str, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        poll()
    }
}

#[inline(always)]
pub(crate) fn tell_here<const N: usize>(_: impl FnOnce() -> [Update; N]) {}

#[inline(always)]
pub(crate) fn tell_poll(_: &str, _: bool) {}
