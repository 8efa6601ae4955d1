//! What this process has used so far: CPU, context switches and, on request, allocations, system calls and wakes.
//!
//! Called by the workloads and by the servers. Counting slows a program down, so it is done in a separate run, never in
//! a timed one.

#![allow(dead_code, reason = "no program uses all of it")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A reading of the counters, or the difference of two.
#[derive(Clone, Copy)]
pub struct Costs {
    at: Instant,
    wall: Duration,
    cpu: Duration,
    voluntary: u64,
    involuntary: u64,
    allocations: u64,
    pub system_calls: Option<u64>,
    /// How often a thread of this process woke another thread.
    pub wakes: Option<u64>,
}

impl Costs {
    /// All threads of the process.
    pub fn now() -> Costs {
        Costs::of(libc::RUSAGE_SELF)
    }

    /// All threads but the calling one.
    pub fn of_others() -> Costs {
        let (all, mine) = (Costs::now(), Costs::of(libc::RUSAGE_THREAD));
        Costs {
            cpu: all.cpu.saturating_sub(mine.cpu),
            voluntary: all.voluntary - mine.voluntary,
            involuntary: all.involuntary - mine.involuntary,
            ..all
        }
    }

    fn of(whom: i32) -> Costs {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the kernel fills the structure; zeroes are a valid value of it.
        let usage = unsafe {
            libc::getrusage(whom, usage.as_mut_ptr());
            usage.assume_init()
        };
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        let events = EVENTS.get();
        Costs {
            at: Instant::now(),
            wall: Duration::ZERO,
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            voluntary: usage.ru_nvcsw as u64,
            involuntary: usage.ru_nivcsw as u64,
            allocations: ALLOCATIONS.load(Ordering::Relaxed),
            system_calls: events.and_then(|events| read(events.system_calls)),
            wakes: events.and_then(|events| read(events.wakes)),
        }
    }

    pub fn since(&self, before: &Costs) -> Costs {
        let difference = |now: Option<u64>, before: Option<u64>| Some(now? - before?);
        Costs {
            at: self.at,
            wall: self.at - before.at,
            // The kernel divides the time of a thread into user and system time anew each time, so a part may decrease
            // by a microsecond.
            cpu: self.cpu.saturating_sub(before.cpu),
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
            allocations: self.allocations - before.allocations,
            system_calls: difference(self.system_calls, before.system_calls),
            wakes: difference(self.wakes, before.wakes),
        }
    }

    /// The time that passed, for a difference of two readings.
    pub fn wall(&self) -> Duration {
        self.wall
    }

    /// One JSON object, without its braces.
    pub fn json(&self) -> String {
        let maybe = |count: Option<u64>| count.map_or("null".to_owned(), |count| count.to_string());
        format!(
            "\"wall_ns\":{},\"cpu_ns\":{},\"voluntary\":{},\"involuntary\":{},\"allocations\":{},\"system_calls\":{},\"wakes\":{}",
            self.wall.as_nanos(),
            self.cpu.as_nanos(),
            self.voluntary,
            self.involuntary,
            self.allocations,
            maybe(self.system_calls),
            maybe(self.wakes),
        )
    }
}

/// How often the calling thread has waited in the kernel so far.
pub fn waits_of_this_thread() -> u64 {
    Costs::of(libc::RUSAGE_THREAD).voluntary
}

/// Starts counting. Call it before the first thread starts: only threads that start later are counted.
pub fn count() {
    COUNT_ALLOCATIONS.store(true, Ordering::Relaxed);
    let events = Events { system_calls: open("raw_syscalls/sys_enter"), wakes: open("sched/sched_waking") };
    EVENTS.get_or_init(|| events);
}

/// Descriptors of the kernel's event counters, or `None` if the kernel does not allow them.
struct Events {
    system_calls: Option<i32>,
    wakes: Option<i32>,
}

static EVENTS: OnceLock<Events> = OnceLock::new();

/// `perf_event_attr` in its first version, which every later kernel accepts.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    address: u64,
}

fn open(tracepoint: &str) -> Option<i32> {
    let id = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .find_map(|root| std::fs::read_to_string(format!("{root}/events/{tracepoint}/id")).ok())?;
    const TRACEPOINT: u32 = 2;
    /// Also counts threads that start later.
    const INHERIT: u64 = 1 << 1;
    /// But not processes that start later. Since Linux 5.13; before that, they are counted.
    const ONLY_THREADS: u64 = 1 << 35;
    let mut attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: id.trim().parse().ok()?,
        period: 0,
        sample: 0,
        read_format: 0,
        flags: INHERIT | ONLY_THREADS,
        wakeup: 0,
        breakpoint: 0,
        address: 0,
    };
    let open = |attributes: &Attributes| {
        // SAFETY: the kernel reads `size` bytes of a structure that outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(attributes), 0, -1, -1, 0) };
        (fd >= 0).then_some(fd as i32)
    };
    open(&attributes).or_else(|| {
        attributes.flags = INHERIT;
        open(&attributes)
    })
}

fn read(event: Option<i32>) -> Option<u64> {
    let mut count = 0_u64;
    // SAFETY: the buffer has eight bytes, as requested.
    let length = unsafe { libc::read(event?, (&raw mut count).cast(), 8) };
    (length == 8).then_some(count)
}

static COUNT_ALLOCATIONS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator. It counts only on request, because a counter costs more than a small allocation.
struct Counting;

// SAFETY: every call goes to the system's allocator.
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        if COUNT_ALLOCATIONS.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller has the same safety contract.
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller has the same safety contract.
        unsafe { std::alloc::System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
