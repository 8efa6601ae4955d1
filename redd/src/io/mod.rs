//! Asynchronous reading and writing: the traits, the methods on top of them, and adapters.
//!
//! [`AsyncRead`], [`AsyncWrite`], [`AsyncBufRead`] and [`AsyncSeek`] are what sockets, files and pipes implement. Their
//! methods are polled. User code calls the methods of [`AsyncReadExt`], [`AsyncWriteExt`], [`AsyncBufReadExt`] and
//! [`AsyncSeekExt`], which every implementation has:
//!
//! ```
//! use redd::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (mut client, mut server) = redd::io::duplex(64);
//! client.write_all(b"ping").await?;
//! let mut word = [0; 4];
//! server.read_exact(&mut word).await?;
//! assert_eq!(&word, b"ping");
//! # redd::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # Which one to use
//! - Small reads, lines: [`BufReader`]. Small writes: [`BufWriter`]. Both: [`BufStream`].
//! - One stream, two tasks: the stream's own `split` if it has one, otherwise [`split`].
//! - All of a stream into another: [`copy()`]. Both directions, as in a proxy: [`copy_bidirectional()`].
//! - A limit on what a peer may send: [`AsyncReadExt::take`].
//! - In tests of a protocol: [`duplex()`], or `&[u8]` and `Vec<u8>`, which are a reader and a writer.
//!
//! A line protocol, with replies that are sent in one write each:
//! ```
//! use redd::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
//!
//! /// Replies to each line with its length.
//! async fn serve<S: AsyncRead + AsyncWrite>(stream: S) -> redd::io::Result<()> {
//!     let (reader, writer) = redd::io::split(stream);
//!     let mut lines = BufReader::new(reader).lines();
//!     let mut writer = BufWriter::new(writer);
//!     while let Some(line) = lines.next_line().await? {
//!         writer.write_all(line.len().to_string().as_bytes()).await?;
//!         writer.write_all(b"\n").await?;
//!         writer.flush().await?;
//!     }
//!     writer.shutdown().await
//! }
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (mut client, server) = redd::io::duplex(64);
//! client.write_all(b"redd\nsalmon\n").await?;
//! client.shutdown().await?;
//! serve(server).await?;
//! let mut replies = String::new();
//! client.read_to_string(&mut replies).await?;
//! assert_eq!(replies, "4\n6\n");
//! # redd::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # In every operation of this module
//! - Methods that *complete* a quantity (`read_exact`, `write_all`, `copy`, `read_line`, …) retry when the system
//!   reports [`ErrorKind::Interrupted`]. Single operations (`read`, `write`) return it to the caller.
//! - A future does nothing until it is polled. Its `# Cancel safety` says what is lost if it is dropped before it completes.
//! - Dropping a [`BufWriter`] or a stream does not flush it: a drop cannot await.
//! - Everything but the standard streams works on any executor. Those use the blocking pool of the runtime.

// Called by `net`, `fs`, `process` and user code. Uses no driver. `background` is the one edge to `blocking`.

/// `ready!(poll)?` in a loop that retries an operation which a signal interrupted.
macro_rules! ready_or_retry {
    ($poll:expr) => {
        match $poll {
            std::task::Poll::Pending => return std::task::Poll::Pending,
            std::task::Poll::Ready(Ok(value)) => value,
            std::task::Poll::Ready(Err(error)) => {
                if error.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                return std::task::Poll::Ready(Err(error));
            }
        }
    };
}

pub(crate) mod background;
mod buf_read_ext;
mod buf_reader;
mod buf_stream;
mod buf_writer;
mod chain;
mod copy;
mod copy_bidirectional;
mod duplex;
mod empty;
mod errors;
mod halves;
mod join;
mod lines;
mod operation;
mod read_buf;
mod read_ext;
mod read_number;
mod read_text;
mod read_to_end;
mod read_until;
mod repeat;
mod seek_ext;
mod sink;
mod stdio;
mod take;
mod traits;
mod write_ext;

pub use buf_read_ext::AsyncBufReadExt;
pub use buf_reader::BufReader;
pub use buf_stream::BufStream;
pub use buf_writer::BufWriter;
pub use chain::Chain;
pub use copy::{copy, copy_buf};
pub use copy_bidirectional::{copy_bidirectional, copy_bidirectional_with_sizes};
pub use duplex::{DuplexStream, SimplexStream, duplex, simplex};
pub use empty::{Empty, empty};
pub use halves::{ReadHalf, WriteHalf, split};
pub use join::{Join, join};
pub use lines::{Lines, Split};
pub use read_buf::ReadBuf;
pub use read_ext::AsyncReadExt;
pub use repeat::{Repeat, repeat};
pub use seek_ext::AsyncSeekExt;
pub use sink::{Sink, sink};
#[doc(no_inline)]
pub use std::io::{Error, ErrorKind, Result, SeekFrom};
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use take::Take;
pub use traits::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
pub use write_ext::AsyncWriteExt;

// Signposts: descriptors and their readiness are in the room `driver`, and public here as in Tokio.
pub use crate::driver::readiness::ready::{Interest, Ready};

pub mod unix {
    //! Readiness of other descriptors, such as those of a C library: [`AsyncFd`].

    #[doc(hidden)]
    #[expect(deprecated, reason = "programs written for Tokio before 1.54 name it")]
    pub use crate::driver::readiness::async_fd::AsyncFdTryNewError;
    pub use crate::driver::readiness::async_fd::{
        AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdRegisterError, TryIoError,
    };
}

/// Bytes in the buffers of [`BufReader`], [`BufWriter`] and [`copy()`] unless the caller chooses another size. As large
/// as in Tokio: programs can observe it.
const DEFAULT_BUFFER_BYTES: usize = 8 * 1024;
