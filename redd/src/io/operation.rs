//! The futures of the extension traits, as one: what they wait for is an [`Operation`], and [`Awaited`] makes it a future.
//!
//! Called by the methods of `read_ext`, `buf_read_ext`, `write_ext`, `seek_ext` and `numbers`.
//!
//! # Why not otherwise
//! The operations only hold references, so they could be futures themselves, which are `Unpin`. As in Tokio they are
//! not: a program that compiles here compiles there.

use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// What one call of a method does, over several polls.
pub trait Operation {
    /// What the caller gets.
    type Output;

    /// Goes on with it.
    fn poll_operation(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

pin_project! {
    /// The future of an operation.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Awaited<O> {
        operation: O,
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl<O> Awaited<O> {
    #[inline]
    pub(super) fn new(operation: O) -> Self {
        Self { operation, _pinned: PhantomPinned }
    }
}

impl<O: Operation> Future for Awaited<O> {
    type Output = O::Output;

    #[inline]
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        self.project().operation.poll_operation(cx)
    }
}
