//! The methods that several types of `net` have, written once: readiness, trying, descriptors.
//!
//! Called by `tcp`, `udp`, `unix` at their `impl`s. Each macro expects a field `io: Source<_>` unless it says otherwise.

/// `ready`.
macro_rules! interest_methods {
    () => {
        /// Waits until something of `interest` is worth trying, and says what. [Readiness](crate::net#readiness)
        ///
        /// # Cancel safety
        /// Nothing is lost when it is dropped.
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
            let event = self.io.registration().readiness(interest).await?;
            Ok(event.ready)
        }
    };
}

/// `try_io` and `async_io` with an `Interest`.
macro_rules! operation_methods {
    () => {
        /// Runs `f` if `interest` is ready. [Readiness](crate::net#readiness)
        ///
        /// - `f` makes a non-blocking call on this socket; if it answers `WouldBlock`, the readiness is cleared. An `f`
        ///   that answers so without having tried the socket makes later waits hang.
        /// - Otherwise, what `f` returns is returned.
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

/// Waiting to read.
macro_rules! readable_methods {
    ($poll_read_ready:ident) => {
        /// Waits until reading is worth trying. [Readiness](crate::net#readiness)
        ///
        /// # Cancel safety
        /// Nothing is lost when it is dropped.
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub async fn readable(&self) -> io::Result<()> {
            self.io.registration().readiness(Interest::READABLE).await?;
            Ok(())
        }

        /// Polls whether reading is worth trying. Only the task that polled last is woken; prefer `readable`.
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub fn $poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let event = self.io.registration().poll_read_ready(cx);
            event.map_ok(|_| ())
        }
    };
}

/// Waiting to write.
macro_rules! writable_methods {
    ($poll_write_ready:ident) => {
        /// Waits until writing is worth trying. [Readiness](crate::net#readiness)
        ///
        /// # Cancel safety
        /// Nothing is lost when it is dropped.
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub async fn writable(&self) -> io::Result<()> {
            self.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        }

        /// Polls whether writing is worth trying. Only the task that polled last is woken; prefer `writable`.
        ///
        /// # Errors
        /// When the runtime has shut down.
        pub fn $poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let event = self.io.registration().poll_write_ready(cx);
            event.map_ok(|_| ())
        }
    };
}

/// Reading a stream without waiting.
macro_rules! try_read_methods {
    () => {
        /// Reads what is there, without waiting. [Readiness](crate::net#readiness)
        ///
        /// - `Ok(0)`: the other side will send no more, or `buf` is empty.
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; those of the system.
        pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.get_ref().read(buf)))
        }

        /// As [`try_read`](Self::try_read), and appends to `buf`.
        ///
        /// # Errors
        /// As [`try_read`](Self::try_read).
        pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
            self.io.registration().try_io(Interest::READABLE, || {
                let (len, _) = fill::into_buf_mut(&self.io, buf, Fill::Read)?;
                Ok(len)
            })
        }

        /// As [`try_read`](Self::try_read), into several buffers in turn.
        ///
        /// # Errors
        /// As [`try_read`](Self::try_read).
        pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.get_ref().read_vectored(bufs)))
        }
    };
}

/// Writing a stream without waiting.
macro_rules! try_write_methods {
    () => {
        /// Writes what fits, without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing fits; those of the system.
        pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::WRITABLE, || sys::net::retry(Call::Write, || self.io.get_ref().write(buf)))
        }

        /// As [`try_write`](Self::try_write), from several buffers in turn.
        ///
        /// # Errors
        /// As [`try_write`](Self::try_write).
        pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::WRITABLE, || sys::net::retry(Call::Write, || self.io.get_ref().write_vectored(bufs)))
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

        descriptor!($Type);
    };
}

/// What every holder of a registered descriptor implements.
macro_rules! descriptor {
    ($Type:ident) => {
        impl AsFd for $Type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.io.as_fd()
            }
        }

        impl AsRawFd for $Type {
            fn as_raw_fd(&self) -> RawFd {
                self.io.as_fd().as_raw_fd()
            }
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.io.get_ref().fmt(f)
            }
        }
    };
}

/// What a socket that is not registered yet implements. Expects a field `socket: socket2::Socket`.
macro_rules! socket_descriptor {
    ($Type:ident) => {
        impl AsFd for $Type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl AsRawFd for $Type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.as_raw_fd()
            }
        }

        impl IntoRawFd for $Type {
            fn into_raw_fd(self) -> RawFd {
                self.socket.into_raw_fd()
            }
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.socket.fmt(f)
            }
        }
    };
}

/// `AsyncRead` and `AsyncWrite` through a shared reference, for the stream itself and for its halves.
macro_rules! stream_traits {
    ($Type:ident, $short:expr) => {
        impl $Type {
            pub(crate) fn poll_read_shared(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                fill::poll_read(&self.io, cx, buf, $short)
            }

            pub(crate) fn poll_write_shared(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.io.poll_write(cx, buf)
            }

            pub(crate) fn poll_write_vectored_shared(
                &self,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_write_vectored(cx, bufs)
            }

            /// A connection that the other side has reset is as good as shut down.
            pub(crate) fn shutdown_write(&self) -> io::Result<()> {
                match self.io.get_ref().shutdown(Shutdown::Write) {
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }
        }

        impl AsyncRead for $Type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                self.poll_read_shared(cx, buf)
            }
        }

        impl AsyncWrite for $Type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.poll_write_shared(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_vectored_shared(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            /// Does nothing: what was written is with the system already.
            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Says to the other side that no more will come. Reading goes on.
            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown_write())
            }
        }

        impl AsRef<Self> for $Type {
            fn as_ref(&self) -> &Self {
                self
            }
        }
    };
}

