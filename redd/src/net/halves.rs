//! The halves of streams, written once for TCP and Unix: borrowed (`split`) and owned (`into_split`).
//!
//! Called by the two `split` files. Each macro expects a field `stream` that leads to the stream.
//!
//! # Invariants
//! - `one-reader-one-writer`: a stream has at most one reading half and one writing half, and their polled operations
//!   take `&mut self`; so each of the registration's two waker cells has one task at most.

/// The methods and traits of a reading half, except `peek`. `one-reader-one-writer`.
macro_rules! read_half {
    ($Half:ty, $Stream:ty, $Addr:ty) => {
        impl $Half {
            direction_methods!(readable, "reading", READABLE, self => self.stream.io);
            try_read_methods!(self => self.stream.io);
        }

        any_half!($Half, $Stream, $Addr);

        $crate::io::forward::read_traits!($Half, self => self.stream.io, <$Stream>::SHORT);
    };
}

/// `peek` of a reading half; Unix streams have none.
macro_rules! peek_half {
    ($Half:ty) => {
        impl $Half {
            /// Receives what is there and leaves it where it is, so that the next read gets the same bytes.
            ///
            /// # Errors
            /// Those of the system.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.peek(buf).await
            }

            /// As [`peek`](Self::peek).
            ///
            /// # Errors
            /// Those of the system.
            pub fn poll_peek(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
                self.stream.poll_peek(cx, buf)
            }
        }
    };
}

/// The methods and traits of a writing half. `$on_shutdown` runs after a successful shutdown. `one-reader-one-writer`.
macro_rules! write_half {
    ($Half:ty, $Stream:ty, $Addr:ty, $half:ident => $on_shutdown:expr) => {
        impl $Half {
            direction_methods!(writable, "writing", WRITABLE, self => self.stream.io);
            try_write_methods!(self => self.stream.io);
        }

        any_half!($Half, $Stream, $Addr);

        $crate::io::forward::write_traits! {
            $Half, self => self.stream.io,
            /// Says to the other side that no more will come.
            poll_shutdown => {
                let result = self.stream.shutdown_write();
                if result.is_ok() {
                    let $half = self.get_mut();
                    $on_shutdown;
                }
                result
            }
        }
    };
}

/// What all halves have.
macro_rules! any_half {
    ($Half:ty, $Stream:ty, $Addr:ty) => {
        impl $Half {
            interest_methods!(self => self.stream.io);

            system_methods! {
                /// The address of the other side.
                peer_addr(self) -> $Addr = self.stream.peer_addr();

                /// The address of this side.
                local_addr(self) -> $Addr = self.stream.local_addr();
            }
        }

        impl AsRef<$Stream> for $Half {
            fn as_ref(&self) -> &$Stream {
                &self.stream
            }
        }
    };
}

/// `ReadHalf` and `WriteHalf`, borrowed from a stream.
macro_rules! borrowed_halves {
    ($Stream:ident, $Addr:ty) => {
        #[doc = concat!("The reading half of a [`", stringify!($Stream), "`], borrowed from it by `split`.")]
        #[derive(Debug)]
        pub struct ReadHalf<'a> {
            stream: &'a $Stream,
        }

        #[doc = concat!("The writing half of a [`", stringify!($Stream), "`], borrowed from it by `split`.")]
        ///
        /// - Dropping it does not shut the direction down.
        #[derive(Debug)]
        pub struct WriteHalf<'a> {
            stream: &'a $Stream,
        }

        pub(super) fn split(stream: &mut $Stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
            (ReadHalf { stream }, WriteHalf { stream })
        }

        read_half!(ReadHalf<'_>, $Stream, $Addr);
        write_half!(WriteHalf<'_>, $Stream, $Addr, _half => ());
    };
}

/// `OwnedReadHalf`, `OwnedWriteHalf` and `ReuniteError`.
macro_rules! owned_halves {
    ($Stream:ident, $Addr:ty) => {
        #[doc = concat!("The reading half of a [`", stringify!($Stream), "`], made by `into_split`.")]
        ///
        /// - Dropping it does not shut the direction down.
        /// - The socket is closed when both halves are dropped.
        #[derive(Debug)]
        pub struct OwnedReadHalf {
            stream: Arc<$Stream>,
        }

        #[doc = concat!("The writing half of a [`", stringify!($Stream), "`], made by `into_split`.")]
        ///
        /// - **Dropping it shuts the direction down**: the other side reads to the end. [`forget`](Self::forget) does not.
        /// - The socket is closed when both halves are dropped.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: Arc<$Stream>,
            shutdown_on_drop: bool,
        }

        /// The halves that [`reunite`](OwnedReadHalf::reunite) was given are of different streams; here they are back.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        error_texts! {
            [] ReuniteError,
            _ => "tried to reunite halves that are not of the same socket: keep those together that one `into_split` \
                  returned",
        }

        pub(super) fn split_owned(stream: $Stream) -> (OwnedReadHalf, OwnedWriteHalf) {
            let stream = Arc::new(stream);
            let reader = OwnedReadHalf {
                stream: Arc::clone(&stream),
            };
            let writer = OwnedWriteHalf {
                stream,
                shutdown_on_drop: true,
            };
            (reader, writer)
        }

        impl OwnedReadHalf {
            /// Puts the stream together again.
            ///
            /// # Errors
            /// When `other` is of another stream; the error holds both halves.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$Stream, ReuniteError> {
                if !Arc::ptr_eq(&self.stream, &other.stream) {
                    return Err(ReuniteError(self, other));
                }
                other.forget();
                // `one-reader-one-writer`: no third half holds the stream.
                Ok(Arc::try_unwrap(self.stream).expect("both halves were here, and the other is gone"))
            }
        }

        impl OwnedWriteHalf {
            /// Puts the stream together again.
            ///
            /// # Errors
            /// When `other` is of another stream; the error holds both halves.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$Stream, ReuniteError> {
                other.reunite(self)
            }

            /// Drops this half without shutting the direction down.
            pub fn forget(mut self) {
                self.shutdown_on_drop = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shutdown_on_drop {
                    // The other side may be gone already, which is what we wanted to say.
                    let _ = self.stream.shutdown_write();
                }
            }
        }

        read_half!(OwnedReadHalf, $Stream, $Addr);
        write_half!(OwnedWriteHalf, $Stream, $Addr, half => half.shutdown_on_drop = false);
    };
}
