//! Time on every flavor of runtime: sleep, interval, timeout, and the paused clock.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use redd::runtime::{Builder, Runtime};
use redd::time::{
    self, Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(test)
}

fn on_each_flavor(test: impl Fn(&Runtime)) {
    for runtime in [current_thread(), workers(1), workers(2)] {
        test(&runtime);
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn panic_message<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(f()))) else {
        panic!("it was expected to panic");
    };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn a_sleep_is_never_early_in_block_on_and_in_a_task() {
    on_each_flavor(|runtime| {
        let nap = || async {
            let start = Instant::now();
            sleep(ms(2)).await;
            start.elapsed()
        };
        assert!(runtime.block_on(nap()) >= ms(2));
        assert!(runtime.block_on(async { redd::spawn(nap()).await.unwrap() }) >= ms(2));
    });
}

#[test]
fn paused_time_jumps_to_each_deadline_in_turn() {
    let order = paused(async {
        let start = Instant::now();
        let log = Arc::new(Mutex::new(Vec::new()));
        let naps: Vec<_> = [300_u64, 5, 90_000, 5, 64]
            .into_iter()
            .map(|nap| {
                let log = Arc::clone(&log);
                redd::spawn(async move {
                    sleep(ms(nap)).await;
                    assert_eq!(start.elapsed(), ms(nap));
                    log.lock().unwrap().push(nap);
                })
            })
            .collect();
        for nap in naps {
            nap.await.unwrap();
        }
        log.lock().unwrap().clone()
    });
    assert_eq!(order, [5, 5, 64, 300, 90_000]);
}

#[test]
fn the_longest_sleep_ends_after_decades() {
    paused(async {
        let start = Instant::now();
        sleep(Duration::MAX).await;
        let years = start.elapsed().as_secs() / (365 * 86_400);
        assert!((20..40).contains(&years));
        assert!(timeout(Duration::MAX, async { 1 }).await.is_ok());
    });
}

/// Durations of all magnitudes, up to the longest.
fn magnitudes() -> impl Iterator<Item = Duration> {
    let powers = (0..64).map(|exponent| Duration::from_secs(1 << exponent));
    powers.chain([Duration::MAX, Duration::from_secs(i64::MAX as u64), Duration::from_millis(u64::MAX)])
}

/// The latest moment that the clock can express, to within a second.
fn end_of_time() -> Instant {
    (0..63).rev().fold(Instant::now(), |latest, exponent| {
        latest.checked_add(Duration::from_secs(1 << exponent)).unwrap_or(latest)
    })
}

#[test]
fn a_paused_sleep_of_any_length_ends_at_once_and_is_never_early() {
    for duration in magnitudes() {
        paused(async {
            let start = Instant::now();
            sleep(duration).await;
            let slept = start.elapsed();
            let is_thirty_years = slept.as_secs() / (365 * 86_400) == 30;
            assert!(slept == duration || (is_thirty_years && duration > slept), "{duration:?}: {slept:?}");

            let start = Instant::now();
            assert!(timeout(duration, pending::<()>()).await.is_err());
            assert!(start.elapsed() == slept, "{duration:?}");

            // A far timer does not delay one that ends earlier.
            let mut far = pin!(sleep(duration));
            assert!(poll_once(far.as_mut()).is_pending());
            sleep(ms(1)).await;
            far.as_mut().reset(Instant::now() + ms(2));
            far.await;
        });
    }
}

