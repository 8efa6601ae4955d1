//! What a crawl has in JetStream: two streams and five buckets, and the settings that all its processes share.
//!
//! Called by `engine`.
//!
//! | name | what it holds |
//! |---|---|
//! | stream `work` | the pages to fetch, a subject each. A message is removed when it is acknowledged |
//! | stream `results` | the records, a subject for each address |
//! | bucket `seen` | the addresses that were announced, with the page that announced each |
//! | bucket `settings` | the settings, the partitions that have hosts, and the origins whose pages are searched for links |
//! | bucket `hosts` | for each host: its origin, whether a request was sent, its `Crawl-delay`, its pause |
//! | bucket `leases` | for each leased partition: the process that has it. Entries vanish after ten seconds |
//! | bucket `members` | the processes that work on the crawl. Entries vanish after five seconds |
//!
//! # Invariants
//! - `first-settings-win`: the settings are created by the first process. Another process with other settings is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::kv::{self, CreateErrorKind};
use async_nats::jetstream::stream::{self, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use futures_util::StreamExt as _;
use redd::sync::watch;
use serde_json::Value;

use crate::differing::differing;
use crate::engine::address::FrontierAddress;
use crate::engine::event::{Event, Events};
use crate::engine::lease::LEASE_AGE;
use crate::engine::names::Names;

/// How long the server keeps a process that does not report.
const MEMBER_AGE: Duration = Duration::from_secs(5);
/// The key of the settings.
const SETTINGS: &str = "settings";
/// The key whose revisions number the processes in the order in which they joined.
const JOINED: &str = "joined";
/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The streams and buckets.
const STREAMS: [&str; 2] = ["work", "results"];
const BUCKETS: [&str; 5] = ["seen", "settings", "hosts", "leases", "members"];

/// The streams and buckets of a crawl.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) names: Names,
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) work: Stream,
    pub(super) results: Stream,
    pub(super) seen: kv::Store,
    pub(super) settings: kv::Store,
    pub(super) hosts: kv::Store,
    pub(super) leases: kv::Store,
    pub(super) members: kv::Store,
    /// How often the connection was opened.
    pub(super) connections: watch::Receiver<u64>,
}

/// The keys of `bucket` that begin with `prefix` and have a value now, without the prefix.
pub(super) async fn keys(bucket: &kv::Store, prefix: &str) -> Result<BTreeSet<String>, String> {
    let prefix = format!("{}{prefix}", bucket.prefix);
    let counts = subjects(&bucket.stream, &format!("{prefix}>")).await?;
    Ok(counts.into_iter().filter_map(|(subject, _)| subject.strip_prefix(&prefix).map(str::to_owned)).collect())
}

/// Removes the value that `key` had at `revision`, without a marker. A newer value stays.
pub(super) async fn remove(bucket: &kv::Store, key: &str, revision: u64) -> Result<(), String> {
    let purge = bucket.stream.purge().filter(format!("{}{key}", bucket.prefix)).sequence(revision + 1);
    purge.await.map(drop).map_err(|error| error.to_string())
}

/// The subjects of `stream` that match `filter`, with the number of messages of each.
pub(super) async fn subjects(stream: &Stream, filter: &str) -> Result<Vec<(String, usize)>, String> {
    let mut subjects = stream.info_with_subjects(filter).await.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    while let Some(subject) = subjects.next().await {
        found.push(subject.map_err(|error| error.to_string())?);
    }
    Ok(found)
}

/// A connection, and how often it was opened.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    client: Client,
    connections: watch::Receiver<u64>,
}

impl Connection {
    /// The crawls that the server has.
    pub(super) async fn crawls(&self) -> Result<BTreeSet<String>, String> {
        names_of_crawls(&jetstream::new(self.client.clone())).await
    }
}

