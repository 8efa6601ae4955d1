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

model!(loom_a_short_lock_is_given_up_or_taken_alone, || {
    let mutex = Arc::new(SpinMutex::new((0, 0)));
    let other = Arc::clone(&mutex);
    let step = |mutex: &SpinMutex<(u32, u32)>| {
        let Some(mut guard) = mutex.lock_within(1) else { return 0 };
        let (first, second) = &mut *guard;
        assert_eq!(first, second, "`locked-means-mine`");
        *first += 1;
        *second += 1;
        1
    };
    let thread = crate::primitives::checker::thread::spawn(move || step(&other));
    let here = step(&mutex);
    let steps = here + thread.join().unwrap();
    assert!(steps > 0, "a thread gives up only while the other has the lock");
    assert_eq!(*mutex.lock(), (steps, steps));
});
