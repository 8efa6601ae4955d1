//! Small programs on crates with protocols and schedules of their own, on redd.
//!
//! Called by `cargo xtask compat`.

mod async_nats;
mod hickory_resolver;
mod tokio_cron_scheduler;

use std::process::ExitCode;

redd::assert_active!();

fn main() -> ExitCode {
    harness::run(&[
        ("async-nats", || Box::pin(async_nats::run())),
        ("hickory-resolver", || Box::pin(hickory_resolver::run())),
        ("tokio-cron-scheduler", || Box::pin(tokio_cron_scheduler::run())),
    ])
}
