//! Values that a task inherits from the code that spawns it: cloned at the spawn, and set during each poll.
//!
//! Called by `cell` and `inheriting`, by `group::task_local` (which has the keys), and by files that spawn tasks of their own.
//!
//! A key is listed when it gets a value for the first time. A thread counts the listed keys that have a value there. A spawn reads
//! this count. If it is 0, which is usual, nothing else happens. Otherwise the spawn asks each listed key for a clone of its value,
//! and stores them in the task.
//!
//! # Invariants
//! - `counted-while-set`: the count is the number of keys that have a value on this thread. Only the exchange of a value changes it.
//! - `set-during-poll`: the function that sets the values of a task removes them before it returns, in a panic, too.
//! - `each-drop-alone`: a value whose drop panics does not keep the other ones from being dropped. The first panic is that of the
//!   task.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use crate::observe::spans::{HAS_SPANS, ProgramSpan};
use crate::primitives::user_code::drop_guarded;
use crate::primitives::{thread, thread_local};

thread_local! {
    /// `counted-while-set`
    static SET: Cell<usize> = const { Cell::new(0) };
    /// Whether a spawn on this thread inherits the span. `None`: as the runtime's builder says.
    static SPAN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// A value that a task has inherited. Public for the expansion of `task_local!` only.
#[doc(hidden)]
pub trait InheritedValue: Send {
    /// Exchanges it with the value that the key has on this thread. The error says why the key's place cannot be used now.
    fn swap(&mut self) -> Result<(), &'static str>;
}

/// A key of an inherited value, without its type. Public for the expansion of `task_local!` only.
#[doc(hidden)]
pub struct InheritedKey {
    /// Clones the value that the key has on this thread.
    capture: fn() -> Option<Box<dyn InheritedValue>>,
    is_listed: OnceLock<()>,
    next: OnceLock<&'static Self>,
}

/// The first listed key. The others follow by `next`.
static KEYS: OnceLock<&'static InheritedKey> = OnceLock::new();

impl InheritedKey {
    /// A key whose values `capture` clones. It is not listed yet.
    pub const fn new(capture: fn() -> Option<Box<dyn InheritedValue>>) -> Self {
        Self { capture, is_listed: OnceLock::new(), next: OnceLock::new() }
    }

    /// Whether the key has a value on this thread has changed (`counted-while-set`).
    pub(crate) fn change(&'static self, is_set: bool) {
        if is_set {
            self.is_listed.get_or_init(|| self.list());
            SET.with(|set| set.set(set.get() + 1));
        } else {
            SET.with(|set| set.set(set.get() - 1));
        }
    }

    fn list(&'static self) {
        let mut last = &KEYS;
        // It fails if there is a key already, also if another thread has just listed one.
        while last.set(self).is_err() {
            last = &last.get().expect("a `OnceLock` that refuses a value has one").next;
        }
    }

    /// All listed keys.
    fn all() -> impl Iterator<Item = &'static Self> {
        std::iter::successors(KEYS.get().copied(), |key| key.next.get().copied())
    }
}

debug_struct!([] InheritedKey as "InheritedKey", self => { .. });

/// Whether a task that this thread spawns now may inherit something. `inherits_span`: whether the runtime's builder says so.
#[inline(always)]
pub(crate) fn is_any(inherits_span: bool) -> bool {
    SET.get() > 0 || (HAS_SPANS && inherits_span)
}

/// Runs `f`, whose spawns inherit nothing.
pub(crate) fn without<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(usize, Option<bool>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SET.with(|set| set.set(set.get() + self.0));
            SPAN.with(|span| span.set(self.1));
        }
    }
    let _restore = Restore(SET.replace(0), SPAN.replace(Some(false)));
    f()
}

/// Until the guard is dropped, spawns on this thread inherit the span or not, whatever the runtime's builder says.
#[inline]
pub(crate) fn choose_span(choice: Option<bool>) -> Option<SpanGuard> {
    if HAS_SPANS { choice.map(SpanGuard::new) } else { None }
}

/// Restores the previous choice when dropped.
pub(crate) struct SpanGuard {
    before: Option<bool>,
    /// A span that is inherited counts as a value that is set.
    counted: usize,
}

impl SpanGuard {
    fn new(inherits: bool) -> Self {
        let counted = usize::from(inherits);
        SET.with(|set| set.set(set.get() + counted));
        Self { before: SPAN.replace(Some(inherits)), counted }
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        SPAN.with(|span| span.set(self.before));
        SET.with(|set| set.set(set.get() - self.counted));
    }
}

