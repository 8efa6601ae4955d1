//! What rooms above add to a world: parts, such as its network, and agendas, which do something at given virtual times.
//!
//! `extend` has the functions by which those rooms add them. `world` asks for the agendas when no thread can run.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// What happens in a world at given virtual times without a thread of its own: the delivery of a segment, for example.
pub(crate) trait Agenda: Send + Sync + 'static {
    /// The virtual time of the next entry. Takes no lock, because the caller holds that of the world.
    fn next_ns(&self) -> Option<u64>;

    /// Does what is due at `now_ns`. No other thread of the world runs meanwhile, and no lock of the world is held. It may wake threads, and
    /// calls no code of users: the calling thread may be at its end.
    fn run_due(&self, now_ns: u64);

    /// Writes its state into the dump of a world in which nothing can happen.
    fn describe(&self, out: &mut String) {
        let _ = out;
    }
}

/// The parts of a world. A room finds its own part by its type.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) parts: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
    pub(super) agendas: Vec<Arc<dyn Agenda>>,
}

impl Parts {
    /// The virtual time of the next entry of any agenda.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.agendas.iter().filter_map(|agenda| agenda.next_ns()).min()
    }
}
