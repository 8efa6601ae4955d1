//! The buffer that a reader fills: first filled bytes, then initialised bytes, then uninitialised memory.
//!
//! Called by every implementation of `AsyncRead` and by all code that reads.
//!
//! # Invariants
//! - `in-order`: `filled <= initialized <= bytes.len()`.
//! - `truly-initialised`: the first `initialized` bytes of `bytes` are initialised.
//! - `only-writes-values`: no code writes uninitialised memory through this type, because `bytes` may have come from a
//!   `&mut [u8]` (see [`ReadBuf::new`]). Callers of the unsafe methods guarantee it.

#![expect(unsafe_code, reason = "memory that is filled before it is initialised")]

use std::mem::MaybeUninit;
use std::ptr;

use bytes::BufMut;
use bytes::buf::UninitSlice;

use crate::primitives::count::{self, PlainCount};

/// A borrowed buffer that is filled from its front and keeps track of how much of it is initialised.
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
    /// Creates an empty `ReadBuf` over initialised memory.
    #[inline]
    pub fn new(buf: &'a mut [u8]) -> ReadBuf<'a> {
        let initialized = buf.len();
        // SAFETY: same layout and lifetime; `only-writes-values` keeps the bytes initialised for the owner of `buf`.
        let bytes = unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) };
        ReadBuf { bytes, filled: 0, initialized }
    }

    /// Creates an empty `ReadBuf` over memory that may be uninitialised.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    /// use std::mem::MaybeUninit;
    ///
    /// let mut memory = [MaybeUninit::uninit(); 8];
    /// let mut buf = ReadBuf::uninit(&mut memory);
    /// buf.put_slice(b"redd");
    /// assert_eq!(buf.filled(), b"redd");
    /// assert_eq!(buf.initialized().len(), 4);
    /// // Zeroes the other four bytes.
    /// assert_eq!(buf.initialize_unfilled(), [0; 4]);
    /// ```
    #[inline]
    pub fn uninit(buf: &'a mut [MaybeUninit<u8>]) -> ReadBuf<'a> {
        ReadBuf { bytes: buf, filled: 0, initialized: 0 }
    }

    /// Returns the length of the whole buffer.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the filled part.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: `truly-initialised`, and by `in-order` `filled` is not larger.
        unsafe { assume_init_ref(&self.bytes[..self.filled]) }
    }

    /// Returns the filled part, mutably.
    #[inline]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        // SAFETY: `truly-initialised`, and by `in-order` `filled` is not larger.
        unsafe { assume_init_mut(&mut self.bytes[..self.filled]) }
    }

    /// Returns an empty `ReadBuf` over the first `n` unfilled bytes, or over all of them if there are fewer.
    ///
    /// - Filling it does not fill `self`: call [`assume_init`](Self::assume_init) and [`advance`](Self::advance)
    ///   afterwards.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// let mut front = buf.take(4);
    /// front.put_slice(b"redd");
    /// assert_eq!(front.remaining(), 0);
    /// assert!(buf.filled().is_empty());
    /// buf.advance(4);
    /// assert_eq!(buf.filled(), b"redd");
    /// ```
    #[inline]
    pub fn take(&mut self, n: usize) -> ReadBuf<'_> {
        let len = n.min(self.remaining());
        let initialized = len.min(self.initialized - self.filled);
        ReadBuf { bytes: &mut self.bytes[self.filled..][..len], filled: 0, initialized }
    }

    /// Returns the initialised part: the filled bytes, and the initialised ones after them.
    #[inline]
    pub fn initialized(&self) -> &[u8] {
        // SAFETY: `truly-initialised`.
        unsafe { assume_init_ref(&self.bytes[..self.initialized]) }
    }

    /// Returns the initialised part, mutably.
    #[inline]
    pub fn initialized_mut(&mut self) -> &mut [u8] {
        // SAFETY: `truly-initialised`.
        unsafe { assume_init_mut(&mut self.bytes[..self.initialized]) }
    }

    /// Returns the whole buffer.
    ///
    /// # Safety
    /// The caller writes no uninitialised memory into it (`only-writes-values`).
    #[inline]
    pub unsafe fn inner_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        self.bytes
    }

    /// Returns the unfilled part, initialised or not.
    ///
    /// # Safety
    /// The caller writes no uninitialised memory into it (`only-writes-values`).
    #[inline]
    pub unsafe fn unfilled_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.bytes[self.filled..]
    }

    /// Returns the unfilled part, after zeroing the bytes of it that are uninitialised.
    #[inline]
    pub fn initialize_unfilled(&mut self) -> &mut [u8] {
        self.initialize_unfilled_to(self.remaining())
    }

    /// Returns the first `n` unfilled bytes, after zeroing those that are uninitialised.
    ///
    /// # Panics
    /// If fewer than `n` bytes are unfilled.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    /// use std::io::Read;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// let len = (&b"salmon"[..]).read(buf.initialize_unfilled_to(4)).unwrap();
    /// buf.advance(len);
    /// assert_eq!(buf.filled(), b"salm");
    /// ```
    #[inline]
    #[track_caller]
    pub fn initialize_unfilled_to(&mut self, n: usize) -> &mut [u8] {
        assert!(
            n <= self.remaining(),
            "`ReadBuf::initialize_unfilled_to({n})` was called with only {} unfilled. \
             Check `remaining` first.",
            count::bytes(self.remaining())
        );
        let end = self.filled + n;
        if self.initialized < end {
            self.bytes[self.initialized..end].fill(MaybeUninit::new(0));
            self.initialized = end;
        }
        // SAFETY: `truly-initialised`, up to `end` by the lines above.
        unsafe { assume_init_mut(&mut self.bytes[self.filled..end]) }
    }

    /// Returns the number of unfilled bytes.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// Marks all bytes as unfilled. The initialised part does not change.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// buf.put_slice(b"salmon");
    /// buf.clear();
    /// assert_eq!(buf.remaining(), 8);
    /// ```
    #[inline]
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Marks the next `n` bytes as filled.
    ///
    /// # Panics
    /// If they are not initialised.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// buf.initialize_unfilled()[..4].copy_from_slice(b"redd");
    /// buf.advance(4);
    /// assert_eq!(buf.filled(), b"redd");
    /// ```
    #[inline]
    #[track_caller]
    pub fn advance(&mut self, n: usize) {
        let Some(filled) = self.filled.checked_add(n) else {
            panic!("`ReadBuf::advance({n})` overflows. Advance by the bytes that were written.");
        };
        self.set_filled(filled);
    }

    /// Marks exactly the first `n` bytes as filled; `n` may be less than before.
    ///
    /// # Panics
    /// If they are not initialised.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// buf.put_slice(b"redd\r\n");
    /// buf.set_filled(4);
    /// assert_eq!(buf.filled(), b"redd");
    /// ```
    #[inline]
    #[track_caller]
    pub fn set_filled(&mut self, n: usize) {
        assert!(
            n <= self.initialized,
            "`ReadBuf::set_filled({n})` was called with only {} initialised. \
             Write them first, or call `assume_init`.",
            count::bytes(self.initialized)
        );
        self.filled = n;
    }

    /// Marks the first `n` unfilled bytes as initialised.
    ///
    /// # Safety
    /// The caller has initialised them (`truly-initialised`).
    #[inline]
    pub unsafe fn assume_init(&mut self, n: usize) {
        let end = self.filled + n;
        debug_assert!(end <= self.bytes.len(), "in-order");
        self.initialized = self.initialized.max(end);
    }

    /// Appends `bytes` to the filled part.
    ///
    /// # Panics
    /// If they do not fit: check [`remaining`](Self::remaining) first.
    ///
    /// # Examples
    /// ```
    /// use redd::io::ReadBuf;
    ///
    /// let mut memory = [0; 8];
    /// let mut buf = ReadBuf::new(&mut memory);
    /// buf.put_slice(b"redd");
    /// buf.put_slice(b"!");
    /// assert_eq!(buf.filled(), b"redd!");
    /// assert_eq!(buf.remaining(), 3);
    /// ```
    #[inline]
    #[track_caller]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.remaining(),
            "`ReadBuf::put_slice` was called with {}, but only {} unfilled. \
             Append at most `remaining` bytes.",
            count::bytes(bytes.len()),
            PlainCount(self.remaining() as u64, "is", "are")
        );
        let end = self.filled + bytes.len();
        // SAFETY: an initialised byte is also a `MaybeUninit` byte, and the slice is only read from.
        let values = unsafe { &*(ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) };
        self.bytes[self.filled..end].copy_from_slice(values);
        self.initialized = self.initialized.max(end);
        self.filled = end;
    }

    /// The address of the buffer, for [`assert_same_buffer`](Self::assert_same_buffer).
    #[inline]
    pub(crate) fn start(&self) -> *const u8 {
        self.bytes.as_ptr().cast()
    }

    /// Asserts that this is the buffer that starts at `start`, as it did before a reader borrowed it. Safe code can
    /// replace it with another one, whose lengths do not apply to our memory.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_same_buffer(&self, start: *const u8) {
        assert!(
            ptr::eq(self.start(), start),
            "an implementation of `AsyncRead::poll_read` has replaced the `ReadBuf` that it was given. \
             It must fill that one."
        );
    }
}

