//! The methods that several types of `net` have, written once: readiness, trying, descriptors, what the system is asked.
//!
//! Called by `tcp`, `udp`, `unix` at their `impl`s. Each macro expects a field `io: Source<_>` unless it is told the way:
//! `self => self.stream.io`.

/// What the expansions of these macros and of those in `halves` name: imported where they are used.
pub(in crate::net) mod names {
    pub(in crate::net) use crate::driver::Source;
    pub(in crate::net) use crate::driver::readiness::ready::{Interest, Ready};
    pub(in crate::net) use crate::driver::readiness::source::Short;
    pub(in crate::net) use crate::driver::readiness::state::Direction;
    pub(in crate::net) use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
    pub(in crate::net) use crate::net::fill;
    pub(in crate::net) use crate::sys;
    pub(in crate::net) use crate::sys::faults::Call;
    pub(in crate::net) use crate::sys::net::Fill;
    pub(in crate::net) use crate::task::coop::consume_budget;
    pub(in crate::net) use bytes::BufMut;
    pub(in crate::net) use socket2::{SockAddr, Socket};
    pub(in crate::net) use std::io::{self, IoSlice, IoSliceMut, Read, Write};
    pub(in crate::net) use std::net::Shutdown;
    pub(in crate::net) use std::os::fd::AsFd;
    pub(in crate::net) use std::pin::Pin;
    pub(in crate::net) use std::task::{Context, Poll};
}

/// Questions to the system whose errors are the system's: a signature and where the answer comes from.
macro_rules! system_methods {
    ($(
        $(#[$doc:meta])*
        $name:ident($self:ident $(, $argument:ident: $Argument:ty)*) -> $Answer:ty = $answer:expr;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Those of the system.
        pub fn $name(&$self $(, $argument: $Argument)*) -> io::Result<$Answer> {
            $answer
        }
    )*};
}

/// Options: what each is, a getter and a setter, and where the system has both.
macro_rules! options {
    ($($what:literal, $get:ident / $set:ident: $T:ty, $self:ident => $inner:expr, $inner_get:ident / $inner_set:ident;)*) => {$(
        #[doc = concat!($what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $get(&$self) -> io::Result<$T> {
            $inner.$inner_get()
        }

        #[doc = concat!("Sets: ", $what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $set(&$self, value: $T) -> io::Result<()> {
            $inner.$inner_set(value)
        }
    )*};
}

/// What sockets that speak IP have: the service that their packets get, and the device that they go through.
macro_rules! ip_methods {
    ($self:ident => $socket:expr) => {
        options! {
            "the type of service of IPv4 packets (`IP_TOS`)",
                tos_v4 / set_tos_v4: u32, $self => $socket, tos_v4 / set_tos_v4;
            "the traffic class of IPv6 packets (`IPV6_TCLASS`)",
                tclass_v6 / set_tclass_v6: u32, $self => $socket, tclass_v6 / set_tclass_v6;
        }

        system_methods! {
            /// The network device that it is bound to (`SO_BINDTODEVICE`).
            device($self) -> Option<Vec<u8>> = $socket.device();

            /// Binds it to a network device by name, or to none. May need a privilege.
            bind_device($self, interface: Option<&[u8]>) -> () = $socket.bind_device(interface);
        }

        /// The name of [`tos_v4`](Self::tos_v4) in earlier versions of Tokio.
        #[doc(hidden)]
        #[deprecated(note = "it is about IPv4 only: call `tos_v4`")]
        pub fn tos(&self) -> io::Result<u32> {
            self.tos_v4()
        }

        /// The name of [`set_tos_v4`](Self::set_tos_v4) in earlier versions of Tokio.
        #[doc(hidden)]
        #[deprecated(note = "it is about IPv4 only: call `set_tos_v4`")]
        pub fn set_tos(&self, tos: u32) -> io::Result<()> {
            self.set_tos_v4(tos)
        }
    };
}

