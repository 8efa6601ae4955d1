//! Constructors that are `const` in programs, without the `const`: loom's atomics register with the execution that runs.

macro_rules! const_fn {
    ($($(#[$attr:meta])* $vis:vis const fn $name:ident($($argument:tt)*) -> Self $body:block)*) => {
        $($(#[$attr])* $vis fn $name($($argument)*) -> Self $body)*
    };
}
pub(crate) use const_fn;
