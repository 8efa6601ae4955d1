//! `select!` as a user's crate sees it.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
#![expect(
    clippy::items_after_statements,
    clippy::never_loop,
    clippy::semicolon_if_nothing_returned,
    clippy::await_holding_refcell_ref,
    clippy::ignored_unit_patterns,
    reason = "small items beside the test that uses them, and loops and borrows that are the point of a test"
)]

use futures::channel::oneshot;
use futures::executor::block_on;
use redd::select;
use std::cell::{Cell, RefCell};
use std::future::{IntoFuture, Ready, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

#[test]
fn the_first_future_that_is_done_chooses_its_handler() {
    block_on(async {
        let chosen = select! {
            () = pending() => 1,
            number = ready(2) => number,
        };
        assert_eq!(chosen, 2);
        // One branch, no comma, a block without a comma in front of another branch.
        let one = select! { number = ready(1) => number };
        let block = select! {
            number = ready(one) => { number + 1 }
            () = pending::<()>() => { 0 },
        };
        assert_eq!(block, 2);
    });
}

#[test]
fn all_conditions_then_all_futures_are_evaluated_once_and_in_order() {
    let log = RefCell::new(Vec::new());
    let note = |what: &'static str| log.borrow_mut().push(what);
    block_on(async {
        let chosen = select! {
            () = { note("future 1"); pending() }, if { note("condition 1"); true } => "one",
            () = { note("future 2"); ready(()) }, if { note("condition 2"); false } => "two",
            () = { note("future 3"); ready(()) } => "three",
        };
        assert_eq!(chosen, "three");
    });
    assert_eq!(*log.borrow(), ["condition 1", "condition 2", "future 1", "future 2", "future 3"]);
}

#[test]
fn a_branch_whose_condition_is_false_is_never_polled() {
    let polled = Cell::new(false);
    let watched = || {
        poll_fn(|_| {
            polled.set(true);
            Poll::Ready(())
        })
    };
    block_on(async {
        for _ in 0..50 {
            select! {
                () = watched(), if false => unreachable!("it is off"),
                () = ready(()) => {}
            }
        }
    });
    assert!(!polled.get());
}

#[test]
fn a_refused_value_turns_its_branch_off_and_the_others_go_on() {
    block_on(async {
        let (send, receive) = oneshot::channel();
        let polls = Cell::new(0);
        let refused = poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::Ready(None::<u8>)
        });
        let mut send = Some(send);
        let late = async {
            // The second poll of the `select!` is ready.
            let mut turns = 0;
            poll_fn(|cx| {
                turns += 1;
                cx.waker().wake_by_ref();
                if turns > 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            send.take().expect("once").send(7).expect("the receiver is there");
            pending::<()>().await;
        };
        let answer = select! {
            Some(number) = refused => number,
            Ok(number) = receive => number,
            () = late => 0,
        };
        assert_eq!((answer, polls.get()), (7, 1));
    });
}

#[test]
fn else_runs_when_no_branch_is_left() {
    block_on(async {
        let by_condition = select! {
            () = ready(()), if false => 1,
            else => 2,
        };
        let by_pattern = select! {
            Some(_) = ready(None::<u8>) => 1,
            Ok(()) = ready(Err::<(), _>(())) => 2,
            else => 3
        };
        let alone = select! { else => 4 };
        let never = select! { number = ready(5) => number, else => 6 };
        assert_eq!((by_condition, by_pattern, alone, never), (2, 3, 4, 5));
    });
}

#[test]
fn without_else_the_panic_says_to_add_it() {
    let panic = catch_unwind(|| {
        block_on(async {
            select! { () = ready(()), if false => {} }
        });
    });
    let payload = panic.expect_err("it panics");
    let text = payload.downcast_ref::<&str>().expect("a text");
    assert!(text.contains("all branches are disabled and there is no else branch"));
    assert!(text.contains("Add `else => …`"));
}

#[test]
fn biased_polls_as_written_and_otherwise_every_branch_gets_its_turn() {
    block_on(async {
        for _ in 0..50 {
            select! {
                biased;
                () = ready(()) => {}
                () = ready(()) => unreachable!("the first is ready"),
            }
        }
        let mut chosen = [0; 3];
        for _ in 0..600 {
            select! {
                () = ready(()) => chosen[0] += 1,
                () = ready(()) => chosen[1] += 1,
                () = ready(()) => chosen[2] += 1,
            }
        }
        assert!(chosen.iter().all(|&times| times > 100), "{chosen:?}");
    });
}

#[test]
fn each_further_poll_begins_with_the_next_branch() {
    let log = RefCell::new(Vec::new());
    let never_ready = |name: usize| {
        let log = &log;
        poll_fn(move |_| {
            log.borrow_mut().push(name);
            Poll::<()>::Pending
        })
    };
    let mut polls_left = 4;
    let end = poll_fn(|cx| {
        log.borrow_mut().push(2);
        polls_left -= 1;
        cx.waker().wake_by_ref();
        if polls_left == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    block_on(async {
        select! {
            () = never_ready(0) => unreachable!("it is never ready"),
            () = never_ready(1) => unreachable!("it is never ready"),
            () = end => {}
        }
    });
    let log = log.into_inner();
    for (turn, polled) in log.chunks(3).enumerate() {
        let first = (log[0] + turn) % 3;
        let around: Vec<_> = (first..first + 3).map(|branch| branch % 3).collect();
        assert!(around.starts_with(polled), "{log:?}");
    }
}

#[test]
fn a_wait_is_as_large_as_its_futures_two_words_and_a_state() {
    let with_conditions = async {
        select! {
            1 = ready(1_u32) => {}
            _ = ready(2_u32), if false => {}
            else => {}
        }
    };
    let words = |bytes: usize| bytes.next_multiple_of(size_of::<usize>());
    assert_eq!(size_of_val(&with_conditions), words(2 * size_of::<usize>() + 2 * size_of::<Ready<u32>>() + 1));
}

#[test]
fn handlers_return_break_continue_try_and_await_in_the_callers_function() {
    async fn early() -> Result<u8, String> {
        select! {
            number = ready(Err::<u8, _>("bad".to_owned())) => { number?; }
            () = pending() => return Ok(1),
        }
        Ok(2)
    }
    async fn returns() -> u8 {
        select! {
            number = ready(9) => return number,
            () = pending() => {}
        }
        0
    }
    block_on(async {
        assert_eq!(early().await, Err("bad".to_owned()));
        assert_eq!(returns().await, 9);
        let mut turns = 0;
        let last = 'outer: loop {
            for number in 0.. {
                turns += 1;
                select! {
                    biased;
                    () = ready(()), if turns < 3 => continue 'outer,
                    text = ready("x") => break 'outer ready(format!("{text}{number}")).await,
                }
            }
        };
        assert_eq!((last.as_str(), turns), ("x0", 3));
    });
}

#[test]
fn the_futures_are_dropped_before_a_handler_runs() {
    block_on(async {
        let mut text = String::from("a");
        async fn push(text: &mut String) {
            text.push('b');
            pending().await
        }
        async fn leave(text: &RefCell<Vec<u8>>) {
            let _borrowed = text.borrow_mut();
            pending().await
        }
        let shared = RefCell::new(Vec::new());
        select! {
            biased;
            () = push(&mut text) => {}
            () = leave(&shared) => {}
            () = ready(()) => {
                text.push('c');
                shared.borrow_mut().push(1);
            }
        }
        assert_eq!((text.as_str(), shared.into_inner()), ("abc", vec![1]));
    });
}

#[test]
fn futures_that_are_kept_outside_go_on_in_the_next_turn() {
    block_on(async {
        let mut turns = 0;
        let slow = async {
            for _ in 0..5 {
                let mut first = true;
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut first, false) { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
            }
        };
        redd::pin!(slow);
        loop {
            select! {
                biased;
                () = &mut slow => break,
                () = ready(()) => turns += 1,
            }
        }
        assert_eq!(turns, 5);
    });
}

#[test]
fn patterns_may_be_of_any_kind() {
    #[derive(Debug, Clone, PartialEq)]
    struct Point {
        x: String,
        y: u8,
    }
    #[derive(Debug)]
    enum Two {
        A(u8),
        B(u8),
    }
    const LIMIT: u8 = 7;
    let held = Some("t".to_owned());
    let point = || Point { x: "x".to_owned(), y: 1 };
    block_on(async {
        assert_eq!(select! { Point { x, y: 1 } = ready(point()) => x, else => String::new() }, "x");
        assert_eq!(select! { Point { ref x, mut y } = ready(point()) => { y += 1; (x.len(), y) } }, (1, 2));
        assert_eq!(select! { Two::A(n) | Two::B(n) = ready(Two::B(3)) => n }, 3);
        assert_eq!(select! { Two::A(n) = ready(Two::A(4)) => n, else => 0 }, 4);
        assert_eq!(select! { LIMIT = ready(7) => 1, else => 2 }, 1);
        assert_eq!(select! { None = ready(Some(1)) => 1, else => 2 }, 2);
        assert_eq!(select! { Some("x") = ready(Some("y")) => 1, else => 2 }, 2);
        assert_eq!(select! { n @ 1..=5 = ready(4) => n, else => 0 }, 4);
        assert_eq!(select! { [first, .., last] = ready([1, 2, 3]) => first + last }, 4);
        assert_eq!(select! { Some(&n) = ready(Some(&5)) => n, else => 0 }, 5);
        assert_eq!(select! { &(a, _) = ready(&(6, 7)) => a }, 6);
        assert_eq!(select! { Some(text) = ready(&held) => text.len(), else => 0 }, 1);
        assert_eq!(select! { (mut list, _) = ready((vec![1], ())) => { list.push(2); list } }, [1, 2]);
        assert_eq!(select! { r#match = ready(1) => r#match }, 1);
        assert_eq!(select! { Ok(n) | Err(n) = ready(Ok::<u8, u8>(8)) => n }, 8);
    });
}

#[test]
#[expect(non_upper_case_globals, reason = "the case under test")]
fn a_lower_case_constant_in_a_pattern_is_not_silently_a_variable() {
    const limit: u8 = 7;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            select! { limit = ready(8) => {}, Some(_) = ready(None::<u8>) => {} }
        });
    }));
    let text = *panic.expect_err("it panics").downcast::<&str>().expect("a text");
    assert!(text.contains("Rename the constant"));
}

