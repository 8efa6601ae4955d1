//! What an invariant returns.
//!
//! Implemented for the types that closures of `World::always` return.

/// What a closure of [`World::always`](super::World::always) returns: `bool`, `Result<(), E>` with an error that is `Display`, or
/// nothing. A closure that returns nothing fails by a panic, as with `assert!`.
pub trait Verdict: sealed::Verdict {}

impl<T: sealed::Verdict> Verdict for T {}

mod sealed {
    use std::fmt;

    pub trait Verdict {
        /// Why the invariant does not hold.
        fn into_objection(self) -> Option<String>;
    }

    impl Verdict for bool {
        fn into_objection(self) -> Option<String> {
            (!self).then(|| "it does not hold".to_owned())
        }
    }

    impl Verdict for () {
        fn into_objection(self) -> Option<String> {
            None
        }
    }

    impl<E: fmt::Display> Verdict for Result<(), E> {
        fn into_objection(self) -> Option<String> {
            self.err().map(|error| error.to_string())
        }
    }
}
