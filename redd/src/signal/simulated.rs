//! Signals in a simulated world: each host has signals of its own, which the script of the world sends. The process gets no handler.
//!
//! Called by `unix` for the listeners, and by the script of a world ([`Control::signal`]).
//!
//! # Invariants
//! - `line-is-handler`: a line exists from the first listener of a signal on, until its host crashes. As a handler of the system, it
//!   replaces the default action.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::registry::Number;
use super::unix::SignalKind;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::primitives::baton::{self, Baton};
use crate::sim::Control;

/// The lines of a world, by host, incarnation of the host, and signal.
#[derive(Debug, Default)]
struct Lines(Mutex<BTreeMap<(usize, u32, Number), Arc<Line>>>);

fn lines_of(baton: &Baton) -> Arc<Lines> {
    baton.part(Arc::<Lines>::default)
}

/// One signal of one host.
#[derive(Debug, Default)]
struct Line(Mutex<Received>);

#[derive(Debug, Default)]
struct Received {
    count: u64,
    next_listener: u64,
    waiting: Vec<(u64, Waker)>,
}

/// A listener for a signal of the host in which it was made.
#[derive(Debug)]
pub(super) struct Listener {
    line: Arc<Line>,
    number: u64,
    /// The count that it saw last.
    seen: u64,
}

impl Listener {
    /// `None` on a thread of no world.
    pub(super) fn new(number: Number) -> Option<Self> {
        let (baton, host) = baton::current_host()?;
        let line = Arc::clone(lines_of(&baton).0.lock().entry((host, baton.incarnation(host), number)).or_default());
        let mut received = line.0.lock();
        received.next_listener += 1;
        let (number, seen) = (received.next_listener, received.count);
        drop(received);
        Some(Self { line, number, seen })
    }

    /// Waits for a signal that it has not received.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let new = cx.waker().clone();
        let mut received = self.line.0.lock();
        let at = received.waiting.iter().position(|(number, _)| *number == self.number);
        let old = at.map(|at| received.waiting.swap_remove(at).1);
        let count = received.count;
        if count == self.seen {
            received.waiting.push((self.number, new));
        }
        drop(received);
        drop(old); // User code may be in it.
        if std::mem::replace(&mut self.seen, count) != count {
            return Poll::Ready(());
        }
        waiting::record(WaitKind::Signal, None);
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut received = self.line.0.lock();
        let at = received.waiting.iter().position(|(number, _)| *number == self.number);
        let old = at.map(|at| received.waiting.swap_remove(at).1);
        drop(received);
        drop(old);
    }
}

/// What the system does with a signal for which a process has no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DefaultAction {
    Ends,
    Ignores,
    /// Not simulated.
    Stops,
}

fn default_of(kind: SignalKind) -> DefaultAction {
    match kind.as_raw_value() {
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => DefaultAction::Ignores,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => DefaultAction::Stops,
        _ => DefaultAction::Ends,
    }
}

/// The name of a signal, for the report.
fn name_of(kind: SignalKind) -> String {
    let name = match kind.as_raw_value() {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGWINCH => "SIGWINCH",
        number => return format!("signal {number}"),
    };
    name.to_owned()
}

impl Control {
    /// Sends a signal to the program of the host.
    ///
    /// - The listeners of this host receive it: [`signal`](super::unix::signal), [`ctrl_c`](super::ctrl_c()) and
    ///   [`Phases::on_signals`](crate::group::Phases::on_signals). Other hosts do not, and the process of the test has no handler.
    /// - If the program has never listened to it, the signal has its default action. `SIGTERM`, `SIGINT` and most others end the program,
    ///   as with [`crash`](Self::crash). `SIGCHLD`, `SIGCONT`, `SIGURG` and `SIGWINCH` do nothing.
    /// - `SIGKILL` and signals of crashes, such as `SIGSEGV`, always end it.
    /// - A host that is down or has ended gets no signal.
    ///
    /// # Panics
    /// - If the world has no host with this name.
    /// - If there is no such signal, or if its action would be to stop the program, which is not simulated.
    ///
    /// # Examples
    /// ```
    /// use redd::signal::unix::{SignalKind, signal};
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn server() {
    ///     let mut terminate = signal(SignalKind::terminate()).unwrap();
    ///     terminate.recv().await;
    ///     sleep(Duration::from_secs(5)).await; // Requests end.
    /// }
    ///
    /// let world = World::new(1).host("server", server);
    /// let report = world.at(Duration::from_secs(60), |w| w.signal("server", SignalKind::terminate())).run();
    /// assert_eq!(report.expect_ok().elapsed(), Duration::from_secs(65));
    /// assert_eq!(report.faults()[0].to_string(), "after 60s: `server` gets SIGTERM");
    /// ```
    #[track_caller]
    pub fn signal(&mut self, host: &str, kind: SignalKind) {
        let (baton, index) = self.host_for("`Control::signal`", host);
        let name = name_of(kind);
        if !(1..=64).contains(&kind.as_raw_value()) {
            panic!("`Control::signal` got {name}, which Linux does not have. Its signals are 1 to 64.");
        }
        if !self.is_running(host) {
            return self.tell(format!("`{host}` does not run, so it does not get {name}"));
        }
        let line = Number::new(kind.as_raw_value()).ok().and_then(|number| {
            lines_of(&baton).0.lock().get(&(index, baton.incarnation(index), number)).map(Arc::clone)
        });
        match (line, default_of(kind)) {
            (Some(line), _) => {
                self.tell(format!("`{host}` gets {name}"));
                let mut received = line.0.lock();
                received.count += 1;
                let waiting = std::mem::take(&mut received.waiting);
                drop(received);
                waiting.into_iter().for_each(|(_, waker)| waker.wake());
            }
            (None, DefaultAction::Ends) => {
                self.tell(format!("`{host}` gets {name}, for which it has no listener"));
                self.crash(host);
            }
            (None, DefaultAction::Ignores) => self.tell(format!("`{host}` gets {name}, and ignores it")),
            (None, DefaultAction::Stops) => panic!(
                "`Control::signal` got {name}, which stops a program until it gets another signal. That is not simulated. Use \
                 `Control::crash`, or `Control::partition` for a host that does not answer."
            ),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_default_actions_are_those_of_linux() {
        let ignored: Vec<_> =
            (1..=64).filter(|number| default_of(SignalKind::from_raw(*number)) == DefaultAction::Ignores).collect();
        assert_eq!(ignored, [17, 18, 23, 28]);
        let stop: Vec<_> =
            (1..=64).filter(|number| default_of(SignalKind::from_raw(*number)) == DefaultAction::Stops).collect();
        assert_eq!(stop, [19, 20, 21, 22]);
    }
}