/// The span that was current where a task was spawned.
struct InheritedSpan {
    span: ProgramSpan,
    is_entered: bool,
}

impl InheritedSpan {
    fn capture(by_default: bool) -> Option<Box<dyn InheritedValue>> {
        if !SPAN.get().unwrap_or(by_default) {
            return None;
        }
        let span = ProgramSpan::current()?;
        Some(Box::new(Self { span, is_entered: false }))
    }
}

impl InheritedValue for InheritedSpan {
    fn swap(&mut self) -> Result<(), &'static str> {
        self.is_entered = !self.is_entered;
        if self.is_entered {
            self.span.enter();
        } else {
            self.span.exit();
        }
        Ok(())
    }
}

/// The values that a task inherits.
pub(crate) struct Inherited(Vec<Box<dyn InheritedValue>>);

impl Inherited {
    /// Clones the values that are set on this thread. `None` if there are none.
    ///
    /// `inherits_span`: whether the runtime's builder says so.
    #[inline]
    pub(crate) fn capture(inherits_span: bool) -> Option<Self> {
        if is_any(inherits_span) { Self::capture_set(inherits_span) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn capture_set(inherits_span: bool) -> Option<Self> {
        // Set last, so that it is the inner one.
        let span = InheritedSpan::capture(inherits_span);
        // A clone is user code. If it spawns, that must not clone again.
        let values = without(|| {
            let mut values = Self(Vec::new());
            values.0.extend(InheritedKey::all().filter_map(|key| (key.capture)()));
            values.0.extend(span);
            values
        });
        (!values.0.is_empty()).then_some(values)
    }

    /// Runs `f` with the values set (`set-during-poll`).
    pub(super) fn enter<R>(&mut self, f: impl FnOnce() -> R) -> Result<R, &'static str> {
        struct Entered<'a> {
            values: &'a mut [Box<dyn InheritedValue>],
            count: usize,
        }
        impl Drop for Entered<'_> {
            fn drop(&mut self) {
                // The places were usable when the values were set, and no borrow of them outlives that.
                self.values[..self.count].iter_mut().rev().for_each(|value| _ = value.swap());
            }
        }
        let mut entered = Entered { values: &mut self.0, count: 0 };
        while let Some(value) = entered.values.get_mut(entered.count) {
            value.swap()?;
            entered.count += 1;
        }
        Ok(f())
    }

    /// Drops the values, and returns the first panic (`each-drop-alone`).
    fn clear(&mut self) -> Option<Box<dyn Any + Send>> {
        let mut first = None;
        for value in self.0.drain(..) {
            keep_first(&mut first, catch_unwind(AssertUnwindSafe(|| drop(value))));
        }
        first
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        resume_first(self.clear());
    }
}

fn keep_first(first: &mut Option<Box<dyn Any + Send>>, result: Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = result {
        match first {
            None => *first = Some(payload),
            Some(_) => drop_guarded(payload),
        }
    }
}

/// A second panic while one unwinds would abort the program.
fn resume_first(panic: Option<Box<dyn Any + Send>>) {
    match panic {
        Some(panic) if thread::panicking() => drop_guarded(panic),
        Some(panic) => resume_unwind(panic),
        None => {}
    }
}

/// A future that is not a task yet.
type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that is polled and dropped with inherited values set.
struct Inheriting {
    /// `None` once it has completed.
    future: Option<Boxed>,
    values: Inherited,
}

impl Future for Inheriting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { future, values } = &mut *self;
        let polled = values.enter(|| {
            let running = future.as_mut().expect("it is not polled after its end");
            let polled = running.as_mut().poll(cx);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        match polled {
            Ok(polled) => polled,
            Err(reason) => panic!("{reason}"),
        }
    }
}

impl Drop for Inheriting {
    fn drop(&mut self) {
        let Self { future, values } = self;
        let mut first = None;
        if future.is_some() {
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                // If the values cannot be set, the future is dropped without them.
                let _ = values.enter(|| drop(future.take()));
                drop(future.take());
            }));
            keep_first(&mut first, dropped);
        }
        if let Some(second) = values.clear() {
            keep_first(&mut first, Err(second));
        }
        resume_first(first);
    }
}

/// A future that is spawned later, and inherits what is set now. That spawn has to be [`without`] values.
pub(crate) fn boxed(future: Boxed, inherits_span: bool) -> Boxed {
    match Inherited::capture(inherits_span) {
        None => future,
        Some(values) => Box::pin(Inheriting { future: Some(future), values }),
    }
}
