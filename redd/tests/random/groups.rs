//! Task groups in random programs: spawns, nested groups, closures, limits, deadlines, shields, clean-ups, and every way in which
//! a group ends. A group that is closed has no task left.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use redd::group::{CancelScope, OnError, TaskError, TaskGroup, shield};
use redd::task::AbortHandle;

use super::support::lives::{Counted, Purpose, Rng, Tally, panic_on_purpose, panic_text};
use super::{Tracked, Value, World, yield_some};

const LONG: Duration = Duration::from_secs(1000);

/// How a group ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Drop,
    Close,
    CancelAndClose,
    NextAndClose,
    CloseInAnotherTask,
    InOrder,
    InOrderDropped,
    InOrderClosed,
}

const ENDS: [End; 8] = [
    End::Drop,
    End::Close,
    End::CancelAndClose,
    End::NextAndClose,
    End::CloseInAnotherTask,
    End::InOrder,
    End::InOrderDropped,
    End::InOrderClosed,
];

/// What a group and its tasks leave behind.
struct Record {
    world: Arc<World>,
    tasks: Arc<Tally>,
    spawned: AtomicUsize,
    results: AtomicUsize,
    /// The numbers of the tasks whose outputs came.
    outputs: Mutex<Vec<u64>>,
    may_cancel: AtomicBool,
    /// That of the group around it.
    outer: Option<CancelScope>,
    discards: bool,
    /// Those that were added and not dismissed, and those that ran.
    clean_ups: Mutex<Vec<usize>>,
    cleaned_up: Mutex<Vec<usize>>,
}

/// A task of a group. The group drops it before it is closed.
struct Member {
    tracked: Tracked,
    _counted: Counted,
}

impl Future for Member {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        Pin::new(&mut self.tracked).poll(cx)
    }
}

/// What a group's tasks return.
trait Output: Send + Sized + 'static {
    fn of(value: Value) -> Self;
    fn number(self) -> Option<u64>;
}

impl Output for Value {
    fn of(value: Value) -> Self {
        value
    }

    fn number(mut self) -> Option<u64> {
        self.panics = false;
        Some(self.number)
    }
}

impl Output for () {
    fn of(mut value: Value) -> Self {
        value.panics = false;
    }

    fn number(self) -> Option<u64> {
        None
    }
}

/// Makes a group, uses it, and ends it.
pub(super) async fn run(world: &Arc<World>, rng: &mut Rng, depth: usize) {
    let discards = rng.one_in(4);
    let record = Arc::new(Record {
        world: Arc::clone(world),
        tasks: Tally::new(),
        spawned: AtomicUsize::new(0),
        results: AtomicUsize::new(0),
        outputs: Mutex::default(),
        may_cancel: AtomicBool::new(false),
        outer: CancelScope::current(),
        discards,
        clean_ups: Mutex::default(),
        cleaned_up: Mutex::default(),
    });
    world.groups.fetch_add(1, Ordering::Relaxed);
    if discards {
        let group = record.build(rng, TaskGroup::discarding());
        use_group(&record, rng, depth, group).await;
    } else {
        let group = record.build(rng, TaskGroup::<Value>::builder());
        use_group(&record, rng, depth, group).await;
    }
}

impl Record {
    fn build<T: Output>(&self, rng: &mut Rng, mut builder: redd::group::TaskGroupBuilder<T>) -> TaskGroup<T> {
        if rng.one_in(2) {
            builder = builder.limit(1 + rng.below(3));
        }
        if rng.one_in(4) {
            builder = builder.grace([Duration::from_millis(1), LONG][rng.below(2)]);
        }
        if rng.one_in(6) {
            self.cancels();
            builder = builder.deadline([Duration::ZERO, Duration::from_millis(1), LONG][rng.below(3)]);
        }
        if rng.one_in(3) {
            self.cancels();
            builder = builder.on_panic(OnError::CancelOthers);
        }
        if rng.one_in(4) {
            builder = builder.name("random");
        }
        builder.start()
    }

