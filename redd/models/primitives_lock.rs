//! Models of the short lock: two threads, every interleaving.

use super::SpinMutex;
use crate::primitives::{Arc, model};

model!(loom_a_short_lock_lets_one_in_and_shows_what_the_last_one_did, || {
    let mutex = Arc::new(SpinMutex::new((0, 0)));
    let other = Arc::clone(&mutex);
    // The two halves agree under the lock, and no step is lost.
    let step = |mutex: &SpinMutex<(u32, u32)>| {
        let mut guard = mutex.lock();
        let (first, second) = &mut *guard;
        assert_eq!(first, second, "`locked-means-mine`");
        *first += 1;
        *second += 1;
    };
    let thread = crate::primitives::checker::thread::spawn(move || step(&other));
    step(&mutex);
    thread.join().unwrap();
    assert_eq!(*mutex.lock(), (2, 2));
});
