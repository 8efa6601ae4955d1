//! One ring per thread: received bytes arrive in buffers that the kernel chooses, and sends wait for the next call.
//!
//! The kernel returns from `io_uring_enter` with all that has completed; the service reacts to each completion. What it
//! sends meanwhile is submitted by the next call, all at once. That call is the only one.
//!
//! This is a prototype for measuring (decision 0023), not a driver: it serves clients that read what they asked for.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};

/// How a ring is set up.
#[derive(Clone, Copy, PartialEq)]
pub enum Setup {
    /// As cheap as the kernel offers: one thread submits, and completions wait until that thread asks for them.
    Deferred,
    /// Completions arrive although the thread is busy in user space: the kernel interrupts it. Another thread could
    /// then see them.
    Interrupting,
}

/// What a thread does with its connections.
pub trait Service {
    fn opened(&mut self, ring: &mut Ring, connection: u32);
    fn received(&mut self, ring: &mut Ring, connection: u32, buffer: Buffer);
    /// The client has closed the connection.
    fn ended(&mut self, ring: &mut Ring, connection: u32);
    /// A send is complete. `tag` is that of `send`.
    fn sent(&mut self, ring: &mut Ring, connection: u32, tag: u16);
}

/// Received bytes. The buffer belongs to the service until it is given back.
#[derive(Clone, Copy)]
pub struct Buffer {
    pub id: u16,
    pub length: u32,
}

pub struct Ring {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    buffers: Vec<u8>,
    /// The ring of free buffers, shared with the kernel.
    free: *mut BufRingEntry,
    tail: u16,
}

pub const BUFFER_BYTES: usize = 2048;
const BUFFERS: u16 = 2048;
const CONNECTIONS: u32 = 1024;
const GROUP: u16 = 0;

/// The kinds of completions, in the upper bits of the user data. The lower 32 are the connection.
const NEW: u64 = 1 << 48;
const RECEIVED: u64 = 2 << 48;
const SENT: u64 = 3 << 48;

/// Serves the connections whose descriptors come through `pipe`, forever.
pub fn serve(pipe: OwnedFd, setup: Setup, service: &mut impl Service) {
    let mut ring = Ring::new(setup).expect("the kernel permits io_uring");
    let mut accepted = Box::new(0_i32);
    let mut connections = 0;
    ring.await_connection(&pipe, &mut accepted);
    loop {
        ring.submit_and_wait();
        ring.completions.sync();
        while let Some(completion) = ring.completions.next() {
            let connection = completion.user_data() as u32;
            let result = completion.result();
            match completion.user_data() & (0xffff << 48) {
                NEW => {
                    if result != size_of::<i32>() as i32 {
                        return;
                    }
                    // SAFETY: the thread that accepted this descriptor has passed it on, and no longer uses it.
                    let socket = unsafe { OwnedFd::from_raw_fd(*accepted) };
                    let updated = ring.submitter.register_files_update(connections, &[socket.as_raw_fd()]);
                    updated.expect("the table has room");
                    // The table holds the socket from now on.
                    drop(socket);
                    service.opened(&mut ring, connections);
                    ring.receive(connections);
                    connections += 1;
                    ring.await_connection(&pipe, &mut accepted);
                }
                RECEIVED => {
                    if let Some(id) = cqueue::buffer_select(completion.flags()) {
                        service.received(&mut ring, connection, Buffer { id, length: result.max(0) as u32 });
                    }
                    if result == 0 {
                        service.ended(&mut ring, connection);
                        drop(ring.submitter.register_files_update(connection, &[-1]));
                    } else if !cqueue::more(completion.flags()) {
                        // No buffer was free, for example.
                        ring.receive(connection);
                    }
                }
                _ => service.sent(&mut ring, connection, (completion.user_data() >> 32) as u16),
            }
        }
    }
}