/// Sending and receiving of datagram sockets. `$from_system` turns a `SockAddr` into the type of their addresses.
macro_rules! datagram_methods {
    ($Addr:ty, $from_system:path) => {
        /// Sends a datagram to the peer that this socket is connected to, and says how many bytes were sent.
        ///
        /// # Cancel safety
        /// If it is dropped before it is done, nothing was sent.
        ///
        /// # Errors
        /// Those of the system: not connected, too large, refused by the peer earlier, …
        pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
            let send = || self.io.get_ref().send(buf);
            self.io.registration().async_io(Interest::WRITABLE, send).await
        }

        /// As [`send`](Self::send). Only the task that polled last is woken.
        ///
        /// # Errors
        /// As [`send`](Self::send).
        pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let send = || self.io.get_ref().send(buf);
            self.io.registration().poll_write_io(cx, send)
        }

        /// As [`send`](Self::send), without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; as [`send`](Self::send).
        pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::WRITABLE, || sys::net::retry(Call::Write, || self.io.get_ref().send(buf)))
        }

        /// Receives a datagram from the peer that this socket is connected to. What does not fit in `buf` is lost.
        ///
        /// # Cancel safety
        /// If it is dropped before it is done, nothing was received.
        ///
        /// # Errors
        /// Those of the system.
        pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
            let recv = || self.io.get_ref().recv(buf);
            self.io.registration().async_io(Interest::READABLE, recv).await
        }

        /// As [`recv`](Self::recv). Only the task that polled last is woken.
        ///
        /// # Errors
        /// As [`recv`](Self::recv).
        pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.io.registration().poll_read_io(cx, || {
                fill::into_read_buf(&self.io, buf, Fill::Receive)?;
                Ok(())
            })
        }

        /// As [`recv`](Self::recv), without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`recv`](Self::recv).
        pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.get_ref().recv(buf)))
        }

        /// As [`recv`](Self::recv), and appends to `buf`: at most as much as it has room for without growing, or one
        /// step of growth of a full `Vec`.
        ///
        /// # Cancel safety
        /// If it is dropped before it is done, nothing was received.
        ///
        /// # Errors
        /// As [`recv`](Self::recv).
        pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
            let recv = || Ok(fill::into_buf_mut(&self.io, buf, Fill::Receive)?.0);
            self.io.registration().async_io(Interest::READABLE, recv).await
        }

        /// As [`recv_buf`](Self::recv_buf), without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`recv`](Self::recv).
        pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
            self.io
                .registration()
                .try_io(Interest::READABLE, || Ok(fill::into_buf_mut(&self.io, buf, Fill::Receive)?.0))
        }

        /// Receives a datagram from anyone, and says who sent it. What does not fit in `buf` is lost.
        ///
        /// # Cancel safety
        /// If it is dropped before it is done, nothing was received.
        ///
        /// # Errors
        /// Those of the system.
        pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, $Addr)> {
            let recv = || self.io.get_ref().recv_from(buf);
            let (len, sender) = self.io.registration().async_io(Interest::READABLE, recv).await?;
            Ok((len, sender.into()))
        }

        /// As [`recv_from`](Self::recv_from). Only the task that polled last is woken.
        ///
        /// # Errors
        /// As [`recv_from`](Self::recv_from).
        pub fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<$Addr>> {
            self.io.registration().poll_read_io(cx, || {
                let (_, sender) = fill::into_read_buf(&self.io, buf, Fill::ReceiveFrom)?;
                $from_system(sender)
            })
        }

        /// As [`recv_from`](Self::recv_from), without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`recv_from`](Self::recv_from).
        pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, $Addr)> {
            let (len, sender) = self
                .io
                .registration()
                .try_io(Interest::READABLE, || sys::net::retry(Call::Read, || self.io.get_ref().recv_from(buf)))?;
            Ok((len, sender.into()))
        }

        /// As [`recv_from`](Self::recv_from), and appends to `buf` as [`recv_buf`](Self::recv_buf) does.
        ///
        /// # Cancel safety
        /// If it is dropped before it is done, nothing was received.
        ///
        /// # Errors
        /// As [`recv_from`](Self::recv_from).
        pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, $Addr)> {
            let recv = || {
                let (len, sender) = fill::into_buf_mut(&self.io, buf, Fill::ReceiveFrom)?;
                Ok((len, $from_system(sender)?))
            };
            self.io.registration().async_io(Interest::READABLE, recv).await
        }

        /// As [`recv_buf_from`](Self::recv_buf_from), without waiting. [Readiness](crate::net#readiness)
        ///
        /// # Errors
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; as [`recv_from`](Self::recv_from).
        pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, $Addr)> {
            self.io.registration().try_io(Interest::READABLE, || {
                let (len, sender) = fill::into_buf_mut(&self.io, buf, Fill::ReceiveFrom)?;
                Ok((len, $from_system(sender)?))
            })
        }
    };
}

pub(super) use {
    datagram_methods, descriptor, interest_methods, operation_methods, readable_methods, socket_descriptor,
    std_conversions, stream_traits, try_read_methods, try_write_methods, writable_methods,
};
