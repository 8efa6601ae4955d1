//! Small programs on crates that access databases, each with a server that the lane has started, on redd.
//!
//! Called by `cargo xtask compat`.

mod bb8;
mod deadpool;
mod redis;
mod sqlx_postgres;
mod sqlx_sqlite;
mod sqlx_sqlite_in_world;
mod tokio_postgres;

use std::process::ExitCode;

redd::assert_active!();

fn main() -> ExitCode {
    harness::run(&[
        ("sqlx-sqlite", || Box::pin(sqlx_sqlite::run())),
        ("sqlx-sqlite (in a world)", || Box::pin(sqlx_sqlite_in_world::run())),
        ("sqlx-postgres", || Box::pin(sqlx_postgres::run())),
        ("tokio-postgres", || Box::pin(tokio_postgres::run())),
        ("redis", || Box::pin(redis::run())),
        ("bb8", || Box::pin(bb8::run())),
        ("deadpool", || Box::pin(deadpool::run())),
    ])
}
