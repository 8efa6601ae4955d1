//! Which processes work on a crawl, and on what.
//!
//! Read by `redd-crawl status`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::engine::host::HostRecord;
use crate::engine::layout::{Layout, keys, subjects};
use crate::engine::member::Member;
use crate::engine::names::{Names, Partition, partition_of};
use crate::engine::records;

/// The state of a crawl.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) recorded: u64,
    /// Pages that wait or are being fetched.
    pub(crate) unfinished: u64,
    pub(crate) members: Vec<Member>,
    /// The hosts of these pages, those with most first.
    pub(crate) hosts: Vec<HostStatus>,
}

/// A host that has pages which wait or are being fetched.
#[derive(Debug, Serialize)]
pub(crate) struct HostStatus {
    pub(crate) origin: String,
    pub(crate) pages: usize,
    pub(crate) partition: Partition,
    /// Whether a process sends requests to it now.
    pub(crate) is_leased: bool,
}

pub(super) async fn read(layout: &Layout) -> Result<Status, String> {
    let mut members = Vec::new();
    for key in keys(&layout.members, "").await? {
        let entry = layout.members.get(key).await.map_err(|error| error.to_string())?;
        members.extend(entry.and_then(|value| serde_json::from_slice::<Member>(&value).ok()));
    }
    let leases: BTreeSet<String> = keys(&layout.leases, "").await?;
    let mut pages = BTreeMap::<String, usize>::new();
    for (subject, number) in subjects(&layout.work, &layout.names.all_work()).await? {
        if let Some(host) = Names::host_of_work(&subject) {
            *pages.entry(host.to_owned()).or_default() += number;
        }
    }
    let mut hosts = Vec::new();
    for key in keys(&layout.hosts, "").await? {
        let Some(number) = key.split_once('.').and_then(|(_, host)| pages.get(host)) else { continue };
        let Some(value) = layout.hosts.get(key).await.map_err(|error| error.to_string())? else { continue };
        let origin = HostRecord::from_bytes(&value).origin;
        let partition = partition_of(&origin);
        hosts.push(HostStatus {
            is_leased: leases.contains(&partition.to_string()),
            origin,
            pages: *number,
            partition,
        });
    }
    hosts.sort_by(|a, b| (b.pages, &a.origin).cmp(&(a.pages, &b.origin)));
    Ok(Status {
        name: layout.names.name().to_owned(),
        recorded: records::count(layout).await?,
        unfinished: layout.unfinished().await?,
        members,
        hosts,
    })
}
