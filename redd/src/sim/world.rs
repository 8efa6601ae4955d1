//! `World`: its hosts, and the run.
//!
//! Called by users, and by `check` for tests with `sim`.

use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::control::{Control, Done};
use super::faults::Faults;
use super::hosts::{Host, Hosts};
use super::links::{Setting, Settings};
use super::report::{Failure, Report};
use super::script::{self, Script, Step};
use super::verdict::Verdict;
use crate::disk::{self, DiskSettings};
use crate::observe::report::{self, ReportKind};
use crate::primitives::Mutex;
use crate::primitives::baton::{self, Explore, Plan, Tape};
use crate::primitives::thread;
use crate::runtime::simulated::LIMIT;

/// How long the world waits for an event before it reports that a thread seems to block outside of redd.
const PATIENCE: Duration = Duration::from_secs(10);

/// A simulated world: hosts that run on one virtual clock, in an order that one seed decides.
///
/// # Examples
/// ```
/// use redd::sim::World;
/// use redd::time::{Duration, sleep};
/// use std::sync::Mutex;
///
/// static ORDER: Mutex<Vec<&str>> = Mutex::new(Vec::new());
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(2)).await;
///     ORDER.lock().unwrap().push("server");
/// }
///
/// #[redd::main]
/// async fn client() {
///     sleep(Duration::from_secs(1)).await;
///     ORDER.lock().unwrap().push("client");
/// }
///
/// let report = World::new(42).host("server", server).host("client", client).limit(Duration::from_secs(60)).run();
/// report.expect_ok();
/// assert_eq!(*ORDER.lock().unwrap(), ["client", "server"]);
/// ```
#[must_use = "a world does nothing until `run`"]
pub struct World {
    seed: u64,
    limit: Duration,
    keeps_events: bool,
    start: Option<Duration>,
    pub(super) explore: Explore,
    pub(super) tape: Option<Tape>,
    hosts: Vec<Host>,
    script: Script,
    links: Settings,
    pub(super) disk: DiskSettings,
    /// Further names of hosts.
    names: Vec<(String, String)>,
    /// What is called before each run.
    resets: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| &host.name).collect();
        f.debug_struct("World").field("seed", &self.seed).field("limit", &self.limit).field("hosts", &hosts).finish()
    }
}

