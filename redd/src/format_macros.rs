//! Macros that implement `Debug` of types whose fields are not worth printing as they are, and `Display` of errors.
//!
//! Called by every room.

/// `Debug` as a struct with these fields, whose values may be computed. `..` at the end shows that fields are left out.
macro_rules! debug_struct {
    ([$($generics:tt)*] $Type:ty as $name:expr, $self:ident => { $($field:ident: $value:expr,)* .. }) => {
        debug_struct!(@ [$($generics)*] $Type, $name, $self, { $($field: $value,)* } finish_non_exhaustive);
    };
    ([$($generics:tt)*] $Type:ty as $name:expr, $self:ident => { $($field:ident: $value:expr),* $(,)? }) => {
        debug_struct!(@ [$($generics)*] $Type, $name, $self, { $($field: $value,)* } finish);
    };
    (@ [$($generics:tt)*] $Type:ty, $name:expr, $self:ident, { $($field:ident: $value:expr,)* } $finish:ident) => {
        impl<$($generics)*> std::fmt::Debug for $Type {
            fn fmt(&$self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct($name)$(.field(stringify!($field), &$value))*.$finish()
            }
        }
    };
}

/// `Display` and `Error` of an error type, with one sentence for each case.
macro_rules! error_texts {
    ([$($generics:tt)*] $Error:ty $(where $T:ident: Debug)?, $($case:pat => $text:literal $([$argument:expr])?,)+) => {
        impl<$($generics)*> std::fmt::Display for $Error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($case => write!(f, $text $(, $argument)?),)+
                }
            }
        }

        impl<$($generics)*> std::error::Error for $Error $(where $T: std::fmt::Debug)? {}
    };
}
