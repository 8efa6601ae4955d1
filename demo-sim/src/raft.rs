//! Three nodes of openraft that agree on a status, and a client that changes it. Nodes and client talk over TCP.
//!
//! The storage is that of openraft's own tests. It lives outside of the nodes: as a disk that loses nothing, it survives their crashes.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::storage::Adaptor;
use openraft::{Config, Raft};
use openraft_memstore::{ClientRequest, MemStore, TypeConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::wire;

/// How many nodes there are.
pub const NODES: u64 = 3;
/// The name of a client.
fn client(serial: u64) -> String {
    format!("client {serial}")
}

/// How long a request may take.
const PATIENCE: Duration = Duration::from_millis(500);

fn address(node: u64) -> String {
    format!("node-{node}:4000")
}

#[derive(Serialize, Deserialize)]
enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Snapshot(InstallSnapshotRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    /// A client's new status.
    Write(ClientRequest),
}

/// A result that the other side can read: the error is a text.
type Reply = Result<serde_json::Value, String>;

fn reply<T: Serialize, E: ToString>(result: Result<T, E>) -> Reply {
    result
        .map_err(|error| error.to_string())
        .and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()))
}

/// The connections of a node to another one.
struct Peer(u64);

/// Makes them.
struct Peers;

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, (): &()) -> Peer {
        Peer(target)
    }
}

impl Peer {
    async fn ask<T: DeserializeOwned, E: std::error::Error>(
        &self,
        request: Request,
    ) -> Result<T, RPCError<u64, (), RaftError<u64, E>>> {
        let unreachable = |error: io::Error| RPCError::Unreachable(Unreachable::new(&error));
        let reply = ask(self.0, request).await.map_err(unreachable)?;
        // An error of the other node is one of its raft: it is about to stop.
        let value = reply.map_err(|text| unreachable(io::Error::other(text)))?;
        serde_json::from_value(value).map_err(|error| unreachable(error.into()))
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        self.ask(Request::Append(rpc)).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, (), RaftError<u64, InstallSnapshotError>>> {
        self.ask(Request::Snapshot(rpc)).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        self.ask(Request::Vote(rpc)).await
    }
}

/// The disks of all nodes, and what the client knows.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the storage has none")]
pub struct Cluster {
    disks: Arc<Vec<Arc<MemStore>>>,
    acknowledged: Arc<Mutex<Vec<u64>>>,
}

impl Cluster {
    /// A cluster that has never run.
    pub fn new() -> Self {
        let disks = (0..NODES).map(|_| Arc::new(MemStore::new())).collect();
        Self { disks: Arc::new(disks), acknowledged: Arc::default() }
    }

    /// The serial numbers of all writes that were acknowledged.
    ///
    /// # Panics
    /// If a thread has panicked with them.
    pub fn acknowledged(&self) -> Vec<u64> {
        self.acknowledged.lock().expect("no thread panics with it").clone()
    }

    /// The `main` of a node. It serves until it is killed.
    ///
    /// # Errors
    /// Those of the listener and of raft.
    #[tokio::main(flavor = "current_thread")]
    pub async fn node(&self, id: u64) -> Result<(), Box<dyn std::error::Error>> {
        let config = Config {
            heartbeat_interval: 100,
            election_timeout_min: 400,
            election_timeout_max: 800,
            ..Config::default()
        };
        let (log, state) = Adaptor::new(Arc::clone(&self.disks[id as usize]));
        let raft = Raft::<TypeConfig>::new(id, Arc::new(config.validate()?), Peers, log, state).await?;
        let listener = TcpListener::bind(address(id)).await?;
        if id == 0 && !raft.is_initialized().await? {
            raft.initialize((0..NODES).collect::<BTreeSet<_>>()).await?;
        }
        wire::serve(listener, move |request| answer(raft.clone(), request)).await?;
        Ok(())
    }

    /// The `main` of a client: `writes` writes, each until it is acknowledged; then it waits until all nodes have them.
    ///
    /// # Panics
    /// If an acknowledged write is missing on a node, after a minute.
    #[tokio::main(flavor = "current_thread")]
    pub async fn client(&self, writes: u64) {
        let mut node = 0;
        for serial in 1..=writes {
            // The storage keeps the last status of each client. So each write is one of a client of its own.
            let request = ClientRequest { client: client(serial), serial, status: format!("status {serial}") };
            while !is_ok(ask(node, Request::Write(request.clone())).await) {
                node = (node + 1) % NODES; // It is down, or it does not lead.
                sleep(Duration::from_millis(50)).await;
            }
            self.acknowledged.lock().expect("no thread panics with it").push(serial);
            sleep(Duration::from_millis(500)).await;
        }
        let all_have_them = async {
            for disk in self.disks.iter() {
                while !self.has_acknowledged(disk).await {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        };
        timeout(Duration::from_secs(60), all_have_them).await.expect("an acknowledged write is lost");
    }
}

impl Cluster {
    /// Whether all acknowledged writes are on the disk of a node.
    async fn has_acknowledged(&self, disk: &MemStore) -> bool {
        let state = disk.get_state_machine().await;
        self.acknowledged().into_iter().all(|serial| state.client_status.contains_key(&client(serial)))
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

async fn answer(raft: Raft<TypeConfig>, request: Request) -> Reply {
    match request {
        Request::Append(rpc) => reply(raft.append_entries(rpc).await),
        Request::Snapshot(rpc) => reply(raft.install_snapshot(rpc).await),
        Request::Vote(rpc) => reply(raft.vote(rpc).await),
        Request::Write(data) => reply(raft.client_write(data).await.map(|written| written.data)),
    }
}

/// Sends a request to a node, and waits for the reply.
async fn ask(node: u64, request: Request) -> io::Result<Reply> {
    timeout(PATIENCE, wire::call(&address(node), &request))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is_ok(reply: io::Result<Reply>) -> bool {
    matches!(reply, Ok(Ok(_)))
}
