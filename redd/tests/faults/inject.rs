//! System calls that fail on demand, in the whole process. This program defines functions with the names of the C
//! library. std, socket2 and redd call these. They check whether to fail, and then call the kernel.
//!
//! `sys::faults` inside redd is for unit tests and one thread. Here the call of any thread can fail, also calls made by
//! std.

#[cfg(target_arch = "x86_64")]
use std::ffi::c_long;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// A system call that can be made to fail: how many calls succeed first, how many then fail, and with which error.
pub(crate) struct FaultPoint {
    calls: AtomicU64,
    /// One of this many calls fails.
    every: AtomicU64,
    /// The number of the first call that may fail.
    from: AtomicU64,
    left: AtomicU64,
    errno: AtomicI32,
    /// The only thread whose calls count and fail. 0: all do.
    thread: AtomicI32,
}

pub(crate) static EPOLL_CREATE: FaultPoint = FaultPoint::new();
pub(crate) static EPOLL_CTL: FaultPoint = FaultPoint::new();
/// Both `epoll_wait` and `epoll_pwait2`.
pub(crate) static EPOLL_WAIT: FaultPoint = FaultPoint::new();
pub(crate) static EVENTFD: FaultPoint = FaultPoint::new();
pub(crate) static ACCEPT: FaultPoint = FaultPoint::new();
pub(crate) static RECV: FaultPoint = FaultPoint::new();
pub(crate) static SEND: FaultPoint = FaultPoint::new();
pub(crate) static SIGNAL_WAIT: FaultPoint = FaultPoint::new();
pub(crate) static OPEN: FaultPoint = FaultPoint::new();
pub(crate) static STATUS: FaultPoint = FaultPoint::new();
pub(crate) static SOCKET: FaultPoint = FaultPoint::new();
pub(crate) static CONNECT: FaultPoint = FaultPoint::new();
pub(crate) static GET_OPTION: FaultPoint = FaultPoint::new();
pub(crate) static SET_OPTION: FaultPoint = FaultPoint::new();
pub(crate) static CONTROL: FaultPoint = FaultPoint::new();
pub(crate) static THREAD: FaultPoint = FaultPoint::new();

impl FaultPoint {
    const fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            every: AtomicU64::new(1),
            from: AtomicU64::new(0),
            left: AtomicU64::new(0),
            errno: AtomicI32::new(0),
            thread: AtomicI32::new(0),
        }
    }

    /// After `skip` more calls, the next `times` calls fail with `errno`.
    pub(crate) fn fail(&self, skip: u64, times: u64, errno: c_int) {
        self.fail_every(1, skip, times, errno);
    }

    /// After `skip` more calls, one of `every` calls fails, `times` in all.
    pub(crate) fn fail_every(&self, every: u64, skip: u64, times: u64, errno: c_int) {
        self.left.store(0, Ordering::SeqCst);
        self.every.store(every, Ordering::SeqCst);
        self.from.store(self.calls.load(Ordering::SeqCst) + skip, Ordering::SeqCst);
        self.errno.store(errno, Ordering::SeqCst);
        self.left.store(times, Ordering::SeqCst);
    }

    /// As [`fail`](Self::fail), for the calls of one thread.
    pub(crate) fn fail_on(&self, thread: c_int, skip: u64, times: u64, errno: c_int) {
        self.thread.store(thread, Ordering::SeqCst);
        self.fail(skip, times, errno);
    }

    /// Whether a call has failed as often as was set.
    pub(crate) fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// Lets all calls succeed again.
    pub(crate) fn restore(&self) {
        self.left.store(0, Ordering::SeqCst);
    }

    /// The number of calls so far, including failed ones.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn check(&self) -> Option<c_int> {
        let thread = self.thread.load(Ordering::SeqCst);
        // SAFETY: no pointers are passed, and it cannot fail.
        if thread != 0 && thread != unsafe { libc::gettid() } {
            return None;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let from = self.from.load(Ordering::SeqCst);
        if call < from || (call - from) % self.every.load(Ordering::SeqCst) != 0 {
            return None;
        }
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .ok()
            .map(|_| self.errno.load(Ordering::SeqCst))
    }
}

/// The result of a failed call in C: -1, with the error in `errno`.
fn refuse(errno: c_int) -> c_int {
    // SAFETY: the location of this thread's `errno` is valid.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// The C library's function of this name.
fn original(cache: &OnceLock<usize>, name: &std::ffi::CStr) -> usize {
    // SAFETY: the name ends with a zero byte.
    *cache.get_or_init(|| unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize)
}

macro_rules! functions {
    ($($call:ident: fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        /// Replaces the C library's function.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            if let Some(errno) = $call.check() {
                return refuse(errno) as $result;
            }
            static ORIGINAL: OnceLock<usize> = OnceLock::new();
            let name = std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes());
            let name = name.expect("it ends with a zero byte");
            // SAFETY: the C library's function has this signature, and the arguments come from the caller.
            unsafe {
                let call: unsafe extern "C" fn($($type),*) -> $result = std::mem::transmute(original(&ORIGINAL, name));
                call($($arg),*)
            }
        }
    )*};
}

/// Stops a thread in its next `write`, until the test releases it.
pub(crate) struct Hold(AtomicUsize);

pub(crate) static HOLD: Hold = Hold(AtomicUsize::new(FREE));

const FREE: usize = 0;
const HELD: usize = 1;
const RELEASED: usize = 2;
const FOUND_CLOSED: usize = 3;

