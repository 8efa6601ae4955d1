//! The buffer that a reader fills: bytes that are filled, then bytes that are initialised, then the rest.
//!
//! Called by every implementor of `AsyncRead` and by everything that reads.
//!
//! # Invariants
//! - `in-order`: `filled <= initialized <= bytes.len()`.
//! - `truly-initialised`: the first `initialized` bytes of `bytes` hold values.
//! - `only-writes-values`: nobody writes uninitialised memory through this type, because `bytes` may have come from a
//!   `&mut [u8]` (see [`ReadBuf::new`]). Callers of the unsafe methods promise it.

#![expect(unsafe_code, reason = "memory that is filled before it is initialised")]

use std::mem::MaybeUninit;
use std::ptr;

use bytes::BufMut;
use bytes::buf::UninitSlice;

/// A borrowed buffer, filled from its front, that knows how much of it is initialised.
///
/// ```text
/// [             capacity              ]
/// [ filled |         unfilled         ]
/// [    initialised    | uninitialised ]
/// ```
///
/// - A reader appends to the filled part: with [`put_slice`](Self::put_slice), or with
///   [`initialize_unfilled`](Self::initialize_unfilled) and [`advance`](Self::advance).
/// - Bytes are zeroed at most once, however often the buffer is read into.
///
/// # Examples
/// ```
/// use redd::io::ReadBuf;
///
/// let mut memory = [0; 8];
/// let mut buf = ReadBuf::new(&mut memory);
/// buf.put_slice(b"salmon");
/// assert_eq!(buf.filled(), b"salmon");
/// assert_eq!(buf.remaining(), 2);
/// ```
pub struct ReadBuf<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
    filled: usize,
    initialized: usize,
}

