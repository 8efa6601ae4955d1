//! The futures of the extension traits, as one: [`OperationFuture`] is a stream and the [`Operation`] on it.
//!
//! Called by the methods of `read_ext`, `buf_read_ext`, `write_ext`, `seek_ext` and `numbers`.
//!
//! # Why not otherwise
//! It only holds references, so it could be `Unpin`. As in Tokio it is not: a program that compiles here compiles there.

use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// What one call of a method does with a stream, over several polls.
pub trait Operation<S: ?Sized> {
    /// What the caller gets.
    type Output;

    /// Goes on with it.
    fn poll_operation(&mut self, stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

pin_project! {
    /// The future of an operation.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct OperationFuture<'a, S: ?Sized, O> {
        stream: &'a mut S,
        operation: O,
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl<'a, S: ?Sized, O> OperationFuture<'a, S, O> {
    #[inline]
    pub(super) fn new(stream: &'a mut S, operation: O) -> Self {
        Self { stream, operation, _pinned: PhantomPinned }
    }
}

/// Methods of the extension traits: `name[generics](arguments) -> Operation = the operation to begin`.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $name:ident$([$($generics:tt)*])?($($argument:ident: $T:ty),*) -> $Operation:ty
        $(where Self: $Bound:ident)? = $operation:expr;
    )*) => {$(
        $(#[$doc])*
        fn $name<'a $(, $($generics)*)?>(&'a mut self $(, $argument: $T)*) -> OperationFuture<'a, Self, $Operation>
        where
            Self: Unpin $(+ $Bound)?,
        {
            OperationFuture::new(self, $operation)
        }
    )*};
}

impl<S: Unpin + ?Sized, O: Operation<S>> Future for OperationFuture<'_, S, O> {
    type Output = O::Output;

    #[inline]
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.project();
        this.operation.poll_operation(Pin::new(this.stream), cx)
    }
}
