//! Loom: the pool's baton (M9). Submitters race with threads that take work, go idle, time out and end.
//!
//! The keep-alive is zero: in a model time does not pass, so an idle thread that was not claimed ends.

use super::pool::{Pool, PoolConfig, Refusal, StartThread, Work};
use crate::primitives::parker::Parker;
use crate::primitives::thread::{self, JoinHandle};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};

enum Piece {
    Count(Arc<AtomicUsize>),
    /// Ends only when the other piece runs on another thread.
    Wait(Arc<Parker>, Arc<AtomicUsize>),
    Wake(Arc<Parker>, Arc<AtomicUsize>),
}

impl Work for Piece {
    fn run(self) {
        let done = match self {
            Self::Count(done) => done,
            Self::Wait(parker, done) => {
                parker.park();
                done
            }
            Self::Wake(parker, done) => {
                parker.unpark();
                done
            }
        };
        done.fetch_add(1, Ordering::Relaxed);
    }

    fn cancel(self) {
        unreachable!("nothing is refused in these models");
    }
}

fn pool(max_threads: usize) -> Arc<Pool<Piece>> {
    Arc::new(Pool::new(PoolConfig {
        max_threads,
        keep_alive: Duration::ZERO,
    }))
}

fn start(pool: &Arc<Pool<Piece>>, number: usize) -> io::Result<JoinHandle<()>> {
    let pool = Arc::clone(pool);
    thread::spawn_named(String::new(), None, move || {
        let start: StartThread<'_> = &|number| start(&pool, number);
        pool.run_thread(number, start);
    })
}

fn submit(pool: &Arc<Pool<Piece>>, piece: Piece) -> bool {
    match pool.submit(piece, &|number| start(pool, number)) {
        Ok(()) => {
            pool.check();
            true
        }
        Err(refused) => {
            assert!(matches!(refused.reason, Refusal::Shutdown));
            false
        }
    }
}

#[test]
fn loom_two_submitters_have_their_work_done() {
    loom::model(|| {
        let (pool, done) = (pool(1), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            loom::thread::spawn(move || assert!(submit(&pool, Piece::Count(done))))
        };
        assert!(submit(&pool, Piece::Count(Arc::clone(&done))));
        other.join().expect("the other submitter does not panic");
        pool.shutdown();
        assert!(pool.join_all(None));
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn loom_work_that_waits_for_other_work_gets_a_thread_for_it() {
    loom::model(|| {
        let (pool, done) = (pool(2), Arc::new(AtomicUsize::new(0)));
        let parker = Arc::new(Parker::new());
        assert!(submit(
            &pool,
            Piece::Wait(Arc::clone(&parker), Arc::clone(&done))
        ));
        assert!(submit(&pool, Piece::Wake(parker, Arc::clone(&done))));
        pool.shutdown();
        assert!(pool.join_all(None));
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn loom_what_is_accepted_at_shutdown_is_done() {
    loom::model(|| {
        let (pool, done) = (pool(1), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            loom::thread::spawn(move || usize::from(submit(&pool, Piece::Count(done))))
        };
        pool.shutdown();
        let accepted = other.join().expect("the submitter does not panic");
        assert!(pool.join_all(None));
        assert_eq!(done.load(Ordering::Relaxed), accepted);
    });
}
