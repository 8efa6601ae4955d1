//! Panics of tasks: where they are reported, and what the runtime does, on every flavor.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};

use redd::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime, UnhandledPanic};

/// What the hook received.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    name: Option<String>,
    line: u32,
    message: Option<String>,
    is_blocking: bool,
}

fn telling(builder: &mut Builder) -> (&mut Builder, Receiver<Told>) {
    let (tell, told): (Sender<Told>, _) = mpsc::channel();
    let builder = builder.enable_all().on_unhandled_panic(move |panic| {
        let told = Told {
            name: panic.name().map(str::to_owned),
            line: panic.spawned_at().line(),
            message: panic.message().map(str::to_owned),
            is_blocking: panic.is_blocking(),
        };
        assert!(panic.to_string().contains("Await the handle"), "the line says what to do: {panic}");
        let _ = tell.send(told);
    });
    (builder, told)
}

enum AnyRuntime {
    Threads(Runtime),
    Local(LocalRuntime),
}

impl AnyRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Threads(runtime) => runtime.block_on(future),
            Self::Local(runtime) => runtime.block_on(future),
        }
    }

    fn handle(&self) -> &Handle {
        match self {
            Self::Threads(runtime) => runtime.handle(),
            Self::Local(runtime) => runtime.handle(),
        }
    }
}

