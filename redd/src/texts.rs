//! What types say of themselves: `Debug` of those whose fields say little, `Display` of errors, and how a task is named.
//!
//! Called by every room.

/// `Debug` as a struct with these fields, whatever they are made from; `..` at the end says that there is more.
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

/// `Display` and `Error` of an error type, of which each case says one sentence.
macro_rules! error_texts {
    ([$($generics:tt)*] $Error:ty $(where $T:ident: Debug)?, $($case:pat => $text:literal,)+) => {
        impl<$($generics)*> std::fmt::Display for $Error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($case => write!(f, $text),)+
                }
            }
        }

        impl<$($generics)*> std::error::Error for $Error $(where $T: std::fmt::Debug)? {}
    };
}

/// How a task is identified, from its `TaskInfo`.
macro_rules! task_info_methods {
    ($self:ident => $info:expr) => {
        /// Its id.
        pub fn id(&$self) -> $crate::task::Id {
            $info.id
        }

        /// Its name, if it was spawned with one.
        pub fn name(&$self) -> Option<&str> {
            $info.name.as_deref()
        }

        /// The place in the program that spawned it.
        pub fn spawned_at(&$self) -> &'static std::panic::Location<'static> {
            $info.location
        }

        /// How long ago it was spawned, to about a turn of its worker.
        pub fn age(&$self) -> std::time::Duration {
            $info.age
        }
    };
}
