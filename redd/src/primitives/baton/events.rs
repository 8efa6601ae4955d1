//! The hash of everything that happens in a world, and the record of it.
//!
//! Called by `schedule`, and by `world` for the numbers of tasks and the hash.
//!
//! Each event is 24 bytes: the virtual time, a number of a task or thread, a kind, and two arguments. Two runs of one seed have the
//! same events, so they have the same hash. A task has the number of its first appearance in the world, because ids are numbers of
//! the process.

use std::collections::BTreeMap;

/// What happened. The number is part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum EventKind {
    /// A thread has got its place. The subject is the thread, the arguments are its host and 0.
    ThreadStarted = 1,
    /// The subject is the thread.
    ThreadEnded = 2,
    /// The subject is the thread that runs from here on, the first argument is how many could have run.
    Switch = 3,
    /// The clock has moved to the time of the event.
    Clock = 4,
    /// Tasks in `settle` continue. The first argument is how many.
    Settled = 5,
    /// The subject is the task, the first argument the task or 0 that spawned it.
    Spawned = 6,
    /// As for `Spawned`: which task has woken it.
    Woken = 7,
    /// The subject is the task. The first argument is the result of the poll.
    Polled = 8,
    /// One of several was chosen. The arguments are the number of choices and the choice.
    Choice = 9,
    /// A call of `chance`. The first argument is a hash of the name, the second the result.
    Chance = 10,
    /// A generator of random numbers was seeded. The arguments are the seed.
    Seeded = 11,
    /// Something went wrong.
    Failed = 12,
    /// A host has crashed. The subject is the host, the first argument its new incarnation.
    Crashed = 13,
    /// A host was started again. The subject is the host, the first argument its incarnation.
    Restarted = 14,
    /// The script of the world has changed something. The first argument is a hash of the text that says what.
    Scripted = 15,
    /// A socket, the subject, has sent a packet. The arguments are its bytes and its kind.
    NetSent = 20,
    /// As for `NetSent`: the packet has arrived at the socket that is the subject.
    NetDelivered = 21,
    /// The network has a fault, which the first argument says, at the socket that is the subject.
    NetFault = 22,
    /// An operation of a disk. The subject is its number, the arguments are a length and an offset, or an error.
    Disk = 30,
    /// A thread has got random numbers from the system's functions since its last switch. The subject is the thread, the arguments are the
    /// numbers of bytes and of calls.
    Entropy = 40,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at_ns: u64,
    pub(crate) subject: u32,
    pub(crate) kind: EventKind,
    pub(crate) arguments: [u32; 2],
}

const _: () = assert!(size_of::<Event>() == 24, "the size that the documentation has");

/// What happened in a world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) events: Vec<Event>,
    pub(crate) threads: Vec<String>,
    /// The task with number 1 first.
    pub(crate) tasks: Vec<String>,
}

/// The events of one world.
#[derive(Debug, Default)]
pub(super) struct Events {
    hash: u64,
    count: u64,
    /// The events themselves, if they are kept.
    kept: Option<Vec<Event>>,
    /// The number of each task.
    tasks: BTreeMap<u64, u32>,
}

impl Events {
    pub(super) fn new(keeps: bool) -> Self {
        Self { kept: keeps.then(Vec::new), ..Self::default() }
    }

    pub(super) fn add(&mut self, event: Event) {
        for word in [
            event.at_ns,
            u64::from(event.subject) << 32 | event.kind as u64,
            u64::from(event.arguments[0]) << 32 | u64::from(event.arguments[1]),
        ] {
            self.hash = mixed(self.hash ^ word);
        }
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            kept.push(event);
        }
    }

    /// The number of the task with this id: 1 for the first task that appears in the world. 0 is no task.
    pub(super) fn number_of(&mut self, id: u64) -> u32 {
        if id == 0 {
            return 0;
        }
        let next = self.tasks.len() as u32 + 1;
        *self.tasks.entry(id).or_insert(next)
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn take_kept(&mut self) -> Vec<Event> {
        self.kept.take().unwrap_or_default()
    }
}

/// The finalizer of splitmix64, which `rng` uses too: each bit of the word changes each bit of the result with a chance of about one
/// half.
pub(super) fn mixed(word: u64) -> u64 {
    let mut mixed = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A text as an argument of an event.
pub(crate) fn hash_of(text: &str) -> u32 {
    let hash = text.bytes().fold(0, |hash, byte| mixed(hash ^ u64::from(byte)));
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ns: u64, subject: u32, kind: EventKind, arguments: [u32; 2]) -> Event {
        Event { at_ns, subject, kind, arguments }
    }

    fn hash(list: &[Event]) -> u64 {
        let mut events = Events::new(false);
        list.iter().for_each(|event| events.add(*event));
        events.hash()
    }

    #[test]
    fn each_part_of_an_event_and_the_order_change_the_hash() {
        let one = event(1, 2, EventKind::Polled, [3, 4]);
        let others = [
            event(0, 2, EventKind::Polled, [3, 4]),
            event(1, 3, EventKind::Polled, [3, 4]),
            event(1, 2, EventKind::Woken, [3, 4]),
            event(1, 2, EventKind::Polled, [4, 4]),
            event(1, 2, EventKind::Polled, [3, 3]),
        ];
        for other in others {
            assert_ne!(hash(&[one]), hash(&[other]), "{other:?}");
            assert_ne!(hash(&[one, other]), hash(&[other, one]), "{other:?}");
        }
        assert_eq!(hash(&[one]), hash(&[one]));
    }

    #[test]
    fn tasks_are_numbered_by_their_first_appearance() {
        let mut events = Events::new(false);
        assert_eq!([9000, 5, 9000, 0, 7].map(|id| events.number_of(id)), [1, 2, 1, 0, 3]);
    }

    #[test]
    fn events_are_kept_only_if_that_was_asked_for() {
        for keeps in [false, true] {
            let mut events = Events::new(keeps);
            events.add(event(1, 2, EventKind::Clock, [0, 0]));
            assert_eq!(events.count(), 1);
            assert_eq!(events.take_kept().len(), usize::from(keeps));
        }
    }
}
