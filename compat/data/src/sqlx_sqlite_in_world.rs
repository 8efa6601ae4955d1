//! sqlx on SQLite in a simulated world: it has a thread of its own, so the run fails with the name of that thread.

use harness::{Outcome, ensure};
use redd::sim::{FailureKind, World};
use sqlx::{Connection, SqliteConnection};

#[tokio::main(flavor = "current_thread")]
async fn opens_a_database() -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
    sqlx::query("SELECT 1").execute(&mut connection).await?;
    Ok(())
}

pub(crate) async fn run() -> Outcome {
    // The world is run by a thread that belongs to no runtime.
    let report = std::thread::spawn(|| World::new(1).host("database", opens_a_database).run()).join();
    let report = report.map_err(|_| "the world has panicked")?;
    let first = report.failures().first().map(|failure| (failure.kind(), failure.to_string()));
    let (kind, text) = first.ok_or("the thread of SQLite was not noticed")?;
    ensure(kind == FailureKind::ForeignThread, "it fails because of a thread outside of the world")?;
    ensure(text.contains("sqlx-sqlite-worker"), "the failure names the thread")
}
