//! Adds parts and agendas to a world: see `parts`.
//!
//! Called by the rooms that have them.

use std::any::{Any, TypeId};
use std::sync::Arc;

use super::parts::Agenda;
use super::world::Baton;

impl Baton {
    /// The part with this type. `make` makes it if the world has none.
    pub(crate) fn part<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(part) = self.existing_part() {
            return part;
        }
        // Made without the lock, because `make` may call the world. No other thread of the world runs meanwhile.
        let part = make();
        self.lock().parts.parts.push((TypeId::of::<T>(), Arc::clone(&part) as _));
        part
    }

    /// The part with this type, if the world has one.
    pub(crate) fn existing_part<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let state = self.lock();
        let part = state.parts.parts.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, part)| Arc::clone(part));
        drop(state);
        part?.downcast().ok()
    }

    /// Adds an agenda. Agendas whose entries are due at one time run in the order in which they were added.
    pub(crate) fn add_agenda(&self, agenda: Arc<dyn Agenda>) {
        self.lock().parts.agendas.push(agenda);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::primitives::atomic::fixed::AtomicU32;
    use crate::primitives::baton::{new_world, wait_word, wake_word};

    struct Once(AtomicU64, AtomicU64);

    impl Agenda for Once {
        fn next_ns(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed)).filter(|next| *next > 0)
        }

        fn run_due(&self, now_ns: u64) {
            self.1.store(now_ns, Ordering::Relaxed);
            self.0.store(0, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_clock_stops_at_the_entry_of_an_agenda_before_a_later_deadline() {
        let baton = new_world(1, Duration::from_secs(10), false);
        let (early, late) = (Arc::new(Once(5.into(), 0.into())), Arc::new(Once(50.into(), 0.into())));
        baton.add_agenda(early.clone());
        baton.add_agenda(late.clone());
        let joined = baton.join();
        while baton.passed() < Duration::from_nanos(20) {
            let rest = Duration::from_nanos(20) - baton.passed();
            assert_eq!(wait_word(&AtomicU32::new(0), 0, Some(rest)), Some(false));
        }
        assert_eq!(early.1.load(Ordering::Relaxed), 5);
        assert_eq!(late.1.load(Ordering::Relaxed), 0);
        assert_eq!(baton.passed(), Duration::from_nanos(20));
        drop(joined);
    }

    /// Wakes a thread of the world.
    struct Wakes(AtomicU64, AtomicU32);

    impl Agenda for Wakes {
        fn next_ns(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed)).filter(|next| *next > 0)
        }

        fn run_due(&self, _now_ns: u64) {
            self.0.store(0, Ordering::Relaxed);
            assert!(wake_word(&self.1), "the first host waits for it");
        }
    }

    #[test]
    fn an_agenda_that_a_thread_runs_at_its_end_may_wake_others() {
        let baton = new_world(1, Duration::from_secs(10), false);
        let agenda = Arc::new(Wakes(AtomicU64::new(0), AtomicU32::new(0)));
        baton.add_agenda(agenda.clone());
        let (waits, ends) = (agenda.clone(), agenda);
        let first = baton
            .start_host(0, "first", move || assert_eq!(wait_word(&waits.1, 0, None), Some(true)))
            .expect("a thread is left");
        // Until then the agenda has nothing to do. Then no thread can run, and the one that ends moves the clock.
        let second = move || {
            assert_eq!(wait_word(&AtomicU32::new(0), 0, Some(Duration::from_nanos(1))), Some(false));
            ends.0.store(5, Ordering::Relaxed);
        };
        let second = baton.start_host(1, "second", second).expect("a thread is left");
        baton.start();
        [first, second].into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        assert_eq!(baton.failures().len(), 0, "{:?}", baton.failures());
    }

    #[test]
    fn a_part_is_made_once() {
        let baton = new_world(1, Duration::from_secs(10), false);
        let first = baton.part(|| Arc::new(7_u64));
        assert!(Arc::ptr_eq(&first, &baton.part(|| Arc::new(8_u64))));
        assert_eq!(baton.existing_part::<u32>(), None);
    }
}