#[test]
fn intervals_deadlines_and_resets_of_any_distance_neither_panic_nor_take_long() {
    for period in magnitudes() {
        paused(async {
            let mut ticks = interval(period);
            let first = ticks.tick().await;
            assert!(ticks.tick().await > first);
            ticks.reset_after(period);
            ticks.tick().await;
            ticks.reset();
            for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
                ticks.set_missed_tick_behavior(behavior);
                ticks.reset_at(Instant::now());
                redd::time::advance(ms(50)).await;
                ticks.tick().await;
            }
            ticks.reset_at(end_of_time());
            assert!(pin!(ticks.tick()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
    }
    paused(async {
        let mut far = pin!(sleep_until(end_of_time()));
        assert!(poll_once(far.as_mut()).is_pending());
        far.as_mut().reset(end_of_time());
        sleep(ms(1)).await;
        far.await;
    });
    paused(async {
        let mut ticks = interval_at(end_of_time(), Duration::MAX);
        ticks.tick().await;
    });
}

#[test]
fn advancing_by_any_duration_moves_the_clock_or_says_that_it_is_too_far() {
    for duration in magnitudes() {
        let advanced = catch_unwind(AssertUnwindSafe(|| {
            paused(async {
                let start = Instant::now();
                let mut nap = pin!(sleep(ms(1)));
                let mut far = pin!(sleep(Duration::from_secs(1 << 52)));
                assert!(poll_once(nap.as_mut()).is_pending() && poll_once(far.as_mut()).is_pending());
                redd::time::advance(duration).await;
                assert_eq!(start.elapsed(), duration);
                assert!(poll_once(nap).is_ready());
                // Time continues from there.
                let later = Instant::now();
                sleep(ms(1)).await;
                assert!(later.elapsed() >= ms(1));
            })
        }));
        assert_eq!(advanced.is_ok(), duration <= Duration::from_secs(1 << 54), "{duration:?}");
    }
}

#[test]
fn with_a_real_clock_far_timers_do_not_disturb_a_near_one() {
    on_each_flavor(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = magnitudes()
                .skip(20)
                .flat_map(|far| {
                    [
                        redd::spawn(sleep(far)),
                        redd::spawn(async move { drop(timeout(far, pending::<()>()).await) }),
                        redd::spawn(async move {
                            let _ = interval_at(Instant::now() + ms(1 << 40), far).tick().await;
                        }),
                    ]
                })
                .chain([redd::spawn(sleep_until(end_of_time()))])
                .collect();
            for _ in 0..3 {
                sleep(ms(2)).await;
            }
            assert!(tasks.iter().all(|task| !task.is_finished()));
        });
    });
}

#[test]
fn a_blocking_task_keeps_paused_time_from_jumping() {
    paused(async {
        let start = Instant::now();
        let (tx, rx) = std::sync::mpsc::channel::<()>();
        let blocking = redd::task::spawn_blocking(move || rx.recv().unwrap());
        let mut nap = pin!(sleep(ms(50)));
        assert!(poll_once(nap.as_mut()).is_pending());
        assert_eq!(start.elapsed(), Duration::ZERO);
        tx.send(()).unwrap();
        blocking.await.unwrap();
        nap.await;
        assert_eq!(start.elapsed(), ms(50));
    });
}

/// The end of the work and the scheduler's decision interleave differently in each run, so there are many runs.
#[test]
fn paused_time_does_not_jump_before_the_end_of_a_blocking_task_is_seen() {
    for round in 0..2_000_u32 {
        paused(async {
            let start = Instant::now();
            let busy = move || (0..round % 50).for_each(|_| std::hint::spin_loop());
            let in_time = timeout(ms(1), redd::task::spawn_blocking(busy)).await;
            assert!(in_time.is_ok(), "round {round}: the timeout won");
            assert_eq!(start.elapsed(), Duration::ZERO, "round {round}");
        });
    }
}

