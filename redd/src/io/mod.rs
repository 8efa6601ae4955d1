//! Asynchronous reading and writing: the traits, the methods on top of them, and adapters.
//!
//! [`AsyncRead`], [`AsyncWrite`], [`AsyncBufRead`] and [`AsyncSeek`] are what sockets, files and pipes implement. Their
//! methods are polled; programs call the methods of [`AsyncReadExt`], [`AsyncWriteExt`], [`AsyncBufReadExt`] and
//! [`AsyncSeekExt`], which every implementor has.
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
//! What holds everywhere in this module:
//! - Methods that *complete* a quantity (`read_exact`, `write_all`, `copy`, `read_line`, …) try again when the system
//!   says [`ErrorKind::Interrupted`]; single operations (`read`, `write`) pass it to the caller.
//! - A future does nothing until it is polled. Its `# Cancel safety` says what is lost if it is dropped half-way.
//! - Dropping a [`BufWriter`] or a stream does not flush it: nothing can be awaited in a drop.
//!
//! Called by `net`, `fs`, `process` and user code. Uses no driver: everything here but the standard streams, whose
//! reads and writes take threads of the blocking pool, works on any executor.

/// As `ready!(poll)?` in a loop, but an operation that a signal interrupted is tried again.
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

#[macro_use]
pub(crate) mod forward;
#[macro_use]
mod numbers;
#[macro_use]
mod operation;

pub(crate) mod background;
mod buf_read_ext;
mod buf_reader;
mod buf_stream;
mod buf_writer;
mod chain;
mod copy;
mod copy_bidirectional;
mod duplex;
mod ends;
mod halves;
mod join;
mod lines;
mod read_buf;
mod read_ext;
mod read_text;
mod seek_ext;
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
pub use ends::{Empty, Repeat, Sink, empty, repeat, sink};
pub use halves::{ReadHalf, WriteHalf, split};
pub use join::{Join, join};
pub use lines::{Lines, Split};
pub use read_buf::ReadBuf;
pub use read_ext::AsyncReadExt;
pub use seek_ext::AsyncSeekExt;
#[doc(no_inline)]
pub use std::io::{Error, ErrorKind, Result, SeekFrom};
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use take::Take;
pub use traits::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
pub use write_ext::AsyncWriteExt;

// Signposts: descriptors and their readiness live with the driver, and are public here as in Tokio.
pub use crate::driver::readiness::ready::{Interest, Ready};

pub mod unix {
    //! Descriptors of other kinds in the hands of the runtime: [`AsyncFd`].

    pub use crate::driver::readiness::async_fd::{
        AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdRegisterError, TryIoError,
    };
}

/// Bytes in the buffers of [`BufReader`], [`BufWriter`] and [`copy()`] unless the caller says otherwise; Tokio's figure,
/// which programs can observe.
const DEFAULT_BUFFER_BYTES: usize = 8 * 1024;

/// The error of an output that takes no more bytes although it did not fail.
fn write_zero() -> Error {
    Error::new(ErrorKind::WriteZero, "the writer took no bytes although there were some left to write")
}
