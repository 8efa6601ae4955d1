//! Attach requests as other processes make them, byte by byte: this process asks itself. Clients that are wrong, slow or hostile
//! change nothing for it.

#![cfg(all(target_os = "linux", not(miri)))]
#![allow(unsafe_code, reason = "a signal with a value")]
#![allow(clippy::disallowed_methods, reason = "clients of the outside world")]

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use client::{Client, new_key, send, taker};
use redd::runtime::{Builder, Runtime};

#[path = "support/attach_client.rs"]
mod client;
#[path = "../src/sys/emulation.rs"]
mod emulation;

/// True if this system has no such signals.
fn skips(test: &str) -> bool {
    emulation::skips(test, "it has no signals with a value to one thread")
}

fn runtime(name: &str) -> Runtime {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().name(name).build().expect("nothing is refused");
    runtime.spawn(std::future::pending::<()>());
    runtime
}

fn ask_bytes(request: &[u8]) -> String {
    let client = Client::new();
    let mut stream = client.connect();
    stream.write_all(request).expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it replies with text");
    reply
}

/// The reply to a request that is granted.
#[track_caller]
fn ask(request: &str) -> String {
    let reply = ask_bytes(format!("redd-attach/1 {request}\n").as_bytes());
    let (first, text) = reply.split_once('\n').expect("the reply has a first line");
    assert_eq!(first, format!("ok {}", text.len()), "{text}");
    text.to_owned()
}

#[test]
fn a_dump_names_the_runtime_and_where_its_tasks_were_spawned() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("dumped");
    let text = ask("dump text");
    assert!(text.contains("`dumped`: multi-thread, workers: 2, tasks: 1\n"), "{text}");
    assert!(text.contains("attach.rs:"), "{text}");
    assert!(ask("dump text all").contains("`dumped`"));
    for request in ["info", "dump json", "dump json all"] {
        let json = ask(request);
        assert!(json.starts_with("{\"format\":\"redd-attach/1\","), "{json}");
        assert!(json.contains(&format!("\"process\":{},", std::process::id())), "{json}");
        assert!(json.contains("\"name\":\"dumped\",\"kind\":\"multi-thread\",\"workers\":2,\"tasks\":1"), "{json}");
        assert_eq!(json.contains("\"dump\":"), request != "info", "{json}");
    }
}