    /// From now on results may say that their tasks were cancelled.
    fn cancels(&self) {
        self.may_cancel.store(true, Ordering::SeqCst);
    }

    fn fail(&self, what: String) {
        self.world.fail(format!("a group: {what}"));
    }

    fn add<T: Output>(&self, result: Result<T, TaskError>) {
        self.results.fetch_add(1, Ordering::SeqCst);
        match result {
            Ok(output) => {
                let Some(number) = output.number() else { return };
                let mut outputs = self.outputs.lock().unwrap();
                if outputs.contains(&number) {
                    self.fail(format!("the output of task {number} came twice"));
                }
                outputs.push(number);
            }
            Err(error) if error.is_cancelled() => {
                let is_over = || self.world.is_over.load(Ordering::SeqCst);
                let is_outer_cancelled = || self.outer.as_ref().is_some_and(CancelScope::is_cancelled);
                if !self.may_cancel.load(Ordering::SeqCst) && !is_outer_cancelled() && !is_over() {
                    self.fail(format!("{error}, but nothing did that"));
                }
            }
            Err(error) => {
                let payload = error.try_into_panic().unwrap();
                if !payload.is::<Purpose>() {
                    self.fail(format!("a task panicked: {}", panic_text(&*payload)));
                }
            }
        }
    }

    /// The group was closed: nothing of it is left. `all`: all results were taken.
    fn check_end(&self, all: bool) {
        let [made, dropped] = [self.tasks.made(), self.tasks.dropped()];
        if made != dropped {
            self.fail(format!("{made} tasks were spawned, and {dropped} had been dropped after `close`"));
        }
        let [spawned, results] = [&self.spawned, &self.results].map(|count| count.load(Ordering::SeqCst));
        if all && !self.discards && spawned != results {
            self.fail(format!("{spawned} tasks were spawned, and {results} results came"));
        }
        let (mut expected, ran) = (self.clean_ups.lock().unwrap().clone(), self.cleaned_up.lock().unwrap().clone());
        expected.reverse();
        // The end of the runtime drops the clean-ups that are left.
        if ran != expected && !self.world.is_over.load(Ordering::SeqCst) {
            self.fail(format!("the clean-ups {ran:?} ran, not {expected:?}"));
        }
    }
}

fn spawn<T: Output>(
    record: &Arc<Record>,
    rng: &mut Rng,
    depth: usize,
    group: &TaskGroup<T>,
    end: End,
) -> Option<AbortHandle> {
    let world = &record.world;
    if depth >= 4 || !world.may_spawn() {
        return None;
    }
    record.spawned.fetch_add(1, Ordering::SeqCst);
    let mut tracked = world.tracked(rng, depth + 1);
    // Results are dropped one by one only together with the group. Elsewhere two of such panics would end the process.
    tracked.output_panics &= end == End::Drop;
    let member = Member { tracked, _counted: record.tasks.make() };
    let within = if rng.one_in(2) { LONG } else { Duration::ZERO };
    Some(match rng.below(6) {
        0 => {
            let (panics, counted) = (rng.one_in(10), record.tasks.make());
            let (number, made) = (member.tracked.number, Arc::clone(&world.values));
            drop_quietly(member);
            group.spawn_blocking(move || {
                let _counted = counted;
                if panics {
                    panic_on_purpose("closure");
                }
                T::of(Value { number, panics: false, _counted: made.make() })
            })
        }
        1 => group.spawn(Mapped(Box::pin(shield(within, member)), T::of)),
        _ => group.spawn(Mapped(member, T::of)),
    })
}

fn drop_quietly(mut member: Member) {
    member.tracked.panics = false;
    drop(member);
}

/// This is no async block: if a drop panics there, the output is lost (<https://github.com/rust-lang/rust/issues/47949>).
struct Mapped<F, T>(F, fn(Value) -> T);

impl<F: Future<Output = Value> + Unpin, T> Future for Mapped<F, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let map = self.1;
        Pin::new(&mut self.0).poll(cx).map(map)
    }
}

