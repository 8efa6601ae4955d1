//! Task-local values: scopes that nest, panic, are dropped and are misused.

use futures::executor::block_on;
use redd::task::LocalKey;
use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Context;
use std::task::Waker;

redd::task_local! {
    /// A number.
    static NUMBER: u32;
    static CELL: Cell<u32>
}

fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast_ref::<&str>().expect("a text")).to_owned())
}

#[test]
fn a_value_exists_only_inside_its_scope_and_scopes_nest() {
    assert!(NUMBER.try_get().is_err());
    block_on(NUMBER.scope(1, async {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.scope(2, async { assert_eq!(NUMBER.get(), 2) }).await;
        assert_eq!(NUMBER.get(), 1);
        NUMBER.sync_scope(3, || assert_eq!(NUMBER.with(|number| *number), 3));
        assert_eq!(NUMBER.try_get(), Ok(1));
    }));
    assert!(NUMBER.try_get().is_err());
    block_on(CELL.scope(Cell::new(1), async {
        CELL.with(|cell| cell.set(2));
        assert_eq!(CELL.with(Cell::get), 2);
    }));
}

#[test]
fn a_panic_inside_a_scope_removes_the_value() {
    let mut future = Box::pin(NUMBER.scope(5, async { panic!("inside") }));
    let mut cx = Context::from_waker(Waker::noop());
    let caught = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
    assert!(caught.is_err());
    assert!(NUMBER.try_get().is_err());
    assert_eq!(future.as_mut().take_value(), Some(5));
}

struct ReadsOnDrop(Rc<Cell<Option<u32>>>);
impl Drop for ReadsOnDrop {
    fn drop(&mut self) {
        self.0.set(NUMBER.try_get().ok());
    }
}

#[test]
fn the_value_exists_while_the_future_is_dropped() {
    let seen = Rc::new(Cell::new(None));
    let reads = ReadsOnDrop(Rc::clone(&seen));
    let future = NUMBER.scope(6, async move {
        let _reads = reads;
        pending::<()>().await;
    });
    drop(future);
    assert_eq!(seen.get(), Some(6));
}

#[test]
fn a_taken_value_is_gone_for_the_future_too() {
    let mut future = Box::pin(NUMBER.scope(7, async { NUMBER.try_get().ok() }));
    assert_eq!(future.as_mut().take_value(), Some(7));
    assert_eq!(future.as_mut().take_value(), None);
    assert_eq!(block_on(future), None);
}

#[test]
fn panics_say_what_to_do() {
    assert!(panic_text(|| NUMBER.with(|_| ())).contains("KEY.scope(value, future)"));
    let nested = panic_text(|| {
        NUMBER.sync_scope(1, || NUMBER.with(|_| NUMBER.sync_scope(2, || ())));
    });
    assert!(nested.contains("KEY.get()"));
    assert!(NUMBER.try_get().is_err());
    let mut future = Box::pin(NUMBER.scope(1, ready(())));
    block_on(future.as_mut());
    assert!(panic_text(|| block_on(future.as_mut())).contains("Await it once"));
}

#[test]
fn keys_and_futures_have_the_auto_traits_that_callers_rely_on() {
    fn is_shared<T: Send + Sync + Unpin + std::panic::RefUnwindSafe>() {}
    is_shared::<LocalKey<Rc<()>>>();
    fn is_send<T: Send + Sync>(_: &T) {}
    is_send(&NUMBER.scope(1, ready(())));
    let _ = format!("{NUMBER:?} {:?}", NUMBER.scope(1, pending::<()>()));
}