/// `ready`.
macro_rules! interest_methods {
    ($self:ident => $source:expr) => {
        /// Waits until something of `interest` is worth trying, and says what. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub async fn ready(&$self, interest: Interest) -> io::Result<Ready> {
            let event = $source.registration().readiness(interest).await?;
            Ok(event.ready)
        }
    };
}

/// Waiting for one direction, and polling for it.
macro_rules! direction_methods {
    (
        $wait:ident, $what:literal, $INTEREST:ident, $self:ident => $source:expr
        $(, $poll:ident: $Direction:ident)?
    ) => {
        #[doc = concat!("Waits until ", $what, " is worth trying. [Readiness](crate::net#readiness)")]
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub async fn $wait(&$self) -> io::Result<()> {
            $source.registration().readiness(Interest::$INTEREST).await?;
            Ok(())
        }

        $(
            #[doc = concat!("Polls whether ", $what, " is worth trying. Only the task that polled last is woken; prefer")]
            #[doc = concat!("`", stringify!($wait), "`.")]
            ///
            /// # Errors
            /// When the runtime has shut down.
            pub fn $poll(&$self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let direction = Direction::$Direction;
                $source.registration().poll_ready(cx, direction).map_ok(drop)
            }
        )?
    };
}

/// `try_io` and `async_io` with an `Interest`.
macro_rules! operation_methods {
    () => {
        /// Runs `f` if `interest` is ready. [Readiness](crate::net#readiness)
        ///
        /// - `f` makes a non-blocking call on this socket; if it answers `WouldBlock`, the readiness is cleared. An `f`
        ///   that answers so without having tried the socket makes later waits hang.
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) without running `f` if nothing of `interest` is ready; the errors
        /// of `f`.
        pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
            self.io.registration().try_io(interest, f)
        }

        /// Runs `f` until it does not answer `WouldBlock`, and waits for `interest` in between.
        ///
        /// # Cancel safety
        /// `f` runs within one poll, so nothing is lost when this is dropped.
        ///
        /// # Errors
        /// Those of `f`, and when the runtime has shut down.
        pub async fn async_io<R>(&self, interest: Interest, f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
            self.io.registration().async_io(interest, f).await
        }
    };
}

/// Reading a stream without waiting.
macro_rules! try_read_methods {
    ($self:ident => $source:expr) => {
        /// Reads what is there, without waiting. [Readiness](crate::net#readiness)
        ///
        /// - `Ok(0)`: the other side will send no more, or `buf` is empty.
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; those of the system.
        pub fn try_read(&$self, buf: &mut [u8]) -> io::Result<usize> {
            let source = &$source;
            let read = || sys::net::retry(Call::Read, || (&**source).read(buf));
            source.registration().try_io(Interest::READABLE, read)
        }

        /// As [`try_read`](Self::try_read), and appends to `buf`.
        ///
        /// # Errors
        /// As [`try_read`](Self::try_read).
        pub fn try_read_buf<B: BufMut>(&$self, buf: &mut B) -> io::Result<usize> {
            let source = &$source;
            let read = || Ok(fill::append(source, buf, Fill::Read)?.0);
            source.registration().try_io(Interest::READABLE, read)
        }

        /// As [`try_read`](Self::try_read), into several buffers in turn.
        ///
        /// # Errors
        /// As [`try_read`](Self::try_read).
        pub fn try_read_vectored(&$self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
            let source = &$source;
            let read = || sys::net::retry(Call::Read, || (&**source).read_vectored(bufs));
            source.registration().try_io(Interest::READABLE, read)
        }
    };
}

/// Writing a stream without waiting.
macro_rules! try_write_methods {
    ($self:ident => $source:expr) => {
        /// Writes what fits, without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing fits; those of the system.
        pub fn try_write(&$self, buf: &[u8]) -> io::Result<usize> {
            let source = &$source;
            let write = || sys::net::retry(Call::Write, || (&**source).write(buf));
            source.registration().try_io(Interest::WRITABLE, write)
        }

        /// As [`try_write`](Self::try_write), from several buffers in turn.
        ///
        /// # Errors
        /// As [`try_write`](Self::try_write).
        pub fn try_write_vectored(&$self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            let source = &$source;
            let write = || sys::net::retry(Call::Write, || (&**source).write_vectored(bufs));
            source.registration().try_io(Interest::WRITABLE, write)
        }
    };
}

