//! A hierarchical timer wheel: deadlines in, due elements out. No clock, no atomics, no I/O.
//!
//! Called by `timers`, which holds a lock around every call.
//!
//! There are six levels of 64 slots. A slot of level `n` covers `64^n` ticks.
//!
//! 1. An element is at the level of the highest group of six bits in which its deadline differs from `elapsed`. So all
//!    slots of a level are within one slot of the level above: the slot that contains `elapsed`.
//! 2. When time enters a slot of a higher level, the elements of the slot are refiled at lower levels.
//! 3. The top level is a ring. Elements more than its 63 slots (two years) ahead are in the far slot.
//! 4. The elements of the far slot are refiled when the earliest of them comes within reach of the ring.
//!
//! # Invariants
//! - `slots-ahead`: `elapsed` never enters a slot that still holds elements, except a slot of level 0. So all occupied slots
//!   of a level are ahead. The first one of the lowest occupied level holds the earliest element of the wheel.
//! - `bound-is-early`: a slot's `bound` is at or after the slot's start, and at or before the deadlines of its elements. It is
//!   exact until the earliest element is removed.
//! - `far-is-later`: while no element of the far slot is within reach of the ring, all of them are later than all elements of
//!   the levels.
//! - `filed-once`: an element's `position` is the slot whose list it is in.
//! - `walk-is-linked`: the element at which a walk is to continue is in the list of the walk's slot. When it leaves that
//!   list, the walk continues at the element after it.

#![expect(unsafe_code, reason = "the slots are intrusive lists")]

use std::ptr::NonNull;

use crate::collections::linked_list::{Linked, LinkedList, Links};

const LEVELS: usize = 6;
const TOP: usize = LEVELS - 1;
/// The level of the far slot, the only slot of this level.
const FAR: usize = LEVELS;
const SLOTS: usize = 64;
/// The number of deadline bits that select the slot of one level.
const BITS: u32 = 6;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
const TOP_SHIFT: u32 = BITS * TOP as u32;

/// The part of an element that belongs to the wheel.
#[derive(Debug)]
pub(super) struct Filing<T> {
    pub(super) links: Links<T>,
    deadline: u64,
    position: WheelPosition,
}

impl<T> Filing<T> {
    pub(super) const fn new() -> Self {
        Self { links: Links::new(), deadline: 0, position: WheelPosition { level: 0, slot: 0 } }
    }
}

/// An element of a wheel.
///
/// # Safety
/// For a given element, `filing` always returns the address of the same field. `Linked::links` returns the address of
/// the `links` in it.
pub(super) unsafe trait Filed: Linked {
    /// Returns the address of the filing inside `element`.
    ///
    /// # Safety
    /// `element` points to a live element.
    unsafe fn filing(element: NonNull<Self>) -> NonNull<Filing<Self>>;
}

/// The result of inserting an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Insertion {
    /// It is in the wheel.
    Filed,
    /// Its deadline has been reached; it is not in the wheel.
    Due,
}

/// The position of a slot: its level, and its index in the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WheelPosition {
    level: u8,
    slot: u8,
}

impl WheelPosition {
    fn new(level: usize, slot: u64) -> Self {
        Self { level: level as u8, slot: (slot & SLOT_MASK) as u8 }
    }

    fn index(self) -> usize {
        usize::from(self.level) * SLOTS + usize::from(self.slot)
    }
}

#[derive(Debug)]
struct WheelSlot<T> {
    list: LinkedList<T>,
    bound: u64,
}

/// Where the current walk is to continue.
#[derive(Debug)]
struct WalkPoint<T> {
    slot: usize,
    next: Option<NonNull<T>>,
    /// Elements have moved to lower levels since the last walk began.
    has_moved: bool,
}

// SAFETY: as for `LinkedList`: it is moved and used under the lock of the wheel's owner.
unsafe impl<T: Send> Send for WalkPoint<T> {}

/// A timer wheel; the module documentation describes it.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    /// The latest tick that was processed. All elements due by it were handed out or are in its level-0 slot.
    elapsed: u64,
    /// One bit per slot: whether its list is non-empty. The last word is for the far slot.
    occupied: [u64; LEVELS + 1],
    /// The slot of the current walk, and the element at which it is to continue (`walk-is-linked`).
    walk: WalkPoint<T>,
    /// Allocated and built on the heap, since they are too large for a stack. The last is the far slot.
    slots: Box<[WheelSlot<T>; LEVELS * SLOTS + 1]>,
}

