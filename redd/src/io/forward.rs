//! Passing the traits of `io` on to what is inside.
//!
//! Called by the traits, for boxes and references, by the adapters, and by `net`, `fs` and `process`. `self => inner` says how to get from the one,
//! pinned, to the other.

/// `AsyncRead`, passed on.
macro_rules! forward_read {
    ($self:ident => $inner:expr) => {
        fn poll_read($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            $inner.poll_read(cx, buf)
        }
    };
}

/// `AsyncBufRead`, passed on.
macro_rules! forward_buf_read {
    ($self:ident => $inner:expr) => {
        fn poll_fill_buf($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            $inner.poll_fill_buf(cx)
        }

        fn consume($self: Pin<&mut Self>, amt: usize) {
            $inner.consume(amt);
        }
    };
}

/// `AsyncSeek`, passed on.
macro_rules! forward_seek {
    ($self:ident => $inner:expr) => {
        fn start_seek($self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
            $inner.start_seek(position)
        }

        fn poll_complete($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
            $inner.poll_complete(cx)
        }
    };
}

/// `AsyncWrite`, passed on; `$is_vectored` answers `is_write_vectored`, which has no pinned `self`.
macro_rules! forward_write {
    ($self:ident => $inner:expr) => {
        forward_write!($self => $inner, (**$self).is_write_vectored());
    };
    ($self:ident => $inner:expr, $is_vectored:expr) => {
        fn poll_write($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            $inner.poll_write(cx, buf)
        }

        fn poll_flush($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            $inner.poll_flush(cx)
        }

        fn poll_shutdown($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            $inner.poll_shutdown(cx)
        }

        fn poll_write_vectored(
            $self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            $inner.poll_write_vectored(cx, bufs)
        }

        fn is_write_vectored(&$self) -> bool {
            $is_vectored
        }
    };
}

/// The writing methods of `AsyncWrite`, for what takes several pieces as easily as one.
macro_rules! write_pieces {
    ($self:ident, $cx:ident, $bufs:ident => $write:expr) => {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            $self: Pin<&mut Self>,
            $cx: &mut Context<'_>,
            $bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            $write
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    };
}

/// The methods of an adapter that lead to what is inside of it, in the field `inner`. `$direct`: what to know before using
/// that; `$lost`: before taking it out.
macro_rules! inner_methods {
    ($T:ident, $what:literal, $direct:literal, $lost:literal) => {
        #[doc = concat!("The inner ", $what, ".")]
        pub fn get_ref(&self) -> &$T {
            &self.inner
        }

        #[doc = concat!("The inner ", $what, "; ", $direct, ".")]
        pub fn get_mut(&mut self) -> &mut $T {
            &mut self.inner
        }

        #[doc = concat!("The inner ", $what, ", pinned; ", $direct, ".")]
        pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut $T> {
            self.project().inner
        }

        #[doc = concat!("Gives the inner ", $what, " back", $lost, ".")]
        pub fn into_inner(self) -> $T {
            self.inner
        }
    };
}

/// A trait for boxes, references and pinned pointers to something that has it.
macro_rules! forward_from_pointers {
    ($Trait:ident, $forward:ident) => {
        impl<T: ?Sized + $Trait + Unpin> $Trait for Box<T> {
            $forward!(self => Pin::new(&mut **self.get_mut()));
        }

        impl<T: ?Sized + $Trait + Unpin> $Trait for &mut T {
            $forward!(self => Pin::new(&mut **self.get_mut()));
        }

        impl<P> $Trait for Pin<P>
        where
            P: DerefMut,
            P::Target: $Trait,
        {
            $forward!(self => self.as_deref_mut());
        }
    };
}

pub(crate) use write_pieces;