/// Two connected sockets of a family that has them.
macro_rules! pair_method {
    ($ty:expr) => {
        /// Two sockets that are connected to each other.
        ///
        /// # Panics
        /// Outside of a [runtime](crate::net#runtime) with I/O.
        ///
        /// # Errors
        /// When the process or the system has no descriptor left.
        #[track_caller]
        pub fn pair() -> io::Result<(Self, Self)> {
            let (left, right) = Socket::pair(Domain::UNIX, $ty.nonblocking(), None)?;
            let (left, right) = (Self::from_std(left.into())?, Self::from_std(right.into())?);
            // A fresh pair has room, and programs may rely on it before the first event, as in Tokio.
            left.io.registration().assume(Ready::WRITABLE);
            right.io.registration().assume(Ready::WRITABLE);
            Ok((left, right))
        }
    };
}

/// Accepting connections. `stream` in the file makes of each what is returned.
macro_rules! accept_methods {
    ($Stream:ty, $Addr:ty) => {
        /// Waits for a connection, and says who has connected.
        ///
        /// - An error is about one connection or about the [descriptors](crate::net#out-of-descriptors) of the process.
        ///   The listener goes on.
        ///
        /// # Cancel safety
        /// No connection is lost when it is dropped.
        ///
        /// # Errors
        /// Those of the system, and when the runtime has shut down.
        pub async fn accept(&self) -> io::Result<($Stream, $Addr)> {
            let accept = || sys::net::accept(self.as_fd());
            stream(self.io.registration().async_io(Interest::READABLE, accept).await?)
        }

        /// As [`accept`](Self::accept). Only the task that polled last is woken.
        ///
        /// # Errors
        /// As [`accept`](Self::accept).
        pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<($Stream, $Addr)>> {
            let accept = || sys::net::accept(self.as_fd());
            let accepted = ready!(self.io.registration().poll_io(cx, Direction::Read, |_| accept()))?;
            Poll::Ready(stream(accepted))
        }
    };
}

/// From and to the type of std, and what every holder of a descriptor implements.
macro_rules! std_conversions {
    ($Type:ident, $Std:ty, $interest:expr) => {
        impl $Type {
            /// Takes a socket of std. **It must be non-blocking**: call `set_nonblocking(true)` on it first.
            ///
            /// - A blocking socket is not refused, but reads and writes on it block their worker. (Differs from Tokio:
            ///   debug builds do not panic.)
            ///
            /// # Panics
            /// Outside of a [runtime](crate::net#runtime) with I/O.
            ///
            /// # Errors
            /// When the system refuses to watch another descriptor.
            #[track_caller]
            pub fn from_std(socket: $Std) -> io::Result<Self> {
                Ok(Self { io: Source::new(socket, $interest)? })
            }

            /// Gives the socket back to std. It stays non-blocking: `set_nonblocking(false)` changes that.
            ///
            /// # Errors
            /// When the system does not stop watching the descriptor.
            pub fn into_std(self) -> io::Result<$Std> {
                self.io.into_inner()
            }
        }

        impl TryFrom<$Std> for $Type {
            type Error = io::Error;

            /// As [`from_std`](Self::from_std).
            fn try_from(socket: $Std) -> io::Result<Self> {
                Self::from_std(socket)
            }
        }

        descriptor!($Type, self => *self.io);
    };
}

/// What every holder of a descriptor implements.
macro_rules! descriptor {
    ($Type:ident, $self:ident => $inner:expr) => {
        $crate::io::forward::forward_descriptor!($Type, $self => $inner);

        impl std::fmt::Debug for $Type {
            fn fmt(&$self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&$inner, f)
            }
        }
    };
}

