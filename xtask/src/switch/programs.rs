//! The published programs, and what is tried with each.
//!
//! Called by `switch`.
//!
//! # Why not otherwise
//! `--help` ends before the runtime has done anything. A server gets a request here, and a client a server.
//! A library has only its tests.

use super::trial::Step;

/// A published program or library, with the lock file that its package has.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(super) version: &'static str,
    /// When this version was published.
    pub(super) year: u16,
    /// Options of each build: features that need no library of the system.
    pub(super) options: &'static [&'static str],
    /// Packages of its lock file that today's compiler does not build, with Tokio neither.
    pub(super) raised: &'static [&'static str],
    pub(super) check: Check,
}

/// What has to come of the switch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// It is built and used: what is done, in words, and the steps.
    Run(&'static str, &'static [Step]),
    /// Its tests are built and run: options of `cargo test`, and words in the names of tests that are skipped because they
    /// read files that the package does not have.
    Tests(&'static [&'static str], &'static [&'static str]),
    /// It cannot be switched: `cargo redd switch` changes nothing and says this.
    Refused(&'static str),
}

const fn program(name: &'static str, version: &'static str, year: u16, check: Check) -> Program {
    Program { name, version, year, options: &[], raised: &[], check }
}

const GREETING: Step = Step::Write { file: "files/greeting.txt", text: "hello from a file\n" };
const GREETED: &[&str] = &["200 OK", "hello from a file\n"];

/// Of several years and kinds, small enough to be built one after another, and without libraries of the system.
pub(crate) const PROGRAMS: &[Program] = &[
    program("axum-server", "0.9.0", 2026, Check::Tests(&["--lib"], &[])),
    program("bore-cli", "0.6.0", 2025, Check::Tests(&[], &[])),
    program("dufs", "0.47.0", 2026, Check::Run("a file over HTTP: `PUT`, `GET`, and the list of the folder", DUFS)),
    program(
        "hickory-dns",
        "0.25.2",
        2025,
        Check::Run("a name of a zone file, asked for over UDP and TCP", HICKORY_DNS),
    ),
    program("http-server", "0.8.9", 2023, Check::Run("a file over HTTP", HTTP_SERVER)),
    program("live-server", "0.8.0", 2024, Check::Run("a page over HTTP, from axum", LIVE_SERVER)),
    program("matchbox_server", "0.10.0", 2024, Check::Run("a WebSocket that gets its id, from axum", MATCHBOX)),
    Program {
        options: &["--no-default-features", "--features", "serve"],
        ..program("mdbook", "0.4.28", 2023, Check::Run("a chapter over HTTP, from warp", MDBOOK))
    },
    program("mini-redis", "0.4.1", 2021, Check::Run("`SET` and `GET` by its client, and a subscription", MINI_REDIS)),
    program("miniserve", "0.20.0", 2022, Check::Run("a file and a list over HTTP, from actix-web", MINISERVE)),
    Program {
        options: &["--no-default-features", "--features", "rustls"],
        ..program("oha", "0.5.5", 2022, Check::Run("500 requests on 20 connections, all of them answered", OHA))
    },
    Program {
        raised: &["time"],
        ..program("pueue", "3.3.0", 2023, Check::Run("a command through the queue of its daemon, and its log", PUEUE))
    },
    Program {
        raised: &["time"],
        ..program("rathole", "0.5.0", 2023, Check::Run("an echo through its tunnel", RATHOLE))
    },
    Program {
        raised: &["metrics"],
        ..program("rumqttd", "0.20.0", 2025, Check::Run("an MQTT message, published and received", RUMQTTD))
    },
    program("simple-http-server", "0.8.1", 2026, Check::Run("a file over HTTP", SIMPLE_HTTP_SERVER)),
    Program {
        options: &["--no-default-features", "--features", "rustls,sqlite"],
        ..program("sqlx-cli", "0.6.3", 2023, Check::Run("a database of SQLite, made and migrated", SQLX))
    },
    program("tailspin", "2.3.0", 2024, Check::Run("a log with its words in colours", TAILSPIN)),
    // Those that are skipped compare files of its repository, which the package does not have.
    program("tokio-console", "0.1.13", 2024, Check::Tests(&[], &["toml_example_changed", "cli_tests"])),
    program("tokio-modbus", "0.17.0", 2025, Check::Tests(&["--lib"], &[])),
    program("watchexec-cli", "1.20.6", 2022, Check::Run("a command that runs again when a file changes", WATCHEXEC)),
    program("webrtc-sctp", "0.17.2", 2026, Check::Tests(&["--lib"], &["fuzz_artifact_test"])),
    program("webrtc-util", "0.17.2", 2026, Check::Tests(&["--lib"], &[])),
    program("websocat", "4.0.0-alpha3", 2025, Check::Run("an echo from TCP to a WebSocket and back", WEBSOCAT)),
    program("xh", "0.18.0", 2023, Check::Run("a `GET` and a `POST` of JSON, by reqwest", XH)),
    // These have no Tokio that redd can replace, and are told so.
    program("mdbook", "0.4.10", 2021, Check::Refused("no package of the program depends on Tokio 1.x")),
    program("solana-faucet", "1.10.30", 2022, Check::Refused("~1.14.1")),
];

