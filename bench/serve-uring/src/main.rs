//! The servers on one ring per thread, and on one current-thread runtime per thread, for decision 0023.
//!
//! `serve-uring KIND WORKERS [counts]`; KIND is `tcp_echo` or `http_hyper`, and may end in `_interrupting` (the ring's other
//! setup) or `_cores` (redd, no ring). Connections are assigned to the threads in turn, as in `serve-epoll`.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};

mod cores;
#[path = "../../workloads/costs.rs"]
mod costs;
mod echo;
mod http;
#[path = "../../servers/protocol.rs"]
mod protocol;
mod ring;

use ring::Setup;

fn main() {
    let asked = protocol::asked("serve-uring KIND WORKERS [timed|counts]");
    let workers = asked.workers;
    let port = match asked.kind.as_str() {
        "tcp_echo" => rings(workers, |pipe| ring::serve(pipe, Setup::Deferred, &mut echo::Echo::default())),
        "http_hyper" => rings(workers, |pipe| ring::serve(pipe, Setup::Deferred, &mut http::Http::default())),
        "tcp_echo_interrupting" => {
            rings(workers, |pipe| ring::serve(pipe, Setup::Interrupting, &mut echo::Echo::default()))
        }
        "http_hyper_interrupting" => {
            rings(workers, |pipe| ring::serve(pipe, Setup::Interrupting, &mut http::Http::default()))
        }
        "tcp_echo_cores" => runtimes(workers, cores::Kind::Echo),
        "http_hyper_cores" => runtimes(workers, cores::Kind::Http),
        kind => protocol::refuse(&format!("no server is called `{kind}`")),
    };
    protocol::answer(port);
}

/// One thread per ring; `serve` gets the descriptors of its connections through a pipe.
fn rings(workers: usize, serve: fn(OwnedFd)) -> u16 {
    let pipes = (0..workers).map(|_| {
        let (reader, writer) = pipe();
        std::thread::spawn(move || serve(reader));
        writer
    });
    accept(pipes.collect(), ring::pass_on)
}

fn runtimes(workers: usize, kind: cores::Kind) -> u16 {
    let channels = (0..workers).map(|_| {
        let (sender, receiver) = rt::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || cores::serve(kind, receiver));
        sender
    });
    accept(channels.collect(), |channel, stream| {
        stream.set_nonblocking(true).expect("a socket can do it");
        channel.send(stream).expect("the runtime runs");
    })
}

/// Accepts connections on a thread of its own, and gives them to the threads in turn.
fn accept<T: Send + 'static>(threads: Vec<T>, give: fn(&T, TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for (stream, thread) in listener.incoming().zip(threads.iter().cycle()) {
            let stream = stream.expect("the client comes");
            stream.set_nodelay(true).expect("TCP can do it");
            give(thread, stream);
        }
    });
    port
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors, which are ours.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0, "the system has room for descriptors");
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}
