//! The memory that an ended task still uses while its wakers and handles exist. This is a test binary of its own,
//! because it counts the bytes of the whole process.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use redd::runtime::Builder;
use redd::task::LocalSet;

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as for this function.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const BYTES: usize = 8 * 1024;
const TASKS: usize = 1000;

/// Passes its waker on at the first poll, and ends at the second.
struct Large {
    is_second: bool,
    wakers: Arc<Mutex<Vec<Waker>>>,
    bytes: [u8; BYTES],
}

impl Large {
    fn new(wakers: &Arc<Mutex<Vec<Waker>>>) -> Self {
        Self { is_second: false, wakers: Arc::clone(wakers), bytes: [1; BYTES] }
    }
}

impl Future for Large {
    type Output = u8;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
        if std::mem::replace(&mut self.is_second, true) {
            return Poll::Ready(self.bytes[7]);
        }
        self.wakers.lock().unwrap().push(cx.waker().clone());
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Asserts that the result of `run` keeps less than a tenth of the bytes that its futures used. The first run creates
/// the slots.
#[track_caller]
fn assert_little_is_kept<T>(run: impl Fn() -> T) {
    drop(run());
    let before = LIVE.load(Ordering::Relaxed);
    let kept = run();
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    assert!(bytes < (TASKS * BYTES / 10) as isize, "{bytes} bytes are kept");
    drop(kept);
}

/// A single test, so that no other test allocates meanwhile.
#[test]
fn wakers_and_handles_of_ended_tasks_keep_no_large_future() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let wakers = || Arc::new(Mutex::new(Vec::with_capacity(TASKS)));

    let spawned = || {
        let wakers = wakers();
        runtime.block_on(async {
            for _ in 0..TASKS {
                assert_eq!(redd::spawn(Large::new(&wakers)).await.unwrap(), 1);
            }
        });
        assert_eq!(wakers.lock().unwrap().len(), TASKS);
        wakers
    };
    assert_little_is_kept(spawned);

    let set = LocalSet::new();
    let local = || {
        let wakers = wakers();
        set.block_on(&runtime, async {
            for _ in 0..TASKS {
                assert_eq!(redd::task::spawn_local(Large::new(&wakers)).await.unwrap(), 1);
            }
        });
        wakers
    };
    assert_little_is_kept(local);

    let closures = || {
        let mut handles = Vec::with_capacity(TASKS);
        runtime.block_on(async {
            for _ in 0..TASKS {
                let bytes = [1_u8; BYTES];
                let closure = redd::task::spawn_blocking(move || bytes[7]);
                handles.push(closure.abort_handle());
                assert_eq!(closure.await.unwrap(), 1);
            }
        });
        handles
    };
    assert_little_is_kept(closures);
}