/// How far a walk has come: from the far slot down to the lowest level, because elements move to lower levels.
#[derive(Debug)]
pub(super) struct WheelWalk {
    slots_left: usize,
    is_inside: bool,
}

impl WheelWalk {
    pub(super) fn new() -> Self {
        Self { slots_left: LEVELS * SLOTS + 1, is_inside: false }
    }
}

impl<T: Filed> Wheel<T> {
    pub(super) fn new() -> Self {
        let slots: Box<[_]> = std::iter::repeat_with(|| WheelSlot { list: LinkedList::new(), bound: 0 })
            .take(LEVELS * SLOTS + 1)
            .collect();
        let Ok(slots) = slots.try_into() else {
            unreachable!("as many were made as there are");
        };
        Self { elapsed: 0, occupied: [0; LEVELS + 1], walk: WalkPoint { slot: 0, next: None, has_moved: false }, slots }
    }

    /// Starts over at tick 0. The wheel is empty.
    pub(super) fn restart(&mut self) {
        debug_assert_eq!(self.occupied, [0; LEVELS + 1], "only an empty wheel restarts");
        self.elapsed = 0;
    }

    /// Returns the earliest deadline. After an earlier element was removed, it may return a tick before that.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        if self.has_far() {
            return Some(self.next_deadline_with_far());
        }
        Some(self.slots[self.first()?.index()].bound)
    }

    /// Inserts `element`, unless its deadline has been reached.
    ///
    /// # Safety
    /// `element` is alive, in no wheel, and does not move until it has been removed or popped.
    #[inline(always)]
    pub(super) unsafe fn insert(&mut self, element: NonNull<T>, deadline: u64) -> Insertion {
        if deadline <= self.elapsed {
            return Insertion::Due;
        }
        // SAFETY: alive by the safety contract.
        unsafe { (*T::filing(element).as_ptr()).deadline = deadline };
        // SAFETY: our safety contract is that of `file`.
        unsafe { self.file(element) };
        Insertion::Filed
    }

    /// Removes `element` and returns its deadline.
    ///
    /// # Safety
    /// `element` is in this wheel.
    pub(super) unsafe fn remove(&mut self, element: NonNull<T>) -> u64 {
        // SAFETY: elements of the wheel are alive.
        let (position, deadline) = unsafe {
            let filing = T::filing(element).as_ptr();
            ((*filing).position, (*filing).deadline)
        };
        let list = &mut self.slots[position.index()].list;
        if self.walk.next == Some(element) {
            // SAFETY: as below.
            self.walk.next = unsafe { list.after(element) };
        }
        // SAFETY: `filed-once`: it is in this slot's list.
        unsafe { list.remove(element) };
        if list.is_empty() {
            self.occupied[usize::from(position.level)] &= !(1 << position.slot);
        }
        deadline
    }

    /// Removes and returns an element that is due at `now`, in order of deadlines. Returns `None` when none is left.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<NonNull<T>> {
        loop {
            if self.has_far() && is_near(self.elapsed, self.far_bound()) {
                // Each round removes the earliest element from the far slot, or makes the slot's bound exact.
                self.refile(WheelPosition::new(FAR, 0));
            }
            // `far-is-later`
            let position = match self.first() {
                Some(position) if self.start_of(position) <= now => position,
                // `slots-ahead`: no occupied slot starts by `now`.
                Some(_) | None => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            };
            self.elapsed = self.elapsed.max(self.start_of(position));
            match usize::from(position.level) {
                0 => return self.pop_from(position),
                // `elapsed` is now within reach: the next round refiles it.
                FAR => {}
                _ => self.refile(position),
            }
        }
    }

    /// Removes and returns any element, due or not.
    pub(super) fn pop_any(&mut self) -> Option<NonNull<T>> {
        self.pop_from(self.first()?)
    }

    fn pop_from(&mut self, position: WheelPosition) -> Option<NonNull<T>> {
        let list = &mut self.slots[position.index()].list;
        if self.walk.next.is_some() && self.walk.next == list.front() {
            // SAFETY: the front of this list.
            self.walk.next = self.walk.next.and_then(|element| unsafe { list.after(element) });
        }
        let element = list.pop_front();
        if list.is_empty() {
            self.occupied[usize::from(position.level)] &= !(1 << position.slot);
        }
        element
    }

    /// Visits up to `count` elements with their deadlines, after those of the calls before with this `walk`. Returns whether
    /// that was all. Call it again until it does; there is only one walk at a time.
    ///
    /// An element that stays in the wheel between the first call and the last is visited. It may be visited twice if
    /// [`has_moved_since_walk`](Self::has_moved_since_walk).
    pub(super) fn visit(&mut self, walk: &mut WheelWalk, count: usize, mut visit: impl FnMut(NonNull<T>, u64)) -> bool {
        let mut left = count;
        if walk.slots_left > FAR * SLOTS && !walk.is_inside {
            self.walk.has_moved = false;
        }
        while let Some(index) = walk.slots_left.checked_sub(1) {
            let list = &self.slots[index].list;
            let mut next = if walk.is_inside { self.walk.next } else { list.front() };
            while let Some(element) = next {
                if left == 0 {
                    (walk.is_inside, self.walk.slot, self.walk.next) = (true, index, next);
                    return false;
                }
                left -= 1;
                // SAFETY: `walk-is-linked`, or it was reached from there, under the same borrow.
                let (deadline, after) = unsafe { ((*T::filing(element).as_ptr()).deadline, list.after(element)) };
                visit(element, deadline);
                next = after;
            }
            (walk.is_inside, walk.slots_left, self.walk.next) = (false, index, None);
        }
        true
    }

    /// Whether elements have moved to lower levels since the last walk began.
    pub(super) fn has_moved_since_walk(&self) -> bool {
        self.walk.has_moved
    }

    /// Moves the elements of a slot that time has entered to lower levels.
    fn refile(&mut self, position: WheelPosition) {
        self.walk.has_moved = true;
        let is_walked = self.walk.slot == position.index() && self.walk.next.take().is_some();
        let mut list = self.slots[position.index()].list.take();
        self.occupied[usize::from(position.level)] &= !(1 << position.slot);
        while let Some(element) = list.pop_front() {
            // SAFETY: it was in the wheel, so it stays alive until it is removed. It was just unlinked.
            unsafe { self.file(element) };
        }
        if is_walked {
            // Elements of the far slot may be there again. The walk gets to the slots of lower levels later.
            self.walk.next = self.slots[position.index()].list.front();
        }
    }

    /// Links `element` into the slot for its deadline, relative to `elapsed`.
    ///
    /// # Safety
    /// As for [`insert`](Self::insert). Also, the element's `deadline` is set and is not before `elapsed`.
    unsafe fn file(&mut self, element: NonNull<T>) {
        // SAFETY: alive by the safety contract.
        let filing = unsafe { T::filing(element).as_ptr() };
        // SAFETY: as above.
        let deadline = unsafe { (*filing).deadline };
        let (position, bound) = position_of(self.elapsed, deadline);
        // SAFETY: as above.
        unsafe { (*filing).position = position };
        let slot = &mut self.slots[position.index()];
        // `bound-is-early`: the old bound of an empty slot is meaningless.
        slot.bound = if slot.list.is_empty() { bound } else { slot.bound.min(bound) };
        // SAFETY: alive and in no list by the safety contract.
        unsafe { slot.list.push_back(element) };
        self.occupied[usize::from(position.level)] |= 1 << position.slot;
    }

    /// Returns the slot of the earliest element (`slots-ahead`).
    fn first(&self) -> Option<WheelPosition> {
        let Some(level) = self.occupied[..LEVELS].iter().position(|&bits| bits != 0) else {
            return self.has_far().then(|| WheelPosition::new(FAR, 0));
        };
        let bits = self.occupied[level];
        if level < TOP {
            return Some(WheelPosition::new(level, u64::from(bits.trailing_zeros())));
        }
        let here = self.elapsed >> TOP_SHIFT;
        let ahead = bits.rotate_right((here & SLOT_MASK) as u32).trailing_zeros();
        Some(WheelPosition::new(TOP, here + u64::from(ahead)))
    }

    /// As `next_deadline`. An element of the far slot that has come within reach may be the earliest.
    #[cold]
    fn next_deadline_with_far(&self) -> u64 {
        let bound = self.first().map_or(u64::MAX, |position| self.slots[position.index()].bound);
        bound.min(self.far_bound())
    }

    #[inline]
    fn has_far(&self) -> bool {
        self.occupied[FAR] != 0
    }

    fn far_bound(&self) -> u64 {
        self.slots[WheelPosition::new(FAR, 0).index()].bound
    }

    /// Returns the first tick that `position` covers, which must be ahead. The far slot starts at its earliest element.
    fn start_of(&self, position: WheelPosition) -> u64 {
        let (level, slot) = (u32::from(position.level), u64::from(position.slot));
        if usize::from(position.level) == FAR {
            return self.far_bound();
        }
        if usize::from(position.level) < TOP {
            let lap = BITS * (level + 1);
            return ((self.elapsed >> lap) << lap) + (slot << (BITS * level));
        }
        let here = self.elapsed >> TOP_SHIFT;
        let ahead = slot.wrapping_sub(here) & SLOT_MASK;
        (here + ahead) << TOP_SHIFT
    }
}