const DUFS: &[Step] = &[
    GREETING,
    Step::Start { program: "dufs", words: &["--bind", "127.0.0.1", "--port", "{web}", "-A", "files"], port: "web" },
    Step::Get { port: "web", path: "/greeting.txt", expected: GREETED },
    Step::Put { port: "web", path: "/new.txt", body: "a second file" },
    Step::Get { port: "web", path: "/new.txt", expected: &["a second file"] },
    Step::Get { port: "web", path: "/?simple", expected: &["greeting.txt", "new.txt"] },
];

/// A query for the address of `www.example.com`, with the id 7.
const QUERY: &[u8] = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
const QUERY_BY_TCP: &[u8] =
    b"\x00\x21\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
/// The length of an address, and 192.0.2.7.
const ADDRESS: &[u8] = b"\x00\x04\xc0\x00\x02\x07";

const HICKORY_DNS: &[Step] = &[
    Step::Write {
        file: "dns.toml",
        text: "listen_addrs_ipv4 = [\"127.0.0.1\"]\nlisten_port = {dns}\nuser = \"root\"\ngroup = \"root\"\n\
               [[zones]]\nzone = \"example.com\"\nzone_type = \"Primary\"\nfile = \"example.com.zone\"\n",
    },
    Step::Write {
        file: "example.com.zone",
        text: "@ 3600 IN SOA ns.example.com. admin.example.com. 1 3600 600 86400 60\n\
               @ 3600 IN NS ns.example.com.\nns 3600 IN A 192.0.2.1\nwww 3600 IN A 192.0.2.7\n",
    },
    Step::Start { program: "hickory-dns", words: &["--config", "dns.toml", "--zonedir", "{folder}"], port: "dns" },
    Step::Udp { port: "dns", sent: QUERY, expected: ADDRESS },
    Step::Tcp { port: "dns", exchange: &[(QUERY_BY_TCP, ADDRESS)] },
];

const HTTP_SERVER: &[Step] = &[
    GREETING,
    Step::Start { program: "http-server", words: &["--host", "127.0.0.1", "--port", "{web}", "files"], port: "web" },
    Step::Get { port: "web", path: "/greeting.txt", expected: GREETED },
];

const LIVE_SERVER: &[Step] = &[
    Step::Write { file: "files/index.html", text: "<html><body>hello from a page</body></html>" },
    Step::Start { program: "live-server", words: &["-H", "127.0.0.1", "-p", "{web}", "files"], port: "web" },
    Step::Get { port: "web", path: "/index.html", expected: &["200 OK", "hello from a page"] },
];

