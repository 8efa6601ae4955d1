//! A waker whose clone, wake and drop run other code, as the wakers of other executors may.

#![allow(unsafe_code, reason = "a table of functions is the only way to a waker with a clone of one's own")]

use std::cell::RefCell;
use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

thread_local! {
    static HOOK: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

const TABLE: RawWakerVTable = RawWakerVTable::new(
    |_| {
        run();
        RawWaker::new(ptr::null(), &TABLE)
    },
    |_| run(),
    |_| (),
    |_| run(),
);

/// The hook is taken out while it runs, so it does not call itself.
fn run() {
    if let Some(mut hook) = HOOK.take() {
        hook();
        HOOK.set(Some(hook));
    }
}

pub(crate) fn new(hook: impl FnMut() + 'static) -> Waker {
    HOOK.set(Some(Box::new(hook)));
    // SAFETY: the table ignores its data.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}
