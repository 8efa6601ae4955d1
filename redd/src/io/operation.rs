//! The future that the methods of the extension traits return: a stream and an [`Operation`] on it.
//!
//! Called by the methods of `read_ext`, `buf_read_ext`, `write_ext` and `seek_ext`.
//!
//! # Why not otherwise
//! The future only holds references, so it could be `Unpin`. As in Tokio it is not: a program that compiles here
//! compiles there.

use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::observe::waiting;

/// One method call on a stream, polled until it completes.
pub trait Operation<S: ?Sized> {
    /// The result of the call.
    type Output;

    /// Continues the operation.
    fn poll_operation(&mut self, stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

pin_project! {
    /// The future of an operation.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct OperationFuture<'a, S: ?Sized, O> {
        stream: &'a mut S,
        operation: O,
        location: &'static Location<'static>,
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl<'a, S: ?Sized, O> OperationFuture<'a, S, O> {
    #[inline]
    #[track_caller]
    pub(super) fn new(stream: &'a mut S, operation: O) -> Self {
        Self { stream, operation, location: Location::caller(), _pinned: PhantomPinned }
    }
}

impl<S: Unpin + ?Sized, O: Operation<S>> Future for OperationFuture<'_, S, O> {
    type Output = O::Output;

    #[inline]
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.project();
        waiting::locate(this.operation.poll_operation(Pin::new(this.stream), cx), this.location)
    }
}
