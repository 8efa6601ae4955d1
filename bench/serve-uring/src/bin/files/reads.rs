//! Reads of 4 KB: from the page cache and from the disk, one after another and 16 at a time.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, types::Fd};
use rt::io::{AsyncReadExt, AsyncSeekExt};
use rt::runtime::Runtime;

use super::{Way, compare, create, make_cold, offsets, read_now, runtime};

const PAGES: u64 = 16 * 1024;
const CACHED: u64 = 20_000;
const COLD: u64 = 2_000;
const AT_ONCE: usize = 16;

pub fn measure(path: &Path, rounds: usize) -> io::Result<()> {
    let file = create(path, PAGES as usize * 4096)?;
    let runtime = &runtime()?;
    let ways: Vec<Way<'_>> = vec![
        ("`pread`", Box::new(|| blocking(&file, CACHED))),
        ("`preadv2`, `RWF_NOWAIT`", Box::new(|| now(&file, CACHED))),
        ("ring, one read per call", Box::new(|| ring(&file, CACHED, 1))),
        ("ring, 16 reads per call", Box::new(|| ring(&file, CACHED, AT_ONCE))),
        ("redd's `File`, one task", Box::new(|| on_redd(runtime, path, CACHED, 1))),
        ("pool, one task", Box::new(|| pool(runtime, &file, CACHED, 1, false))),
        ("redd's `File`, 16 tasks", Box::new(|| on_redd(runtime, path, CACHED, AT_ONCE))),
        ("pool, 16 tasks", Box::new(|| pool(runtime, &file, CACHED, AT_ONCE, false))),
    ];
    compare("read of 4 KB, cached", rounds, CACHED, libc::CLOCK_PROCESS_CPUTIME_ID, ways)?;

    let cold = || make_cold(&file);
    let ways: Vec<Way<'_>> = vec![
        ("ring, one read per call", Box::new(|| (cold(), ring(&file, COLD, 1)).1)),
        ("ring, 16 in flight", Box::new(|| (cold(), ring(&file, COLD, AT_ONCE)).1)),
        ("pool, one task", Box::new(|| (cold(), pool(runtime, &file, COLD, 1, false)).1)),
        ("pool, 16 tasks", Box::new(|| (cold(), pool(runtime, &file, COLD, AT_ONCE, false)).1)),
        ("`RWF_NOWAIT`, then pool, one task", Box::new(|| (cold(), pool(runtime, &file, COLD, 1, true)).1)),
        ("`RWF_NOWAIT`, then pool, 16 tasks", Box::new(|| (cold(), pool(runtime, &file, COLD, AT_ONCE, true)).1)),
        ("redd's `File`, one task", Box::new(|| (cold(), on_redd(runtime, path, COLD, 1)).1)),
        ("redd's `File`, 16 tasks", Box::new(|| (cold(), on_redd(runtime, path, COLD, AT_ONCE)).1)),
    ];
    compare("read of 4 KB, cold", rounds, COLD, libc::CLOCK_PROCESS_CPUTIME_ID, ways)
}

fn blocking(file: &File, reads: u64) -> io::Result<Duration> {
    let (mut buffer, mut offset) = ([0; 4096], offsets(PAGES));
    for _ in 0..reads {
        file.read_exact_at(&mut buffer, offset())?;
    }
    Ok(Duration::ZERO)
}

fn now(file: &File, reads: u64) -> io::Result<Duration> {
    let (mut buffer, mut offset) = ([0; 4096], offsets(PAGES));
    for _ in 0..reads {
        read_now(file, &mut buffer, offset())?;
    }
    Ok(Duration::ZERO)
}

/// Submits `at_once` reads, and waits for one (for cold reads) or for all that are under way.
fn ring(file: &File, reads: u64, at_once: usize) -> io::Result<Duration> {
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(64)?;
    let (mut buffers, mut offset) = (vec![[0_u8; 4096]; at_once], offsets(PAGES));
    let (mut submitted, mut completed, mut longest) = (0, 0, Duration::ZERO);
    let mut free: Vec<usize> = (0..at_once).collect();
    while completed < reads {
        while submitted < reads {
            let Some(number) = free.pop() else { break };
            let read = opcode::Read::new(Fd(file.as_raw_fd()), buffers[number].as_mut_ptr(), 4096).offset(offset());
            // SAFETY: the buffer lives until the ring is dropped, and is used by one read at a time.
            unsafe { ring.submission().push(&read.build().user_data(number as u64)) }.expect("the ring has room");
            submitted += 1;
        }
        // Only the submission counts as a call: the wait is wanted.
        let start = Instant::now();
        ring.submit()?;
        longest = longest.max(start.elapsed());
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            assert_eq!(completion.result(), 4096, "the file has all pages");
            free.push(completion.user_data() as usize);
            completed += 1;
        }
    }
    Ok(longest)
}

/// Reads on threads of the blocking pool, if `is_tried` after a read that does not wait.
fn pool(runtime: &Runtime, file: &Arc<File>, reads: u64, tasks: usize, is_tried: bool) -> io::Result<Duration> {
    in_tasks(runtime, tasks, |number| {
        let file = file.clone();
        async move {
            let (mut buffer, mut longest) = (vec![0; 4096], Duration::ZERO);
            let mut offset = offsets(PAGES);
            for read in 0..reads {
                let offset = offset();
                if read as usize % tasks != number {
                    continue;
                }
                if is_tried {
                    let start = Instant::now();
                    let read = read_now(&file, &mut buffer, offset);
                    longest = longest.max(start.elapsed());
                    if read.is_ok() {
                        continue;
                    }
                }
                let file = file.clone();
                let read = rt::task::spawn_blocking(move || file.read_exact_at(&mut buffer, offset).map(|()| buffer));
                buffer = read.await??;
            }
            Ok(longest)
        }
    })
}

fn on_redd(runtime: &Runtime, path: &Path, reads: u64, tasks: usize) -> io::Result<Duration> {
    in_tasks(runtime, tasks, |number| {
        let path = path.to_owned();
        async move {
            let mut file = rt::fs::File::open(path).await?;
            // SAFETY: the call takes no pointer.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
            let (mut buffer, mut offset) = (vec![0; 4096], offsets(PAGES));
            for read in 0..reads {
                let offset = offset();
                if read as usize % tasks == number {
                    file.seek(io::SeekFrom::Start(offset)).await?;
                    file.read_exact(&mut buffer).await?;
                }
            }
            Ok(Duration::ZERO)
        }
    })
}

fn in_tasks<F>(runtime: &Runtime, tasks: usize, start: impl Fn(usize) -> F) -> io::Result<Duration>
where
    F: Future<Output = io::Result<Duration>> + Send + 'static,
{
    let started: Vec<_> = (0..tasks).map(|number| runtime.spawn(start(number))).collect();
    let mut longest = Duration::ZERO;
    for task in started {
        longest = longest.max(runtime.block_on(task)??);
    }
    Ok(longest)
}