/// Returns the slot for a deadline that is not before `elapsed`, and the bound that the deadline sets there.
fn position_of(elapsed: u64, deadline: u64) -> (WheelPosition, u64) {
    let highest_differing = u64::BITS - 1 - ((elapsed ^ deadline) | SLOT_MASK).leading_zeros();
    let level = (highest_differing / BITS) as usize;
    if level < TOP {
        let slot = deadline >> (BITS * level as u32);
        return (WheelPosition::new(level, slot), deadline);
    }
    (position_at_top(elapsed, deadline), deadline)
}

#[cold]
fn position_at_top(elapsed: u64, deadline: u64) -> WheelPosition {
    if is_near(elapsed, deadline) { WheelPosition::new(TOP, deadline >> TOP_SHIFT) } else { WheelPosition::new(FAR, 0) }
}

/// Returns whether the ring of the top level reaches `deadline`, which must not be before `elapsed`.
fn is_near(elapsed: u64, deadline: u64) -> bool {
    (deadline >> TOP_SHIFT) - (elapsed >> TOP_SHIFT) <= SLOT_MASK
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    struct Element {
        number: usize,
        filing: Filing<Element>,
    }
    // SAFETY: always the same field, by raw projection.
    unsafe impl Linked for Element {
        unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
            // SAFETY: `element` is alive by the safety contract.
            unsafe { NonNull::new_unchecked(&raw mut (*element.as_ptr()).filing.links) }
        }
    }
    // SAFETY: always the same field, by raw projection.
    unsafe impl Filed for Element {
        unsafe fn filing(element: NonNull<Self>) -> NonNull<Filing<Self>> {
            // SAFETY: `element` is alive by the safety contract.
            unsafe { NonNull::new_unchecked(&raw mut (*element.as_ptr()).filing) }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Insert this many ticks ahead of the current tick, or at the last tick if that overflows.
        Insert(u64),
        /// Remove one of the elements in the wheel.
        Remove(usize),
        /// Let time pass and remove the due elements.
        Pass(u64),
        /// Jump to the wheel's next deadline.
        PassToNext,
        /// Visit this many elements of the current walk.
        Visit(usize),
    }

    /// The current walk: the elements that have been in the wheel since it began, and those that it has visited.
    struct Walking {
        walk: WheelWalk,
        stayed: BTreeSet<usize>,
        visited: Vec<usize>,
    }

    impl Walking {
        fn begin(map: &BTreeMap<u64, Vec<usize>>) -> Self {
            let stayed = map.values().flatten().copied().collect();
            Self { walk: WheelWalk::new(), stayed, visited: Vec::new() }
        }

        fn visit(&mut self, wheel: &mut Wheel<Element>, map: &BTreeMap<u64, Vec<usize>>, count: usize) {
            self.stayed.retain(|number| map.values().flatten().any(|inside| inside == number));
            let before = self.visited.len();
            let is_done = wheel.visit(&mut self.walk, count, |element, deadline| {
                // SAFETY: elements are alive until the end.
                let number = unsafe { element.as_ref().number };
                assert!(map[&deadline].contains(&number), "only what is in the wheel is visited");
                self.visited.push(number);
            });
            let visited = self.visited.len() - before;
            assert!(visited == count || (visited < count && is_done), "it stops early only at the end");
            if is_done {
                let unique: BTreeSet<_> = self.visited.iter().copied().collect();
                assert!(unique.is_superset(&self.stayed), "what stays in the wheel is visited");
                assert!(wheel.has_moved_since_walk() || unique.len() == self.visited.len(), "and once");
                *self = Self::begin(map);
            }
        }
    }

    /// Near, far, and on the boundaries of slots.
    fn ticks() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0_u64..200,
            2 => 0_u64..10_000,
            1 => (0_u32..64, -2_i64..3)
                .prop_map(|(shift, off)| (1_u64 << shift).saturating_add_signed(off)),
            1 => 0_u64..(1 << 42),
            1 => any::<u64>(),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        proptest::collection::vec(
            prop_oneof![
                6 => ticks().prop_map(Step::Insert),
                2 => any::<usize>().prop_map(Step::Remove),
                3 => ticks().prop_map(Step::Pass),
                2 => Just(Step::PassToNext),
                2 => (0_usize..5).prop_map(Step::Visit),
                1 => Just(Step::Insert(u64::MAX)),
            ],
            1..200,
        )
    }

    /// The dull version: a sorted map of deadlines, each with its elements.
    fn check_against_a_map(start: u64, steps: Vec<Step>) {
        let mut wheel = Wheel::<Element>::new();
        assert!(wheel.pop_due(start).is_none());
        let mut map = BTreeMap::<u64, Vec<usize>>::new();
        let mut elements = Vec::<NonNull<Element>>::new();
        let mut now = start;
        let mut walking = Walking::begin(&map);
        for step in steps {
            match step {
                Step::Visit(count) => walking.visit(&mut wheel, &map, count),
                Step::Insert(ahead) => {
                    let deadline = now.saturating_add(ahead).min(u64::MAX - 1);
                    let number = elements.len();
                    let element = NonNull::from(Box::leak(Box::new(Element { number, filing: Filing::new() })));
                    elements.push(element);
                    // SAFETY: leaked until the end, and in no wheel.
                    match unsafe { wheel.insert(element, deadline) } {
                        Insertion::Due => assert!(deadline <= now),
                        Insertion::Filed => {
                            assert!(deadline > now);
                            map.entry(deadline).or_default().push(number);
                        }
                    }
                }
                Step::Remove(which) => {
                    let inside: Vec<(u64, usize)> = map
                        .iter()
                        .flat_map(|(&deadline, numbers)| numbers.iter().map(move |&n| (deadline, n)))
                        .collect();
                    if inside.is_empty() {
                        continue;
                    }
                    let (deadline, number) = inside[which % inside.len()];
                    // SAFETY: it is in the map, so it is in the wheel.
                    assert_eq!(unsafe { wheel.remove(elements[number]) }, deadline);
                    let numbers = map.get_mut(&deadline).expect("it is in the map");
                    numbers.retain(|&n| n != number);
                    if numbers.is_empty() {
                        map.remove(&deadline);
                    }
                }
                Step::Pass(by) => pass_to(&mut wheel, &mut map, &mut now, by),
                Step::PassToNext => {
                    if let Some(next) = wheel.next_deadline() {
                        let by = next.saturating_sub(now);
                        pass_to(&mut wheel, &mut map, &mut now, by);
                    }
                }
            }
            let first = map.keys().next().copied();
            match (wheel.next_deadline(), first) {
                (Some(next), Some(first)) => assert!(now < next && next <= first),
                (next, first) => assert_eq!(next, first),
            }
        }
        walking.visit(&mut wheel, &map, usize::MAX);
        while let Some(element) = wheel.pop_any() {
            // SAFETY: elements are alive until the end.
            let number = unsafe { element.as_ref().number };
            assert!(map.values_mut().any(|numbers| {
                let before = numbers.len();
                numbers.retain(|&n| n != number);
                numbers.len() < before
            }));
        }
        assert!(map.values().all(Vec::is_empty));
        for element in elements {
            // SAFETY: made by `Box::leak` above, out of the wheel, freed once.
            drop(unsafe { Box::from_raw(element.as_ptr()) });
        }
    }

    fn pass_to(wheel: &mut Wheel<Element>, map: &mut BTreeMap<u64, Vec<usize>>, now: &mut u64, by: u64) {
        *now = now.saturating_add(by).min(u64::MAX - 1);
        let mut last = 0;
        while let Some(element) = wheel.pop_due(*now) {
            // SAFETY: elements are alive until the end.
            let number = unsafe { element.as_ref().number };
            let (&deadline, numbers) = map.iter_mut().next().expect("the map has it too");
            assert!(last <= deadline && deadline <= *now);
            last = deadline;
            let at = numbers.iter().position(|&n| n == number).expect("it is one of the earliest");
            numbers.remove(at);
            if numbers.is_empty() {
                map.remove(&deadline);
            }
        }
        assert!(map.keys().next().is_none_or(|&first| first > *now));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_sorted_map(steps in steps()) {
            check_against_a_map(0, steps);
        }

        #[test]
        fn it_behaves_as_a_sorted_map_around_the_turn_of_the_top_level(
            before in 0_u64..300,
            laps in 1_u64..4,
            steps in steps(),
        ) {
            check_against_a_map((laps << 36) - before, steps);
        }
    }

    #[test]
    fn one_far_timer_names_its_own_deadline_and_not_the_slots_on_the_way() {
        let mut wheel = Wheel::<Element>::new();
        let mut element = Element { number: 0, filing: Filing::new() };
        let element = NonNull::from(&mut element);
        // SAFETY: it is popped below, before it goes.
        assert_eq!(unsafe { wheel.insert(element, 600_123) }, Insertion::Filed);
        assert_eq!(wheel.next_deadline(), Some(600_123));
        assert_eq!(wheel.pop_due(600_122), None);
        assert_eq!(wheel.next_deadline(), Some(600_123));
        assert_eq!(wheel.pop_due(600_123), Some(element));
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn the_ring_of_the_top_level_starts_at_the_current_slot_and_wraps() {
        for slot in 0..=SLOT_MASK {
            let now = (1 << (TOP_SHIFT + BITS)) | slot << TOP_SHIFT;
            let mut wheel = Wheel::<Element>::new();
            assert_eq!(wheel.pop_due(now), None);
            let mut elements = [(); 3].map(|()| Element { number: 0, filing: Filing::new() });
            let elements = elements.each_mut().map(NonNull::from);
            // One slot ahead, half a ring ahead, and in the last slot before the current one.
            let deadlines = [1, 32, SLOT_MASK].map(|ahead| now + (ahead << TOP_SHIFT));
            for (element, deadline) in elements.into_iter().zip(deadlines).rev() {
                // SAFETY: each is popped below, before it goes.
                assert_eq!(unsafe { wheel.insert(element, deadline) }, Insertion::Filed);
            }
            for (element, deadline) in elements.into_iter().zip(deadlines) {
                assert_eq!(wheel.next_deadline(), Some(deadline), "at slot {slot}");
                assert_eq!(wheel.pop_due(deadline), Some(element), "at slot {slot}");
            }
            assert_eq!(wheel.next_deadline(), None);
        }
    }

    #[test]
    fn a_walk_knows_whether_elements_have_moved_since_it_began() {
        let mut wheel = Wheel::<Element>::new();
        assert!(!wheel.has_moved_since_walk());
        let mut element = Element { number: 0, filing: Filing::new() };
        let element = NonNull::from(&mut element);
        let all = |wheel: &mut Wheel<Element>| assert!(wheel.visit(&mut WheelWalk::new(), 9, |_, _| ()));
        // SAFETY: it is popped below, before it goes.
        assert_eq!(unsafe { wheel.insert(element, 5_000) }, Insertion::Filed);
        all(&mut wheel);
        assert!(!wheel.has_moved_since_walk());
        assert_eq!(wheel.pop_due(4_999), None);
        assert!(wheel.has_moved_since_walk(), "time has entered its slot");
        all(&mut wheel);
        assert!(!wheel.has_moved_since_walk(), "this walk began afterwards");
        assert_eq!(wheel.pop_due(5_000), Some(element));
    }

    #[test]
    fn deadlines_beyond_the_ring_name_themselves_and_are_reached_in_one_step() {
        let mut wheel = Wheel::<Element>::new();
        let mut elements = [(); 3].map(|()| Element { number: 0, filing: Filing::new() });
        let [near, far, last] = elements.each_mut().map(NonNull::from);
        for (element, deadline) in [(last, u64::MAX - 1), (far, 1 << 50), (near, 1 << 35)] {
            // SAFETY: each is popped below, before it goes.
            assert_eq!(unsafe { wheel.insert(element, deadline) }, Insertion::Filed);
        }
        for (element, deadline) in [(near, 1 << 35), (far, 1 << 50), (last, u64::MAX - 1)] {
            assert_eq!(wheel.next_deadline(), Some(deadline));
            assert_eq!(wheel.pop_due(deadline - 1), None);
            assert_eq!(wheel.pop_due(deadline), Some(element));
        }
        assert_eq!(wheel.next_deadline(), None);
    }
}