const MATCHBOX: &[Step] = &[
    Step::Start { program: "matchbox_server", words: &["127.0.0.1:{web}"], port: "web" },
    Step::Get { port: "web", path: "/health", expected: &["200 OK"] },
    Step::Tcp {
        port: "web",
        exchange: &[(
            b"GET /room HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"{\"IdAssigned\":",
        )],
    },
];

const MDBOOK: &[Step] = &[
    Step::Write { file: "book.toml", text: "[book]\ntitle = \"A book\"\n" },
    Step::Write { file: "src/SUMMARY.md", text: "# Summary\n\n- [One](one.md)\n" },
    Step::Write { file: "src/one.md", text: "# One\n\nhello from a chapter\n" },
    Step::Start { program: "mdbook", words: &["serve", "-n", "127.0.0.1", "-p", "{web}"], port: "web" },
    Step::Get { port: "web", path: "/one.html", expected: &["200 OK", "<p>hello from a chapter</p>"] },
];

const MINI_REDIS: &[Step] = &[
    Step::Start { program: "mini-redis-server", words: &["--port", "{redis}"], port: "redis" },
    Step::Call {
        program: "mini-redis-cli",
        words: &["--port", "{redis}", "set", "greeting", "hello"],
        expected: &["OK"],
    },
    Step::Call {
        program: "mini-redis-cli",
        words: &["--port", "{redis}", "get", "greeting"],
        expected: &["\"hello\""],
    },
    Step::Tcp {
        port: "redis",
        exchange: &[
            (b"*2\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n", b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"),
            (b"*2\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n", b"*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n"),
        ],
    },
];

const MINISERVE: &[Step] = &[
    GREETING,
    Step::Start { program: "miniserve", words: &["-i", "127.0.0.1", "-p", "{web}", "files"], port: "web" },
    Step::Get { port: "web", path: "/greeting.txt", expected: GREETED },
    Step::Get { port: "web", path: "/", expected: &["200 OK", "greeting.txt"] },
];

const OHA: &[Step] = &[
    Step::Web { port: "web" },
    Step::Call {
        program: "oha",
        words: &["--no-tui", "-n", "500", "-c", "20", "http://127.0.0.1:{web}/greeting"],
        expected: &["Success rate:\t1.0000", "[200] 500 responses"],
    },
];

const PUEUE: &[Step] = &[
    Step::Write {
        file: "pueue.yml",
        text: "shared:\n  pueue_directory: {folder}/state\n  runtime_directory: {folder}/state\n  use_unix_socket: false\n  \
               host: 127.0.0.1\n  port: \"{queue}\"\n",
    },
    Step::Write { file: "state/about", text: "the daemon's files\n" },
    Step::Start { program: "pueued", words: &["--config", "pueue.yml"], port: "queue" },
    Step::Call { program: "pueue", words: &["--config", "pueue.yml", "add", "--", "expr 6 '*' 7"], expected: &[] },
    Step::Call { program: "pueue", words: &["--config", "pueue.yml", "wait"], expected: &[] },
    Step::Call { program: "pueue", words: &["--config", "pueue.yml", "log"], expected: &["42"] },
];

const RATHOLE: &[Step] = &[
    Step::Echo { port: "echo" },
    Step::Write {
        file: "server.toml",
        text: "[server]\nbind_addr = \"127.0.0.1:{control}\"\ndefault_token = \"secret\"\n\
               [server.services.echo]\nbind_addr = \"127.0.0.1:{public}\"\n",
    },
    Step::Write {
        file: "client.toml",
        text: "[client]\nremote_addr = \"127.0.0.1:{control}\"\ndefault_token = \"secret\"\n\
               [client.services.echo]\nlocal_addr = \"127.0.0.1:{echo}\"\n",
    },
    Step::Start { program: "rathole", words: &["--server", "server.toml"], port: "control" },
    Step::Start { program: "rathole", words: &["--client", "client.toml"], port: "public" },
    Step::Tcp { port: "public", exchange: &[(b"through", b"through"), (b"the tunnel", b"the tunnel")] },
];

const RUMQTTD: &[Step] = &[
    Step::Write {
        file: "rumqttd.toml",
        text: "id = 0\n[router]\nid = 0\nmax_connections = 10\nmax_outgoing_packet_count = 200\n\
               max_segment_size = 104857600\nmax_segment_count = 10\n[v4.1]\nname = \"v4-1\"\n\
               listen = \"127.0.0.1:{mqtt}\"\nnext_connection_delay_ms = 1\n[v4.1.connections]\n\
               connection_timeout_ms = 60000\nmax_payload_size = 20480\nmax_inflight_count = 100\ndynamic_filters = true\n",
    },
    Step::Start { program: "rumqttd", words: &["--config", "rumqttd.toml"], port: "mqtt" },
    Step::Tcp {
        port: "mqtt",
        exchange: &[
            // CONNECT as `a`, SUBSCRIBE to `news`, and PUBLISH to it: the connection gets its own message.
            (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x00"),
            (b"\x82\x09\x00\x01\x00\x04news\x00", b"\x90\x03\x00\x01\x00"),
            (b"\x30\x0b\x00\x04newshello", b"\x30\x0b\x00\x04newshello"),
        ],
    },
];

const SIMPLE_HTTP_SERVER: &[Step] = &[
    GREETING,
    Step::Start {
        program: "simple-http-server",
        words: &["--ip", "127.0.0.1", "--port", "{web}", "files"],
        port: "web",
    },
    Step::Get { port: "web", path: "/greeting.txt", expected: GREETED },
];

const SQLX: &[Step] = &[
    Step::Write { file: "migrations/1_start.sql", text: "CREATE TABLE people (name TEXT);\n" },
    Step::Call { program: "sqlx", words: &["database", "create", "-D", "sqlite:{folder}/people.db"], expected: &[] },
    Step::Call {
        program: "sqlx",
        words: &["migrate", "run", "-D", "sqlite:{folder}/people.db"],
        expected: &["Applied 1/migrate start"],
    },
    Step::Call {
        program: "sqlx",
        words: &["migrate", "info", "-D", "sqlite:{folder}/people.db"],
        expected: &["1/installed start"],
    },
];

const TAILSPIN: &[Step] = &[
    Step::Write { file: "app.log", text: "the answer is null\n" },
    Step::Pipe { program: "tspin", file: "app.log", expected: &["the answer is \x1b[", "mnull\x1b[0m"] },
];

const WATCHEXEC: &[Step] = &[
    Step::Write { file: "watched/news", text: "first news\n" },
    Step::Watch {
        program: "watchexec",
        words: &["--watch", "watched", "--", "cat", "watched/news"],
        until: "first news",
    },
    Step::Write { file: "watched/news", text: "second news\n" },
    Step::Reads { until: "second news" },
];

const WEBSOCAT: &[Step] = &[
    Step::Start { program: "websocat", words: &["--binary", "ws-l:127.0.0.1:{web}", "mirror:"], port: "web" },
    Step::Start {
        program: "websocat",
        words: &["--binary", "tcp-l:127.0.0.1:{plain}", "ws://127.0.0.1:{web}"],
        port: "plain",
    },
    Step::Tcp { port: "plain", exchange: &[(b"there and back", b"there and back")] },
];

const XH: &[Step] = &[
    Step::Web { port: "web" },
    Step::Call {
        program: "xh",
        words: &["--ignore-stdin", "http://127.0.0.1:{web}/greeting"],
        expected: &["you asked for /greeting"],
    },
    Step::Call {
        program: "xh",
        words: &["--ignore-stdin", "post", "http://127.0.0.1:{web}/people", "name=redd"],
        expected: &["{\"name\":\"redd\"}"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_programs_that_are_switched_and_one_that_is_not() {
        let refused = PROGRAMS.iter().filter(|program| matches!(program.check, Check::Refused(_))).count();
        assert!(PROGRAMS.len() - refused >= 20 && refused >= 1, "{} and {refused}", PROGRAMS.len());
        let help = PROGRAMS.iter().filter(|program| matches!(program.check, Check::Run(_, steps) if steps.is_empty()));
        assert_eq!(help.count(), 0, "each program is used");
    }

    #[test]
    fn no_program_is_there_twice() {
        let mut names: Vec<_> = PROGRAMS.iter().map(|program| (program.name, program.version)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROGRAMS.len());
    }

    #[test]
    fn the_two_queries_are_the_same() {
        assert_eq!(usize::from(QUERY_BY_TCP[1]), QUERY.len());
        assert_eq!(&QUERY_BY_TCP[2..], QUERY);
    }
}
