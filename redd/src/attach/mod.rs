//! The attach request: how another process asks a program that runs what its runtimes do.
//!
//! Called by `runtime`, which lists each runtime, and by `scheduler::rescue`, which starts the thread for a current-thread runtime
//! that has become old enough. The client is the program `redd` of the package redd-cli.
//!
//! # The request
//! While no client asks, the process has no socket, no file and no descriptor for it: one thread, which sleeps.
//! 1. The client makes a directory for itself alone (mode 0700), and listens on the socket `s` in it. The name of the directory ends
//!    in a random key.
//! 2. It finds the thread by its name, which has the number of the signal, and sends the signal with the key to that thread.
//! 3. The thread opens the directory, checks that its owner is the process's own user or root, connects, and checks the
//!    listener's user.
//! 4. The client sends a line, see `request`. The reply begins with a line: `ok` and the number of bytes that follow, or `error:` and a
//!    sentence.
//!
//! Step 2 needs the right to send a signal to the process, which the kernel checks. A request only reads. The one for a trace
//! has polls and wakes recorded until it ends.
//!
//! # Invariants
//! - `bounded-reply`: a client that says nothing, or that does not read, keeps the thread for a bounded time. Its runtimes do not notice.
//!   A trace takes as long as its client asks for, and other clients are served meanwhile.
//!
//! # Why not otherwise
//! A socket that is always open is a file for each process, which stays when the process is killed, and a port is open to all
//! users. The monitor thread of rescue runs hooks of the program and has work that must not wait; a runtime without rescue
//! has none.

pub(crate) mod json;
mod registry;
mod request;
mod server;
mod trace;

pub(crate) use registry::{Listed, Observed, Sampler, count_hidden, list};
pub(crate) use request::Format;
pub(crate) use server::{is_listening, listen};