#[test]
fn advance_fires_what_is_due_and_lets_it_run() {
    paused(async {
        let hits = Arc::new(AtomicUsize::new(0));
        for nap in [10, 20, 30] {
            let hits = Arc::clone(&hits);
            redd::spawn(async move {
                sleep(ms(nap)).await;
                hits.fetch_add(1, Ordering::Relaxed);
            });
        }
        redd::task::yield_now().await;
        time::advance(ms(20)).await;
        assert_eq!(hits.load(Ordering::Relaxed), 2);
        time::advance(Duration::from_micros(9_999)).await;
        assert_eq!(hits.load(Ordering::Relaxed), 2);
        time::advance(Duration::from_micros(1)).await;
        assert_eq!(hits.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn the_clock_stops_while_paused_and_continues_after_resume() {
    current_thread().block_on(async {
        let before = Instant::now();
        time::pause();
        let stood = Instant::now();
        assert!(stood >= before && Instant::now() == stood);
        time::advance(ms(3_600_000)).await;
        assert_eq!(Instant::now(), stood + ms(3_600_000));
        let stood = Instant::now();
        time::resume();
        sleep(ms(1)).await;
        assert!(stood.elapsed() >= ms(1));
        assert!(stood.elapsed() < ms(3_600_000));
        time::pause();
        assert!(Instant::now() >= stood + ms(1), "it never goes back");
    });
}

#[test]
fn misuse_of_the_clock_panics_with_what_to_do() {
    let runtime = current_thread();
    let message = panic_message(|| runtime.block_on(async { time::resume() }));
    assert!(message.contains("Call `time::pause` first"), "{message}");
    let message = panic_message(|| {
        runtime.block_on(async {
            time::pause();
            time::resume();
            time::resume();
        });
    });
    assert!(message.contains("Call `time::pause` first"), "{message}");
    let message = panic_message(|| runtime.block_on(time::advance(ms(1))));
    assert!(message.contains("start_paused(true)"), "{message}");
    let message = panic_message(|| {
        runtime.block_on(async {
            time::pause();
            time::pause();
        });
    });
    assert!(message.contains("`time::resume` ends a pause"), "{message}");
    let message = panic_message(|| runtime.block_on(time::advance(Duration::MAX)));
    assert!(message.contains("Move it by less"), "{message}");
    let message = panic_message(|| workers(1).block_on(async { time::pause() }));
    assert!(message.contains("new_current_thread"), "{message}");
    let message = panic_message(time::pause);
    assert!(message.contains("handle.enter()"), "{message}");
}

#[test]
fn a_timer_outside_of_a_runtime_or_without_enable_time_panics_with_what_to_do() {
    let message = panic_message(|| sleep(ms(1)));
    assert!(message.contains("`sleep`") && message.contains("handle.enter()"), "{message}");
    let message = panic_message(|| timeout(ms(1), async {}));
    assert!(message.contains("`timeout`") && message.contains("handle.enter()"), "{message}");
    let timeless = Builder::new_current_thread().build().unwrap();
    let message = panic_message(|| timeless.block_on(async { interval(ms(1)) }));
    assert!(message.contains("enable_time"), "{message}");
    let message = panic_message(|| current_thread().block_on(async { interval(Duration::ZERO) }));
    assert!(message.contains("period") && message.contains("tests/time.rs"), "{message}");
}

#[test]
fn a_timer_polled_after_its_runtime_was_shut_down_panics_with_its_place() {
    let runtime = workers(1);
    let (mut armed, mut idle) = {
        let _guard = runtime.enter();
        (Box::pin(sleep(ms(3_600_000))), Box::pin(sleep(ms(1))))
    };
    assert!(poll_once(armed.as_mut()).is_pending());
    drop(runtime);
    for timer in [&mut armed, &mut idle] {
        let message = panic_message(|| poll_once(timer.as_mut()));
        assert!(message.contains("tests/time.rs"), "{message}");
        assert!(message.contains("keep the `Runtime` alive longer"), "{message}");
    }
}

#[test]
fn armed_timers_may_be_dropped_and_reset_on_any_thread_also_after_their_runtime() {
    let runtime = workers(2);
    let arm = || {
        let _guard = runtime.enter();
        let mut timer = Box::pin(sleep(ms(3_600_000)));
        assert!(poll_once(timer.as_mut()).is_pending());
        timer
    };
    let timers: Vec<_> = (0..100).map(|_| arm()).collect();
    let mut left: Vec<_> = (0..100).map(|_| arm()).collect();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(timers));
        scope.spawn(|| {
            for timer in &mut left {
                let later = timer.deadline() + ms(1);
                timer.as_mut().reset(later);
            }
        });
    });
    drop(runtime);
    let other = workers(2);
    let later = left[0].deadline();
    left[0].as_mut().reset(later);
    drop(left);
    other.block_on(async { sleep(ms(1)).await });
}

#[test]
fn a_timer_fires_for_an_executor_that_is_not_redd_and_in_another_runtime() {
    let home = workers(1);
    let timer = |nap| {
        let _guard = home.enter();
        sleep(ms(nap))
    };
    let start = Instant::now();
    // The worker is parked without a deadline: arming must unpark it.
    futures::executor::block_on(timer(5));
    assert!(start.elapsed() >= ms(5));
    let start = Instant::now();
    current_thread().block_on(timer(5));
    assert!(start.elapsed() >= ms(5));
}

#[test]
fn a_timer_moved_from_worker_to_worker_wakes_its_last_waiter() {
    let runtime = workers(2);
    runtime.block_on(async {
        let mut timer = Box::pin(sleep(ms(20)));
        for _ in 0..10 {
            let moved = redd::spawn(async move {
                assert!(poll_once(timer.as_mut()).is_pending() || timer.is_elapsed());
                (timer,)
            });
            (timer,) = moved.await.unwrap();
        }
        redd::spawn(timer).await.unwrap();
    });
}

#[test]
fn reset_moves_the_wake_of_a_waiting_task() {
    paused(async {
        let start = Instant::now();
        let mut timer = pin!(sleep(ms(100)));
        assert!(!timer.is_elapsed());
        assert!(poll_once(timer.as_mut()).is_pending());
        timer.as_mut().reset(start + ms(20));
        assert_eq!(timer.deadline(), start + ms(20));
        timer.as_mut().await;
        assert_eq!(start.elapsed(), ms(20));
        assert!(timer.is_elapsed());
        timer.as_mut().reset(start + ms(150));
        assert!(!timer.is_elapsed());
        timer.as_mut().await;
        assert_eq!(start.elapsed(), ms(150));
    });
}

#[test]
fn reset_to_the_past_wakes_at_once() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    paused(async {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let start = Instant::now();
        let mut timer = pin!(sleep(ms(100)));
        assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sleep(ms(50)).await;
        timer.as_mut().reset(start + ms(40));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(poll_once(timer.as_mut()).is_ready());
    });
}

