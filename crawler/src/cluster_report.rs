//! What the processes of a crawl have found, and what they do, read from anywhere.
//!
//! Called by `together`.

use redd::time::Instant;

use crate::cluster::{fold_of, plan_of};
use crate::engine::address::FrontierAddress;
use crate::engine::status::Status;
use crate::engine::{Records, list};
use crate::exit::EarlyExit;
use crate::outcome::{End, Outcome};
use crate::plural::count;

/// How many hosts are listed.
const HOSTS_SHOWN: usize = 20;

/// What the crawl at this address has found so far, and from where it started.
///
/// # Errors
/// If it cannot be read. The message says how to fix it.
pub(crate) async fn outcome_of(address: &FrontierAddress) -> Result<(Outcome, Vec<String>), EarlyExit> {
    let began = Instant::now();
    let read = async {
        let records = Records::open(address, &named(address).await?).await?;
        // Before the records are read, so that a crawl which ends meanwhile is not taken for a complete one.
        let is_complete = records.is_complete().await?;
        let plan = plan_of(&records).await?;
        Ok((fold_of(&records, &plan).await?, plan.starts, is_complete))
    };
    let (fold, starts, is_complete) = read.await.map_err(EarlyExit::usage)?;
    let end = if is_complete { End::Complete } else { End::Unfinished };
    let (bytes, elapsed) = (fold.bytes(), began.elapsed());
    Ok((Outcome { end, bytes, elapsed, frontier: fold.into_frontier() }, starts))
}

/// The name of the crawl that is meant: the only one, if the address has none.
async fn named(address: &FrontierAddress) -> Result<String, String> {
    if let Some(name) = address.name() {
        return Ok(name.to_owned());
    }
    let names: Vec<String> = list(address).await?.into_iter().collect();
    match &names[..] {
        [name] => Ok(name.clone()),
        [] => Err(format!("the frontier {address} has no crawl. Start one with `redd-crawl --frontier {address} URL`")),
        names => Err(format!(
            "the frontier {address} has {}: {}. Say which one is meant, for example --frontier {address}/{}",
            count(names.len(), "crawl"),
            names.join(", "),
            names[0]
        )),
    }
}

/// Which processes work on the crawl, and on what.
///
/// # Errors
/// If the server does not say so. The message says how to fix it.
pub(crate) async fn status_of(address: &FrontierAddress) -> Result<Status, EarlyExit> {
    let read = async { Records::open(address, &named(address).await?).await?.status().await };
    read.await.map_err(EarlyExit::usage)
}

/// The status for people.
pub(crate) fn to_text(status: &Status) -> String {
    let mut lines = vec![format!(
        "{}: {} recorded, {} waiting or in work, {}",
        status.name,
        count(usize_of(status.recorded), "page"),
        status.unfinished,
        if status.unfinished == 0 { "complete" } else { "not complete" },
    )];
    lines.push(match &status.members[..] {
        [] => "No process works on it.".to_owned(),
        members => format!("{} of {}:", count(members.len(), "process").replace("processs", "processes"), "this crawl"),
    });
    for member in &status.members {
        lines.push(format!(
            "  process {} on {}, for {} s: {} ({:.1}/s), {} in flight, {} waiting, partitions {}",
            member.process,
            member.machine,
            member.seconds,
            count(usize_of(member.pages), "page"),
            member.pages_per_s,
            member.in_flight,
            member.waiting,
            if member.partitions.is_empty() {
                "none".to_owned()
            } else {
                member.partitions.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
            },
        ));
    }
    if !status.hosts.is_empty() {
        lines.push("Pages of each host that wait or are in work:".to_owned());
    }
    for host in status.hosts.iter().take(HOSTS_SHOWN) {
        let lease = if host.is_leased { "" } else { ", which no process has now" };
        lines.push(format!("  {} {} (partition {}{lease})", host.pages, host.origin, host.partition));
    }
    if let Some(rest @ 1..) = status.hosts.len().checked_sub(HOSTS_SHOWN) {
        lines.push(format!("  and {} more (--format json lists all)", count(rest, "host")));
    }
    lines.join("\n") + "\n"
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