// SAFETY: `chunk_mut` is the unfilled memory, `remaining_mut` its length, and both stay the same until `advance_mut`.
unsafe impl BufMut for ReadBuf<'_> {
    fn remaining_mut(&self) -> usize {
        self.remaining()
    }

    /// # Safety
    /// The caller has written the next `n` bytes.
    #[track_caller]
    unsafe fn advance_mut(&mut self, n: usize) {
        assert!(
            n <= self.remaining(),
            "`ReadBuf::advance_mut({n})` was called with only {} unfilled. \
             Advance by the bytes that were written.",
            count::bytes(self.remaining())
        );
        // SAFETY: the caller has written them, and by the assertion they are within the buffer.
        unsafe { self.assume_init(n) };
        self.advance(n);
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        let unfilled = &mut self.bytes[self.filled..];
        // SAFETY: the pointer and the length are those of a slice that is borrowed as long as the result. A program may have
        // an old `bytes`, which has no safe constructor.
        unsafe { UninitSlice::from_raw_parts_mut(unfilled.as_mut_ptr().cast(), unfilled.len()) }
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
    // SAFETY: same layout; by the safety contract every byte is initialised.
    unsafe { &*(ptr::from_ref(bytes) as *const [u8]) }
}

/// # Safety
/// Every byte is initialised.
#[inline]
unsafe fn assume_init_mut(bytes: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    // SAFETY: same layout; by the safety contract every byte is initialised.
    unsafe { &mut *(ptr::from_mut(bytes) as *mut [u8]) }
}
