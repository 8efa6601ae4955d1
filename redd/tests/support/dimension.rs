//! The dimensions of a product: an enum for each, whose values the program combines with those of the others.

/// Declares an enum, with all of its values in `ALL`.
#[allow(unused_macros, reason = "each program uses its part")]
macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

#[allow(unused_imports, reason = "each program uses its part")]
pub(crate) use dimension;