/// What a socket that is not registered yet implements. Expects a field `socket: socket2::Socket`.
macro_rules! socket_descriptor {
    ($Type:ident) => {
        descriptor!($Type, self => self.socket);

        impl IntoRawFd for $Type {
            fn into_raw_fd(self) -> RawFd {
                self.socket.into_raw_fd()
            }
        }

        impl FromRawFd for $Type {
            /// Takes a socket over. It must be non-blocking.
            ///
            /// # Safety
            /// `fd` is an open socket that nobody else closes.
            unsafe fn from_raw_fd(fd: RawFd) -> Self {
                // SAFETY: the caller promises what `Socket` needs.
                let socket = unsafe { Socket::from_raw_fd(fd) };
                Self { socket }
            }
        }
    };
}

/// What both kinds of streams do alike: connecting, splitting, reading and writing.
macro_rules! stream_traits {
    ($Type:ident, $short:expr) => {
        impl $Type {
            /// What a read says that was shorter than its buffer.
            pub(crate) const SHORT: Short = $short;

            pub(super) async fn connect_socket(socket: Socket, address: SockAddr) -> io::Result<Self> {
                if let Err(error) = sys::net::connect(&socket, &address) {
                    // A peer that refuses at once must not let a loop of attempts run without yielding.
                    consume_budget().await;
                    return Err(error);
                }
                // Watched only now: before it connects, a socket looks hung up.
                let stream = Self::from_std(socket.into())?;
                stream.writable().await?;
                match stream.take_error()? {
                    None => Ok(stream),
                    Some(error) => Err(error),
                }
            }

            /// A stream that a listener has accepted: taken for readable until a read finds nothing, as in Tokio, for
            /// the first request is mostly there already.
            pub(super) fn accepted(socket: Socket) -> io::Result<Self> {
                let stream = Self::from_std(socket.into())?;
                stream.io.registration().assume(Ready::READABLE | Ready::WRITABLE);
                Ok(stream)
            }

            /// Two halves that borrow the stream: for two futures in one task. Costs nothing.
            pub fn split<'a>(&'a mut self) -> (ReadHalf<'a>, WriteHalf<'a>) {
                split::split(self)
            }

            /// Two halves that own the stream together: for two tasks. Costs an allocation.
            ///
            /// - Dropping the [`OwnedWriteHalf`] shuts the writing direction down.
            /// - [`reunite`](OwnedReadHalf::reunite) puts them together again.
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                split::split_owned(self)
            }

            /// A connection that the other side has reset is as good as shut down.
            pub(super) fn shutdown_write(&self) -> io::Result<()> {
                match self.io.shutdown(Shutdown::Write) {
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }
        }

        $crate::io::forward::read_traits!($Type, self => self.io, Self::SHORT);

        $crate::io::forward::write_traits! {
            $Type, self => self.io,
            /// Says to the other side that no more will come. Reading goes on.
            poll_shutdown => self.shutdown_write()
        }

        impl AsRef<Self> for $Type {
            fn as_ref(&self) -> &Self {
                self
            }
        }
    };
}