#[test]
fn expressions_with_commas_turbofish_closures_and_macros_pass_through() {
    fn pair<A: Default, B: Default>(_: impl Fn(u8, u8) -> u8) -> Ready<(A, B)> {
        ready((A::default(), B::default()))
    }
    macro_rules! through {
        ($pattern:pat, $future:expr, $condition:expr, $handler:expr) => {
            select! {
                $pattern = $future, if $condition => $handler,
                () = std::future::pending() => unreachable!(),
            }
        };
    }
    block_on(async {
        let both = select! {
            both = pair::<u8, String>(|a, b| a + b), if [1, 2].iter().all(|&n| n > 0) => pair::<(u8, u8), u8>(|a, _| a).await.0.0 + both.0,
            () = pending() => 1,
        };
        assert_eq!(both, 0);
        assert_eq!(through!(Some(n), ready(Some(2)), true, n + 1), 3);
        assert_eq!(through!(n, ready(2), true, { n + 2 }), 4);
    });
}

#[test]
fn branches_accept_any_into_future() {
    struct Request(u8);
    impl IntoFuture for Request {
        type Output = u8;
        type IntoFuture = Ready<u8>;
        fn into_future(self) -> Ready<u8> {
            ready(self.0)
        }
    }
    block_on(async {
        assert_eq!(select! { n = Request(3) => n, () = pending() => 0 }, 3);
        // A reference to a temporary lives as long as the branch.
        assert_eq!(select! { n = &mut ready(4) => n, () = pending() => 0 }, 4);
    });
}