/// Opens a connection.
///
/// # Errors
/// If the server cannot be reached. The message says how to fix it.
pub(super) async fn connect(address: &FrontierAddress, events: Arc<Events>) -> Result<Connection, String> {
    let server = address.server().to_owned();
    let (opened, connections) = watch::channel(0_u64);
    let opened = Arc::new(opened);
    let mut options = ConnectOptions::new().name("redd-crawl").connection_timeout(CONNECT_TIMEOUT);
    if let Some(credentials) = address.credentials() {
        options = match &credentials.password {
            Some(password) => options.user_and_password(credentials.user.clone(), password.clone()),
            None => options.token(credentials.user.clone()),
        };
    }
    let options = options.event_callback(move |event| {
        let (events, server, opened) = (Arc::clone(&events), server.clone(), Arc::clone(&opened));
        async move {
            report_connection(&event, &events, &server);
            if matches!(event, async_nats::Event::Connected) {
                opened.send_modify(|number| *number += 1);
            }
        }
    });
    let client = options.connect(address.server()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => format!(
            "the frontier {address} refuses the log-in, or asks for one: {error}. Give the one of the server: \
             --frontier nats://USER:PASSWORD@HOST:PORT/NAME, or nats://TOKEN@HOST:PORT/NAME"
        ),
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => format!(
            "the frontier {address} cannot be reached: {error}. Start a server there with `nats-server -js`, \
             or correct the address of --frontier"
        ),
    })?;
    Ok(Connection { client, connections })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most events of the client are of no interest to the user")]
fn report_connection(event: &async_nats::Event, events: &Events, server: &str) {
    match event {
        async_nats::Event::Connected => events.send(Event::Line(format!("connected to {server}"))),
        async_nats::Event::Disconnected => events.send(Event::Line(format!(
            "the connection to {server} is lost: no request is started until it is back, or stop with Ctrl-C"
        ))),
        async_nats::Event::ServerError(error) => events.send(Event::Line(format!("{server} reports: {error}"))),
        _ => {}
    }
}

impl Layout {
    /// Opens the streams and buckets of the crawl `name`, and creates those that do not exist.
    ///
    /// # Errors
    /// If the server has no JetStream, refuses to create them, or has the crawl with other settings.
    pub(super) async fn open_or_create(connection: Connection, name: &str, settings: &Value) -> Result<Self, String> {
        let context = jetstream::new(connection.client.clone());
        // A server without JetStream does not answer it.
        names_of_crawls(&context).await?;
        let names = Names::new(name);
        let work = stream::Config {
            name: names.store("work"),
            subjects: vec![names.all_work()],
            retention: RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        };
        let results = stream::Config {
            name: names.store("results"),
            subjects: names.all_results().into(),
            allow_direct: true,
            ..stream::Config::default()
        };
        for config in [work, results] {
            create(&context, config).await?;
        }
        for what in BUCKETS {
            let bucket = names.store(what);
            let max_age = match what {
                "leases" => LEASE_AGE,
                "members" => MEMBER_AGE,
                _ => Duration::ZERO,
            };
            // As the client creates a bucket, but values may be removed without a marker.
            let config = stream::Config {
                name: format!("KV_{bucket}"),
                subjects: vec![format!("$KV.{bucket}.>")],
                max_messages_per_subject: 1,
                max_age,
                duplicate_window: Duration::from_secs(2),
                discard: stream::DiscardPolicy::New,
                allow_rollup: true,
                allow_direct: true,
                ..stream::Config::default()
            };
            create(&context, config).await?;
        }
        let layout = Self::open_streams(connection, context, names).await?;
        layout.agree_on(name, settings).await?;
        Ok(layout)
    }

    /// Opens the streams and buckets of the crawl `name`.
    ///
    /// # Errors
    /// If there is no such crawl. The message names those that exist.
    pub(super) async fn open(connection: Connection, name: &str) -> Result<Self, String> {
        let context = jetstream::new(connection.client.clone());
        let crawls = names_of_crawls(&context).await?;
        if !crawls.contains(name) {
            let others = if crawls.is_empty() {
                "It has no crawl at all: start one with `redd-crawl --frontier`, or correct the address".to_owned()
            } else {
                format!("These exist: {}", crawls.into_iter().collect::<Vec<_>>().join(", "))
            };
            return Err(format!("the frontier has no crawl `{name}`. {others}"));
        }
        Self::open_streams(connection, context, Names::new(name)).await
    }

