//! What a script does to its world: its turns as the director, crashes of hosts, and the end of a world that it has found wrong.
//!
//! Called by `sim`, and by parts of the world that a crash affects.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::director::{Director, Turn};
use super::events::EventKind;
use super::failure::FailureKind;
use super::member::{HostThread, wait_for_own_end};
use super::world::{Baton, State};

impl Baton {
    /// Starts the thread that directs this world, until it ends. It has a host number of its own.
    pub(crate) fn start_director(
        self: &Arc<Self>,
        host: usize,
        name: &str,
        wants_quiet: bool,
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<HostThread> {
        let begin = |state: &mut State, thread| state.director = Some(Director::new(thread, wants_quiet));
        self.start_host_with(host, name, begin, f)
    }

    /// Whether all other threads have ended, or are dead.
    pub(crate) fn is_alone(&self) -> bool {
        self.lock().schedule.living() == 1
    }

    /// Called by the director: waits for its next turn, at most until this virtual time.
    pub(crate) fn await_turn(&self, until: Option<Duration>) -> Turn {
        let timeout = until.map(|until| until.saturating_sub(self.passed()));
        if timeout == Some(Duration::ZERO) {
            return if self.is_failing() { Turn::Over } else { Turn::Due };
        }
        wait_for_own_end(timeout);
        if self.is_failing() {
            return Turn::Over;
        }
        let mut state = self.lock();
        state.director.as_mut().expect("the caller is the director").take_turn()
    }

    /// Records a failure, and ends all `block_on`s. The caller has the baton.
    pub(crate) fn fail_and_stop(&self, kind: FailureKind, text: String) {
        let mut state = self.lock();
        state.fail(kind, text);
        drop(self.end_roots(state));
    }

    /// The names of the threads that a crash should have ended, and that wait forever.
    pub(crate) fn left(&self) -> Vec<String> {
        self.lock().left.clone()
    }

    /// How often this host has crashed.
    pub(crate) fn incarnation(&self, host: usize) -> u32 {
        self.lock().hosts.life(host).incarnation()
    }

    /// Adds what a part of the world does when any host crashes. It runs on the thread that lets the host crash, before the threads of
    /// the host see it, and without a lock. It must not call user code.
    pub(crate) fn on_crash(&self, f: impl Fn(usize) + Send + Sync + 'static) {
        self.lock().hosts.on_crash.push(Arc::new(f));
    }

    /// The host crashes. From here on its threads are dead:
    /// 1. The parts of the world forget what they have of the host.
    /// 2. Each `block_on` ends with a panic of kind `WorldEnded`, and no task is polled any more.
    /// 3. The waits of its threads return early, so that each of them sees that it is dead.
    ///
    /// The caller has the baton and belongs to another host.
    pub(crate) fn crash(&self, host: usize) {
        let mut state = self.lock();
        let incarnation = state.hosts.life(host).end();
        state.schedule.record(EventKind::Crashed, host as u32, [incarnation, 0]);
        let hooks = state.hosts.on_crash.clone();
        let (roots, rest) = std::mem::take(&mut state.roots)
            .into_iter()
            .partition(|(thread, _)| state.schedule.host_of(*thread) == host);
        state.roots = rest;
        let roots: Vec<_> = roots;
        drop(state);
        hooks.iter().for_each(|hook| hook(host));
        roots.into_iter().for_each(|(_, waker)| waker.wake()); // `no-user-code-under-lock`
        self.lock().schedule.crash(host);
    }
}
