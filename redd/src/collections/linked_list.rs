//! An intrusive doubly linked list: no allocation, and removal from the middle in constant time.
//!
//! Called by `sync::wait_list` and `time::wheel`, which hold a lock around every call.
//!
//! # Invariants
//! - `linked-is-alive`: an element is pinned, and is removed before it is freed or moved.
//! - `one-list`: an element is in at most one list, the one that its owner passes to `remove`.

#![expect(unsafe_code, reason = "intrusive links")]

use std::marker::PhantomPinned;
use std::ptr::NonNull;

/// The links inside an element.
#[derive(Debug)]
pub(crate) struct Links<T> {
    prev: Option<NonNull<T>>,
    next: Option<NonNull<T>>,
    /// The list holds pointers to the element, so the compiler must not assume that a `&mut` to it is the only pointer.
    _pinned: PhantomPinned,
}

impl<T> Links<T> {
    pub(crate) const fn new() -> Self {
        Self { prev: None, next: None, _pinned: PhantomPinned }
    }
}

/// An element that carries its links.
///
/// # Safety
/// `links` returns the address of the same `Links` field for the same element every time, derived from the whole
/// element's pointer (raw, without making a reference to the element).
pub(crate) unsafe trait Linked: Sized {
    /// Returns the address of the links inside `element`.
    ///
    /// # Safety
    /// `element` points to a live element.
    unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>>;
}

/// The list: two pointers.
#[derive(Debug)]
pub(crate) struct LinkedList<T> {
    head: Option<NonNull<T>>,
    tail: Option<NonNull<T>>,
}

// SAFETY: the list is moved and used under its owner's lock. Whether elements may cross threads is up to `T`.
unsafe impl<T: Send> Send for LinkedList<T> {}

impl<T: Linked> LinkedList<T> {
    pub(crate) const fn new() -> Self {
        Self { head: None, tail: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Returns the first element.
    pub(crate) fn front(&self) -> Option<NonNull<T>> {
        self.head
    }

    /// Appends `element`.
    ///
    /// # Safety
    /// `linked-is-alive` and `one-list` hold: the element stays where it is until removed, and is in no list now.
    pub(crate) unsafe fn push_back(&mut self, element: NonNull<T>) {
        // SAFETY: alive, by the safety contract; its neighbours by `linked-is-alive`.
        unsafe {
            let links = T::links(element).as_ptr();
            (*links).next = None;
            (*links).prev = self.tail;
            match self.tail {
                Some(tail) => (*T::links(tail).as_ptr()).next = Some(element),
                None => self.head = Some(element),
            }
        }
        self.tail = Some(element);
    }

    /// Removes the first element.
    pub(crate) fn pop_front(&mut self) -> Option<NonNull<T>> {
        let element = self.head?;
        // SAFETY: `element` is the head of this list.
        unsafe { self.remove(element) };
        Some(element)
    }

    /// Removes the last element.
    pub(crate) fn pop_back(&mut self) -> Option<NonNull<T>> {
        let element = self.tail?;
        // SAFETY: `element` is the tail of this list.
        unsafe { self.remove(element) };
        Some(element)
    }

    /// Removes `element`.
    ///
    /// # Safety
    /// `element` is in this list (`one-list`).
    pub(crate) unsafe fn remove(&mut self, element: NonNull<T>) {
        // SAFETY: the element is in this list, so it and its neighbours are alive (`linked-is-alive`).
        unsafe {
            let links = T::links(element).as_ptr();
            let (prev, next) = ((*links).prev.take(), (*links).next.take());
            match prev {
                Some(prev) => (*T::links(prev).as_ptr()).next = next,
                None => self.head = next,
            }
            match next {
                Some(next) => (*T::links(next).as_ptr()).prev = prev,
                None => self.tail = prev,
            }
        }
    }

    /// Appends all elements of `other`.
    pub(crate) fn append(&mut self, other: Self) {
        let (Some(head), Some(tail)) = (other.head, other.tail) else {
            return;
        };
        match self.tail {
            // SAFETY: the elements of both lists are alive (`linked-is-alive`).
            Some(last) => unsafe {
                (*T::links(last).as_ptr()).next = Some(head);
                (*T::links(head).as_ptr()).prev = Some(last);
            },
            None => self.head = Some(head),
        }
        self.tail = Some(tail);
    }

    /// Moves all elements into a new list and leaves this one empty.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Node {
        value: u32,
        links: Links<Node>,
    }
    // SAFETY: always the same field, by raw projection.
    unsafe impl Linked for Node {
        unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
            // SAFETY: `element` is alive, by the safety contract.
            unsafe { NonNull::new_unchecked(&raw mut (*element.as_ptr()).links) }
        }
    }

    #[test]
    fn it_behaves_as_a_deque_with_removal_from_the_middle() {
        let nodes: Vec<NonNull<Node>> =
            (0..40).map(|value| NonNull::from(Box::leak(Box::new(Node { value, links: Links::new() })))).collect();
        let rng = crate::primitives::rng::Rng::new(3);
        let (mut list, mut model) = (LinkedList::new(), VecDeque::<u32>::new());
        let mut outside: Vec<u32> = (0..40).collect();
        for _ in 0..crate::sys::emulation::rounds(10_000) {
            match rng.below(5) {
                0 | 1 if !outside.is_empty() => {
                    let value = outside.swap_remove(rng.below(outside.len() as u32) as usize);
                    // SAFETY: the nodes are leaked until the end, and this one is in no list.
                    unsafe { list.push_back(nodes[value as usize]) };
                    model.push_back(value);
                }
                2 => {
                    // SAFETY: nodes are alive.
                    let popped = list.pop_front().map(|node| unsafe { node.as_ref().value });
                    assert_eq!(popped, model.pop_front());
                    outside.extend(popped);
                }
                3 => {
                    // SAFETY: nodes are alive.
                    let popped = list.pop_back().map(|node| unsafe { node.as_ref().value });
                    assert_eq!(popped, model.pop_back());
                    outside.extend(popped);
                }
                _ if !model.is_empty() => {
                    let value = model.remove(rng.below(model.len() as u32) as usize).expect("in range");
                    // SAFETY: it is in the model, so it is in the list.
                    unsafe { list.remove(nodes[value as usize]) };
                    outside.push(value);
                }
                _ => {}
            }
            assert_eq!(list.is_empty(), model.is_empty());
        }
        for node in nodes {
            // SAFETY: made by `Box::leak` above, freed once.
            drop(unsafe { Box::from_raw(node.as_ptr()) });
        }
    }
}