#[test]
fn a_waker_that_panics_keeps_no_other_timer_from_firing() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics, as this test wants");
        }
    }
    on_each_flavor(|runtime| {
        runtime.block_on(async {
            let waker = Waker::from(Arc::new(Panics));
            let mut timer = pin!(sleep(ms(1)));
            assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            sleep(ms(2)).await;
            assert!(timer.is_elapsed());
            sleep(ms(1)).await;
        });
    });
}

#[test]
fn a_timeout_returns_the_value_or_an_error_in_time() {
    paused(async {
        let start = Instant::now();
        assert!(timeout(ms(10), pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), ms(10));
        let value = async {
            sleep(ms(5)).await;
            7
        };
        assert_eq!(timeout(ms(10), value).await, Ok(7));
        assert_eq!(start.elapsed(), ms(15));
        assert!(timeout_at(start + ms(20), pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), ms(20));
    });
}

#[test]
fn a_value_that_is_ready_is_never_timed_out() {
    paused(async {
        let slow = timeout_at(Instant::now(), async { 1 });
        time::advance(ms(100)).await;
        assert_eq!(slow.await, Ok(1));
        let mut around = timeout(ms(1), Box::pin(async { 3 }));
        let inner: *const _ = around.get_ref();
        assert!(std::ptr::eq(inner, around.get_mut()));
        assert_eq!(around.into_inner().await, 3);
    });
}

#[test]
fn a_future_that_uses_up_the_budget_still_times_out() {
    current_thread().block_on(async {
        let busy = async {
            loop {
                redd::task::consume_budget().await;
            }
        };
        let task = redd::spawn(timeout(ms(2), busy));
        assert!(task.await.unwrap().is_err());
    });
}

#[test]
fn elapsed_sleeps_consume_budget() {
    current_thread().block_on(async {
        redd::spawn(async {
            let mut timer = pin!(sleep(Duration::ZERO));
            timer.as_mut().await;
            let mut polls = 0;
            poll_fn(|cx| {
                while timer.as_mut().poll(cx).is_ready() {
                    polls += 1;
                    assert!(polls < 1000, "it never yields");
                }
                Poll::Ready(())
            })
            .await;
            assert!(polls > 0);
        })
        .await
        .unwrap();
    });
}

#[test]
fn an_interval_keeps_to_its_multiples() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(ms(50));
        assert_eq!(ticks.period(), ms(50));
        for n in 0..5 {
            assert_eq!(ticks.tick().await, start + ms(50) * n);
            sleep(ms(20)).await;
        }
        let later = Instant::now() + ms(1000);
        let mut ticks = interval_at(later, ms(7));
        assert_eq!(ticks.tick().await, later);
        assert_eq!(ticks.tick().await, later + ms(7));
        assert_eq!(Instant::now(), later + ms(7));
    });
}

#[test]
fn after_late_work_burst_catches_up_delay_starts_over_and_skip_leaves_out() {
    let taken_at = |behavior: MissedTickBehavior| {
        paused(async move {
            let start = Instant::now();
            let mut ticks = interval(ms(50));
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.missed_tick_behavior(), behavior);
            ticks.tick().await;
            sleep(ms(125)).await;
            let mut taken = Vec::new();
            for _ in 0..4 {
                ticks.tick().await;
                taken.push(start.elapsed().as_millis());
            }
            taken
        })
    };
    assert_eq!(taken_at(MissedTickBehavior::Burst), [125, 125, 150, 200]);
    assert_eq!(taken_at(MissedTickBehavior::Delay), [125, 175, 225, 275]);
    assert_eq!(taken_at(MissedTickBehavior::Skip), [125, 150, 200, 250]);
}

#[test]
fn after_late_work_of_any_length_skip_keeps_to_the_multiples_and_an_endless_period_to_one_tick() {
    let secs = Duration::from_secs;
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(secs(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        sleep(secs(25) + ms(1)).await;
        assert_eq!(ticks.tick().await, start + secs(10));
        assert_eq!(ticks.tick().await, start + secs(30));
    });
    for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
        paused(async {
            let mut ticks = interval(Duration::MAX);
            ticks.set_missed_tick_behavior(behavior);
            sleep(secs(1)).await;
            ticks.tick().await;
            assert!(timeout(secs(86_400 * 365 * 20), ticks.tick()).await.is_err());
        });
    }
}

