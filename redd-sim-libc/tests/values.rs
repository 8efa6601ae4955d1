//! What a program in a world gets from std and from other crates: equal for one seed, different for two, and real outside of a world.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "programs in worlds, which know only std")]

use redd::runtime::Builder;
use redd::sim::{Report, World};
use redd_sim_libc as _;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

/// What `f` returns in a world.
fn in_world<T: Send + 'static>(seed: u64, f: impl Fn() -> T + Send + Sync + 'static) -> (T, Report) {
    let (sender, receiver) = channel();
    let sender = std::sync::Mutex::new(sender);
    let main = move || {
        let value = f();
        sender.lock().unwrap().send(value).unwrap();
    };
    let report = World::new(seed).record(true).host("host", main).run();
    report.expect_ok();
    (receiver.recv().unwrap(), report)
}

/// Checks that the values are equal for one seed, and others outside of a world.
#[track_caller]
fn check<T: PartialEq + Debug + Send + 'static>(f: fn() -> T) {
    for seed in 0..10 {
        let ((first, report), (second, again)) = (in_world(seed, f), in_world(seed, f));
        assert_eq!(first, second, "seed {seed}");
        assert_eq!(report.first_difference(&again), None, "seed {seed}");
        assert_eq!(report.event_hash(), again.event_hash(), "seed {seed}");
        assert_ne!(f(), first, "outside of the world it is real");
    }
    assert_ne!(f(), f(), "outside of a world");
}

/// Checks that the values also differ from seed to seed.
#[track_caller]
fn check_random<T: PartialEq + Debug + Send + 'static>(f: fn() -> T) {
    check(f);
    for seed in 0..10 {
        assert_ne!(in_world(seed, f).0, in_world(seed + 1, f).0, "seeds differ");
    }
}

fn order_of_keys() -> Vec<u32> {
    (0..100).map(|key| (key, ())).collect::<HashMap<_, _>>().into_keys().collect()
}

#[test]
fn the_order_of_a_hash_map() {
    check_random(order_of_keys);
}

#[test]
fn the_order_of_hash_maps_on_threads_of_closures() {
    // Two closures at once, so that there are two threads, which start in an order of the seed.
    check_random(|| {
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let [one, other] = [(), ()].map(|()| {
                redd::task::spawn_blocking(|| {
                    std::thread::sleep(Duration::from_millis(1));
                    order_of_keys()
                })
            });
            (one.await.unwrap(), other.await.unwrap())
        })
    });
}

#[test]
fn two_threads_of_a_world_have_other_numbers() {
    let numbers = || {
        let runtime = Builder::new_multi_thread().build().unwrap();
        let there = runtime.block_on(async { redd::task::spawn_blocking(rand::random::<u64>).await.unwrap() });
        (rand::random::<u64>(), there)
    };
    let ((here, there), _) = in_world(1, numbers);
    assert_ne!(here, there);
}

#[test]
fn rand() {
    check_random(|| (rand::random::<u64>(), rand::Rng::random_range(&mut rand::rng(), 0..u64::MAX)));
}

#[test]
fn uuids() {
    check_random(|| (uuid::Uuid::new_v4(), uuid::Uuid::new_v4()));
}

#[test]
fn uuids_with_a_time_have_that_of_the_world() {
    let seconds = |id: uuid::Uuid| id.get_timestamp().unwrap().to_unix().0;
    let (id, _) = in_world(1, uuid::Uuid::now_v7);
    assert_eq!(seconds(id), 1_767_225_600);
    assert_ne!(seconds(uuid::Uuid::now_v7()), 1_767_225_600);
}

#[test]
fn getrandom_0_2_calls_syscall() {
    check_random(|| {
        let mut bytes = [0; 33];
        getrandom_2::getrandom(&mut bytes).unwrap();
        bytes
    });
}

#[test]
fn getrandom_0_3() {
    check_random(|| {
        let mut bytes = [0; 33];
        getrandom_3::fill(&mut bytes).unwrap();
        bytes
    });
}

#[test]
fn getrandom_0_4_looks_for_the_symbol() {
    check_random(|| {
        let mut bytes = [0; 33];
        getrandom_4::fill(&mut bytes).unwrap();
        bytes
    });
}

#[test]
fn instants() {
    check(|| format!("{:?}", Instant::now()));
    let ((), report) = in_world(1, || {
        let start = Instant::now();
        assert_eq!(start.elapsed(), Duration::ZERO);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            redd::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(start.elapsed(), Duration::from_secs(3600));
            assert_eq!(redd::time::Instant::now().into_std(), Instant::now());
        });
    });
    assert_eq!(report.elapsed(), Duration::from_secs(3600));
}

