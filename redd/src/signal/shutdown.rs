//! `Phases::on_signals`: a shutdown that a signal starts.
//!
//! Called by user code. It is in this room because groups know no signals.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll};

use super::unix::{Signal, SignalKind, signal};
use crate::group::{Phases, Report};

impl Phases {
    /// Starts the shutdown at the first `SIGTERM` or `SIGINT` (Ctrl-C), and returns the report when all phases are over. A second
    /// signal takes away the time that is left: see [`end_now`](Phases::end_now).
    ///
    /// - It listens from this call on. The system's default action, which ends the process, is replaced until the process ends.
    /// - If the shutdown was started by hand, the first signal does nothing.
    /// - If the future is dropped, no signal is heard any more. Phases that have begun go on.
    /// - A task that does not reach an `.await`, and a closure of `spawn_blocking`, cannot be stopped: the drop of a runtime waits
    ///   for them, and a signal does not end that. Use [`Runtime::drain`](crate::runtime::Runtime::drain) or
    ///   [`Runtime::shutdown_timeout`](crate::runtime::Runtime::shutdown_timeout) after it.
    ///
    /// # Errors
    /// - `EMFILE` or `ENFILE`: no descriptors are left.
    /// - The system refused to install a handler.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped before a signal. Call it again to hear of further ones.
    ///
    /// # Panics
    /// Panics outside of a runtime, in a runtime that was built without I/O, and if there is no phase.
    ///
    /// # Examples
    /// The program sends itself the signal:
    /// ```
    /// use redd::group::{Phases, TaskGroup};
    /// use redd::time::{Duration, sleep};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let requests = TaskGroup::discarding().in_phase(&phases, "requests").start();
    /// requests.spawn(sleep(Duration::from_millis(10)));
    /// let shutdown = phases.on_signals();
    /// # std::process::Command::new("sh").args(["-c", "kill -TERM $PPID"]).status()?;
    /// let report = shutdown.await?;
    /// assert_eq!(report.reason(), "SIGTERM");
    /// assert!(report.is_clean());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn on_signals(&self) -> impl Future<Output = io::Result<Report>> + Send + use<> {
        let (finished, phases, location) = (self.finished(), self.clone(), Location::caller());
        let listeners = [("SIGTERM", SignalKind::terminate()), ("SIGINT", SignalKind::interrupt())]
            .map(|(name, kind)| signal(kind).map(|signal| (name, signal)));
        async move {
            let [terminate, interrupt] = listeners;
            let mut listeners = [terminate?, interrupt?];
            let mut finished = pin!(finished);
            let mut signals = 0;
            loop {
                let next = poll_fn(|cx| match finished.as_mut().poll(cx) {
                    Poll::Ready(report) => Poll::Ready(Err(report)),
                    Poll::Pending => poll_signals(&mut listeners, cx, location).map(Ok),
                });
                let name = match next.await {
                    Ok(name) => name,
                    Err(report) => return Ok(report),
                };
                signals += 1;
                if signals == 1 {
                    phases.start_at(name.into(), location);
                } else {
                    phases.end_now_at(name.into(), location);
                }
            }
        }
    }
}

/// Waits for one of the signals, and returns its name.
fn poll_signals(
    listeners: &mut [(&'static str, Signal)],
    cx: &mut Context<'_>,
    location: &'static Location<'static>,
) -> Poll<&'static str> {
    for (name, signal) in listeners {
        // After the end of the runtime it receives none.
        if let Poll::Ready(Some(())) = signal.poll_recv_at(cx, Some(location)) {
            return Poll::Ready(name);
        }
    }
    Poll::Pending
}
