//! A worker's own queue, by the flavor of its runtime.
//!
//! Called by `local` (push) and by `search` (pop).

#![expect(unsafe_code, reason = "tasks' links")]

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::choices::Flavor;
use super::config::Config;
use crate::task::header::Header;

/// Where a worker's own tasks are. The flavor of the runtime decides it once.
#[derive(Debug)]
pub(super) enum LocalQueue {
    /// Of a multi-thread runtime: the run queue in the worker's slot, from which other workers steal.
    Stealable { uses_lifo_slot: bool },
    /// Of a current-thread runtime: no worker steals, so these are plain lists in order of arrival.
    Private {
        ready: Fifo,
        /// Tasks that have yielded: they run again after all others, and after the root.
        yielded: Fifo,
    },
}

impl LocalQueue {
    pub(super) fn new(config: &Config) -> Self {
        if config.flavor == Flavor::MultiThread {
            Self::Stealable { uses_lifo_slot: config.use_lifo_slot }
        } else {
            Self::Private { ready: Fifo::new(), yielded: Fifo::new() }
        }
    }
}

/// A list of queued tasks through their `next` links, for one thread.
#[derive(Debug)]
pub(super) struct Fifo {
    head: Cell<*mut Header>,
    tail: Cell<*mut Header>,
    pub(super) len: Cell<usize>,
}

impl Fifo {
    pub(super) const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()), tail: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }

    #[inline]
    pub(super) fn push(&self, task: NonNull<Header>) {
        // SAFETY: the list owns a reference of each task in it, and the link belongs to the queue that holds the task.
        unsafe {
            task.as_ref().set_next(ptr::null_mut());
            match self.tail.replace(task.as_ptr()).as_ref() {
                Some(tail) => tail.set_next(task.as_ptr()),
                None => self.head.set(task.as_ptr()),
            }
        }
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Moves all of `other` to the end.
    #[inline]
    pub(super) fn append(&self, other: &Self) {
        let head = other.head.replace(ptr::null_mut());
        if head.is_null() {
            return;
        }
        // SAFETY: as in `push`.
        match unsafe { self.tail.replace(other.tail.replace(ptr::null_mut())).as_ref() } {
            Some(tail) => tail.set_next(head),
            None => self.head.set(head),
        }
        self.len.set(self.len.get() + other.len.take());
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<NonNull<Header>> {
        let task = NonNull::new(self.head.get())?;
        // SAFETY: as in `push`.
        let next = unsafe { task.as_ref().next() };
        self.head.set(next);
        if next.is_null() {
            self.tail.set(ptr::null_mut());
        }
        self.len.set(self.len.get() - 1);
        Some(task)
    }
}
