//! `task_local!`: the declaration. The type behind it is in `group::task_local`.

/// Declares task-local values: each task sees its own.
///
/// Each `static NAME: Type;` becomes a [`LocalKey<Type>`](crate::task::LocalKey). It has a value only inside
/// [`scope`](crate::task::LocalKey::scope) or [`sync_scope`](crate::task::LocalKey::sync_scope). A spawned task does not
/// inherit the value, unless the key is declared with `#[inherited]`.
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
///
/// # Inherited values
/// A task inherits the values of keys with `#[inherited]`: each spawn clones those that are set where it is called.
///
/// - The type is `Clone + Send + 'static`. A value that is expensive to clone belongs into an `Arc`.
/// - It holds for every function that spawns: [`spawn`](crate::spawn), [`spawn_blocking`](crate::task::spawn_blocking),
///   [`spawn_local`](crate::task::spawn_local), and those of `Handle`, `Runtime`, `JoinSet`, `LocalSet`, `TaskGroup` and
///   `Builder`. A clean-up of [`TaskGroup::defer`](crate::group::TaskGroup::defer) inherits what is set where it is deferred.
/// - The task has the value from its first poll to the drop of its future, and so do the tasks that it spawns. A change, such as a
///   scope inside of the task, is not seen by the task that spawned it.
/// - Such a spawn costs the clones, and an allocation for each value and for their list. Each poll exchanges each value twice. A
///   spawn without a value only reads one number of its thread.
/// - A panic of a `clone` is a panic of the spawn. A spawn inside of a `clone` inherits nothing.
///
/// ```
/// redd::task_local! {
///     /// The request that the current code works for.
///     #[inherited]
///     static REQUEST: u64;
///     static ATTEMPT: u32;
/// }
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// REQUEST
///     .scope(7, async {
///         let task = redd::spawn(async {
///             let closure = redd::task::spawn_blocking(|| REQUEST.get());
///             (REQUEST.get(), closure.await.unwrap())
///         });
///         assert_eq!(task.await.unwrap(), (7, 7));
///     })
///     .await;
/// # });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$($attribute:tt)*])* $vis:vis static $name:ident: $t:ty; $($rest:tt)*) => {
        $crate::__task_local_key! { [] [$([$($attribute)*])*] ($vis) $name: $t }
        $crate::task_local! { $($rest)* }
    };
    ($(#[$($attribute:tt)*])* $vis:vis static $name:ident: $t:ty) => {
        $crate::__task_local_key! { [] [$([$($attribute)*])*] ($vis) $name: $t }
    };
}

/// One key of `task_local!`: the attributes that were looked at, those that were not, and the declaration.
#[doc(hidden)]
#[macro_export]
macro_rules! __task_local_key {
    ([$($seen:tt)*] [[inherited] $([$($attribute:tt)*])*] ($vis:vis) $name:ident: $t:ty) => {
        $crate::__task_local_key! {
            @declare [$($seen)* $([$($attribute)*])*] ($vis) $name: $t,
            {
                static KEY: $crate::macros::support::InheritedKey =
                    $crate::macros::support::InheritedKey::new(|| $crate::macros::support::inherit(&$name));
                $crate::macros::support::Some(&KEY)
            }
        }
    };
    ([$($seen:tt)*] [[$($attribute:tt)*] $($rest:tt)*] ($vis:vis) $name:ident: $t:ty) => {
        $crate::__task_local_key! { [$($seen)* [$($attribute)*]] [$($rest)*] ($vis) $name: $t }
    };
    ([$($seen:tt)*] [] ($vis:vis) $name:ident: $t:ty) => {
        $crate::__task_local_key! { @declare [$($seen)*] ($vis) $name: $t, $crate::macros::support::None }
    };
    (@declare [$([$($attribute:tt)*])*] ($vis:vis) $name:ident: $t:ty, $inherited:expr) => {
        $(#[$($attribute)*])*
        $vis static $name: $crate::macros::support::LocalKey<$t> = {
            $crate::macros::support::thread_local! {
                static SLOT: $crate::macros::support::RefCell<$crate::macros::support::Option<$t>> =
                    const { $crate::macros::support::RefCell::new($crate::macros::support::None) };
            }
            $crate::macros::support::LocalKey { inner: SLOT, inherited: $inherited }
        };
    };
}