#[test]
fn an_interval_that_is_reset_ticks_from_there() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(ms(50));
        ticks.tick().await;
        sleep(ms(20)).await;
        ticks.reset();
        assert_eq!(ticks.tick().await, start + ms(70));
        ticks.reset_immediately();
        assert_eq!(ticks.tick().await, start + ms(70));
        ticks.reset_after(ms(5));
        assert_eq!(ticks.tick().await, start + ms(75));
        ticks.reset_at(start + ms(200));
        assert_eq!(ticks.tick().await, start + ms(200));
        assert_eq!(ticks.tick().await, start + ms(250));
    });
}

#[test]
fn a_task_that_waits_on_a_tick_that_is_reset_is_woken_at_the_new_one() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval_at(start + ms(500), ms(50));
        let tick = poll_fn(|cx| {
            let polled = ticks.poll_tick(cx);
            if polled.is_pending() && ticks.period() == ms(50) && Instant::now() == start {
                ticks.reset_at(start + ms(10));
            }
            polled
        });
        assert_eq!(tick.await, start + ms(10));
    });
}

#[test]
fn ten_thousand_timers_on_two_workers_all_fire() {
    let runtime = workers(2);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..u64::from(emulation::rounds(10_000)))
            .map(|n| {
                redd::spawn(async move {
                    let unused = timeout(ms(60_000), async { n }).await.unwrap();
                    sleep(ms(unused % 20)).await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn types_have_the_auto_traits_that_programs_rely_on() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    fn unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    send_sync::<Sleep>();
    send_sync::<Timeout<()>>();
    send_sync::<Interval>();
    unpin::<Interval>();
    unwind_safe::<Instant>();
    unwind_safe::<MissedTickBehavior>();
    unwind_safe::<time::error::Elapsed>();
    unwind_safe::<time::error::Error>();
}

#[test]
fn arithmetic_of_instants_is_that_of_std() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut later = now;
    later += second;
    assert_eq!(later, now + second);
    assert_eq!(later - now, second);
    assert_eq!(now - later, Duration::ZERO);
    assert_eq!(now.checked_duration_since(later), None);
    assert_eq!(now.checked_add(Duration::MAX), None);
    later -= second;
    assert_eq!(later, now);
    assert_eq!(Instant::from(std::time::Instant::from(now)), now);
}

#[test]
fn each_error_is_its_own_kind_only_and_elapsed_becomes_a_timed_out_io_error() {
    use redd::time::error::Error;
    for (error, expected) in [
        (Error::shutdown(), [true, false, false]),
        (Error::at_capacity(), [false, true, false]),
        (Error::invalid(), [false, false, true]),
    ] {
        let is = [error.is_shutdown(), error.is_at_capacity(), error.is_invalid()];
        assert_eq!(is, expected, "{error}");
    }
    let elapsed = paused(async { timeout(ms(1), pending::<()>()).await }).unwrap_err();
    let error = std::io::Error::from(elapsed);
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("deadline"));
}

#[test]
fn with_a_paused_clock_a_pending_event_comes_before_the_next_deadline() {
    paused(async {
        for has_deadline in [false, true] {
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let ours = redd::net::UnixStream::from_std(ours).unwrap();
            std::io::Write::write_all(&mut theirs, b"x").unwrap();
            let start = Instant::now();
            if has_deadline {
                redd::spawn(sleep(Duration::from_secs(1)));
                redd::task::yield_now().await;
            }
            // Only the root waits for it, and there is no task to run.
            ours.readable().await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    });
}

#[test]
fn with_a_paused_clock_a_pending_event_is_seen_behind_one_that_wakes_no_task() {
    use redd::io::AsyncReadExt;
    use redd::net::unix::pipe;
    use std::fs::File;
    use std::io::Write;

    let runtime =
        Builder::new_current_thread().enable_all().start_paused(true).max_io_events_per_tick(1).build().unwrap();
    runtime.block_on(async {
        let pipe = || {
            let (sender, receiver) = pipe::pipe().unwrap();
            (File::from(sender.into_blocking_fd().unwrap()), receiver)
        };
        let (mut unused_sender, _unused) = pipe();
        let (mut sender, mut receiver) = pipe();
        // No task waits for the first event.
        unused_sender.write_all(b"x").unwrap();
        sender.write_all(b"x").unwrap();
        let read = timeout(Duration::from_secs(1), receiver.read_u8()).await;
        assert_eq!(read.expect("the byte is there").unwrap(), b'x');
    });
}
