//! A test in two parts, with a crash of the host between them.

use redd::sim::{Report, World};
use redd::time::Duration;
use std::sync::{Arc, Mutex};

/// Adds a host to this world and runs `before` on it. After one second the host crashes and starts again, and runs `after` with what
/// `before` has returned. Returns what `after` has returned.
#[track_caller]
pub(crate) fn around_crash<S: Send + 'static, T: Send + 'static>(
    world: World,
    before: impl Fn() -> S + Send + Sync + 'static,
    after: impl Fn(S) -> T + Send + Sync + 'static,
) -> (T, Report) {
    let (kept, output) = (Mutex::new(None), Arc::new(Mutex::new(None)));
    let inside = Arc::clone(&output);
    let main = move || {
        let state = kept.lock().expect("no thread panics with it").take();
        match state {
            None => {
                *kept.lock().expect("no thread panics with it") = Some(before());
                super::block_on(std::future::pending::<()>()); // Until the crash.
            }
            Some(state) => *inside.lock().expect("no thread panics with it") = Some(after(state)),
        }
    };
    let crash = |world: &mut redd::sim::Control| {
        world.crash("host");
        world.restart_after("host", Duration::ZERO);
    };
    let report = world.host("host", main).at(Duration::from_secs(1), crash).run();
    report.expect_ok();
    let output = output.lock().expect("no thread panics with it").take();
    (output.expect("`before` takes less than a second of the world"), report)
}