#[test]
fn the_time_of_day_starts_at_a_fixed_time_or_at_that_of_the_world() {
    check(SystemTime::now);
    let year_2026 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    assert_eq!(in_world(1, SystemTime::now).0, year_2026);

    let start = SystemTime::UNIX_EPOCH + Duration::new(1_709_164_799, 999_999_999);
    let (sender, receiver) = channel();
    let main = move || {
        let before = SystemTime::now();
        std::thread::sleep(Duration::from_nanos(1));
        sender.send((before, SystemTime::now())).unwrap();
    };
    World::new(1).start_at(start).host("host", main).run().expect_ok();
    assert_eq!(receiver.recv().unwrap(), (start, start + Duration::from_nanos(1)));
}

#[test]
#[should_panic(expected = "Pass a time from 1970 to 2554")]
fn a_world_cannot_start_before_1970() {
    drop(World::new(1).start_at(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)));
}

#[test]
fn functions_of_c() {
    #[expect(unsafe_code, reason = "calls of the C library")]
    fn all() -> (i64, (i64, i64), [u8; 20]) {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let mut bytes = [0; 20];
        // SAFETY: the memory is ours, and as long as the functions are told.
        unsafe {
            assert_eq!(libc::gettimeofday(&raw mut time, std::ptr::null_mut()), 0);
            assert_eq!(libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()), 0);
            let mut seconds = 0;
            assert_eq!(libc::time(&raw mut seconds), seconds);
            (seconds, (time.tv_sec, time.tv_usec), bytes)
        }
    }
    check_random(all);
    let ((seconds, day, _), _) = in_world(1, all);
    assert_eq!((seconds, day), (1_767_225_600, (1_767_225_600, 0)));
}

#[test]
fn a_length_of_zero_draws_nothing() {
    let draw = |zeros: usize| {
        let draw = move || {
            (0..zeros).for_each(|_| getrandom_3::fill(&mut []).unwrap());
            getrandom_2::getrandom(&mut []).unwrap();
            #[expect(unsafe_code, reason = "a call of the C library")]
            // SAFETY: nothing is written.
            (0..zeros).for_each(|_| unsafe { assert_eq!(libc::getrandom(std::ptr::null_mut(), 0, 0), 0) });
            rand::random::<u64>()
        };
        let (number, report) = in_world(1, draw);
        (number, report.event_hash())
    };
    assert_eq!(draw(0), draw(3));
}

#[test]
fn what_a_program_draws_is_part_of_the_hash() {
    let draw = |len: usize| {
        in_world(1, move || {
            getrandom_3::fill(&mut vec![0; len]).unwrap();
            std::thread::sleep(Duration::from_secs(1));
        })
        .1
    };
    let (short, long) = (draw(16), draw(17));
    let difference = short.first_difference(&long).unwrap();
    assert!(difference.contains("thread `host` has drawn 16 random bytes in 1 call\n"), "{difference}");
    assert!(!difference.contains("redd-sim-libc"), "it is linked: {difference}");
    assert!(short.is_std_simulated());
}

#[test]
fn threads_outside_of_a_world_have_the_real_functions_meanwhile() {
    let (sender, receiver) = channel();
    let main = move || {
        let start = Instant::now();
        let outside = std::thread::spawn(|| {
            let (instant, day, number) = (Instant::now(), SystemTime::now(), rand::random::<u64>());
            std::thread::sleep(Duration::from_millis(2));
            (instant, day, number, instant.elapsed())
        });
        let outside = outside.join().unwrap();
        std::thread::sleep(Duration::from_secs(86_400));
        sender.send((start, outside)).unwrap();
    };
    let mut numbers = HashSet::new();
    let before = (Instant::now(), SystemTime::now());
    for _ in 0..2 {
        World::new(1).limit(Duration::from_secs(100_000)).host("host", main.clone()).run().expect_ok();
        let (start, (instant, day, number, elapsed)) = receiver.recv().unwrap();
        assert!(instant >= before.0 && instant != start);
        assert!(day >= before.1 && elapsed >= Duration::from_millis(2));
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), 2, "another thread's numbers do not follow from the seed");
}

const CHILD: &str = "REDD_SIM_LIBC_CHILD";

/// What `fastrand` returns in a world of a process that does nothing else.
fn fastrand_in_a_child(seed: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fastrand_follows_from_the_seed_in_fresh_processes", "--nocapture", "--test-threads=1"])
        .env(CHILD, seed)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| Some(line.split_once("numbers: ")?.1.to_owned())).unwrap()
}

#[test]
fn fastrand_follows_from_the_seed_in_fresh_processes() {
    if let Ok(seed) = std::env::var(CHILD) {
        let ((inside, later), _) = in_world(seed.parse().unwrap(), || {
            let later = redd::time::Duration::from_millis(rand::random_range(0..1000));
            std::thread::sleep(later);
            (fastrand::u64(..), later)
        });
        println!("numbers: {inside} {later:?}");
        return;
    }
    let first = fastrand_in_a_child("1");
    assert_eq!(first, fastrand_in_a_child("1"));
    assert_ne!(first, fastrand_in_a_child("2"));
    assert_ne!(fastrand::u64(..), fastrand::Rng::new().u64(..));
}
