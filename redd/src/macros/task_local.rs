//! `task_local!`: the declaration. The type behind it is in `group::task_local`.

/// Declares task-local values: each task sees its own.
///
/// Each `static NAME: Type;` becomes a [`LocalKey<Type>`](crate::task::LocalKey). It has a value only inside
/// [`scope`](crate::task::LocalKey::scope) or [`sync_scope`](crate::task::LocalKey::sync_scope). A spawned task does not
/// inherit the value.
///
/// # Examples
/// ```
/// redd::task_local! {
///     static REQUEST: u64;
///     pub static USER: String;
/// }
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// REQUEST
///     .scope(7, async {
///         assert_eq!(REQUEST.get(), 7);
///         assert!(USER.try_with(|_| ()).is_err());
///     })
///     .await;
/// # });
/// ```
///
/// A spawned task does not inherit the value, so pass it on explicitly:
/// ```
/// redd::task_local! {
///     static REQUEST: u64;
/// }
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// REQUEST
///     .scope(7, async {
///         let bare = redd::spawn(async { REQUEST.try_get().ok() });
///         assert_eq!(bare.await.unwrap(), None);
///         let scoped = redd::spawn(REQUEST.scope(REQUEST.get(), async { REQUEST.get() }));
///         assert_eq!(scoped.await.unwrap(), 7);
///     })
///     .await;
/// # });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $t:ty; $($rest:tt)*) => {
        $crate::task_local! { $(#[$attribute])* $vis static $name: $t }
        $crate::task_local! { $($rest)* }
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $t:ty) => {
        $(#[$attribute])*
        $vis static $name: $crate::macros::support::LocalKey<$t> = {
            $crate::macros::support::thread_local! {
                static SLOT: $crate::macros::support::RefCell<$crate::macros::support::Option<$t>> =
                    const { $crate::macros::support::RefCell::new($crate::macros::support::None) };
            }
            $crate::macros::support::LocalKey { inner: SLOT }
        };
    };
}