async fn use_group<T: Output>(record: &Arc<Record>, rng: &mut Rng, depth: usize, group: TaskGroup<T>) {
    let end = ENDS[rng.below(ENDS.len())];
    let mut handles = Vec::new();
    for _ in 0..rng.below(8) {
        match rng.below(12) {
            0..=4 => handles.extend(spawn(record, rng, depth, &group, end)),
            5 => {
                redd::select! {
                    result = group.next() => if let Some(result) = result { record.add(result) },
                    () = yield_some(rng) => {}
                }
            }
            6 => {
                redd::select! {
                    () = group.ready() => {}
                    () = record.world.until_end() => {}
                }
            }
            7 if rng.one_in(3) => {
                record.cancels();
                group.cancel("at random");
            }
            7 if rng.one_in(2) => {
                record.cancels();
                let scope = group.scope();
                drop(redd::spawn(async move { scope.cancel("by another task") }));
            }
            7 => {
                record.cancels();
                let world = Arc::clone(&record.world);
                group.cancel_when(async move { world.notify.notified().await }, "notified");
            }
            8 => {
                if let Some(handle) = handles.pop() {
                    record.cancels();
                    handle.abort();
                }
            }
            9 | 10 => defer(record, rng, &group),
            _ => yield_some(rng).await,
        }
    }
    finish(record, rng, group, end).await;
}

fn defer<T: Output>(record: &Arc<Record>, rng: &mut Rng, group: &TaskGroup<T>) {
    let number = {
        let mut clean_ups = record.clean_ups.lock().unwrap();
        let number = clean_ups.last().map_or(0, |last| last + 1);
        clean_ups.push(number);
        number
    };
    let (panics, counted, inner) = (rng.one_in(8), record.tasks.make(), Arc::clone(record));
    let mut own = Rng::new(rng.next());
    let deferred = group.defer(LONG, async move {
        let _counted = counted;
        yield_some(&mut own).await;
        inner.cleaned_up.lock().unwrap().push(number);
        if panics {
            panic_on_purpose("clean-up");
        }
    });
    if rng.one_in(4) {
        assert!(deferred.dismiss(), "it cannot have run");
        assert_eq!(record.clean_ups.lock().unwrap().pop(), Some(number));
    }
}

async fn finish<T: Output>(record: &Arc<Record>, rng: &mut Rng, group: TaskGroup<T>, end: End) {
    match end {
        End::Drop => drop(group),
        End::Close => close(record, group).await,
        End::CancelAndClose => {
            record.cancels();
            group.cancel("it ends");
            close(record, group).await;
        }
        End::NextAndClose => {
            while let Some(result) = group.next().await {
                record.add(result);
            }
            close(record, group).await;
        }
        End::CloseInAnotherTask => {
            let inner = Arc::clone(record);
            let closing = redd::spawn(async move { close(&inner, group).await });
            if rng.one_in(3) {
                yield_some(rng).await;
                closing.abort();
            }
            if let Err(error) = closing.await {
                if let Ok(payload) = error.try_into_panic() {
                    record.fail(format!("`close` panicked: {}", panic_text(&*payload)));
                }
            }
        }
        End::InOrder | End::InOrderDropped | End::InOrderClosed => {
            let mut results = group.in_order();
            let few = rng.below(4);
            let mut count = 0;
            while let Some(result) = results.next().await {
                record.add(result);
                count += 1;
                if end != End::InOrder && count > few {
                    break;
                }
            }
            if end == End::InOrderDropped {
                drop(results);
                return;
            }
            let closed = results.close().await;
            take_closed(record, closed);
        }
    }
}

async fn close<T: Output>(record: &Arc<Record>, group: TaskGroup<T>) {
    let closed = group.close().await;
    take_closed(record, closed);
}

fn take_closed<T: Output>(record: &Record, closed: Result<Vec<T>, TaskError>) {
    let all = closed.is_ok();
    match closed {
        Ok(outputs) => outputs.into_iter().for_each(|output| record.add(Ok(output))),
        // It may be that of a clean-up, and the outputs are dropped.
        Err(error) => record.add::<T>(Err(error)),
    }
    record.check_end(all);
}