#[test]
fn sixty_four_branches_are_distinguished() {
    macro_rules! many {
        ($chosen:ident: $($number:literal)*) => {
            select! { $(() = pending(), if $number != $chosen => unreachable!(), () = ready(()), if $number == $chosen => $number,)* }
        };
    }
    block_on(async {
        for chosen in 0..32 {
            let answer =
                many!(chosen: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            assert_eq!(answer, chosen);
        }
    });
}

#[test]
fn only_the_chosen_value_is_moved_and_each_is_dropped_once() {
    struct Counted(Rc<Cell<u32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let counted = || Some(Counted(Rc::clone(&drops)));
    block_on(async {
        let kept = select! {
            biased;
            None = ready(counted()) => None,
            some = ready(counted()) => some,
        };
        assert_eq!(drops.get(), 1);
        drop(kept);
    });
    assert_eq!(drops.get(), 2);
}

/// The expansion uses no name from the caller's scope.
mod shadowed {
    #![allow(dead_code, reason = "they only shadow other names")]

    struct Option;
    struct Poll;
    struct Future;
    struct IntoFuture;
    struct Result;
    struct Pin;
    #[derive(Clone, Copy)]
    struct None;
    struct Ready;
    struct Pending;
    mod core {}
    mod std {}
    mod redd {}

    #[test]
    fn the_expansions_work_where_the_prelude_is_shadowed() {
        use ::redd::{join, select, try_join};
        ::futures::executor::block_on(async {
            let (output, futures, disabled, branch, is_pending) = (1, 2, 3, 4, 5);
            let sum = select! {
                n = ::std::future::ready(1), if disabled == 3 => n + output + futures + branch + is_pending,
                ::std::option::Option::Some(()) = ::std::future::ready(::std::option::Option::None) => 0,
            };
            assert!(sum == 13);
            let (a, b) = join!(async { output }, async { futures });
            assert!(a + b == 3);
            let ok = try_join!(async { ::std::result::Result::Ok::<u8, ()>(1) });
            assert!(ok.is_ok());
            let three = async { 3 };
            ::redd::pin!(three);
            assert!(three.await == 3);
        });
        ::redd::task_local! {
            static KEY: u8;
        }
        assert!(KEY.sync_scope(1, || KEY.get()) == 1);
    }
}

#[test]
fn a_future_that_only_panics_needs_no_type() {
    block_on(async {
        let never = poll_fn(|_| panic!("it is off"));
        select! {
            _ = never, if false => unreachable!("it is off"),
            () = ready(()) => {}
        }
    });
}
