//! tokio-cron-scheduler: jobs each second, once and repeatedly, a removed job, notifications of start and end, and a
//! shutdown. Its smallest unit is a second, so this program takes several seconds.
//!
//! Only on a multi-thread runtime: version 0.15 blocks the only thread of a current-thread runtime, with Tokio as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::{Outcome, ensure};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

pub(crate) async fn run() -> Outcome {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(());
    }
    let mut scheduler = JobScheduler::new().await?;
    let (ran, mut runs) = mpsc::unbounded_channel();

    let said = ran.clone();
    let by_cron = Job::new_async("* * * * * *", move |_, _| {
        let said = said.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let _ = said.send("cron");
        })
    })?;
    let cron_id = scheduler.add(by_cron).await?;
    let said = ran.clone();
    let once = Job::new_one_shot(Duration::from_secs(1), move |_, _| {
        let _ = said.send("once");
    })?;
    scheduler.add(once).await?;
    let said = ran;
    let repeated = Job::new_repeated_async(Duration::from_secs(1), move |_, _| {
        let said = said.clone();
        Box::pin(async move {
            let _ = said.send("repeated");
        })
    })?;
    let begun = Arc::new(AtomicU32::new(0));
    let count = begun.clone();
    repeated
        .on_start_notification_add(
            &scheduler,
            Box::new(move |_, _, _| {
                let count = count.clone();
                Box::pin(async move {
                    count.fetch_add(1, Ordering::Relaxed);
                })
            }),
        )
        .await?;
    scheduler.add(repeated).await?;

    scheduler.start().await?;
    let (mut cron, mut once, mut repeated) = (0, 0, 0);
    while cron < 2 || once < 1 || repeated < 2 {
        match runs.recv().await.ok_or("the scheduler has dropped its jobs")? {
            "cron" => cron += 1,
            "once" => once += 1,
            _ => repeated += 1,
        }
    }
    ensure(once == 1, "a job that runs once has run once")?;
    ensure(begun.load(Ordering::Relaxed) >= 1, "the start of a job is reported")?;
    scheduler.remove(&cron_id).await?;
    scheduler.shutdown().await?;
    while runs.try_recv().is_ok() {}
    // `shutdown` sets a flag, and the scheduler reads it once in each round of half a second. So a job that has begun may still
    // end, and one more round may run the two jobs. A scheduler that does not stop exceeds that number within seconds.
    let mut late = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(1200), runs.recv()).await {
        late += 1;
        ensure(late <= 3, "the jobs stop after the shutdown")?;
    }
    Ok(())
}
