//! The same servers without a runtime: one epoll loop per thread. This is the lower bound for a runtime.
//!
//! Connections are assigned to the threads in turn. Edge-triggered, as the runtimes are; one read, one write per request. HTTP uses
//! hyper here, too.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, IntoRawFd};

#[path = "../../workloads/costs.rs"]
mod costs;
mod http;
#[path = "../../servers/protocol.rs"]
mod protocol;

fn main() {
    let asked = protocol::asked("serve-epoll KIND WORKERS [timed|counts]");
    let port = match asked.kind.as_str() {
        "tcp_echo" => tcp(echo, asked.workers),
        "http_hyper" => tcp(http::serve, asked.workers),
        "udp_echo" => udp(),
        kind => protocol::refuse(&format!("no server is called `{kind}`")),
    };
    protocol::answer(port);
}

/// `serve` is one thread; connections come into its epoll.
fn tcp(serve: fn(i32), workers: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    let epolls: Vec<i32> = (0..workers).map(|_| epoll()).collect();
    for &epoll in &epolls {
        std::thread::spawn(move || serve(epoll));
    }
    std::thread::spawn(move || {
        for (stream, &epoll) in listener.incoming().zip(epolls.iter().cycle()) {
            let stream = stream.expect("the client comes");
            stream.set_nodelay(true).expect("TCP can do it");
            stream.set_nonblocking(true).expect("a socket can do it");
            watch(epoll, stream.into_raw_fd());
        }
    });
    port
}

fn echo(epoll: i32) {
    let mut buffer = [0_u8; 1024];
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        for fd in wait(epoll, &mut events) {
            loop {
                // SAFETY: the buffer has the given length.
                let length = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
                if length == 0 {
                    // SAFETY: only this thread owns the descriptor.
                    unsafe { libc::close(fd) };
                }
                if length <= 0 {
                    break;
                }
                // SAFETY: the pointer and length are those of a slice. A client that does not read is not a client of
                // this server.
                unsafe { libc::write(fd, buffer.as_ptr().cast(), length as usize) };
                if (length as usize) < buffer.len() {
                    break;
                }
            }
        }
    }
}

fn udp() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
    socket.set_nonblocking(true).expect("a socket can do it");
    let port = socket.local_addr().expect("it is bound").port();
    let epoll = epoll();
    watch(epoll, socket.as_raw_fd());
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 1024];
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 1];
        loop {
            for _ in wait(epoll, &mut events) {
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    drop(socket.send_to(&buffer[..length], from));
                }
            }
        }
    });
    port
}

fn epoll() -> i32 {
    // SAFETY: the call takes no pointer.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(epoll >= 0, "the system has room for descriptors");
    epoll
}

fn watch(epoll: i32, fd: i32) {
    let mut event =
        libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32, u64: fd as u64 };
    // SAFETY: the kernel reads the event during the call.
    let answer = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    assert_eq!(answer, 0, "an open socket can be watched");
}

fn wait(epoll: i32, events: &mut [libc::epoll_event]) -> impl Iterator<Item = i32> {
    // SAFETY: the kernel writes at most as many events as the buffer holds.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
    events[..count.max(0) as usize].iter().map(|event| event.u64 as i32)
}
