//! What files cost without a runtime, by each way that the kernel offers (decisions 0023 and 0025).
//!
//! `cargo run --release --bin files-uring -- reads|sends|writes [FOLDER] [--rounds N]`. The ways take turns in each round.
//! Times are medians, with the rounds' minimum and maximum. The file lies in FOLDER, by default that for temporary files.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rt::runtime::{Builder, Runtime};

#[path = "files/reads.rs"]
mod reads;
#[path = "files/sends.rs"]
mod sends;
#[path = "files/writes.rs"]
mod writes;

fn main() -> ExitCode {
    let Some((measure, folder, rounds)) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: files-uring reads|sends|writes [FOLDER] [--rounds N]");
        return ExitCode::FAILURE;
    };
    let path = folder.join(format!("files-uring-{}", std::process::id()));
    let done = measure(&path, rounds);
    // It is missing if it could not be created.
    drop(std::fs::remove_file(&path));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Measure = fn(&Path, usize) -> io::Result<()>;

/// What to measure, where, and in how many rounds. `None` if the command line says something else.
fn parse(mut args: impl Iterator<Item = String>) -> Option<(Measure, PathBuf, usize)> {
    let (mut rounds, mut words) = (9, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
            option if option.starts_with('-') => return None,
            _ => words.push(arg),
        }
    }
    let (measure, folder) = match words.as_slice() {
        [measure] => (measure, std::env::temp_dir()),
        [measure, folder] => (measure, PathBuf::from(folder)),
        _ => return None,
    };
    let measure: Measure = match measure.as_str() {
        "reads" => reads::measure,
        "sends" => sends::measure,
        "writes" => writes::measure,
        _ => return None,
    };
    Some((measure, folder, rounds))
}

/// One way to do the work. It returns the longest time for which a thread of the program was in one call.
type Way<'a> = (&'a str, Box<dyn FnMut() -> io::Result<Duration> + 'a>);

/// Runs each way once per round and prints a table. `clock` measures CPU time: of the process or of this thread.
fn compare(title: &str, rounds: usize, operations: u64, clock: i32, mut ways: Vec<Way<'_>>) -> io::Result<()> {
    println!("\n### {title}\n\n| way | CPU ns (min–max) | time ns | longest call µs |\n|---|---|---|---|");
    let mut results = vec![Vec::new(); ways.len()];
    let count = ways.len();
    for round in 0..rounds {
        for turn in 0..count {
            let number = (round + turn) % count;
            let (cpu, start) = (cpu(clock), Instant::now());
            let longest = ways[number].1()?;
            results[number].push((self::cpu(clock) - cpu, start.elapsed(), longest));
        }
    }
    for ((name, _), results) in ways.iter().zip(results) {
        let spread = |of: fn(&(Duration, Duration, Duration)) -> Duration| {
            let mut all: Vec<Duration> = results.iter().map(of).collect();
            all.sort();
            (all[0], all[all.len() / 2], all[all.len() - 1])
        };
        let each = |time: Duration| time.as_nanos() as f64 / operations as f64;
        let (cpu, time, longest) = (spread(|it| it.0), spread(|it| it.1), spread(|it| it.2));
        println!(
            "| {name} | {:.0} ({:.0}–{:.0}) | {:.0} | {} |",
            each(cpu.1),
            each(cpu.0),
            each(cpu.2),
            each(time.1),
            if longest.2.is_zero() { "–".to_owned() } else { longest.2.as_micros().to_string() },
        );
    }
    Ok(())
}

/// Precise, as the values of `getrusage` are not.
fn cpu(clock: i32) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Offsets of pages in an order that no readahead guesses; the same in each run.
fn offsets(pages: u64) -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % pages * 4096
    }
}

/// Writes the file, and waits until the disk has it.
fn create(path: &Path, bytes: usize) -> io::Result<Arc<File>> {
    std::fs::write(path, vec![b'x'; bytes])?;
    let file = File::options().read(true).write(true).open(path)?;
    file.sync_all()?;
    Ok(Arc::new(file))
}

/// Removes the file from the page cache.
fn make_cold(file: &File) {
    // SAFETY: the calls take no pointer.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
    }
}

/// `preadv2` with `RWF_NOWAIT`.
fn read_now(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the kernel writes at most as many bytes as the buffer holds.
    result(unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, offset as i64, libc::RWF_NOWAIT) })
}

fn result(count: isize) -> io::Result<usize> {
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_line_is_not_understood() {
        let parse = |line: &str| parse(line.split_whitespace().map(str::to_owned));
        let (_, folder, rounds) = parse("sends folder --rounds 3").expect("it is right");
        assert_eq!((folder, rounds), (PathBuf::from("folder"), 3));
        for line in ["", "read", "reads a b", "reads --rounds", "reads --rounds x", "reads --round 3"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