impl Ring {
    fn new(setup: Setup) -> std::io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(4096).setup_clamp();
        if setup == Setup::Deferred {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        // The thread runs until the process ends, so the ring is never freed.
        let ring: &'static mut IoUring = Box::leak(Box::new(builder.build(1024)?));
        let (mut submitter, submissions, completions) = ring.split();
        submitter.register_ring_fd()?;
        submitter.register_files_sparse(CONNECTIONS)?;
        let bytes = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        // SAFETY: a new mapping; nothing else uses it.
        let free = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANONYMOUS | libc::MAP_PRIVATE,
                -1,
                0,
            )
        };
        if free == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the mapping has room for the entries and is never unmapped.
        unsafe { submitter.register_buf_ring_with_flags(free as u64, BUFFERS, GROUP, 0)? };
        let buffers = vec![0; usize::from(BUFFERS) * BUFFER_BYTES];
        let mut ring = Ring { submitter, submissions, completions, buffers, free: free.cast(), tail: 0 };
        for id in 0..BUFFERS {
            ring.give_back(id);
        }
        Ok(ring)
    }

    pub fn bytes(&self, buffer: Buffer) -> &[u8] {
        &self.buffers[usize::from(buffer.id) * BUFFER_BYTES..][..buffer.length as usize]
    }

    /// The kernel may fill this buffer again.
    pub fn give_back(&mut self, id: u16) {
        let address = self.buffers[usize::from(id) * BUFFER_BYTES..].as_ptr();
        // SAFETY: the index is below `BUFFERS`, and the kernel does not read the entry before the tail has passed it.
        let entry = unsafe { &mut *self.free.add(usize::from(self.tail % BUFFERS)) };
        entry.set_addr(address as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // Release: publishes the entry to the kernel.
        // SAFETY: the tail lies in the first entry, and is written with atomic operations only.
        unsafe { &*BufRingEntry::tail(self.free).cast::<AtomicU16>() }.store(self.tail, Ordering::Release);
    }

    /// Sends the bytes by the next call to the kernel.
    ///
    /// # Safety
    /// The bytes stay valid and unchanged until [`Service::sent`] is called with this tag.
    pub unsafe fn send(&mut self, connection: u32, tag: u16, bytes: *const u8, length: u32) {
        let send = opcode::Send::new(Fixed(connection), bytes, length)
            // The kernel sends the rest of a short send itself.
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(SENT | u64::from(tag) << 32 | u64::from(connection));
        self.push(&send);
    }

    fn receive(&mut self, connection: u32) {
        let receive = opcode::RecvMulti::new(Fixed(connection), GROUP).build();
        self.push(&receive.user_data(RECEIVED | u64::from(connection)));
    }

    fn await_connection(&mut self, pipe: &OwnedFd, accepted: &mut i32) {
        let read = opcode::Read::new(Fd(pipe.as_raw_fd()), (&raw mut *accepted).cast(), size_of::<i32>() as u32);
        self.push(&read.build().user_data(NEW));
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: what the entry points to outlives the operation, by the safety contracts of the callers: `send` has
        // one; `accepted` and the table live as long as the thread.
        while unsafe { self.submissions.push(entry) }.is_err() {
            self.submissions.sync();
            self.submitter.submit().expect("the ring is set up");
            self.submissions.sync();
        }
    }

    fn submit_and_wait(&mut self) {
        self.submissions.sync();
        match self.submitter.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => panic!("io_uring_enter: {error}"),
        }
        self.submissions.sync();
    }
}

/// Passes a descriptor to the thread that reads from the pipe.
pub fn pass_on(pipe: &OwnedFd, socket: impl IntoRawFd) {
    let fd = socket.into_raw_fd().to_ne_bytes();
    // SAFETY: the pointer and length are those of an array.
    let written = unsafe { libc::write(pipe.as_raw_fd(), fd.as_ptr().cast(), fd.len()) };
    assert_eq!(written, fd.len() as isize, "a pipe has room for some descriptors");
}
