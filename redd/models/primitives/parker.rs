//! The token of a parker under loom, in which no time passes.

use std::time::Duration;

/// A token for one thread that sleeps.
#[derive(Debug)]
pub(crate) struct Parker {
    token: loom::sync::Mutex<bool>,
    changed: loom::sync::Condvar,
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { token: loom::sync::Mutex::new(false), changed: loom::sync::Condvar::new() }
    }

    pub(crate) fn park(&self) {
        let mut token = self.token.lock().expect("no panic under this lock");
        while !*token {
            token = self.changed.wait(token).expect("no panic under this lock");
        }
        *token = false;
    }

    /// No model has worlds.
    pub(crate) fn park_unless_dead(&self) {
        self.park();
    }

    /// In a model time does not pass: it takes a token that is there, and otherwise reports a timeout.
    pub(crate) fn park_timeout(&self, _timeout: Duration) -> bool {
        let mut token = self.token.lock().expect("no panic under this lock");
        std::mem::take(&mut *token)
    }

    pub(crate) fn park_once(&self) -> bool {
        self.park();
        true
    }

    pub(crate) fn reset(&self) {
        *self.token.lock().expect("no panic under this lock") = false;
    }

    pub(crate) fn has_token(&self) -> bool {
        *self.token.lock().expect("no panic under this lock")
    }

    pub(crate) fn unpark(&self) {
        *self.token.lock().expect("no panic under this lock") = true;
        self.changed.notify_one();
    }
}
