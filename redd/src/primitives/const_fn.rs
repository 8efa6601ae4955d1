//! Constructors that are `const`, as programs need them for `static` items.
//!
//! Used where a constructor makes an atomic. Loom's atomics cannot be made at compile time, so in its models another
//! macro takes the place of this one and drops the `const`. Decision 0014.

/// Declares constructors as they are written.
macro_rules! const_fn {
    ($($constructor:tt)*) => { $($constructor)* };
}
pub(crate) use const_fn;