#[test]
fn stacks_metrics_and_samples_are_replies_too() {
    if skips("attach") {
        return;
    }
    let runtime = runtime("sampled");
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let busy = runtime.spawn(async move { (tell.send(()), released.recv()) });
    told.recv().expect("it runs");
    let text = ask("stack all");
    let block = text.split("runtime ").find(|block| block.contains("`sampled`")).expect(&text);
    assert!(block.contains("polls task ") && block.contains("attach.rs:"), "{block}");
    let json = ask("top 50");
    let part = json.split("{\"id\":").find(|part| part.contains("\"sampled\",\"kind\"")).expect(&json);
    assert!(part.contains("\"samples\":") && part.contains("\"each_worker\":[{\"polls\":"), "{part}");
    assert!(part.contains("\"state\":\"running\"") && part.contains("\"each_task\":[{\"spawned_at\":"), "{part}");
    let metrics = ask("metrics");
    assert!(metrics.contains("\",name=\"sampled\"} 2\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    drop(release);
    runtime.block_on(busy).expect("no panic").1.expect_err("it is let go");
}

#[test]
fn a_runtime_that_has_ended_or_may_not_be_seen_is_not_shown() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("seen");
    let ended = runtime("ended");
    assert!(ask("info").contains("\"ended\""));
    drop(ended);
    let _hidden = Builder::new_current_thread().name("unseen").observe(false).build().expect("nothing is refused");
    let text = ask("info");
    assert!(text.contains("\"seen\"") && !text.contains("\"ended\"") && !text.contains("\"unseen\""), "{text}");
}

#[test]
fn a_name_with_odd_characters_is_escaped() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("odd \"name\"\n\u{1b}\\");
    assert!(ask("info").contains(r#""name":"odd \"name\"\n\u001b\\","#));
    let text = ask("dump text");
    assert!(text.contains(r#"`odd \"name\"\n\u{1b}\\`"#) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_request_that_does_not_exist_gets_a_sentence() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("garbage");
    let long = [b'x'; 300];
    for (request, words) in [
        (&b"redd-attach/1 kill\n"[..], "error: this process knows no request `kill`"),
        (b"redd-attach/9 info\n", "error: the request begins with `redd-attach/9`"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "error: the request begins with `GET`"),
        (b"\xff\xfe\x00\n", "error: the request is not text"),
        (b"\n", "error: the request begins with ``"),
    ] {
        let reply = ask_bytes(request);
        assert!(reply.starts_with(words), "{reply}");
        assert_eq!(reply.lines().count(), 1, "{reply}");
    }
    // It closes the connection while bytes are unread, which may end the client's reading with an error.
    let client = Client::new();
    let mut stream = client.connect();
    stream.write_all(&long).expect("there is room");
    let mut reply = [0; 18];
    stream.read_exact(&mut reply).expect("it replies");
    assert_eq!(&reply, b"error: a request i");
    assert!(ask("info").contains("\"garbage\""), "the next client is served");
}

#[test]
fn a_client_that_dies_or_is_silent_or_does_not_read_costs_the_next_one_a_bounded_time() {
    if skips("attach") {
        return;
    }
    let runtime = runtime("patient");
    for _ in 0..5000 {
        runtime.spawn(std::future::pending::<()>());
    }
    for request in [None, Some("redd-attach/1 dump te"), Some("redd-attach/1 dump text\n")] {
        let client = Client::new();
        let mut stream = client.connect();
        if let Some(request) = request {
            stream.write_all(request.as_bytes()).expect("it reads");
        }
        drop(stream);
    }
    assert!(ask("info").contains("\"patient\""));
    // The directory is gone before the signal is taken.
    let client = Client::new();
    let key = client.key;
    drop(client);
    send(key);
    assert!(ask("info").contains("\"patient\""));
    let silent = Client::new();
    let mut stream = silent.connect();
    assert_eq!(stream.read(&mut [0]).expect("it ends the connection"), 0);
    let (slow, next) = (Client::new(), Client::new());
    let mut stream = slow.connect();
    stream.write_all(b"redd-attach/1 dump text all\n").expect("it reads");
    let mut reply = String::new();
    let mut next = next.connect();
    next.write_all(b"redd-attach/1 info\n").expect("it reads");
    next.read_to_string(&mut reply).expect("it replies");
    assert!(reply.contains("\"patient\""), "{reply}");
}

#[test]
fn a_directory_that_is_not_for_one_user_alone_is_not_used() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("careful");
    for mode in [0o755, 0o770, 0o777, 0o500, 0o1700] {
        let client = Client::new();
        fs::set_permissions(&client.directory, Permissions::from_mode(mode)).expect("it is ours");
        send(client.key);
        assert!(ask("info").contains("\"careful\""), "requests are taken in turn");
        assert!(!client.has_connection(), "{mode:o}");
    }
    // A link to a directory that would do.
    let client = Client::new();
    let key = new_key();
    let link = Path::new("/tmp").join(format!("redd-attach-{key:016x}"));
    std::os::unix::fs::symlink(&client.directory, &link).expect("the folder can be written");
    send(key);
    assert!(ask("info").contains("\"careful\""));
    assert!(!client.has_connection());
    fs::remove_file(link).expect("it is ours");
    // A directory of another user. Only root can make one.
    if std::os::unix::fs::chown(&client.directory, Some(65534), None).is_ok() {
        send(client.key);
        assert!(ask("info").contains("\"careful\""));
        assert!(!client.has_connection());
    } else {
        let _ = writeln!(io::stdout(), "SKIPPED: only root can make a directory of another user");
    }
}

#[test]
fn signals_from_elsewhere_are_no_requests() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("calm");
    for _ in 0..100 {
        let (thread, signal) = taker();
        // SAFETY: no pointers are passed.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) }, 0);
        send(0);
        send(u64::MAX);
    }
    assert!(ask("info").contains("\"calm\""));
}

#[test]
fn the_next_folder_is_used_too() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("elsewhere");
    let client = Client::in_folder(Path::new("/dev/shm"));
    let mut stream = client.connect();
    stream.write_all(b"redd-attach/1 info\n").expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it replies");
    assert!(reply.contains("\"elsewhere\""), "{reply}");
}

#[test]
fn several_clients_at_once_are_served_in_turn() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("busy");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..25 {
                    assert!(ask("dump text").contains("`busy`"));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("all are served");
    }
}

#[test]
fn runtimes_may_come_and_go_while_clients_ask() {
    if skips("attach") {
        return;
    }
    let _runtime = runtime("stays");
    let asks = std::thread::spawn(|| {
        for _ in 0..100 {
            assert!(ask("dump json").contains("\"stays\""));
        }
    });
    while !asks.is_finished() {
        let runtime = runtime("comes and goes");
        runtime.block_on(async {
            for _ in 0..20 {
                redd::spawn(redd::time::sleep(Duration::from_micros(50)));
            }
            redd::task::yield_now().await;
        });
    }
    asks.join().expect("all are served");
}