/// An operation on datagrams in two forms: one that waits, and one that does not. What `where` names is made first, and fails
/// at once.
macro_rules! datagram_operation {
    (read $($rest:tt)*) => {
        datagram_operation!(@ READABLE, "nothing was received", "nothing is there"; $($rest)*);
    };
    (write $($rest:tt)*) => {
        datagram_operation!(@ WRITABLE, "nothing was sent", "there is no room"; $($rest)*);
    };
    (
        @ $INTEREST:ident, $safe:literal, $unready:literal;
        $(#[$doc:meta])*
        $wait:ident / $try:ident $([$Generic:ident: $Bound:path])?
        ($self:ident $(, $argument:ident: $Argument:ty)*) -> $Answer:ty
            $(where $checked:ident = $check:expr,)? = $operation:expr
    ) => {
        $(#[$doc])*
        ///
        /// # Cancel safety
        #[doc = concat!("If it is dropped before it is done, ", $safe, ".")]
        ///
        /// # Errors
        /// Those of the system, and when the runtime has shut down.
        pub async fn $wait$(<$Generic: $Bound>)?(&$self $(, $argument: $Argument)*) -> io::Result<$Answer> {
            $(let $checked = $check?;)?
            $self.io.registration().async_io(Interest::$INTEREST, || $operation).await
        }

        #[doc = concat!("As [`", stringify!($wait), "`](Self::", stringify!($wait), "), without waiting.")]
        /// [Readiness](crate::net#readiness)
        ///
        /// # Errors
        #[doc = concat!("[`WouldBlock`](io::ErrorKind::WouldBlock) if ", $unready, "; those of the system.")]
        pub fn $try$(<$Generic: $Bound>)?(&$self $(, $argument: $Argument)*) -> io::Result<$Answer> {
            $(let $checked = $check?;)?
            $self.io.registration().try_io(Interest::$INTEREST, || $operation)
        }
    };
}

/// The polled form of an operation that receives, into a `ReadBuf`.
macro_rules! poll_fill_method {
    ($poll:ident, $wait:ident, $fill:ident, |$filled:pat_param| $answer:expr => $Answer:ty) => {
        #[doc = concat!("As [`", stringify!($wait), "`](Self::", stringify!($wait), ").")]
        /// Only the task that polled last is woken.
        ///
        /// # Errors
        #[doc = concat!("As [`", stringify!($wait), "`](Self::", stringify!($wait), ").")]
        pub fn $poll(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<$Answer>> {
            self.io.registration().poll_io(cx, Direction::Read, |_| {
                let $filled = fill::append(&self.io, buf, Fill::$fill)?;
                $answer
            })
        }
    };
}

/// Sending and receiving of datagram sockets. `$from_system` turns a `SockAddr` into the type of their addresses.
macro_rules! datagram_methods {
    ($Addr:ty, $from_system:path) => {
        datagram_operation! { write
            /// Sends a datagram to the peer that this socket is connected to, and says how many bytes were sent.
            send / try_send(self, buf: &[u8]) -> usize = sys::net::retry(Call::Write, || self.io.send(buf))
        }

        /// As [`send`](Self::send). Only the task that polled last is woken.
        ///
        /// # Errors
        /// As [`send`](Self::send).
        pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.io.registration().poll_io(cx, Direction::Write, |_| self.io.send(buf))
        }

        datagram_operation! { read
            /// Receives a datagram from the peer that this socket is connected to. What does not fit in `buf` is lost.
            recv / try_recv(self, buf: &mut [u8]) -> usize = sys::net::retry(Call::Read, || self.io.recv(buf))
        }
        datagram_operation! { read
            /// As [`recv`](Self::recv), and appends to `buf`: at most as much as it has room for without growing, or one
            /// step of growth of a full `Vec`.
            recv_buf / try_recv_buf[B: BufMut](self, buf: &mut B) -> usize
                = Ok(fill::append(&self.io, buf, Fill::Receive)?.0)
        }
        datagram_operation! { read
            /// Receives a datagram from anyone, and says who sent it. What does not fit in `buf` is lost.
            recv_from / try_recv_from(self, buf: &mut [u8]) -> (usize, $Addr) = {
                let (len, sender) = sys::net::retry(Call::Read, || self.io.recv_from(buf))?;
                Ok((len, sender.into()))
            }
        }
        datagram_operation! { read
            /// As [`recv_from`](Self::recv_from), and appends to `buf` as [`recv_buf`](Self::recv_buf) does.
            recv_buf_from / try_recv_buf_from[B: BufMut](self, buf: &mut B) -> (usize, $Addr) = {
                let (len, sender) = fill::append(&self.io, buf, Fill::ReceiveFrom)?;
                Ok((len, $from_system(sender)?))
            }
        }
        poll_fill_method!(poll_recv, recv, Receive, |_| Ok(()) => ());
        poll_fill_method!(poll_recv_from, recv_from, ReceiveFrom, |(_, sender)| $from_system(sender) => $Addr);
    };
}
