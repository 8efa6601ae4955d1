//! `spawn` needs a runtime. Outside of one, it panics with a message that says so.

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let outside = std::panic::catch_unwind(|| redd::spawn(async {}));
    let message = outside.expect_err("no runtime here").downcast::<String>().expect("a message with words in it");
    println!("{message}");

    let runtime = redd::runtime::Runtime::new().expect("the system gives us threads");
    let _entered = runtime.enter();
    let task = redd::spawn(async { "inside it works" });
    println!("{}", runtime.block_on(task).expect("the task does not panic"));
}
