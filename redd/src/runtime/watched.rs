//! The future of a `block_on` that panics if something is wrong: with the tasks of a strict runtime, or with a simulated world.
//!
//! Called by `lifecycle`. There is one such future for both, so that the compiler sees the program's future in as few places as possible:
//! each further place costs `block_on` of other runtimes an inlined call.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;

use super::simulated::{EndedEarly, WorldWatch};
use super::strict::StrictWatch;
use crate::primitives::user_code::guarded;
use crate::scheduler::shared::Shared;

enum Watcher<'a> {
    Diagnoses(StrictWatch),
    World(WorldWatch<'a>),
}

impl<'a> Watcher<'a> {
    fn begin(shared: &'a Arc<Shared>) -> Self {
        match WorldWatch::begin(shared) {
            Some(watch) => Self::World(watch),
            None => Self::Diagnoses(StrictWatch::begin(shared)),
        }
    }

    fn before_poll(&self, waker: &Waker) -> Option<EndedEarly> {
        match self {
            Self::Diagnoses(watch) => {
                watch.before_poll(waker);
                None
            }
            Self::World(watch) => watch.before_poll(waker),
        }
    }

    fn after_poll(&self) {
        match self {
            Self::Diagnoses(watch) => watch.after_poll(),
            Self::World(_) => {}
        }
    }

    /// The future has ended.
    fn end(self, shared: &Arc<Shared>) {
        match self {
            Self::Diagnoses(watch) => watch.end(shared),
            Self::World(watch) => watch.end(),
        }
    }
}

/// Runs the future, and panics if something is wrong.
pub(super) async fn watched<F: Future>(shared: Arc<Shared>, future: F) -> F::Output {
    let watcher = Watcher::begin(&shared);
    let mut future = pin!(Some(future));
    let output = poll_fn(|cx| {
        if let Some(ended) = watcher.before_poll(cx.waker()) {
            // Before the panic: a destructor that panics while another panic unwinds would end the process.
            let _: Option<()> = guarded(|| future.set(None));
            ended.unwind();
        }
        let future = future.as_mut().as_pin_mut().expect("a world that has ended it unwinds");
        let polled = future.poll(cx);
        watcher.after_poll();
        polled
    })
    .await;
    watcher.end(&shared);
    output
}
