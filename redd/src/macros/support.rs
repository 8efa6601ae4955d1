//! What the expansions of the macros use. Not a public interface.
//!
//! Called by expansions in the user's crate.
//!
//! # Invariants
//! - `output-once`: a `Joining` goes from `Running` to `Done` when its future is ready, and to `Taken` when the macro
//!   collects the outputs, which it does once, after all are done.

pub use std::cell::RefCell;
pub use std::future::{Future, IntoFuture, poll_fn};
pub use std::option::Option::{self, None, Some};
pub use std::pin::pin;
pub use std::result::Result::{Err, Ok};
pub use std::task::Poll;
pub use std::thread_local;

pub use crate::group::task_local::LocalKey;
#[cfg(feature = "macros")]
pub use redd_macros::{join, select, tokio_main, tokio_test, try_join};

use std::pin::Pin;
use std::task::{Context, ready};

use pin_project_lite::pin_project;

/// One of two: the output of a branch, by its path in the tree.
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
    /// Puts two side by side.
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
    /// A future of `join!` that keeps its output until the others are done, and is dropped as soon as it is.
    // No bounds here: a value that is no future is then reported once, where it is polled.
    // A tag of its own, not in a niche of the future: a pinned future may lend its memory to others, such as neighbours
    // in a list, and reading the tag there would race with them.
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
    /// A future that has not been polled.
    pub const fn new(future: F) -> Self {
        Self::Running { future }
    }
}

/// Polls the future unless it is done already.
pub fn poll_done<F: Future>(mut joining: Pin<&mut Joining<F, F::Output>>, cx: &mut Context<'_>) -> Poll<()> {
    if let Projected::Running { future } = joining.as_mut().project() {
        let output = ready!(future.poll(cx));
        // `output-once`: the future is dropped here, as soon as it is done.
        joining.set(Joining::Done { output });
    }
    Poll::Ready(())
}

/// As [`poll_done`], but takes an error out at once.
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

/// A number below `bound`: the branch with which the first turn of a `select!` begins. On a runtime's threads it
/// follows from the runtime's seed.
#[must_use]
#[inline]
pub fn random_below(bound: u32) -> u32 {
    crate::runtime::context::random_below(bound)
}

/// As [`random_below`], under the name that programs reach for in Tokio.
#[must_use]
pub fn thread_rng_n(n: u32) -> u32 {
    random_below(n)
}

/// Whether the task may go on: a `select!` in a loop whose branches are always ready must not keep others waiting.
/// Takes nothing; the branches pay for what they do.
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    crate::task::coop::poll_proceed(cx).map(drop)
}

/// Panics: every branch of a `select!` is off.
#[cold]
#[track_caller]
pub fn no_branch_left() -> ! {
    panic!(
        "all branches are disabled and there is no else branch: in this `select!`, each condition was false or each \
         future was ready with a value that its pattern refused. Add `else => …` to say what happens then."
    )
}

/// Panics: a value was matched twice by the same pattern, with two answers.
#[cold]
#[track_caller]
pub fn pattern_refused() -> ! {
    panic!(
        "a pattern of this `select!` refused a value that it had let through: a lower-case name in it is a constant, \
         not a variable. Rename the constant to upper case, or compare in the handler."
    )
}
