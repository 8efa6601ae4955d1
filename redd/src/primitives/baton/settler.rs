//! A task's wait until all others wait, at one instant.
//!
//! Called by `sim::settle`.

use std::sync::Arc;
use std::task::Waker;

use super::member::current;
use super::world::Baton;

/// A task's wait until all others wait, at one instant.
#[derive(Debug)]
pub(crate) struct Settler {
    baton: Arc<Baton>,
    id: Option<u64>,
}

impl Settler {
    /// In the world of the calling thread.
    pub(crate) fn new() -> Option<Self> {
        Some(Self { baton: current()?, id: None })
    }

    /// Returns whether all others have waited since the first call.
    pub(crate) fn poll(&mut self, waker: &Waker) -> bool {
        let clone = waker.clone(); // `no-user-code-under-lock`
        let mut state = self.baton.lock();
        let Some(id) = self.id else {
            let id = state.next_settler;
            state.next_settler += 1;
            state.settlers.push((id, clone));
            self.id = Some(id);
            return false;
        };
        let old = match state.settlers.iter_mut().find(|(other, _)| *other == id) {
            None => None,
            Some((_, old)) => Some(std::mem::replace(old, clone)),
        };
        drop(state);
        old.is_none()
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        let mut state = self.baton.lock();
        let at = state.settlers.iter().position(|(other, _)| Some(*other) == self.id);
        let old = at.map(|at| state.settlers.remove(at));
        drop(state);
        drop(old);
    }
}