    async fn open_streams(connection: Connection, context: Context, names: Names) -> Result<Self, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            format!("the frontier's `{what}` cannot be opened: {error}. `--fresh` deletes the crawl and starts over")
        };
        let stream =
            async |what: &str| context.get_stream(names.store(what)).await.map_err(|error| failed(what, &error));
        let bucket =
            async |what: &str| context.get_key_value(names.store(what)).await.map_err(|error| failed(what, &error));
        Ok(Self {
            work: stream("work").await?,
            results: stream("results").await?,
            seen: bucket("seen").await?,
            settings: bucket("settings").await?,
            hosts: bucket("hosts").await?,
            leases: bucket("leases").await?,
            members: bucket("members").await?,
            client: connection.client,
            connections: connection.connections,
            context,
            names,
        })
    }

    /// See `first-settings-win`.
    async fn agree_on(&self, name: &str, settings: &Value) -> Result<(), String> {
        match self.settings.create(SETTINGS, settings.to_string().into()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("the settings of the crawl `{name}` cannot be stored: {error}")),
        }
        let theirs = self.read_settings().await?;
        let differing = differing(settings, &theirs);
        if differing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "the crawl `{name}` was started with other settings: {}. Give the same ones, give the crawl another name \
             (--frontier nats://host:port/NAME), or start it over with --fresh",
            differing.join(", ")
        ))
    }

    /// The settings of the first process.
    pub(super) async fn read_settings(&self) -> Result<Value, String> {
        let value = self.settings.get(SETTINGS).await.map_err(|error| error.to_string())?;
        let value = value.ok_or("the crawl has no settings: its first process ended at once. Start one")?;
        serde_json::from_slice(&value).map_err(|error| format!("the settings of the crawl cannot be read: {error}"))
    }

    /// The number of this process, in the order in which they joined.
    pub(super) async fn next_member(&self) -> Result<u64, String> {
        self.settings.put(JOINED, "".into()).await.map_err(|error| format!("the crawl cannot be joined: {error}"))
    }

    /// How many pages wait or are being fetched.
    pub(super) async fn unfinished(&self) -> Result<u64, String> {
        self.work.get_info().await.map(|info| info.state.messages).map_err(|error| error.to_string())
    }
}

/// Deletes all that the crawl `name` has.
///
/// # Errors
/// If processes work on it, or the server refuses.
pub(super) async fn delete(connection: Connection, name: &str) -> Result<(), String> {
    let context = jetstream::new(connection.client.clone());
    names_of_crawls(&context).await?;
    let names = Names::new(name);
    if let Ok(layout) = Layout::open_streams(connection, context.clone(), names.clone()).await {
        let members = keys(&layout.members, "").await?.len();
        if members > 0 {
            return Err(format!(
                "the crawl `{name}` cannot be started over: processes work on it ({members}), or did a moment ago. Stop them first; \
                 `redd-crawl status --frontier` lists them"
            ));
        }
    }
    let streams = STREAMS.map(|what| names.store(what)).into_iter();
    for stream in streams.chain(BUCKETS.map(|what| format!("KV_{}", names.store(what)))) {
        match context.delete_stream(&stream).await {
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(format!("the stream {stream} of the frontier cannot be deleted: {error}")),
        }
    }
    Ok(())
}

fn is_absent(error: &jetstream::context::DeleteStreamError) -> bool {
    matches!(error.kind(), jetstream::context::DeleteStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// The crawls that the server has. A server without JetStream does not say.
async fn names_of_crawls(context: &Context) -> Result<BTreeSet<String>, String> {
    let mut names = context.stream_names();
    let mut crawls = BTreeSet::new();
    while let Some(name) = names.next().await {
        let name = name.map_err(|error| {
            format!("the frontier has no JetStream, or it does not list its streams: {error}. Start the server with `nats-server -js`")
        })?;
        crawls
            .extend(name.strip_prefix("redd-crawl-").and_then(|name| name.strip_suffix("-results")).map(str::to_owned));
    }
    Ok(crawls)
}

async fn create(context: &Context, config: stream::Config) -> Result<(), String> {
    let name = config.name.clone();
    // Another process may create it at the same time, or an earlier version may have created it otherwise.
    match context.get_stream(&name).await {
        Ok(_) => return Ok(()),
        Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND) =>
            {}
        Err(error) => return Err(format!("the stream {name} of the frontier cannot be opened: {error}")),
    }
    match context.create_stream(config).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST) => {
            Ok(())
        }
        Err(error) => Err(format!(
            "the stream {name} of the frontier cannot be created: {error}. The account must be allowed to create streams, \
             and the server must have space"
        )),
    }
}
