//! `Control::signal`: the script of a simulated world sends signals to its hosts.
//!
//! Called by user code. It is in this room because worlds know no signals.

use super::registry::Number;
use super::simulated::{is_listening, send};
use super::unix::SignalKind;
use crate::sim::Control;

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
        let number = Number::new(kind.as_raw_value()).ok();
        let is_heard = number.is_some_and(|number| is_listening(&baton, index, number));
        match (is_heard, default_of(kind)) {
            (true, _) => {
                self.tell(format!("`{host}` gets {name}"));
                number.into_iter().for_each(|number| send(&baton, index, number));
            }
            (false, DefaultAction::Ends) => {
                self.tell(format!("`{host}` gets {name}, for which it has no listener"));
                self.crash(host);
            }
            (false, DefaultAction::Ignores) => self.tell(format!("`{host}` gets {name}, and ignores it")),
            (false, DefaultAction::Stops) => panic!(
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
