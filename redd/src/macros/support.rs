//! Items that the expansions of the macros use. Not a public interface.
//!
//! Called by expansions in the user's crate.
//!
//! # Invariants
//! - `output-once`: a `Joining` goes from `Running` to `Done` when its future is ready. It goes to `Taken` when the macro
//!   collects the outputs, which happens once, after all futures are ready.

pub use std::cell::RefCell;
pub use std::future::{Future, IntoFuture, poll_fn};
pub use std::option::Option::{self, None, Some};
pub use std::pin::pin;
pub use std::result::Result::{Err, Ok};
pub use std::task::Poll;
pub use std::thread_local;

pub use crate::group::task_local::{LocalKey, inherit};
pub use crate::sim::check::{SimulatedTest, watch_for_left_tasks};
pub use crate::task::inherited::InheritedKey;
#[cfg(feature = "macros")]
pub use redd_macros::{join, select, tokio_main, tokio_test, try_join};

use std::pin::Pin;
use std::task::{Context, ready};

use pin_project_lite::pin_project;

/// The output of a branch, by its path in the tree.
#[derive(Debug)]
pub enum Fork<L, R> {
    /// A branch of the first half.
    Left(L),
    /// A branch of the second half.
    Right(R),
}

pin_project! {
    /// Two pinned futures, or trees of them, side by side.
    #[derive(Debug)]
    pub struct Both<L, R> {
        #[pin]
        left: L,
        #[pin]
        right: R,
    }
}

impl<L, R> Both<L, R> {
    /// Creates a pair.
    pub const fn new(left: L, right: R) -> Self {
        Self { left, right }
    }

    /// The first half.
    pub fn left(self: Pin<&mut Self>) -> Pin<&mut L> {
        self.project().left
    }

    /// The second half.
    pub fn right(self: Pin<&mut Self>) -> Pin<&mut R> {
        self.project().right
    }
}

pin_project! {
    /// A future of `join!`. It is dropped as soon as it is ready, and its output is kept until the others are ready.
    // No bounds: a value that is not a future is then reported once, where it is polled.
    // `repr(u8)` keeps the tag out of the future's niches. A pinned future may share its memory with other threads, for
    // example with neighbours in an intrusive list. Reading the tag there would race with them.
    #[derive(Debug)]
    #[repr(u8)]
    #[project = Projected]
    #[project_replace = Replaced]
    pub enum Joining<F, T> {
        /// Not ready yet: the future.
        Running {
            #[pin]
            future: F,
        },
        /// Ready: the output.
        Done {
            output: T,
        },
        /// The output has been collected.
        Taken,
    }
}

impl<F, T> Joining<F, T> {
    /// Wraps a future that has not been polled.
    pub const fn new(future: F) -> Self {
        Self::Running { future }
    }
}

/// Polls the future unless it was ready before.
pub fn poll_done<F: Future>(mut joining: Pin<&mut Joining<F, F::Output>>, cx: &mut Context<'_>) -> Poll<()> {
    if let Projected::Running { future } = joining.as_mut().project() {
        let output = ready!(future.poll(cx));
        // `output-once`: this drops the future, as soon as it is ready.
        joining.set(Joining::Done { output });
    }
    Poll::Ready(())
}

/// As [`poll_done`], but returns an error immediately.
pub fn poll_ok<T, E, F: Future<Output = Result<T, E>>>(
    mut joining: Pin<&mut Joining<F, Result<T, E>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), E>> {
    if let Projected::Running { future } = joining.as_mut().project() {
        match ready!(future.poll(cx)) {
            Ok(value) => joining.set(Joining::Done { output: Ok(value) }),
            Err(error) => {
                joining.set(Joining::Taken);
                return Poll::Ready(Err(error));
            }
        }
    }
    Poll::Ready(Ok(()))
}

/// Takes the output.
pub fn take_output<F, T>(joining: Pin<&mut Joining<F, T>>) -> T {
    match joining.project_replace(Joining::Taken) {
        Replaced::Done { output } => output,
        Replaced::Running { .. } | Replaced::Taken => {
            unreachable!("`output-once`: outputs are taken once, when all futures are done")
        }
    }
}

/// Takes the value.
pub fn take_ok<F, T, E>(joining: Pin<&mut Joining<F, Result<T, E>>>) -> T {
    match take_output(joining) {
        Ok(value) => value,
        Err(_) => unreachable!("`output-once`: an error ends `try_join!` when it appears"),
    }
}

/// Returns a random number below `bound`: the branch with which a `select!` begins. On a runtime's threads it depends
/// on the runtime's seed.
#[must_use]
#[inline]
pub fn random_below(bound: u32) -> u32 {
    crate::current::random_below(bound)
}

/// As [`random_below`], under the name that Tokio's support module has.
#[must_use]
pub fn thread_rng_n(n: u32) -> u32 {
    random_below(n)
}

/// Returns whether the task has budget left. Without it, a `select!` loop with branches that are always ready would
/// starve other tasks. Consumes no budget: the branches consume it for their own work.
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    crate::task::coop::poll_proceed(cx).map(drop)
}

/// Panics because all branches of a `select!` are disabled.
#[cold]
#[track_caller]
pub fn no_branch_left() -> ! {
    panic!(
        "all branches are disabled and there is no else branch: in this `select!`, each condition was false or each \
         future was ready with a value that its pattern refused. Add `else => …` to say what happens then."
    )
}

/// Panics because the same pattern first matched a value and then refused it.
#[cold]
#[track_caller]
pub fn pattern_refused() -> ! {
    panic!(
        "a pattern of this `select!` refused a value that it had let through: a lower-case name in it is a constant, \
         not a variable. Rename the constant to upper case, or compare in the handler."
    )
}