impl World {
    /// A world without hosts. All its choices follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            limit: LIMIT,
            keeps_events: false,
            explore: Explore::default(),
            tape: None,
            start: None,
            hosts: Vec::new(),
            script: Script::default(),
            links: Settings::default(),
            disk: DiskSettings::default(),
            names: Vec::new(),
            resets: Vec::new(),
        }
    }

    /// Adds a host: a thread that runs `main`. Runtimes that are built on it belong to the world.
    ///
    /// `main` may be the unmodified `main` function of a program, with `#[redd::main]`. It returns what a `main` function may return.
    /// After a [crash](Control::crash) it may be called again.
    ///
    /// # Panics
    /// If the world has a host with this name.
    #[track_caller]
    pub fn host<T: Termination>(self, name: &str, main: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.add_host(name, main, false)
    }

    /// As [`host`](Self::host), for a program that serves until it is killed. The world does not wait for its end.
    ///
    /// When all hosts that are no services have ended, services stop as if their power had failed.
    ///
    /// # Panics
    /// If the world has a host with this name. [`run`](Self::run) panics if all hosts are services.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{HostOutcome, World};
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn server() {
    ///     loop {
    ///         sleep(Duration::from_secs(1)).await;
    ///     }
    /// }
    ///
    /// #[redd::main]
    /// async fn client() {
    ///     sleep(Duration::from_secs(5)).await;
    /// }
    ///
    /// let report = World::new(1).service("server", server).host("client", client).run();
    /// assert_eq!(report.expect_ok().elapsed(), Duration::from_secs(5));
    /// assert_eq!(report.host("server").outcome(), &HostOutcome::Stopped);
    /// ```
    #[track_caller]
    pub fn service<T: Termination>(self, name: &str, main: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.add_host(name, main, true)
    }

    #[track_caller]
    fn add_host<T: Termination>(
        mut self,
        name: &str,
        main: impl Fn() -> T + Send + Sync + 'static,
        is_service: bool,
    ) -> Self {
        assert!(
            !self.hosts.iter().any(|host| host.name == name),
            "`World::host` got the name `{name}`, which another host of this world has. Give each host a name of its own."
        );
        let main = Arc::new(move || {
            let code = main().report();
            if code == ExitCode::SUCCESS { Ok(()) } else { Err(format!("it has returned {code:?}")) }
        });
        self.hosts.push(Host { name: name.to_owned(), main, is_service });
        self
    }

    /// Adds a step to the script of the world: after this time since the start, it calls `action`.
    ///
    /// The closure runs on a thread of the world, at a place in the order that the seed decides. Steps at the same time run in the order in
    /// which they were added. A step that comes after the end of all hosts is not run; [`Report::skipped`] has its time.
    ///
    /// If the closure panics, the world stops with a failure of kind [`Script`](super::FailureKind::Script).
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static STARTS: AtomicU32 = AtomicU32::new(0);
    ///
    /// #[redd::main]
    /// async fn server() {
    ///     STARTS.fetch_add(1, Ordering::Relaxed);
    ///     sleep(Duration::from_secs(60)).await;
    /// }
    ///
    /// let world = World::new(1).host("server", server).at(Duration::from_secs(9), |w| {
    ///     w.crash("server");
    ///     w.restart_after("server", Duration::from_secs(1));
    /// });
    /// assert_eq!(world.run().expect_ok().elapsed(), Duration::from_secs(70));
    /// assert_eq!(STARTS.load(Ordering::Relaxed), 2);
    /// ```
    #[track_caller]
    pub fn at(mut self, time: Duration, action: impl Fn(&mut Control) + Send + Sync + 'static) -> Self {
        self.script.steps.push((time, Location::caller(), Step::Once(Arc::new(action))));
        self
    }

    /// As [`at`](Self::at), again and again: the first time after one `period`. It ends with the hosts.
    ///
    /// While it goes on, something can always happen. So a world that hangs ends at its [limit](Self::limit).
    ///
    /// # Panics
    /// If `period` is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static CRASHES: AtomicU32 = AtomicU32::new(0);
    ///
    /// #[redd::main]
    /// async fn client() {
    ///     sleep(Duration::from_secs(35)).await;
    /// }
    ///
    /// let world = World::new(1).host("client", client).every(Duration::from_secs(10), |w| {
    ///     CRASHES.fetch_add(1, Ordering::Relaxed);
    /// });
    /// world.run().expect_ok();
    /// assert_eq!(CRASHES.load(Ordering::Relaxed), 3);
    /// ```
    #[track_caller]
    pub fn every(mut self, period: Duration, action: impl Fn(&mut Control) + Send + Sync + 'static) -> Self {
        assert!(
            !period.is_zero(),
            "`World::every` got a period of zero, so the clock would never move. Use a longer one, or `World::always`."
        );
        self.script.steps.push((period, Location::caller(), Step::Every(period, Arc::new(action))));
        self
    }

    /// Adds an invariant. It is checked whenever all threads of the world wait, before the clock moves, and at the end of the hosts.
    ///
    /// The closure returns `bool`, or a `Result` whose error says what is wrong. It may also use `assert!`. If the invariant does not hold,
    /// the world stops with a failure of kind [`Invariant`](super::FailureKind::Invariant), which has the time and the location of this
    /// call.
    ///
    /// The closure runs on a thread of the world. It must not wait.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{FailureKind, World};
    /// use redd::time::{Duration, sleep};
    /// use std::sync::atomic::{AtomicI64, Ordering};
    ///
    /// static BALANCE: AtomicI64 = AtomicI64::new(10);
    ///
    /// #[redd::main]
    /// async fn buyer() {
    ///     for _ in 0..4 {
    ///         sleep(Duration::from_secs(1)).await;
    ///         BALANCE.fetch_sub(3, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let report = World::new(1)
    ///     .host("buyer", buyer)
    ///     .always(|_| match BALANCE.load(Ordering::Relaxed) {
    ///         balance @ 0.. => Ok(()),
    ///         balance => Err(format!("the balance is {balance}")),
    ///     })
    ///     .run();
    /// let failure = &report.failures()[0];
    /// assert_eq!((failure.kind(), failure.at()), (FailureKind::Invariant, Duration::from_secs(4)));
    /// assert!(failure.to_string().contains("the balance is -2"));
    /// ```
    #[track_caller]
    pub fn always<V: Verdict>(mut self, invariant: impl Fn(&mut Control) -> V + Send + Sync + 'static) -> Self {
        let check = Arc::new(move |control: &mut Control| invariant(control).into_objection());
        self.script.invariants.push((Location::caller(), check));
        self
    }

    /// Adds random faults: see [`Faults`].
    ///
    /// # Panics
    /// [`run`](Self::run) panics if the world has no host with a name in `faults`.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.script.faults = Some(faults);
        self
    }

    /// Sets how long a packet takes from one host to another. The seed chooses the time of each packet in the range. Default: 0.1 to 1
    /// milliseconds. Within a host it takes no time.
    ///
    /// # Panics
    /// If the range ends before it starts.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::Duration;
    ///
    /// let world = World::new(1)
    ///     .latency(Duration::from_millis(1)..Duration::from_millis(5))
    ///     .loss(0.01)
    ///     .bandwidth(1_000_000)
    ///     .short_reads(10);
    /// world.host("host", || ()).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn latency(self, range: Range<Duration>) -> Self {
        self.set("`World::latency`", Setting::Latency(range))
    }

    /// Sets how many bytes per second each link between two hosts carries. Default: no limit.
    ///
    /// # Panics
    /// If it is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::{TcpListener, TcpStream};
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn server() -> std::io::Result<()> {
    ///     let listener = TcpListener::bind("0.0.0.0:80").await?;
    ///     let (mut stream, _) = listener.accept().await?;
    ///     assert_eq!(stream.read_to_end(&mut Vec::new()).await?, 500_000);
    ///     Ok(())
    /// }
    ///
    /// #[redd::main]
    /// async fn client() -> std::io::Result<()> {
    ///     sleep(Duration::from_millis(1)).await; // The server listens by now.
    ///     TcpStream::connect("server:80").await?.write_all(&[0; 500_000]).await
    /// }
    ///
    /// let report = World::new(1).bandwidth(100_000).host("server", server).host("client", client).run();
    /// assert_eq!(report.expect_ok().elapsed().as_secs(), 5);
    /// ```
    #[track_caller]
    pub fn bandwidth(self, bytes: u64) -> Self {
        self.set("`World::bandwidth`", Setting::Bandwidth(Some(bytes)))
    }

    /// Sets the probability that a packet between two hosts is lost. A lost datagram never arrives. What a stream loses it sends
    /// again, so it arrives later. Default: 0.0.
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UdpSocket;
    /// use redd::sim::World;
    /// use redd::time::{Duration, timeout};
    ///
    /// #[redd::main]
    /// async fn receiver() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:53").await?;
    ///     let mut received = Vec::new();
    ///     while let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut [0; 8])).await {
    ///         received.push(length?);
    ///     }
    ///     assert_eq!(received, [0; 0]);
    ///     Ok(())
    /// }
    ///
    /// #[redd::main]
    /// async fn sender() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:0").await?;
    ///     redd::time::sleep(Duration::from_millis(100)).await;
    ///     for length in 1..=5 {
    ///         socket.send_to(&[0; 8][..length], "receiver:53").await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// World::new(1).loss(1.0).host("receiver", receiver).host("sender", sender).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn loss(self, probability: f64) -> Self {
        self.set("`World::loss`", Setting::Loss(probability))
    }

    /// Sets the probability that a datagram between two hosts arrives after others that were sent later. Default: 0.0.
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UdpSocket;
    /// use redd::sim::World;
    /// use redd::time::{Duration, timeout};
    ///
    /// #[redd::main]
    /// async fn receiver() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:53").await?;
    ///     let mut received = Vec::new();
    ///     while let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut [0; 8])).await {
    ///         received.push(length?);
    ///     }
    ///     assert_eq!(received.len(), 5);
    ///     assert!(!received.is_sorted());
    ///     Ok(())
    /// }
    ///
    /// #[redd::main]
    /// async fn sender() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:0").await?;
    ///     redd::time::sleep(Duration::from_millis(100)).await;
    ///     for length in 1..=5 {
    ///         socket.send_to(&[0; 8][..length], "receiver:53").await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// World::new(1).reorder(0.5).host("receiver", receiver).host("sender", sender).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn reorder(self, probability: f64) -> Self {
        self.set("`World::reorder`", Setting::Reorder(probability))
    }

    /// Sets the probability that a datagram between two hosts arrives twice. Default: 0.0.
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    ///
    /// # Examples
    /// ```
    /// use redd::net::UdpSocket;
    /// use redd::sim::World;
    /// use redd::time::{Duration, timeout};
    ///
    /// #[redd::main]
    /// async fn receiver() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:53").await?;
    ///     let mut received = Vec::new();
    ///     while let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut [0; 8])).await {
    ///         received.push(length?);
    ///     }
    ///     assert_eq!(received.len(), 10);
    ///     Ok(())
    /// }
    ///
    /// #[redd::main]
    /// async fn sender() -> std::io::Result<()> {
    ///     let socket = UdpSocket::bind("0.0.0.0:0").await?;
    ///     redd::time::sleep(Duration::from_millis(100)).await;
    ///     for length in 1..=5 {
    ///         socket.send_to(&[0; 8][..length], "receiver:53").await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// World::new(1).duplicate(1.0).host("receiver", receiver).host("sender", sender).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn duplicate(self, probability: f64) -> Self {
        self.set("`World::duplicate`", Setting::Duplicate(probability))
    }

    /// Sets how many of 100 reads and writes of sockets transfer only a part of what they could. Default: 0.
    ///
    /// Programs must expect that of any socket. Those that do not, fail with it.
    ///
    /// # Panics
    /// If it is more than 100.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    /// use redd::net::{TcpListener, TcpStream};
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn server() -> std::io::Result<()> {
    ///     let listener = TcpListener::bind("0.0.0.0:80").await?;
    ///     let (mut stream, _) = listener.accept().await?;
    ///     let (mut total, mut reads) = (0, 0);
    ///     loop {
    ///         let length = stream.read(&mut [0; 1000]).await?; // A program must not expect all in one read.
    ///         if length == 0 {
    ///             break;
    ///         }
    ///         (total, reads) = (total + length, reads + 1);
    ///     }
    ///     assert!(total == 1000 && reads > 1);
    ///     Ok(())
    /// }
    ///
    /// #[redd::main]
    /// async fn client() -> std::io::Result<()> {
    ///     sleep(Duration::from_millis(1)).await; // The server listens by now.
    ///     TcpStream::connect("server:80").await?.write_all(&[0; 1000]).await
    /// }
    ///
    /// World::new(1).short_reads(100).host("server", server).host("client", client).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn short_reads(self, percent: u8) -> Self {
        self.set("`World::short_reads`", Setting::ShortReads(percent))
    }

    #[track_caller]
    fn set(mut self, method: &str, setting: Setting) -> Self {
        setting.check(method);
        self.links.set(setting);
        self
    }

    /// Gives a host another name, for programs that ask for it: `World::name("db.example.com", "database")`. The names of hosts, and
    /// `localhost`, are known without it.
    ///
    /// # Panics
    /// [`run`](Self::run) panics if the world has no host with this name.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    ///
    /// #[redd::main]
    /// async fn client() {
    ///     let mut found = redd::net::lookup_host("db.example.com:5432").await.unwrap();
    ///     let mut expected = redd::net::lookup_host("database:5432").await.unwrap();
    ///     assert_eq!(found.next(), expected.next());
    /// }
    ///
    /// World::new(1).host("database", || ()).host("client", client).name("db.example.com", "database").run().expect_ok();
    /// ```
    pub fn name(mut self, name: &str, host: &str) -> Self {
        self.names.push((name.to_owned(), host.to_owned()));
        self
    }

    /// Calls `f` before each run, on the thread that runs the world. So what hosts and scripts share can be as it was at first, also when
    /// [`shrink`](Self::shrink) runs the world many times.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{World, chance};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let retries = Arc::new(AtomicU32::new(0));
    /// let reset = retries.clone();
    /// let world = |seed| {
    ///     let (retries, reset) = (retries.clone(), reset.clone());
    ///     World::new(seed).before_each_run(move || reset.store(0, Ordering::Relaxed)).host("host", move || {
    ///         while chance("retry", 50) {
    ///             retries.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///         assert!(retries.load(Ordering::Relaxed) < 2, "too many retries");
    ///     })
    /// };
    /// let seed = (0..100).find(|seed| !world(*seed).run().failures().is_empty()).unwrap();
    /// let shrunk = world(seed).shrink(100).unwrap();
    /// assert_eq!(shrunk.report().tape().len(), 2, "two retries are enough: {shrunk}");
    /// ```
    pub fn before_each_run(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.resets.push(Arc::new(f));
        self
    }

    /// Keeps all events of the run, in 24 bytes each, for [`Report::first_difference`], and its [`Report::tape`]. Default: only their
    /// hash.
    pub fn record(mut self, keeps: bool) -> Self {
        self.keeps_events = keeps;
        self
    }

    /// Sets what `SystemTime` shows the program when the world starts. Default: 2026-01-01 00:00:00 UTC.
    ///
    /// It has an effect if the program is linked with the package `redd-sim-libc`. Otherwise `SystemTime` shows the real time:
    /// [`Report::is_std_simulated`].
    ///
    /// # Panics
    /// If the time is before 1970, or after 2554, which 64 bits of nanoseconds do not reach.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use std::time::{Duration, SystemTime};
    ///
    /// // A second before a leap day.
    /// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_164_799);
    /// let report = World::new(1).start_at(start).host("host", || println!("{:?}", SystemTime::now())).run();
    /// assert!(!report.is_std_simulated(), "this example is not linked with it, and prints the real time");
    /// ```
    #[track_caller]
    pub fn start_at(mut self, time: SystemTime) -> Self {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let Some(start) = since_1970.filter(|start| u64::try_from(start.as_nanos()).is_ok()) else {
            panic!("`World::start_at` was called with {time:?}. Pass a time from 1970 to 2554.");
        };
        self.start = Some(start);
        self
    }

    /// Sets the virtual time after which the run fails. Default: 24 hours.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// What the world is asked for.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            explore: self.explore,
            tape: self.tape.clone(),
            keeps_events: self.keeps_events,
            ..Plan::default()
        }
    }

    /// One run. Called by `explore`, which has `World::run`.
    #[track_caller]
    pub(super) fn run_once(&self, plan: &Plan) -> Report {
        assert!(
            self.hosts.is_empty() || self.hosts.iter().any(|host| !host.is_service),
            "`World::run`: all hosts of this world are services, so it would never end. Add one that ends with `World::host`: a client."
        );
        self.resets.iter().for_each(|reset| reset());
        let baton = baton::new_world_of(plan, self.limit);
        self.start.iter().for_each(|start| baton.set_unix_origin(*start));
        disk::configure(&baton, self.disk.clone());
        let (hosts, done) = (Hosts::new(&baton, self.hosts.clone()), Arc::new(Mutex::new(Done::default())));
        self.links.apply(hosts.network());
        for (name, host) in &self.names {
            let host = hosts.find("`World::name`", host);
            hosts.network().add_name(name, vec![hosts.network().address_of(host)]);
        }
        // Before any thread starts: it would wait forever.
        // Not in a closure, which would not have the location of the caller.
        if let Some(faults) = &self.script.faults {
            faults.expect_hosts(&hosts);
        }
        (0..hosts.len()).for_each(|host| hosts.start(host));
        if !self.script.is_empty() {
            script::start(&hosts, Control::new(&hosts, &done, self.links.clone()), self.script.clone());
        }
        baton.start();
        baton.wait_until_over(PATIENCE, |thread| {
            report::report(
                ReportKind::Shutdown,
                format_args!(
                    "thread `{thread}` of a simulated world has run for {PATIENCE:?} without an event of the world. It computes, or it \
                     waits for something outside of the world: a lock or channel of std, another thread, or a file. While it waits no other \
                     thread of the world can run. Use the locks and channels of `redd::sync`, and `spawn_blocking`."
                ),
            );
        });
        let host_reports = hosts.finish();
        disk::end(&baton);
        let done = std::mem::take(&mut *done.lock());
        let (hash, events) = baton.hash();
        Report {
            seed: plan.seed,
            explore: plan.explore,
            is_replay: plan.tape.is_some(),
            choices: Arc::new(baton.choices()),
            shrunk: None,
            hash,
            events,
            elapsed: baton.passed(),
            failures: baton.failures().into_iter().map(Failure).collect(),
            hosts: host_reports,
            faults: done.faults,
            skipped: done.skipped,
            left: baton.left(),
            thread: Some(thread::current_name()),
            record: Arc::new(baton.take_record()),
            is_std_simulated: baton.simulates_std(),
        }
    }
}