/// A runtime of each flavor, with the options that `change` sets.
fn on_each_flavor(change: impl Fn(&mut Builder), test: impl Fn(&AnyRuntime, &Receiver<Told>)) {
    for flavor in ["multi-thread", "current-thread", "local"] {
        let mut builder =
            if flavor == "multi-thread" { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        change(builder.worker_threads(2));
        let (builder, told) = telling(&mut builder);
        let runtime = if flavor == "local" {
            AnyRuntime::Local(builder.build_local(LocalOptions::default()).unwrap())
        } else {
            AnyRuntime::Threads(builder.build().unwrap())
        };
        println!("{flavor}");
        test(&runtime, &told);
    }
}

fn shut_down(builder: &mut Builder) {
    builder.unhandled_panic(UnhandledPanic::ShutdownRuntime);
}

/// The message of a panic, if there is one.
fn message_of<R>(f: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}

#[redd::main(unhandled_panic = "shutdown_runtime", worker_threads = 2)]
async fn a_program_whose_task_panics() {
    drop(redd::spawn(async { std::panic::resume_unwind(Box::new("no stock")) }));
    std::future::pending::<()>().await;
}

#[test]
fn the_macro_sets_the_policy_on_every_flavor() {
    let ended = std::panic::catch_unwind(a_program_whose_task_panics).unwrap_err();
    let message = ended.downcast::<String>().unwrap();
    assert!(message.contains("configured to shut down on unhandled panic"), "{message}");
}

#[test]
fn an_unjoined_panic_is_reported_with_name_and_location() {
    on_each_flavor(
        |_| {},
        |runtime, told| {
            let (end, ended) = redd::sync::oneshot::channel::<()>();
            let line = line!() + 3;
            runtime.block_on(async move {
                drop(
                    redd::task::Builder::new()
                        .name("careless")
                        .spawn(async move {
                            let _end = end;
                            panic!("spilt milk")
                        })
                        .unwrap(),
                );
                let _ = ended.await;
            });
            let told = told.recv().unwrap();
            let message = Some("spilt milk".to_owned());
            assert_eq!(told, Told { name: Some("careless".to_owned()), line: told.line, message, is_blocking: false });
            assert!(told.line.abs_diff(line) <= 2, "{} is about {line}", told.line);
        },
    );
}

#[test]
fn a_panic_is_reported_when_its_handle_is_dropped() {
    on_each_flavor(
        |_| {},
        |runtime, told| {
            let task = runtime.handle().spawn(async { panic!("kept for later") });
            runtime.block_on(async {
                while !task.is_finished() {
                    redd::task::yield_now().await;
                }
            });
            assert!(told.try_recv().is_err(), "it may still be joined");
            drop(task);
            assert_eq!(told.recv().unwrap().message.as_deref(), Some("kept for later"));
        },
    );
}

#[test]
fn a_joined_panic_is_not_reported() {
    on_each_flavor(
        |_| {},
        |runtime, told| {
            runtime.block_on(async {
                let error = redd::spawn(async { panic!("handled") }).await.unwrap_err();
                assert!(error.is_panic());
                let mut set = redd::task::JoinSet::new();
                set.spawn(async { panic!("handled, too") });
                assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
            });
            assert!(told.try_recv().is_err());
        },
    );
}

#[test]
fn a_panic_in_a_dropped_set_is_reported() {
    on_each_flavor(
        |_| {},
        |runtime, told| {
            runtime.block_on(async {
                let mut set = redd::task::JoinSet::new();
                let task = set.spawn(async { panic!("in a set") });
                while !task.is_finished() {
                    redd::task::yield_now().await;
                }
            });
            assert_eq!(told.recv().unwrap().message.as_deref(), Some("in a set"));
        },
    );
}

#[test]
fn a_panic_of_a_closure_is_reported_and_shuts_nothing_down() {
    on_each_flavor(shut_down, |runtime, told| {
        runtime.block_on(async {
            drop(redd::task::spawn_blocking(|| panic!("in a closure")));
            assert_eq!(redd::task::spawn_blocking(|| 5).await.unwrap(), 5);
        });
        let told = told.recv().unwrap();
        assert!(told.is_blocking, "{told:?}");
        assert_eq!(runtime.block_on(async { redd::spawn(async { 6 }).await.unwrap() }), 6);
    });
}

#[test]
fn a_panic_shuts_the_runtime_down_if_configured() {
    on_each_flavor(shut_down, |runtime, _| {
        let other = runtime.handle().spawn(std::future::pending::<()>());
        let message = message_of(|| {
            runtime.block_on(async {
                let _task = redd::spawn(async { panic!("enough") });
                std::future::pending::<()>().await;
            });
        });
        let message = message.expect("`block_on` panics");
        assert!(message.contains("shut down on unhandled panic"), "{message}");
        assert!(message.contains("`UnhandledPanic::Ignore`"), "it says what to do: {message}");
        let late = runtime.handle().spawn(async {});
        let joined =
            std::thread::spawn(|| redd::runtime::Builder::new_current_thread().build().unwrap().block_on(late));
        assert!(joined.join().unwrap().unwrap_err().is_cancelled());
        let joined =
            std::thread::spawn(|| redd::runtime::Builder::new_current_thread().build().unwrap().block_on(other));
        assert!(joined.join().unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_panic_ends_every_block_on_of_the_runtime() {
    on_each_flavor(shut_down, |runtime, _| {
        let handle = runtime.handle().clone();
        let (polled, was_polled) = redd::sync::oneshot::channel();
        let elsewhere = std::thread::spawn(move || {
            message_of(|| {
                handle.block_on(async {
                    polled.send(()).unwrap();
                    std::future::pending::<()>().await;
                });
            })
        });
        let here = message_of(|| {
            runtime.block_on(async {
                was_polled.await.unwrap();
                redd::spawn(async { panic!("enough") });
                std::future::pending::<()>().await;
            });
        });
        assert!(here.is_some());
        assert!(elsewhere.join().unwrap().unwrap().contains("shut down on unhandled panic"));
    });
}

#[test]
fn a_panic_of_the_hook_is_caught() {
    let runtime = Builder::new_current_thread().on_unhandled_panic(|_| panic!("the hook, too")).build().unwrap();
    runtime.block_on(async {
        redd::spawn(async { panic!("the task") });
        redd::task::yield_now().await;
        assert_eq!(redd::spawn(async { 7 }).await.unwrap(), 7);
    });
}

#[test]
fn a_local_set_reports_panics_to_the_runtime_it_runs_in() {
    on_each_flavor(
        |_| {},
        |runtime, told| {
            let set = redd::task::LocalSet::new();
            runtime.block_on(set.run_until(async {
                drop(redd::task::spawn_local(async { panic!("local") }));
                redd::task::yield_now().await;
            }));
            assert_eq!(told.recv().unwrap().message.as_deref(), Some("local"));
        },
    );
}
