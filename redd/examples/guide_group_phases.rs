//! A service that shuts down in phases: requests are answered, then background work ends, then the last lines are written.

use redd::group::{Phases, TaskGroup, shield};
use redd::time::{Duration, sleep};

async fn answer(name: &'static str, seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
    println!("{name} is answered");
}

#[redd::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let phases = Phases::new()
        .then("requests", Duration::from_secs(20))
        .then("background", Duration::from_secs(5))
        .then("flush", Duration::from_secs(2));

    let requests = TaskGroup::discarding().name("requests").in_phase(&phases, "requests").start();
    requests.spawn(answer("GET /quick", 1));
    requests.spawn(answer("GET /slow", 15));
    requests.spawn(answer("GET /hangs", 3600));
    // It is cancelled after 20 seconds, and may take some of the time that the later phases leave.
    requests.spawn(shield(Duration::from_secs(10), answer("POST /order", 22)));

    let background = TaskGroup::discarding().name("cache").in_phase(&phases, "background").start();
    background.spawn(async { sleep(Duration::from_secs(21)).await });

    // Runs when its phase begins, and belongs to no group.
    let flushes = phases.reached("flush");
    redd::spawn(phases.wait_for("flush", "write the log", async move {
        flushes.await;
        println!("the log is written");
    }));

    // A service awaits `phases.on_signals()` here, and gets its report.
    phases.start("an operator has asked for it");
    let report = phases.finished().await;
    for phase in report.phases() {
        println!("{}: {} of {} s", phase.name(), phase.took().as_secs(), phase.allowed().as_secs());
    }
    for left in report.left() {
        let fate = if left.has_ended() { "not in time" } else { "has not ended" };
        println!("{} (line {}): {fate}", left.name().unwrap_or("a task"), left.spawned_at().line());
    }
}
