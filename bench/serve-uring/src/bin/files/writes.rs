//! Writes of 4 KB over a file that is cached: whether the file system has writes that do not wait, and what they cost.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rt::io::{AsyncSeekExt, AsyncWriteExt};

use super::{Way, compare, create, result, runtime};

const PIECES: u64 = 64;
const FILES: u64 = 300;

pub fn measure(path: &Path, rounds: usize) -> io::Result<()> {
    let file = create(path, PIECES as usize * 4096)?;
    let page = [b'y'; 4096];
    for (name, offset) in [("over a cached page", 0), ("behind the end", PIECES * 4096)] {
        match write(&file, &page, offset, libc::RWF_NOWAIT) {
            Ok(count) => println!("`RWF_NOWAIT` {name}: {count} bytes"),
            Err(error) => println!("`RWF_NOWAIT` {name}: {error}"),
        }
    }
    file.set_len(PIECES * 4096)?;
    let runtime = &runtime()?;
    let mut ways: Vec<Way<'_>> = vec![("`pwrite`", Box::new(|| direct(&file, 0)))];
    if write(&file, &page, 0, libc::RWF_NOWAIT).is_ok() {
        ways.push(("`pwritev2`, `RWF_NOWAIT`", Box::new(|| direct(&file, libc::RWF_NOWAIT))));
    }
    ways.push((
        "pool, a trip per write",
        Box::new(|| {
            let file = file.clone();
            runtime.block_on(runtime.spawn(async move {
                for number in 0..FILES * PIECES {
                    let file = file.clone();
                    let write = move || file.write_all_at(&[b'y'; 4096], number % PIECES * 4096);
                    rt::task::spawn_blocking(write).await??;
                }
                Ok(Duration::ZERO)
            }))?
        }),
    ));
    ways.push((
        "redd's `File`",
        Box::new(|| {
            let path = path.to_owned();
            runtime.block_on(runtime.spawn(async move {
                let mut file = rt::fs::File::options().write(true).open(path).await?;
                for _ in 0..FILES {
                    file.seek(io::SeekFrom::Start(0)).await?;
                    for _ in 0..PIECES {
                        file.write_all(&[b'y'; 4096]).await?;
                    }
                    file.flush().await?;
                }
                Ok(Duration::ZERO)
            }))?
        }),
    ));
    compare("write of 4 KB, 64 to a flush", rounds, FILES * PIECES, libc::CLOCK_PROCESS_CPUTIME_ID, ways)
}

fn direct(file: &File, flags: i32) -> io::Result<Duration> {
    let (page, mut longest) = ([b'y'; 4096], Duration::ZERO);
    for number in 0..FILES * PIECES {
        let start = Instant::now();
        let written = write(file, &page, number % PIECES * 4096, flags);
        longest = longest.max(start.elapsed());
        match written {
            Ok(_) => {}
            // The page is being written to the disk, for example.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                write(file, &page, number % PIECES * 4096, 0)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(longest)
}

fn write(file: &File, bytes: &[u8], offset: u64, flags: i32) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: the kernel reads the bytes during the call.
    result(unsafe { libc::pwritev2(file.as_raw_fd(), &raw const part, 1, offset as i64, flags) })
}