std::thread_local! {
    static IS_HELD_NEXT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Hold {
    /// From now on the next `write` of the calling thread waits for [`release`](Self::release).
    pub(crate) fn hold_next_write(&self, is_held: bool) {
        IS_HELD_NEXT.set(is_held);
    }

    /// Whether the thread has stopped in its `write`.
    pub(crate) fn is_held(&self) -> bool {
        self.0.load(Ordering::SeqCst) == HELD
    }

    /// Lets the thread continue.
    pub(crate) fn release(&self) {
        self.0.store(RELEASED, Ordering::SeqCst);
    }

    /// Returns whether the descriptor was still open when the thread continued, and resets the hold.
    pub(crate) fn was_open(&self) -> bool {
        self.0.swap(FREE, Ordering::SeqCst) != FOUND_CLOSED
    }

    fn check(&self, fd: c_int) {
        if !IS_HELD_NEXT.replace(false) {
            return;
        }
        self.0.store(HELD, Ordering::SeqCst);
        while self.is_held() {
            std::thread::yield_now();
        }
        // SAFETY: the call takes no pointer.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            self.0.store(FOUND_CLOSED, Ordering::SeqCst);
        }
    }
}

functions! {
    EPOLL_CREATE: fn epoll_create1(flags: c_int) -> c_int;
    EPOLL_CTL: fn epoll_ctl(epoll: c_int, op: c_int, fd: c_int, event: *mut c_void) -> c_int;
    EPOLL_WAIT: fn epoll_wait(epoll: c_int, events: *mut c_void, max: c_int, ms: c_int) -> c_int;
    EVENTFD: fn eventfd(value: u32, flags: c_int) -> c_int;
    ACCEPT: fn accept4(fd: c_int, address: *mut c_void, len: *mut c_void, flags: c_int) -> c_int;
    RECV: fn recv(fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> isize;
    RECV: fn read(fd: c_int, buf: *mut c_void, len: usize) -> isize;
    SEND: fn writev(fd: c_int, parts: *const c_void, count: c_int) -> isize;
    RECV: fn recvfrom(fd: c_int, buf: *mut c_void, len: usize, flags: c_int, from: *mut c_void, size: *mut c_void) -> isize;
    SIGNAL_WAIT: fn sigtimedwait(signals: *const c_void, info: *mut c_void, timeout: *const c_void) -> c_int;
    // The mode is there for files that are created. It is passed in the same register as if the function had no dots.
    OPEN: fn open64(path: *const c_void, flags: c_int, mode: c_int) -> c_int;
    STATUS: fn statx(fd: c_int, path: *const c_void, flags: c_int, mask: u32, status: *mut c_void) -> c_int;
    SOCKET: fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    CONNECT: fn connect(fd: c_int, address: *const c_void, len: u32) -> c_int;
    GET_OPTION: fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut c_void) -> c_int;
    SET_OPTION: fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: u32) -> c_int;
    CONTROL: fn ioctl(fd: c_int, request: u64, value: *mut c_void) -> c_int;
    SEND: fn send(fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> isize;
}

/// Replaces the C library's function.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: usize) -> isize {
    type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
    if let Some(errno) = SEND.check() {
        return refuse(errno) as isize;
    }
    HOLD.check(fd);
    static ORIGINAL: OnceLock<usize> = OnceLock::new();
    // SAFETY: as in `functions!`.
    unsafe {
        let call: Write = std::mem::transmute(original(&ORIGINAL, c"write"));
        call(fd, buf, len)
    }
}

/// Replaces the C library's function, which returns the error instead of setting `errno`.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut c_void,
        *const c_void,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    if let Some(errno) = THREAD.check() {
        return errno;
    }
    static ORIGINAL: OnceLock<usize> = OnceLock::new();
    // SAFETY: as in `functions!`.
    unsafe {
        let call: Create = std::mem::transmute(original(&ORIGINAL, c"pthread_create"));
        call(thread, attributes, start, argument)
    }
}

/// Replaces the C library's function, for `epoll_pwait2`, which older C libraries do not have. On x86-64, the integer
/// arguments of a variadic function are passed like those of any other function.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    if number == libc::SYS_epoll_pwait2 {
        if let Some(errno) = EPOLL_WAIT.check() {
            return c_long::from(refuse(errno));
        }
    }
    type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
    static ORIGINAL: AtomicUsize = AtomicUsize::new(0);
    // This is not a `OnceLock`, whose wait is a system call.
    let mut address = ORIGINAL.load(Ordering::SeqCst);
    if address == 0 {
        // SAFETY: the name ends with a zero byte.
        address = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) } as usize;
        ORIGINAL.store(address, Ordering::SeqCst);
    }
    // SAFETY: as in `functions!`.
    unsafe {
        let call: Syscall = std::mem::transmute(address);
        call(number, a, b, c, d, e, f)
    }
}

static WALL_CLOCK_SHIFT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Shifts the wall clock by this many seconds from now on.
pub(crate) fn shift_wall_clock(seconds: i64) {
    WALL_CLOCK_SHIFT.store(seconds, Ordering::SeqCst);
}

/// Replaces the C library's function.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    type GetTime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;
    static ORIGINAL: AtomicUsize = AtomicUsize::new(0);
    let mut address = ORIGINAL.load(Ordering::SeqCst);
    if address == 0 {
        // SAFETY: the name ends with a zero byte.
        address = unsafe { libc::dlsym(libc::RTLD_NEXT, c"clock_gettime".as_ptr()) } as usize;
        ORIGINAL.store(address, Ordering::SeqCst);
    }
    // SAFETY: as in `functions!`; the caller may write to `time`.
    unsafe {
        let call: GetTime = std::mem::transmute(address);
        let result = call(clock, time);
        if clock == libc::CLOCK_REALTIME && result == 0 {
            (*time).tv_sec += WALL_CLOCK_SHIFT.load(Ordering::SeqCst);
        }
        result
    }
}