impl<'a> ReadBuf<'a> {
    /// An empty `ReadBuf` over memory that is initialised.
    #[inline]
    pub fn new(buf: &'a mut [u8]) -> ReadBuf<'a> {
        let initialized = buf.len();
        // SAFETY: same layout and lifetime; `only-writes-values` keeps the bytes initialised for the lender.
        let bytes = unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) };
        ReadBuf { bytes, filled: 0, initialized }
    }

    /// An empty `ReadBuf` over memory of which nothing is known. [`assume_init`](Self::assume_init) can tell it more.
    #[inline]
    pub fn uninit(buf: &'a mut [MaybeUninit<u8>]) -> ReadBuf<'a> {
        ReadBuf { bytes: buf, filled: 0, initialized: 0 }
    }

    /// The length of the whole buffer.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The filled part.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: `truly-initialised`, and `in-order` says that `filled` does not go beyond.
        unsafe { assume_init_ref(&self.bytes[..self.filled]) }
    }

    /// The filled part, to change.
    #[inline]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        // SAFETY: `truly-initialised`, and `in-order` says that `filled` does not go beyond.
        unsafe { assume_init_mut(&mut self.bytes[..self.filled]) }
    }

    /// An empty `ReadBuf` over the first `n` unfilled bytes, or over all of them if there are fewer.
    ///
    /// - `self` does not learn what is filled through it: call [`assume_init`](Self::assume_init) and
    ///   [`advance`](Self::advance) afterwards.
    #[inline]
    pub fn take(&mut self, n: usize) -> ReadBuf<'_> {
        let len = n.min(self.remaining());
        let initialized = len.min(self.initialized - self.filled);
        ReadBuf { bytes: &mut self.bytes[self.filled..][..len], filled: 0, initialized }
    }

    /// The initialised part: filled bytes and those after them that hold some value.
    #[inline]
    pub fn initialized(&self) -> &[u8] {
        // SAFETY: `truly-initialised`.
        unsafe { assume_init_ref(&self.bytes[..self.initialized]) }
    }

    /// The initialised part, to change.
    #[inline]
    pub fn initialized_mut(&mut self) -> &mut [u8] {
        // SAFETY: `truly-initialised`.
        unsafe { assume_init_mut(&mut self.bytes[..self.initialized]) }
    }

    /// The whole buffer.
    ///
    /// # Safety
    /// The caller writes no uninitialised memory into it (`only-writes-values`).
    #[inline]
    pub unsafe fn inner_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        self.bytes
    }

    /// The part that is not filled, initialised or not.
    ///
    /// # Safety
    /// The caller writes no uninitialised memory into it (`only-writes-values`).
    #[inline]
    pub unsafe fn unfilled_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.bytes[self.filled..]
    }

    /// The part that is not filled, with zeros where nothing was written before.
    #[inline]
    pub fn initialize_unfilled(&mut self) -> &mut [u8] {
        self.initialize_unfilled_to(self.remaining())
    }

    /// The first `n` bytes that are not filled, with zeros where nothing was written before.
    ///
    /// # Panics
    /// If fewer than `n` bytes are unfilled.
    #[inline]
    #[track_caller]
    pub fn initialize_unfilled_to(&mut self, n: usize) -> &mut [u8] {
        assert!(
            n <= self.remaining(),
            "`ReadBuf::initialize_unfilled_to({n})` was called with only {} bytes unfilled. \
             Ask `remaining` first.",
            self.remaining()
        );
        let end = self.filled + n;
        if self.initialized < end {
            self.bytes[self.initialized..end].fill(MaybeUninit::new(0));
            self.initialized = end;
        }
        // SAFETY: `truly-initialised`, up to `end` by the lines above.
        unsafe { assume_init_mut(&mut self.bytes[self.filled..end]) }
    }

    /// How many bytes are not filled.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// Nothing is filled any more; what is initialised stays so.
    #[inline]
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// The next `n` bytes are filled.
    ///
    /// # Panics
    /// If they are not initialised.
    #[inline]
    #[track_caller]
    pub fn advance(&mut self, n: usize) {
        let Some(filled) = self.filled.checked_add(n) else {
            panic!("`ReadBuf::advance({n})` overflows. Advance by the bytes that were written.");
        };
        self.set_filled(filled);
    }

    /// The first `n` bytes are filled; `n` may be less than before.
    ///
    /// # Panics
    /// If they are not initialised.
    #[inline]
    #[track_caller]
    pub fn set_filled(&mut self, n: usize) {
        assert!(
            n <= self.initialized,
            "a `ReadBuf` of which {} bytes are initialised was told that {n} are filled. \
             Write them first, or call `assume_init`.",
            self.initialized
        );
        self.filled = n;
    }

    /// The first `n` bytes that are not filled are initialised.
    ///
    /// # Safety
    /// They are: somebody has written them (`truly-initialised`).
    #[inline]
    pub unsafe fn assume_init(&mut self, n: usize) {
        let end = self.filled + n;
        debug_assert!(end <= self.bytes.len(), "in-order");
        self.initialized = self.initialized.max(end);
    }

    /// Appends `bytes` to the filled part.
    ///
    /// # Panics
    /// If they do not fit.
    #[inline]
    #[track_caller]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.remaining(),
            "`ReadBuf::put_slice` was called with {} bytes, but only {} are unfilled. \
             Put as many as `remaining` says.",
            bytes.len(),
            self.remaining()
        );
        let end = self.filled + bytes.len();
        // SAFETY: a value is also a maybe uninitialised value; the view is only read from.
        let values = unsafe { &*(ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) };
        self.bytes[self.filled..end].copy_from_slice(values);
        self.initialized = self.initialized.max(end);
        self.filled = end;
    }

    /// Where the buffer starts; compared by [`assert_same_buffer`](Self::assert_same_buffer).
    #[inline]
    pub(crate) fn start(&self) -> *const u8 {
        self.bytes.as_ptr().cast()
    }

    /// Asserts that this still is the buffer that was lent to a reader; `start` was taken before. Safe code can put
    /// another one in its place, and then its figures say nothing about our memory.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_same_buffer(&self, start: *const u8) {
        assert!(
            ptr::eq(self.start(), start),
            "an implementation of `AsyncRead::poll_read` has replaced the `ReadBuf` that was lent to it. \
             It must fill the one that it is given."
        );
    }
}

// SAFETY: `chunk_mut` is the unfilled memory, `remaining_mut` its length, and both stay the same until `advance_mut`.
unsafe impl BufMut for ReadBuf<'_> {
    fn remaining_mut(&self) -> usize {
        self.remaining()
    }

    /// # Safety
    /// The next `n` bytes have been written.
    #[track_caller]
    unsafe fn advance_mut(&mut self, n: usize) {
        assert!(
            n <= self.remaining(),
            "`ReadBuf::advance_mut({n})` was called with only {} bytes unfilled. \
             Advance by the bytes that were written.",
            self.remaining()
        );
        // SAFETY: the caller has written them, and they are inside by the assertion.
        unsafe { self.assume_init(n) };
        self.advance(n);
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        UninitSlice::uninit(&mut self.bytes[self.filled..])
    }
}

debug_struct!([] ReadBuf<'_> as "ReadBuf", self => {
    filled: self.filled,
    initialized: self.initialized,
    capacity: self.capacity(),
});

/// # Safety
/// Every byte is initialised.
#[inline]
unsafe fn assume_init_ref(bytes: &[MaybeUninit<u8>]) -> &[u8] {
    // SAFETY: same layout; the caller vouches for the values.
    unsafe { &*(ptr::from_ref(bytes) as *const [u8]) }
}

/// # Safety
/// Every byte is initialised.
#[inline]
unsafe fn assume_init_mut(bytes: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    // SAFETY: same layout; the caller vouches for the values.
    unsafe { &mut *(ptr::from_mut(bytes) as *mut [u8]) }
}
