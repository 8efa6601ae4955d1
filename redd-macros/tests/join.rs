//! `join!` and `try_join!` as a user's crate sees them.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]

use futures::executor::block_on;
use redd::{join, try_join};
use std::cell::{Cell, RefCell};
use std::future::{Ready, pending, poll_fn, ready};
use std::rc::Rc;
use std::task::Poll;

/// Ready at its `turns`-th poll. Records each poll.
async fn noted(log: &RefCell<Vec<u8>>, name: u8, turns: u8) -> u8 {
    let mut left = turns;
    poll_fn(|cx| {
        log.borrow_mut().push(name);
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    name
}

#[test]
fn outputs_come_as_a_tuple_in_the_order_of_the_futures() {
    block_on(async {
        join!();
        assert_eq!(join!(ready(1)), (1,));
        assert_eq!(join!(async { 1 }, ready("two"), async { 3.0 },), (1, "two", 3.0));
        assert_eq!(try_join!(ready(Ok::<_, ()>(1)), ready(Ok("two"))), Ok((1, "two")));
        assert_eq!(try_join!(ready(Ok::<u8, ()>(1)),), Ok((1,)));
        let empty: Result<(), ()> = try_join!();
        assert_eq!(empty, Ok(()));
    });
}

#[test]
fn each_poll_begins_one_further_and_biased_begins_with_the_first() {
    let log = RefCell::new(Vec::new());
    block_on(async {
        assert_eq!(join!(noted(&log, 1, 3), noted(&log, 2, 3), noted(&log, 3, 3)), (1, 2, 3));
        assert_eq!(*log.borrow(), [1, 2, 3, 2, 3, 1, 3, 1, 2]);
        log.borrow_mut().clear();
        join!(biased; noted(&log, 1, 2), noted(&log, 2, 2));
        assert_eq!(*log.borrow(), [1, 2, 1, 2]);
        log.borrow_mut().clear();
        let ok = |name, turns| {
            let log = &log;
            async move { Ok::<_, ()>(noted(log, name, turns).await) }
        };
        assert_eq!(try_join!(biased; ok(1, 1), ok(2, 3)), Ok((1, 2)));
        assert_eq!(*log.borrow(), [1, 2, 2, 2]);
    });
}

#[test]
fn the_first_error_ends_it_and_the_rest_is_dropped() {
    struct Counted(Rc<Cell<u8>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let counted = Counted(Rc::clone(&drops));
    let result: Result<((), u8, ()), &str> = block_on(async {
        try_join!(
            async move {
                let _counted = counted;
                pending::<Result<(), &str>>().await
            },
            ready(Ok(1)),
            ready(Err("bad")),
        )
    });
    assert_eq!((result, drops.get()), (Err("bad"), 1));
}

#[test]
fn a_join_reads_nothing_of_a_future_to_know_whether_it_is_done() {
    // The tag is beside the future, even if the future has room for it.
    let leaf = size_of::<Ready<u32>>() + align_of::<Ready<u32>>();
    let words = |bytes: usize| bytes.next_multiple_of(size_of::<usize>());
    let both = async { join!(biased; ready(1_u32), ready(2_u32)) };
    assert_eq!(size_of_val(&both), words(size_of::<usize>() + 2 * leaf + 1));
}

#[test]
fn a_future_is_dropped_as_soon_as_it_is_done() {
    struct Counted(Rc<Cell<u8>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let counted = Counted(Rc::clone(&drops));
    let first = poll_fn(move |_| {
        let _held = &counted;
        Poll::Ready(())
    });
    let mut polls = 0;
    let second = poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls == 2 { Poll::Ready(drops.get()) } else { Poll::Pending }
    });
    assert_eq!(block_on(async { join!(first, second) }), ((), 1));
}

#[test]
fn errors_and_question_marks_in_the_callers_expressions_stay_the_callers() {
    async fn outer(fails: bool) -> Result<(u8, u8), String> {
        let number = |fails: bool| {
            if fails { Err("early".to_owned()) } else { Ok(ready(1)) }
        };
        Ok(join!(number(fails)?, ready(2)))
    }
    block_on(async {
        assert_eq!(outer(false).await, Ok((1, 2)));
        assert_eq!(outer(true).await, Err("early".to_owned()));
    });
}

#[test]
fn sixty_four_futures_keep_their_places() {
    macro_rules! many {
        ($($number:literal)*) => {{
            let outputs = join!($(async { $number }, async { u8::try_from(stringify!($number).len()) },)*);
            (outputs.0, outputs.2, outputs.61, outputs.62)
        }};
    }
    let picked = block_on(async {
        many!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    });
    assert_eq!(picked, (0, 1, Ok(2), 31));
}
